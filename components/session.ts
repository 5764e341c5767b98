import { spawn } from "node:child_process";
import { Socket } from "node:net";

/** A host that has not answered by then is given up. */
const ANSWER_SECONDS = 20;
/** A session that is kept open says so; the host gives up one that is silent (scripts/lock.sh). */
const ALIVE_SECONDS = 10;
/** What the host prints when it has said all and waits. */
const END = "\nend\n";

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** When the first byte arrived, in milliseconds since the epoch. */
  readonly firstByte: number;
}

/**
 * Runs a command with this standard input, and never fails.
 *
 * @param keep the command is to go on after its last line, «end», for as long as this program runs.
 *   It ends by itself then, because its standard input does.
 */
export function run(
  command: string,
  args: readonly string[],
  input: string,
  keep = false,
): Promise<Answer> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), ANSWER_SECONDS * 1000);
    let stdout = "";
    let stderr = "";
    let firstByte = Number.NaN;
    const settle = (code: number | null, words = stderr) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr: words, firstByte });
    };
    child.stdout.on("data", (chunk: Buffer) => {
      firstByte = Number.isNaN(firstByte) ? Date.now() : firstByte;
      stdout += chunk.toString();
      if (keep && stdout.endsWith(END)) {
        settle(0);
        const alive = setInterval(() => child.stdin.write("\n"), ALIVE_SECONDS * 1000);
        // Nothing of it keeps this program from ending.
        alive.unref();
        child.unref();
        child.on("close", () => clearInterval(alive));
        for (const stream of [child.stdin, child.stdout, child.stderr]) {
          if (stream instanceof Socket) {
            stream.unref();
          }
        }
      }
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    // A host that hangs up early is told apart by its exit code.
    child.stdin.on("error", () => undefined);
    if (keep) {
      child.stdin.write(input);
    } else {
      child.stdin.end(input);
    }
    child.on("error", (error) => settle(null, error.message));
    child.on("close", (code) => settle(code));
  });
}
