import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Connection, Server } from "ssh2";

/** An SSH server of the test's own on the loopback. */
export interface Sshd {
  readonly port: number;
  /** Its public host key, as `TYPE BASE64`. */
  readonly hostKey: string;
  /** What clients asked it to run, with what they sent on standard input. */
  readonly commands: { readonly command: string; readonly input: string }[];
  /** All that commands got on standard input so far, ended or not. */
  heard(): string;
  /** What clients tried to log in with: the key's type, or the name of another method. */
  readonly logins: readonly string[];
  /** Where clients asked it to connect to, as `host:port`. */
  readonly forwards: string[];
  close(): void;
}

export interface Answer {
  /** Of the mark that the client asked for (components/hosts/marks.ts), where it takes one, and of the command. */
  readonly stdout?: string | ((mark: string, command: string) => string | Buffer);
  readonly stderr?: string;
  readonly code?: number;
  /** Answers as soon as this was sent, and stays open until the client has nothing more to say. */
  readonly after?: string;
  /** Lets in who knows it, and nobody by a key. */
  readonly password?: string;
}

/** These lines between the marks, after a clock that is right. */
export const answered =
  (...lines: readonly string[]) =>
  (mark: string): string =>
    ["", `begin ${mark}`, `clock ${Date.now()}`, ...lines, `end ${mark}`, ""].join("\n");

/** A new key pair as OpenSSH writes it: the private one, and the public one without its comment. */
export function keyPair(passphrase = ""): { readonly private: string; readonly public: string } {
  const directory = mkdtempSync(join(tmpdir(), "etcd-key-"));
  const file = join(directory, "key");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", file]);
  const pair = {
    private: readFileSync(file, "utf8"),
    public: readFileSync(`${file}.pub`, "utf8").trim(),
  };
  rmSync(directory, { recursive: true });
  return pair;
}

/**
 * Starts a server that lets everybody in who has any key, or the password, answers every command in the same way
 * and connects to the loopback whatever it is asked to connect to.
 *
 * @param port to listen at, any when it is 0.
 */
export function startSshd(answer: Answer = {}, port = 0): Promise<Sshd> {
  const key = keyPair();
  let heard = "";
  const commands: { command: string; input: string }[] = [];
  const forwards: string[] = [];
  const logins: string[] = [];
  const clients = new Set<Connection>();
  const server = new Server({ hostKeys: [key.private] }, (client) => {
    clients.add(client);
    // A client that does not trust the host key leaves in the middle of the greeting.
    client.on("error", () => client.end());
    client.on("authentication", (context) => {
      const { password } = answer;
      logins.push(context.method === "publickey" ? context.key.algo : context.method);
      const good =
        password === undefined
          ? context.method === "publickey"
          : context.method === "password" && context.password === password;
      if (good) {
        context.accept();
      } else {
        context.reject([password === undefined ? "publickey" : "password"]);
      }
    });
    client.on("ready", () => {
      client.on("session", (accept) => {
        accept().on("exec", (acceptCommand, _, { command }) => {
          const stream = acceptCommand();
          let input = "";
          const { after, stdout: said = "" } = answer;
          const markOf = () => /^MARK=([0-9a-f]+)$/m.exec(input)?.[1] ?? "";
          const stdout = () => (typeof said === "string" ? said : said(markOf(), command));
          stream.on("data", (chunk: Buffer) => {
            const before = input;
            input += chunk.toString();
            heard += chunk.toString();
            if (after !== undefined && input.includes(after) && !before.includes(after)) {
              stream.write(stdout());
            }
          });
          stream.on("end", () => {
            commands.push({ command, input });
            if (after !== undefined) {
              return;
            }
            stream.write(stdout());
            stream.stderr.write(answer.stderr ?? "");
            stream.exit(answer.code ?? 0);
            stream.end();
          });
        });
      });
      client.on("tcpip", (accept, reject, { destIP, destPort }) => {
        forwards.push(`${destIP}:${destPort}`);
        const socket = connect(destPort, "127.0.0.1");
        socket.once("error", () => reject());
        socket.once("connect", () => {
          const channel = accept();
          socket.on("error", () => channel.end());
          channel.on("error", () => socket.destroy());
          channel.pipe(socket).pipe(channel);
        });
      });
    });
  });
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const address: AddressInfo | string | null = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : 0,
        hostKey: key.public,
        commands,
        logins,
        heard: () => heard,
        forwards,
        close: () => {
          for (const client of clients) {
            client.end();
          }
          server.close();
        },
      });
    });
  });
}
