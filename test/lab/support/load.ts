/** A load on a lab's cluster while a test changes it. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "vitest";
import type { StackOutputs } from "../../../tools/stack";
import { type History, readHistory } from "../../load/history";
import { type Bounds, complaints, judge, type Report } from "../../load/report";
import { checkout, type Lab } from "../../support/lab";
import type { Stack } from "./stack";

export interface LoadOptions {
  /** @default 1 */
  readonly seed?: number;
  /**
   * Clients. So many that some are free to write whatever the others wait for: a change of the leader
   * loses writes that were on their way to it, and whoever sent one waits for as long as he has patience,
   * which is not the cluster's doing.
   *
   * @default 48
   */
  readonly workers?: number;
  /** Steps per second, some of which are two operations. @default 150 */
  readonly rate?: number;
  /** An endpoint that is read from without its quorum, to see that the checker finds it. */
  readonly staleReads?: string;
}

export interface Judged {
  readonly report: Report;
  readonly history: History;
}

const START_MS = 60_000;
const STOP_MS = 90_000;

export class Load {
  private constructor(
    private readonly child: ChildProcess,
    /** Path of the history; whole once the load has stopped. */
    readonly historyFile: string,
    private readonly ended: Promise<number>,
    private readonly words: () => string,
  ) {}

  /**
   * Resolves when writes are acknowledged to every worker and the watch delivers them.
   *
   * @throws when the cluster does not answer
   */
  static async start(lab: Lab, stack: Stack, options: LoadOptions = {}): Promise<Load> {
    const outputs = await stack.outputs();
    const directory = join(lab.directory, "load");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const history = join(directory, `${Date.now()}.jsonl`);
    // A process group of its own, so that an end by force reaches the load behind its shells.
    const child = spawn(
      "bash",
      [join(checkout, "lab/lab.sh"), "run", "--", "tsx", "test/load/main.ts"],
      { cwd: checkout, env: { ...process.env, LAB_NAME: lab.name }, detached: true },
    );
    let text = "";
    child.stderr.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    // A load that ended early is told by its exit code.
    child.stdin.on("error", () => undefined);
    const ended = new Promise<number>((resolve) => {
      child.on("close", (code) => resolve(code ?? 137));
    });
    const { endpoints } = outputs;
    const wanted = { seed: 1, workers: 48, rate: 150, ...options };
    send(child, { ...credentials(outputs), endpoints, history, ...wanted });
    const load = new Load(child, history, ended, () => text);
    const early = ended.then((code) => `ended with exit code ${code} before it ran`);
    await load.#within(START_MS, Promise.race([running(child), early]));
    return load;
  }

  /**
   * What the load says about a piece of work that is done while it runs.
   *
   * @throws what the work throws, after the load has been ended
   */
  static async during(
    lab: Lab,
    stack: Stack,
    work: (load: Load) => Promise<void>,
    options: LoadOptions = {},
  ): Promise<Judged> {
    const load = await Load.start(lab, stack, options);
    try {
      await work(load);
      const report = await load.stop();
      return { report, history: load.history() };
    } finally {
      load.kill();
    }
  }

  /** From now on the load uses and trusts what the stack says now. */
  async renewCredentials(stack: Stack): Promise<void> {
    send(this.child, credentials(await stack.outputs()));
  }

  /** @throws when it does not come to an end by itself, or to a bad one */
  async stop(): Promise<Report> {
    this.child.stdin?.end();
    const end = this.ended.then((code) =>
      code === 0 ? undefined : `ended with exit code ${code} when it was stopped`,
    );
    await this.#within(STOP_MS, end);
    return judge(this.history());
  }

  /** @throws when the load has not stopped yet */
  history(): History {
    return readHistory(this.historyFile);
  }

  /** For a test that fails before it stops the load; nothing when it has ended. */
  kill(): void {
    const { pid, exitCode, signalCode } = this.child;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      process.kill(-pid, "SIGKILL");
    }
  }

  /** @throws with the failure that the event resolves to, and when it takes too long */
  async #within(milliseconds: number, event: Promise<string | undefined>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      const words = `neither began nor ended within ${milliseconds} ms`;
      timer = setTimeout(() => resolve(words), milliseconds);
    });
    const failure = await Promise.race([event, late]);
    clearTimeout(timer);
    if (failure !== undefined) {
      this.kill();
      throw new Error(`the load ${failure}: ${this.words()}`);
    }
  }
}

function send(child: ChildProcess, value: object): void {
  child.stdin?.write(`${JSON.stringify(value)}\n`);
}

function credentials({ caCertificate, clientCertificate, clientKey }: StackOutputs): object {
  return { caCertificate, clientCertificate, clientKey };
}

function running(child: ChildProcess): Promise<undefined> {
  return new Promise((resolve) => {
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line === "running") {
          resolve(undefined);
        }
      });
    }
  });
}

/**
 * The longest time without an acknowledged write that tests allow. An operator should get 250; here one machine runs all hosts and
 * the load, and pauses them, so the bound is below what an election costs, which a roll without hand-over has. Figures are printed.
 */
const WRITE_GAP_MS = Number(process.env.WRITE_GAP_MS ?? 900);

/**
 * No client noticed anything: no final error, no broken promise, no write gap beyond the bound, at
 * most one change of the leader, never two voters down at once, and enough traffic to say so.
 */
export function expectUnnoticed(report: Report, bounds: Bounds = {}): void {
  expect(complaints(report, { writeGapMs: WRITE_GAP_MS, ...bounds })).toEqual([]);
}

/**
 * A piece of work that no client notices. Prints what the load measured.
 *
 * @param what names the work in the line that is printed.
 */
export async function unnoticed(
  what: string,
  lab: Lab,
  stack: Stack,
  work: (load: Load) => Promise<unknown>,
  bounds: Bounds = {},
): Promise<Report> {
  const { report } = await Load.during(lab, stack, async (load) => {
    await work(load);
  });
  const { longestWriteGap: gap, leaderChanges, ok, seconds } = report;
  console.log(
    `${what}: ${ok} operations in ${seconds.toFixed(0)} s, longest write gap ${Math.round(gap.ms)} ms` +
      ` (and ${Math.round(gap.pausedMs)} ms of the load's own), ${leaderChanges} leader changes`,
  );
  expectUnnoticed(report, bounds);
  return report;
}
