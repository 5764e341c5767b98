/** Answers the questions of an OpenSSH client, which it asks through a program (ssh(1), SSH_ASKPASS). */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection, Endpoint } from "../config/types";
import { quote } from "../scripts/bundle";

export interface Prompter {
  /** Variables for ssh; there is no secret in them. */
  readonly environment: Readonly<Record<string, string>>;
  close(): void;
}

/** Hands the question over and prints the answer; fails when there is none. */
const CLIENT = `
const [socketPath, question] = process.argv.slice(2);
const socket = require("node:net").connect(socketPath);
let answer = "";
socket.on("data", (chunk) => { answer += chunk; });
socket.on("error", () => process.exit(1));
socket.on("end", () => process.stdout.write(answer, () => process.exit(answer === "" ? 1 : 0)));
socket.end(question);
`;

/** A question is a line. */
const LONGEST_QUESTION = 4096;

/** Whether ssh is to ask for something on the way to this endpoint. */
export function asks({ password, privateKeyPassphrase }: Endpoint): boolean {
  return password !== undefined || privateKeyPassphrase !== undefined;
}

/**
 * Passphrase and password stay in this process: the program that asks for them knows a socket that this
 * user alone can reach, and that is gone with `close`.
 *
 * @returns undefined where ssh has nothing to ask.
 */
export async function prompter(connection: Connection): Promise<Prompter | undefined> {
  const endpoints = [connection, ...(connection.bastion === undefined ? [] : [connection.bastion])];
  if (!endpoints.some(asks)) {
    return undefined;
  }
  const directory = mkdtempSync(join(tmpdir(), "etcd-askpass-"));
  const inside = (name: string) => join(directory, name);
  writeFileSync(inside("client.cjs"), CLIENT, { mode: 0o600 });
  const words = [process.execPath, inside("client.cjs"), inside("socket")].map(quote).join(" ");
  const program = inside("ask");
  writeFileSync(program, `#!/bin/sh\nunset NODE_OPTIONS\nexec ${words} "$1"\n`, { mode: 0o700 });
  const server = createServer({ allowHalfOpen: true }, (socket) => answerOn(socket, endpoints));
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(inside("socket"), resolve);
  });
  // It keeps nothing waiting when ssh has ended.
  server.unref();
  return {
    // Asked for also where there is a terminal, which belongs to Pulumi.
    environment: { SSH_ASKPASS: program, SSH_ASKPASS_REQUIRE: "force" },
    close: () => {
      server.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function answerOn(socket: Socket, endpoints: readonly Endpoint[]): void {
  let question = "";
  socket.on("data", (chunk: Buffer) => {
    question = (question + chunk.toString()).slice(0, LONGEST_QUESTION);
  });
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.end(answerTo(question, endpoints) ?? ""));
}

/**
 * A passphrase is for the key's own file alone, by ssh's own words: whatever else is asked, the host may be asking, and it is
 * told the password that it would be sent in any case.
 */
export function answerTo(question: string, endpoints: readonly Endpoint[]): string | undefined {
  for (const { privateKeyFile, privateKeyPassphrase, password } of endpoints) {
    if (question === `Enter passphrase for key '${privateKeyFile}': `) {
      return privateKeyPassphrase;
    }
    if (!question.startsWith("Enter passphrase for key ") && password !== undefined) {
      return password;
    }
  }
  return undefined;
}
