import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Lab, type Result, runCommand } from "../../test/support/lab";

/** Seconds of several runs of one thing, in the order they were taken. */
export type Times = readonly number[];

export function median(times: Times): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Median with the extremes, for a reader to see how noisy the machine was. */
export function show(times: Times): string {
  return `${median(times).toFixed(2)} s (${Math.min(...times).toFixed(2)}-${Math.max(...times).toFixed(2)})`;
}

/** Runs something that must succeed and returns how long it took. */
export async function timed(run: () => Promise<Result>): Promise<number> {
  const start = performance.now();
  const result = await run();
  if (result.code !== 0) {
    throw new Error(`exit code ${result.code}\n${result.stdout}${result.stderr}`);
  }
  return (performance.now() - start) / 1000;
}

/** What one run took: seconds until its end, and of processor time. */
export interface Cost {
  readonly seconds: number;
  /** Engine, program, plugins and ssh. */
  readonly operator: number;
  /** All of the first host. */
  readonly host: number;
}

/** Runs something that must succeed, of whose commands each is `counted`. */
export async function cost(lab: Lab, run: () => Promise<Result>): Promise<Cost> {
  const used = () => [BENCH, "etcd01"].map((part) => processorSeconds(lab, part));
  const before = used();
  const seconds = await timed(run);
  const [operator = 0, host = 0] = used().map((now, index) => now - (before[index] ?? 0));
  return { seconds, operator, host };
}

/** The control group of what a bench starts. */
const BENCH = "bench";
/** Version 2, alone or beside version 1. */
const HIERARCHIES = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

function groupOf(lab: Lab, part: string): string {
  const root = HIERARCHIES.find((directory) => existsSync(join(directory, "cgroup.controllers")));
  return join(root ?? "", `etcd-lab-${lab.identity}`, part);
}

/** What goes before a command that is to be counted with all that it starts. */
export function counted(lab: Lab): readonly string[] {
  const enter = 'mkdir -p "$0"; echo $$ >"$0/cgroup.procs"; exec "$@"';
  return ["bash", "-c", enter, groupOf(lab, BENCH)];
}

/** Of all that ever ran in this part of the lab. */
export function processorSeconds(lab: Lab, part: string): number {
  const statistics = readFileSync(join(groupOf(lab, part), "cpu.stat"), "utf8");
  const [, microseconds] = /^usage_usec (\d+)$/m.exec(statistics) ?? [];
  return Number(microseconds) / 1_000_000;
}

/** How many logins the sshd of a host has accepted so far, from its log. */
export async function logins(lab: Lab, host: string): Promise<number> {
  const result = await lab.exec(host, "journalctl -u ssh --no-pager | grep -c Accepted || true");
  return Number(result.stdout.trim());
}

/**
 * Processes whose command line has these words, of those that descend from `ancestor`: another checkout's are somebody else's.
 *
 * @param table what `ps -eo pid=,ppid=,args=` prints.
 */
export function descendants(table: string, ancestor: number, words: string): readonly number[] {
  const processes = new Map(
    [...table.matchAll(/^ *(\d+) +(\d+) (.*)$/gm)].map(([, pid, parent, command = ""]) => [
      Number(pid),
      { parent: Number(parent), command },
    ]),
  );
  const descends = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === ancestor || descends(processes.get(pid)?.parent));
  return [...processes].flatMap(([pid, { parent, command }]) =>
    command.includes(words) && descends(parent) ? [pid] : [],
  );
}

/**
 * Peak memory of the program's own process (the one that runs index.ts) while `run` is under way,
 * in MiB, sampled from /proc.
 */
export async function peakMemory(run: () => Promise<Result>): Promise<number> {
  let peak = 0;
  const sample = async () => {
    const { stdout } = await runCommand(["ps", "-eo", "pid=,ppid=,args="]);
    for (const pid of descendants(stdout, process.pid, "@pulumi/pulumi/cmd/run")) {
      // It may have ended meanwhile.
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(status) ?? [];
      peak = Math.max(peak, Number(kilobytes ?? 0) / 1024);
    }
  };
  const timer = setInterval(() => void sample(), 200);
  try {
    await timed(run);
  } finally {
    clearInterval(timer);
  }
  return peak;
}
