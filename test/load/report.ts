/** What a run of the load says about the time it ran in. */

import { type Absence, absences, mostAtOnce } from "./absences";
import { violations } from "./check";
import {
  type Attempt,
  answered,
  type EntryOf,
  entries,
  type History,
  type Operation,
  wrote,
} from "./history";
import { seenBetween, withoutTimes } from "./witness";

/** The longest time in which the load waited and nothing was acknowledged. */
export interface Gap {
  /** Without `pausedMs`. */
  readonly ms: number;
  /** How long the load's own process did not get to run meanwhile: that is the machine's doing. */
  readonly pausedMs: number;
  /** When it began, by the wall clock. */
  readonly at: string;
  /** What the load saw meanwhile, as texts. */
  readonly seen: readonly string[];
}

export interface Report {
  readonly seconds: number;
  readonly operations: number;
  readonly ok: number;
  /** Answered, but not by the first attempt. */
  readonly retried: number;
  /**
   * A text for each endpoint and way in which requests failed there, whatever another attempt came to. Not among them: those that
   * never left the client, and those that the server says it has not begun (RFC 9113, 8.7): clients send both again by themselves.
   * Nor what was on its way while the leader changed and ended as a transfer of the leadership may end it, a restart's too: the leader
   * that hands over drops proposals and tells its own clients alone (raft's leadTransferee), so that others wait for their deadline.
   */
  readonly failedRequests: readonly string[];
  /** A text for each operation that no endpoint answered in time. */
  readonly finalErrors: readonly string[];
  readonly violations: readonly string[];
  readonly perSecond: number;
  /** Answered operations of each kind, and applied swaps; none may be 0. */
  readonly kinds: Readonly<Record<"put" | "get" | "cas" | "swapped", number>>;
  readonly longestWriteGap: Gap;
  readonly longestReadGap: Gap;
  readonly slowestMs: number;
  /** How often the watch went on through another stream. */
  readonly watchResumed: number;
  /** Raft terms begun while it ran: at least the changes of the leader. */
  readonly leaderChanges: number;
  readonly mostVotersDown: number;
  /** Looks at a member; without any the absences mean nothing. */
  readonly samples: number;
  readonly absences: readonly Absence[];
}

export interface Bounds {
  /** @default 250 */
  readonly writeGapMs?: number;
  /** @default 1 */
  readonly leaderChanges?: number;
  /** Whether requests may fail as long as another attempt succeeds. @default true */
  readonly failedRequests?: boolean;
  /** Operations per second; below it a run proves little. @default 50, on an idle lab it is 180 */
  readonly perSecond?: number;
}

/**
 * @throws Error when the history has no end: the load did not come to one
 */
export function judge(history: History): Report {
  const begin = entries(history, "begin")[0];
  const end = entries(history, "end")[0];
  if (begin === undefined || end === undefined) {
    throw new Error("the history is not whole: it lacks its beginning or its end");
  }
  const all = entries(history, "operation");
  const done = all.filter((operation) => operation.answer !== undefined);
  const writes = done.filter(wrote);
  const reads = done.filter(({ kind }) => kind === "get");
  const pauses = entries(history, "pause");
  const seconds = (end.to - end.from) / 1000;
  const inTime = acknowledged(done).filter((at) => at >= end.from && at <= end.to);
  const away = absences(history);
  const gap = (operations: readonly Operation[]): Gap => {
    const { start, ms, pausedMs } = longestGap(acknowledged(operations), end, pauses);
    const at = new Date(begin.epoch + start).toISOString();
    return { ms, pausedMs, at, seen: seenBetween(history, start, start + ms + pausedMs) };
  };
  return {
    seconds,
    operations: all.length,
    ok: done.length,
    retried: done.filter(({ attempts }) => attempts.length > 1).length,
    failedRequests: failures(all, leaderChanges(history)),
    finalErrors: all.filter(({ answer }) => answer === undefined).map(unanswered),
    violations: violations(history),
    perSecond: inTime.length / seconds,
    kinds: {
      put: done.filter(({ kind }) => kind === "put").length,
      get: reads.length,
      cas: done.filter(({ kind }) => kind === "cas").length,
      swapped: writes.filter(({ kind }) => kind === "cas").length,
    },
    longestWriteGap: gap(writes),
    longestReadGap: gap(reads),
    slowestMs: all.map(duration).reduce((a, b) => Math.max(a, b), 0),
    watchResumed: entries(history, "resumed").length,
    leaderChanges: termsBegun(history),
    mostVotersDown: mostAtOnce(away),
    samples: entries(history, "sample").length,
    absences: away,
  };
}

/** What a client would have noticed, as texts; none when it noticed nothing. */
export function complaints(report: Report, bounds: Bounds = {}): string[] {
  const { writeGapMs = 250, leaderChanges = 1, failedRequests = true, perSecond = 50 } = bounds;
  const found = [...report.finalErrors, ...report.violations];
  if (!failedRequests) {
    found.push(...report.failedRequests);
  }
  const { ms, at, pausedMs, seen } = report.longestWriteGap;
  if (ms > writeGapMs) {
    found.push(
      `no write was acknowledged for ${Math.round(ms)} ms from ${at} on, at most ${writeGapMs}` +
        ` allowed; not counted are ${Math.round(pausedMs)} ms in which the load itself did not run;` +
        ` meanwhile: ${seen.join("; ")}`,
    );
  }
  if (report.leaderChanges > leaderChanges) {
    found.push(
      `the leader changed ${report.leaderChanges} times, at most ${leaderChanges} allowed`,
    );
  }
  if (report.mostVotersDown > 1) {
    found.push(`${report.mostVotersDown} voters were down at the same time: ${told(report)}`);
  }
  if (report.samples === 0) {
    found.push("no member was ever looked at");
  }
  if (report.perSecond < perSecond) {
    found.push(
      `only ${report.perSecond.toFixed(1)} operations per second, at least ${perSecond} needed`,
    );
  }
  for (const [kind, count] of Object.entries(report.kinds)) {
    if (count === 0) {
      found.push(`no operation of the kind ${kind} was answered: the run proves nothing about it`);
    }
  }
  return found;
}

function told({ absences: away }: Report): string {
  return away
    .map(
      ({ endpoint, from, to, error }) =>
        `${endpoint} from ${Math.round(from)} to ${Math.round(to)} ms (${error})`,
    )
    .join(", ");
}

function unanswered({ kind, key, attempts }: Operation): string {
  const last = attempts.at(-1);
  return `no endpoint answered a ${kind} of ${key} in ${attempts.length} attempts: ${last?.error}`;
}

const NOT_BEGUN = "Stream refused by server";
const OF_A_TRANSFER = ["etcdserver: leader changed", "raft proposal dropped", "DEADLINE_EXCEEDED"];

function failures(operations: readonly Operation[], changes: readonly Stretch[]): string[] {
  const counts = new Map<string, number>();
  const excused = ({ start, end, error = "" }: Attempt) =>
    error.includes(NOT_BEGUN) ||
    (OF_A_TRANSFER.some((words) => error.includes(words)) &&
      changes.some(({ from, to }) => start <= to && end >= from));
  for (const attempt of operations.flatMap(({ attempts }) => attempts)) {
    const { endpoint, outcome, error = "no reason" } = attempt;
    if (outcome === "unknown" && !excused(attempt)) {
      const what = `failed at ${endpoint}: ${withoutTimes(error)}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
  }
  return [...counts].map(([what, count]) => `${count} requests ${what}`);
}

function acknowledged(operations: readonly Operation[]): number[] {
  return operations
    .flatMap((operation) => answered(operation)?.end ?? [])
    .sort((one, other) => one - other);
}

function duration({ attempts }: Operation): number {
  return (attempts.at(-1)?.end ?? 0) - (attempts[0]?.start ?? 0);
}

/** Between two acknowledgements, and from the edges of the run to the first and the last one. */
function longestGap(
  times: readonly number[],
  { from, to }: EntryOf<"end">,
  pauses: readonly EntryOf<"pause">[],
): { start: number; ms: number; pausedMs: number } {
  let longest = { ms: 0, pausedMs: 0, start: from };
  let start = from;
  for (const end of [...times.filter((time) => time > from && time < to), to]) {
    if (end - start > longest.ms) {
      const pausedMs = overlap(pauses, start, end);
      const ms = end - start - pausedMs;
      longest = ms > longest.ms ? { ms, pausedMs, start } : longest;
    }
    start = end;
  }
  return longest;
}

function overlap(pauses: readonly EntryOf<"pause">[], from: number, to: number): number {
  return pauses
    .map(({ start, end }) => Math.min(end, to) - Math.max(start, from))
    .reduce((sum, ms) => sum + Math.max(0, ms), 0);
}

interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** When the leader changed: between the last look that met the old term and the first that met the new one. */
function leaderChanges(history: History): Stretch[] {
  const looks = entries(history, "sample")
    .flatMap(({ term, start, end }) => (term === undefined ? [] : [{ term, start, end }]))
    .sort((one, other) => one.end - other.end);
  const changes: Stretch[] = [];
  let last = looks[0];
  for (const look of looks) {
    if (last !== undefined && look.term > last.term) {
      changes.push({ from: last.start, to: look.end });
    }
    last = last !== undefined && look.term < last.term ? last : look;
  }
  return changes;
}

function termsBegun(history: History): number {
  const terms = entries(history, "sample").flatMap(({ term }) => term ?? []);
  return terms.length === 0 ? 0 : terms.reduce((a, b) => Math.max(a, b)) - (terms[0] ?? 0);
}
