import { credentials } from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import type { Severity } from "./plugin";

const severities = {
  debug: LogSeverity.DEBUG,
  info: LogSeverity.INFO,
  warning: LogSeverity.WARNING,
  error: LogSeverity.ERROR,
} as const;

/** The engine's log, written in order. Without an address (a plugin run by hand) it is silent. */
export class EngineLog {
  private client: EngineClient | undefined;
  private queue: Promise<void> = Promise.resolve();

  constructor(private address: string | undefined) {}

  attach(address: string): void {
    this.address = address;
    this.client = undefined;
  }

  log(urn: string, severity: Severity, message: string, status: boolean): void {
    if (this.address === undefined) return;
    this.client ??= new EngineClient(this.address, credentials.createInsecure());
    const client = this.client;
    const request = new LogRequest();
    request.setUrn(urn);
    request.setSeverity(severities[severity]);
    request.setMessage(message);
    request.setEphemeral(status);
    const send = () => new Promise<void>((done) => client.log(request, () => done()));
    this.queue = this.queue.then(send);
  }

  /** Resolves when everything logged so far has reached the engine. */
  flushed(): Promise<void> {
    return this.queue;
  }
}
