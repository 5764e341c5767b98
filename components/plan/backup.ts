/** What the jobs that the hosts run by themselves have to show: backups, drills, maintenance. */
import type { ClusterConfig } from "../config";
import {
  clusterExists,
  type HostState,
  type InspectedHost,
  type JobResult,
  type Receipt,
} from "../hosts/host-state";
import { printable } from "../hosts/printable";
import { timeOf } from "../scripts/revision";

/** What the configuration has the hosts do by themselves. */
export interface DesiredJobs {
  readonly backup?: ClusterConfig["backup"];
  readonly maintenance?: ClusterConfig["maintenance"];
}

/** Lines about the jobs; none while all is well. */
interface Judged {
  readonly plan: readonly string[];
  readonly warnings: readonly string[];
}

/** One job of the cluster, which runs on whichever host leads. */
interface Job {
  /** As results name it; its unit is `etcd-NAME.service`. */
  readonly name: string;
  /** With which its lines begin. */
  readonly title: string;
  /** Undefined: it need not have anything to show. */
  readonly schedule?: string;
}

/** The result of a job on one of the hosts. */
export interface Seen {
  readonly host: string;
  readonly result: JobResult;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A result from later than that is no result: it would hide all that fail until then. */
const MOST_AHEAD = HOUR;

/** As much of a reason as is repeated, in characters. */
const MOST_WORDS = 300;

/**
 * What to warn of. A host that was not inspected does not count, and where none was, nothing is known.
 *
 * @param hosts by node name.
 */
export function planJobs(
  hosts: ReadonlyMap<string, HostState>,
  now: Date,
  { backup, maintenance }: DesiredJobs,
): Judged {
  if (!clusterExists(hosts)) {
    return { plan: [], warnings: [] };
  }
  const jobs: readonly Job[] = [
    ...(backup === undefined
      ? []
      : [{ name: "backup", title: "backup", schedule: backup.schedule }]),
    ...(backup?.repository === undefined
      ? []
      : [{ name: "backup-check", title: "check of the repository" }]),
    ...(backup?.drill === undefined
      ? []
      : [{ name: "drill", title: "restore drill", schedule: backup.drill }]),
    ...(maintenance?.defrag === undefined ? [] : [{ name: "maintenance", title: "maintenance" }]),
    ...(maintenance?.noSpace ? [{ name: "maintenance-nospace", title: "healing of NOSPACE" }] : []),
  ];
  const judged = jobs.map((job) => judge(job, hosts, now));
  return {
    plan: judged.flatMap(({ plan }) => plan),
    warnings: judged.flatMap(({ warnings }) => warnings),
  };
}

/** The runs of a job that count, over all hosts that were inspected. */
export interface LastRuns {
  readonly good?: Seen;
  readonly failed?: Seen;
  /** Milliseconds, as far as a host knows it. */
  readonly interval?: number;
}

/** @param name as results have it. */
export function lastRuns(name: string, hosts: ReadonlyMap<string, HostState>, now: Date): LastRuns {
  const results = inspectedOf(hosts).flatMap(({ name: of, host }) =>
    [
      ...(host.jobs ?? []),
      ...(host.goodJobs ?? []).map((good) => ({ ...good, outcome: "ok" }) as const),
    ]
      .filter((result) => result.name === name && counts(result, now))
      .map((result): Seen => ({ host: of, result })),
  );
  return {
    good: newest(results.filter(({ result }) => result.outcome === "ok")),
    failed: newest(results.filter(({ result }) => result.outcome === "failed")),
    interval: intervalOf(results),
  };
}

function inspectedOf(hosts: ReadonlyMap<string, HostState>) {
  return [...hosts].flatMap(([name, host]) => (host.inspected ? [{ name, host }] : []));
}

function judge(job: Job, hosts: ReadonlyMap<string, HostState>, now: Date): Judged {
  const inspected = inspectedOf(hosts);
  const { good, failed, interval: told } = lastRuns(job.name, hosts, now);
  const last =
    good === undefined ? "there is no good one" : `the last good one is ${inWords(good, now)}`;
  const unasked = [...hosts].flatMap(([name, host]) => (host.inspected ? [] : [name]));
  const rest = unasked.length === 0 ? "" : ` (${unasked.join(", ")} could not be asked)`;
  if (failed !== undefined && (good === undefined || failed.result.time > good.result.time)) {
    const { host, result } = failed;
    const reason = result.reason === undefined ? "" : `: ${printable(result.reason, MOST_WORDS)}`;
    const words = `failed on ${host} ${duration(age(result, now))} ago${reason}; ${last}${rest}`;
    return { plan: [], warnings: [`${job.title}: ${words}`] };
  }
  if (job.schedule === undefined) {
    return { plan: [], warnings: [] };
  }
  const interval = told ?? longestGap(job.schedule);
  const due = `one is due every ${duration(interval)}`;
  const see = `see journalctl -u etcd-${job.name}.service on ${leaderOf(inspected)}`;
  if (good === undefined) {
    const since = setUp(inspected);
    return since !== undefined && now.getTime() - since > interval
      ? { plan: [], warnings: [`${job.title}: there is none yet, and ${due}; ${see}${rest}`] }
      : { plan: [`${job.title}: there is none yet; ${due}`], warnings: [] };
  }
  return age(good.result, now) > 2 * interval
    ? { plan: [], warnings: [`${job.title}: ${last}, and ${due}; ${see}${rest}`] }
    : { plan: [], warnings: [] };
}

function counts({ time }: JobResult, now: Date): boolean {
  return time.getTime() <= now.getTime() + MOST_AHEAD;
}

function newest(results: readonly Seen[]): Seen | undefined {
  return [...results].sort((a, b) => b.result.time.getTime() - a.result.time.getTime())[0];
}

/** The hosts know it from systemd, each one that has a result. */
function intervalOf(results: readonly Seen[]): number | undefined {
  const known = results.flatMap(({ result }) => result.interval ?? []).filter((gap) => gap > 0);
  return known.length === 0 ? undefined : Math.max(...known) * SECOND;
}

const NAMED: Readonly<Record<string, number>> = {
  minutely: MINUTE,
  hourly: HOUR,
  daily: DAY,
  weekly: 7 * DAY,
  monthly: 31 * DAY,
  quarterly: 92 * DAY,
  semiannually: 184 * DAY,
  annually: 366 * DAY,
  yearly: 366 * DAY,
};

/** About as long as it takes until a schedule elapses, while no host has said so; rather too long. */
function longestGap(schedule: string): number {
  const named = NAMED[schedule.toLowerCase()];
  if (named !== undefined) {
    return named;
  }
  const words = schedule.split(" ");
  const date = words.find((word) => /^[^:]*[-~]/.test(word) && !/^(\*-)?\*-\*$/.test(word));
  if (date !== undefined) {
    // YEAR-MONTH-DAY or MONTH-DAY
    return date.split(/[-~]/).at(-2) === "*" ? 31 * DAY : 366 * DAY;
  }
  if (words.some((word) => /^(mon|tue|wed|thu|fri|sat|sun)/i.test(word))) {
    return 7 * DAY;
  }
  return words.some((word) => word.startsWith("*:")) ? HOUR : DAY;
}

/** When the first of the hosts got its timers, or its other parts at that time. */
function setUp(hosts: readonly { readonly host: InspectedHost }[]): number | undefined {
  const times = hosts.flatMap(({ host }) => {
    const receipts: ReadonlyMap<string, Receipt> = host.receipts;
    const time = timeOf(receipts.get("jobs")?.revision ?? "");
    return time === undefined ? [] : [Date.parse(time)];
  });
  return times.length === 0 ? undefined : Math.min(...times);
}

function leaderOf(hosts: readonly { readonly name: string; readonly host: InspectedHost }[]) {
  const leader = hosts.find(({ host }) => host.leader);
  return leader === undefined ? "the leader" : `the leader, ${leader.name}`;
}

/** How old it is, how far it goes and where it is. */
function inWords({ host, result }: Seen, now: Date): string {
  const { revision, id } = result;
  const place =
    id === undefined
      ? []
      : [
          id.startsWith("/")
            ? `${printable(id)} on ${host}`
            : `snapshot ${printable(id)} in the repository`,
        ];
  const facts = [...(revision === undefined ? [] : [`revision ${revision}`]), ...place];
  return `${duration(age(result, now))} old${facts.length === 0 ? "" : ` (${facts.join(", ")})`}`;
}

function age({ time }: JobResult, now: Date): number {
  return Math.max(0, now.getTime() - time.getTime());
}

const UNITS = [
  ["d", DAY],
  ["h", HOUR],
  ["min", MINUTE],
  ["s", SECOND],
] as const;

/** Such as `2 h 5 min`: the two largest units, the second one unless it is nothing. */
export function duration(milliseconds: number): string {
  const first = UNITS.findIndex(([, length]) => milliseconds >= length);
  let left = milliseconds;
  const parts = (first === -1 ? [] : UNITS.slice(first, first + 2)).flatMap(([unit, length]) => {
    const many = Math.floor(left / length);
    left -= many * length;
    return many === 0 ? [] : [`${many} ${unit}`];
  });
  return parts.length === 0 ? "0 s" : parts.join(" ");
}
