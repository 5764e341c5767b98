import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { toStruct } from "../../../lab/plugins/shared/struct";
import { type Props, secret } from "../../../lab/plugins/shared/values";
import { buildPlugins, PluginProcess } from "./plugin-process";
import { SshServer, type SshServerOptions } from "./ssh-server";

export const urn = "urn:pulumi:dev::etcd::command:remote:Command::step";

/** Severities in the engine's log. */
export const info = 1;
export const warning = 2;

/** A host's `connection` that gives up after one dial. */
export function connection(server: SshServer, more: Props = {}): Props {
  const { port, hostKey, privateKey } = server;
  return { host: "127.0.0.1", port, hostKey, privateKey, dialErrorLimit: 0, ...more };
}

/** A port of 127.0.0.1 on which nothing listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

/** The command plugin and hosts, new for each test: Cancel ends a plugin for good, and the log
 * starts empty. */
class CommandFixture {
  private started: PluginProcess | undefined;
  private readonly hosts: SshServer[] = [];
  private readonly wires: (() => void)[] = [];

  get plugin(): PluginProcess {
    if (!this.started) throw new Error("the plugin runs only during a test");
    return this.started;
  }

  async start(directory: string): Promise<void> {
    // Seconds between two questions to a silent host, of which there are nine.
    this.started = await PluginProcess.start(directory, "command", { LAB_KEEPALIVE: "0.5" });
  }

  async stop(): Promise<void> {
    await this.plugin.stop();
    for (const end of this.wires.splice(0)) end();
    await Promise.all(this.hosts.splice(0).map((server) => server.stop()));
  }

  async host(options: SshServerOptions = {}): Promise<SshServer> {
    const server = await SshServer.start(options);
    this.hosts.push(server);
    return server;
  }

  /**
   * A port that leads to a host until `cut` is called: then nothing passes, and nobody is told.
   *
   * @param gather milliseconds for which the host's words are kept, to arrive as one.
   */
  async wire(server: SshServer, gather = 0): Promise<{ port: number; cut(): void }> {
    const sockets: Socket[] = [];
    let whole = true;
    const proxy = createServer((near) => {
      const far = connect(server.port, "127.0.0.1");
      sockets.push(near, far);
      for (const socket of [near, far]) socket.on("error", () => undefined);
      near.on("data", (chunk) => whole && far.write(chunk));
      const held: Buffer[] = [];
      far.on("data", (chunk) => {
        if (held.push(chunk) > 1) return;
        setTimeout(() => whole && near.write(Buffer.concat(held.splice(0))), gather);
      });
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    this.wires.push(() => {
      proxy.close();
      for (const socket of sockets) socket.destroy();
    });
    const address = proxy.address();
    if (typeof address !== "object" || address === null) throw new Error("no port");
    return {
      port: address.port,
      cut: () => {
        whole = false;
      },
    };
  }

  /** Creates a command with a secret connection and answers its state. */
  async create(properties: Props, timeout = 0): Promise<Props> {
    const wrapped = { ...properties, connection: secret(properties.connection ?? null) };
    const request = new rpc.CreateRequest().setUrn(urn).setProperties(toStruct(wrapped));
    const response = await this.plugin.call<rpc.CreateRequest, rpc.CreateResponse>(
      this.plugin.client.create,
      request.setTimeout(timeout),
    );
    return response.getProperties()?.toJavaScript() ?? {};
  }
}

/** Registers what starts and stops the plugin around the tests of a file. */
export function useCommandPlugin(): CommandFixture {
  const fixture = new CommandFixture();
  let built: ReturnType<typeof buildPlugins> | undefined;
  beforeAll(() => {
    built = buildPlugins();
  });
  beforeEach(() => fixture.start(built?.directory ?? ""));
  afterEach(() => fixture.stop());
  afterAll(() => built?.remove());
  return fixture;
}
