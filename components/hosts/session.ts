import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { Socket } from "node:net";
import { beginOf, endOf, waitOf } from "./marks";

/** A host that has not answered by then is given up. */
const ANSWER_SECONDS = 20;
/** One that says that it waits for something (scripts/lib/lock.sh, UP_WAITS and JOB_WAITS) has so many more. */
const WAITING_SECONDS = 210;
/**
 * A session that is kept open says so; the host gives up one that is silent (scripts/lib/lock.sh). A host that was booted again answers
 * that it knows no such session: soon, so that it is told before the plugin's error ends the run.
 */
const ALIVE_SECONDS = 1;
/** Nobody has more to say: what comes beyond is not read, and the command is ended. */
const MOST_BYTES = 1024 * 1024;
/** Of the last words of a session, in characters. */
const MOST_WORDS = 4096;

export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** When the command began, in milliseconds since the epoch. */
  readonly started: number;
  /** How often it ran; not even once when there is no such command. */
  readonly dials: number;
  /** When the begin mark arrived, in milliseconds since the epoch; NaN when it did not. */
  readonly begun: number;
  /** It said more than anybody has to say, on both streams together, and was ended for it. */
  readonly flooded: boolean;
  /** Of a session that is kept. */
  readonly kept?: Kept;
}

/** A session that goes on for as long as this program runs. */
export interface Kept {
  /** Writes to the command's standard input, if it still runs. */
  readonly tell: (text: string) => void;
  /** Resolves with ssh's last words when it ends before this program does. */
  readonly lost: Promise<string>;
}

export interface Talk {
  /** What the lines before and after the answer have in them (marks.ts). */
  readonly mark: string;
  /**
   * The command is to go on after its end mark, for as long as this program runs. It ends by itself
   * then, because its standard input does.
   *
   * @default false
   */
  readonly keep?: boolean;
  /** After so many a host that has not answered is given up. @default 20 */
  readonly seconds?: number;
  /** Told when the host says that it waits for something before it answers. */
  readonly onWait?: () => void;
  /** Further variables of the command. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a command with this standard input, and never fails. */
export function run(
  command: string,
  args: readonly string[],
  input: string,
  talk: Talk,
): Promise<Answer> {
  const env = { ...process.env, ...talk.environment };
  const child = spawn(command, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env,
    // The engine ends a plugin with all its process group, and the host is to be told how the run ended.
    detached: talk.keep === true,
  });
  // A host that hangs up early is told apart by its exit code.
  child.stdin.on("error", () => undefined);
  if (talk.keep) {
    child.stdin.write(input);
  } else {
    child.stdin.end(input);
  }
  return new Promise((resolve) => new Session(child, talk, resolve));
}

/** One command from its start to its answer, or to its end. */
class Session {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #talk: Talk;
  readonly #resolve: (answer: Answer) => void;
  readonly #started = Date.now();
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #lost: Promise<string>;
  #timer: NodeJS.Timeout;
  #begun = Number.NaN;
  #bytes = 0;
  #settled = false;

  constructor(
    child: ChildProcessWithoutNullStreams,
    talk: Talk,
    resolve: (answer: Answer) => void,
  ) {
    this.#child = child;
    this.#talk = talk;
    this.#resolve = resolve;
    this.#timer = this.#killAfter(talk.seconds ?? ANSWER_SECONDS);
    this.#lost = lastWords(child);
    this.#readAnswer();
    child.stderr.on("data", (chunk: Buffer) => this.#take(this.#stderr, chunk));
    child.on("error", (error) => this.#settle(null, error.message));
    child.on("close", (code) => this.#settle(code));
  }

  #killAfter(seconds: number): NodeJS.Timeout {
    return setTimeout(() => this.#child.kill("SIGKILL"), seconds * 1000);
  }

  #readAnswer(): void {
    const { mark, keep, onWait } = this.#talk;
    const [wait, begin, end] = [waitOf(mark), beginOf(mark), endOf(mark)].map(watch);
    let waits = false;
    this.#child.stdout.on("data", (chunk: Buffer) => {
      if (!this.#take(this.#stdout, chunk)) {
        return;
      }
      if (wait?.(chunk) && !waits) {
        waits = true;
        clearTimeout(this.#timer);
        this.#timer = this.#killAfter(WAITING_SECONDS);
        onWait?.();
      }
      if (begin?.(chunk) && Number.isNaN(this.#begun)) {
        this.#begun = Date.now();
      }
      if (end?.(chunk) && keep) {
        this.#settle(0);
        keepAlive(this.#child);
      }
    });
  }

  readonly #tell = (text: string): void => {
    this.#child.stdin.write(text);
  };

  /** @returns whether more of it is wanted: not after the answer, nor from a host that floods. */
  #take(chunks: Buffer[], chunk: Buffer): boolean {
    if (this.#settled) {
      return false;
    }
    this.#bytes += chunk.length;
    if (this.#bytes > MOST_BYTES) {
      this.#child.kill("SIGKILL");
      return false;
    }
    chunks.push(chunk);
    return true;
  }

  #settle(code: number | null, words?: string): void {
    clearTimeout(this.#timer);
    this.#settled = true;
    this.#resolve({
      code,
      stdout: Buffer.concat(this.#stdout).toString(),
      stderr: words ?? Buffer.concat(this.#stderr).toString(),
      started: this.#started,
      dials: words === undefined ? 1 : 0,
      begun: this.#begun,
      flooded: this.#bytes > MOST_BYTES,
      ...(this.#talk.keep ? { kept: { tell: this.#tell, lost: this.#lost } } : {}),
    });
  }
}

/** Resolves when the command ends, with the last line that it wrote to its standard error. */
function lastWords(child: ChildProcessWithoutNullStreams): Promise<string> {
  let last = "";
  child.stderr.on("data", (chunk: Buffer) => {
    last = (last + chunk.toString()).slice(-MOST_WORDS);
  });
  return new Promise((ended) => {
    child.on("close", () => ended(last.trim().split("\n").at(-1) ?? ""));
  });
}

/** For as long as this program runs; nothing of it keeps this program from ending. */
function keepAlive(child: ChildProcessWithoutNullStreams): void {
  const alive = setInterval(() => child.stdin.write("\n"), ALIVE_SECONDS * 1000);
  alive.unref();
  child.unref();
  child.on("close", () => {
    clearInterval(alive);
  });
  for (const stream of [child.stdin, child.stdout, child.stderr]) {
    if (stream instanceof Socket) {
      stream.unref();
    }
  }
}

/** Whether these bytes have come by, however they are cut into pieces. */
function watch(line: string): (chunk: Buffer) => boolean {
  // What is printed first has no line end before it.
  let tail = "\n";
  let found = false;
  return (chunk) => {
    const text = tail + chunk.toString("latin1");
    found ||= text.includes(line);
    tail = text.slice(-line.length);
    return found;
  };
}
