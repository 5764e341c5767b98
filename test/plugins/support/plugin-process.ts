import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { credentials, Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import type { LogRequest } from "@pulumi/pulumi/proto/engine_pb";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { unary } from "../../../lab/plugins/shared/unary";

const directories = {
  command: "resource-command-v1.2.1",
  tls: "resource-tls-v5.6.1",
  random: "resource-random-v4.21.2",
} as const;

export type PluginName = keyof typeof directories;

/** The stand-ins built into a new directory, to be removed with `remove`. */
export function buildPlugins(): { directory: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), "plugins-"));
  const script = join(__dirname, "..", "..", "..", "lab", "plugins", "build.sh");
  execFileSync("bash", [script, directory], { stdio: ["ignore", "ignore", "inherit"] });
  return { directory, remove: () => rmSync(directory, { recursive: true }) };
}

export interface LogLine {
  readonly severity: number;
  readonly message: string;
  readonly status: boolean;
}

/** An engine that only listens to what plugins log. */
async function startEngine(lines: LogLine[]): Promise<{ address: string; server: Server }> {
  const server = new Server();
  server.addService(EngineService, {
    log: unary((request: LogRequest) => {
      lines.push({
        severity: request.getSeverity(),
        message: request.getMessage(),
        status: request.getEphemeral(),
      });
      return new Empty();
    }),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { address: `127.0.0.1:${port}`, server };
}

type Unary<Request, Response> = (
  request: Request,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

export class PluginProcess {
  private constructor(
    readonly client: ResourceProviderClient,
    readonly log: LogLine[],
    private readonly child: ChildProcess,
    private readonly engine: Server,
  ) {}

  /** Starts a plugin as the engine does: one argument, then a port on its standard output. */
  static async start(
    directory: string,
    name: PluginName,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<PluginProcess> {
    const log: LogLine[] = [];
    const { address, server } = await startEngine(log);
    const file = join(directory, directories[name], `pulumi-resource-${name}`);
    if (!existsSync(file)) throw new Error(`${file} was not built`);
    const child = spawn(file, [address], {
      env: { ...process.env, SSH_AUTH_SOCK: "", ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [port] = await once(createInterface(child.stdout), "line");
    const client = new ResourceProviderClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
    });
    return new PluginProcess(client, log, child, server);
  }

  /** Makes one call; errors are as Go prints them. */
  call<Request, Response>(method: Unary<Request, Response>, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      method.call(this.client, request, (error, response) => {
        if (!error) {
          resolve(response);
          return;
        }
        const name = error.code === status.UNKNOWN ? "Unknown" : status[error.code];
        reject(new Error(`rpc error: code = ${name} desc = ${error.details}`));
      });
    });
  }

  get alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async stop(): Promise<void> {
    this.client.close();
    this.engine.forceShutdown();
    if (!this.alive) return;
    const gone = once(this.child, "exit");
    this.child.kill();
    await gone;
  }
}
