/** What the jobs of the hosts' timers have done: the newest results over all hosts. */
import type { ClusterConfig } from "../components/config";
import type { HostState } from "../components/hosts/host-state";
import { printable } from "../components/hosts/printable";
import { lastRuns, planJobs, type Seen } from "../components/plan/backup";
import { isoTime, secondsSince } from "./units";

/** A result, as `npm run status -- --json` has it. */
export interface LastGood {
  readonly host: string;
  readonly time: string;
  readonly ageSeconds: number;
  readonly revision: number | null;
  readonly bytes: number | null;
  readonly id: string | null;
  /** What it had to say all the same. */
  readonly remark: string | null;
}

export interface LastFailure {
  readonly host: string;
  readonly time: string;
  readonly ageSeconds: number;
  readonly reason: string;
}

export interface Job {
  readonly lastGood: LastGood | null;
  readonly lastFailure: LastFailure | null;
  /** The longest time between two runs. */
  readonly intervalSeconds: number | null;
}

/** What the JSON calls each job, what results call it, and what people do. */
const KINDS = {
  backup: { name: "backup", words: "backup" },
  backupCheck: { name: "backup-check", words: "check of the repository" },
  drill: { name: "drill", words: "restore drill" },
  maintenance: { name: "maintenance", words: "maintenance" },
  noSpace: { name: "maintenance-nospace", words: "healing of NOSPACE" },
} as const;

export type JobKind = keyof typeof KINDS;
export type Jobs = { readonly [Kind in JobKind]: Job | null };

export const JOB_KINDS = ["backup", "backupCheck", "drill", "maintenance", "noSpace"] as const;

export const jobWords = (kind: JobKind): string => KINDS[kind].words;

/** Where none is configured. */
export const NO_JOBS: Jobs = {
  ...{ backup: null, backupCheck: null, drill: null, maintenance: null, noSpace: null },
};

/** Of hosts that nobody could ask. */
export const NOTHING_KNOWN: Job = { lastGood: null, lastFailure: null, intervalSeconds: null };

type Configured = Pick<ClusterConfig, "backup" | "maintenance">;

/** Null for what is not configured. */
export function jobsOf(
  { backup, maintenance }: Configured,
  hosts: ReadonlyMap<string, HostState>,
  now: Date,
): Jobs {
  const job = (kind: JobKind, configured: unknown) =>
    configured === undefined ? null : jobOf(KINDS[kind].name, hosts, now);
  return {
    backup: job("backup", backup),
    backupCheck: job("backupCheck", backup?.repository),
    drill: job("drill", backup?.drill),
    maintenance: job("maintenance", maintenance?.defrag),
    noSpace: job("noSpace", maintenance?.noSpace || undefined),
  };
}

function jobOf(name: string, hosts: ReadonlyMap<string, HostState>, now: Date): Job {
  const { good, failed, interval } = lastRuns(name, hosts, now);
  const when = ({ host, result }: Seen) => {
    const time = isoTime(result.time);
    return { host, time, ageSeconds: secondsSince(time, now) };
  };
  return {
    lastGood:
      good === undefined
        ? null
        : {
            ...when(good),
            revision: good.result.revision ?? null,
            bytes: good.result.size ?? null,
            id: good.result.id === undefined ? null : printable(good.result.id, 1024),
            remark: good.result.reason === undefined ? null : printable(good.result.reason),
          },
    lastFailure:
      failed === undefined
        ? null
        : {
            ...when(failed),
            reason: printable(failed.result.reason ?? "no reason was given"),
          },
    intervalSeconds: interval === undefined ? null : interval / 1000,
  };
}

/** In the words of a preview, and what a good result has to say. */
export function jobWarnings(
  configured: Configured,
  jobs: Jobs,
  hosts: ReadonlyMap<string, HostState>,
  now: Date,
): readonly string[] {
  const remarks = JOB_KINDS.flatMap((kind) => {
    const good = jobs[kind]?.lastGood;
    return good?.remark ? [`${jobWords(kind)}: ${good.remark}`] : [];
  });
  return [...planJobs(hosts, now, configured).warnings, ...remarks];
}
