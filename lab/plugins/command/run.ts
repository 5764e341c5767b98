import type { Client, ClientChannel } from "ssh2";
import type { Context } from "../shared/plugin";
import type { Connection } from "./connection";
import { requestEnvironment, type Variable } from "./environment";
import { goQuote } from "./go-text";
import { Lines } from "./lines";

export interface Command {
  readonly connection: Connection;
  readonly command: string;
  readonly stdin: string;
  /** Each must be accepted by the host, or the command is not run. */
  readonly environment: Readonly<Record<string, string>>;
  /** Set if the host accepts them; a refusal is a warning. */
  readonly previousOutput: Readonly<Record<string, string>>;
  readonly logStdout: boolean;
  readonly logStderr: boolean;
}

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

function variables(command: Command, context: Context): Variable[] {
  const advice = (name: string) =>
    `Unable to set '${name}'. This only works if your SSH server is configured to accept\n` +
    "\tthese variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the " +
    "remote host, you could\n\tprefix the command itself with the variables in the form " +
    "'VAR=value command'";
  return [
    ...Object.entries(command.environment).map(([name, value]) => ({
      name,
      value,
      refused() {
        context.log("error", advice(name));
        throw new Error(`could not set environment variable ${goQuote(name)}: ssh: setenv failed`);
      },
    })),
    ...Object.entries(command.previousOutput).map(([name, value]) => ({
      name,
      value,
      refused: () => context.log("warning", advice(name)),
    })),
  ];
}

/** The failure of a finished command in the words of the official plugin. */
function failure(code: number | null | undefined, signal: string, reason: string) {
  if (code === 0) return undefined;
  if (typeof code === "number") return `Process exited with status ${code}`;
  if (signal === "") return "wait: remote command exited without exit status or exit signal";
  const numbers: Readonly<Record<string, number>> = {
    ...{ HUP: 1, INT: 2, QUIT: 3, ILL: 4, ABRT: 6, FPE: 8, KILL: 9, SEGV: 11, PIPE: 13 },
    ...{ ALRM: 14, TERM: 15 },
  };
  const name = signal.replace(/^SIG/, "");
  const because = reason === "" ? "" : `. Reason was: ${reason}`;
  return `Process exited with status ${128 + (numbers[name] ?? 0)} from signal ${name}${because}`;
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString();
}

/** Feeds the command, gathers its output and waits for its end. */
function attend(channel: ClientChannel, command: Command, context: Context): Promise<Output> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const both: Buffer[] = [];
  const lines = new Lines((line) => context.log("info", line, true));
  let exit: { code: number | null; signal: string; reason: string } | undefined;
  channel.on("data", (chunk: Buffer) => {
    stdout.push(chunk);
    both.push(chunk);
    if (command.logStdout) lines.write(chunk);
  });
  channel.stderr.on("data", (chunk: Buffer) => {
    stderr.push(chunk);
    both.push(chunk);
    if (command.logStderr) lines.write(chunk);
  });
  channel.on("exit", (code: number | null, signal?: string, _core?: boolean, reason?: string) => {
    exit = { code, signal: signal ?? "", reason: reason ?? "" };
  });
  return new Promise((resolve, reject) => {
    // A command may end without reading its input: its exit status is what counts.
    channel.on("error", () => undefined);
    channel.on("close", () => {
      lines.end();
      const failed = failure(exit?.code, exit?.signal ?? "", exit?.reason ?? "");
      if (failed === undefined) {
        const trimmed = (chunks: Buffer[]) => text(chunks).replace(/\n$/, "");
        resolve({ stdout: trimmed(stdout), stderr: trimmed(stderr) });
      } else {
        reject(new Error(`${failed}: running ${goQuote(command.command)}:\n${text(both)}`));
      }
    });
    channel.end(command.stdin);
  });
}

/**
 * Begins a command. Whoever attends must listen before the library's callback returns: a short command's output, exit status and
 * end may have arrived in the same packet as the word that it began.
 */
function begin(
  client: Client,
  command: Command,
  context: Context,
): Promise<{ readonly output: Promise<Output> }> {
  return new Promise((resolve, reject) => {
    client.exec(command.command, (error, channel) => {
      if (error) {
        reject(error);
        return;
      }
      const output = attend(channel, command, context);
      // If the command was given up meanwhile, nobody waits for it.
      output.catch(() => undefined);
      resolve({ output });
    });
  });
}

/** Rejects with the reason of the abort. */
function aborted(signal: AbortSignal): { promise: Promise<never>; forget(): void } {
  let forget = () => {};
  const promise = new Promise<never>((_, reject) => {
    const listener = () => reject(signal.reason);
    signal.addEventListener("abort", listener);
    forget = () => signal.removeEventListener("abort", listener);
    if (signal.aborted) listener();
  });
  promise.catch(() => undefined);
  return { promise, forget };
}

/**
 * Runs one command on a host over a connection of its own. One line feed at the end of each output
 * is taken off. Errors: what dialling says, or `Process exited with status N: running "COMMAND":`
 * followed by all of the output (never by the input).
 */
export async function run(command: Command, context: Context): Promise<Output> {
  context.signal.throwIfAborted();
  // The SSH library takes longer to load than the rest of the plugin; a preview never needs it.
  const { dial } = await import("./dial.js");
  const { client, end } = await dial(command.connection, context);
  const abort = aborted(context.signal);
  try {
    const refused = new Promise<never>((_, reject) => {
      const wanted = variables(command, context);
      if (wanted.length > 0) requestEnvironment(client, wanted, reject);
    });
    const lost = new Promise<never>((_, reject) => {
      client.on("close", () => reject(new Error("EOF")));
    });
    lost.catch(() => undefined);
    const { output } = await Promise.race([
      begin(client, command, context),
      refused,
      lost,
      abort.promise,
    ]);
    return await Promise.race([output, abort.promise]);
  } finally {
    abort.forget();
    end();
  }
}
