import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { type Connection, Server, type ServerChannel, utils } from "ssh2";
import { keyPair } from "../../support/sshd";

export interface SshServerOptions {
  /** Added to the commands' environment. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Names of variables that clients may set. */
  readonly acceptEnv?: readonly string[];
  readonly password?: string;
  /** Closes so many connections before the first one is served. */
  readonly refuse?: number;
}

function runShell(
  channel: ServerChannel,
  command: string,
  environment: NodeJS.ProcessEnv,
  running: Set<number>,
): void {
  const child = spawn("sh", ["-c", command], { env: environment, detached: true });
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  child.stdin.on("error", () => undefined);
  channel.on("error", () => undefined);
  channel.pipe(child.stdin);
  child.stdout.pipe(channel, { end: false });
  child.stderr.pipe(channel.stderr, { end: false });
  child.on("close", (code, signal) => {
    if (pid !== undefined) running.delete(pid);
    if (code === null) channel.exit((signal ?? "SIGTERM").replace(/^SIG/, ""), false, "");
    else channel.exit(code);
    channel.end();
  });
  channel.on("close", () => {
    if (pid !== undefined && running.has(pid)) endGroup(pid, "SIGTERM");
  });
}

/** Of a command that is told to have ended a moment after it has. */
function endGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** An SSH server on 127.0.0.1 that runs commands with sh, for one user key and one password. */
export class SshServer {
  /** Connections that got as far as a TCP connection, and those that logged in. */
  dials = 0;
  logins = 0;
  readonly commands: string[] = [];
  readonly running = new Set<number>();
  readonly open = new Set<Connection>();

  private constructor(
    private readonly server: Server,
    readonly port: number,
    readonly hostKey: string,
    readonly privateKey: string,
  ) {}

  static async start(options: SshServerOptions = {}): Promise<SshServer> {
    // By ssh-keygen: about one in 400 Ed25519 keys that ssh2 makes is malformed.
    const host = keyPair();
    const user = keyPair();
    const allowed = utils.parseKey(user.public);
    if (allowed instanceof Error) throw allowed;
    let refuse = options.refuse ?? 0;
    const server = new Server({ hostKeys: [host.private] }, (client) => {
      started.dials += 1;
      if (refuse > 0) {
        refuse -= 1;
        client.on("error", () => undefined);
        client.end();
        return;
      }
      started.serve(client, options, allowed.getPublicSSH());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address: AddressInfo | string | null = server.address();
    if (typeof address !== "object" || address === null) throw new Error("no port");
    const started = new SshServer(server, address.port, host.public, user.private);
    return started;
  }

  private serve(client: Connection, options: SshServerOptions, userKey: Buffer): void {
    this.open.add(client);
    client.on("close", () => this.open.delete(client));
    client.on("error", () => undefined);
    client.on("authentication", (attempt) => {
      const offers: ("publickey" | "password")[] =
        options.password === undefined ? ["publickey"] : ["publickey", "password"];
      if (attempt.method === "publickey" && attempt.key.data.equals(userKey)) {
        attempt.accept();
      } else if (
        options.password !== undefined &&
        attempt.method === "password" &&
        attempt.password === options.password
      ) {
        attempt.accept();
      } else {
        attempt.reject(offers);
      }
    });
    client.on("ready", () => {
      this.logins += 1;
    });
    client.on("tcpip", (accept, reject, { destIP, destPort }) => {
      const target = connect(destPort, destIP);
      target.on("error", () => reject());
      target.on("connect", () => {
        const channel = accept();
        channel.on("error", () => undefined);
        target.on("error", () => undefined);
        channel.pipe(target).pipe(channel);
      });
    });
    client.on("session", (acceptSession) => {
      const session = acceptSession();
      const set: NodeJS.ProcessEnv = {};
      session.on("env", (accept, reject, { key, val }) => {
        if (options.acceptEnv?.includes(key)) {
          set[key] = val;
          accept?.();
        } else {
          reject?.();
        }
      });
      session.on("exec", (accept, _reject, { command }) => {
        this.commands.push(command);
        const environment = { ...process.env, ...options.environment, ...set };
        runShell(accept(), command, environment, this.running);
      });
    });
  }

  async stop(): Promise<void> {
    for (const client of this.open) client.end();
    for (const pid of this.running) endGroup(pid, "SIGKILL");
    await new Promise<void>((done) => this.server.close(() => done()));
  }
}
