/** How long writes took over the time of a run, and when its members restarted: what a chart shows of it. */
import { absences } from "./absences";
import { type EntryOf, entries, type History, wrote } from "./history";

/** Writes that were sent in one interval. Times are milliseconds, `at` is since the load's beginning. */
export interface Writes {
  readonly record: "writes";
  readonly at: number;
  readonly count: number;
  readonly median: number;
  readonly slowest: number;
}

/** A voter that did not answer its clients. */
export interface Restart {
  readonly record: "restart";
  readonly endpoint: string;
  readonly from: number;
  readonly to: number;
}

/** A raft term that began: there is another leader. */
export interface Election {
  readonly record: "election";
  readonly at: number;
}

export type Point = Writes | Restart | Election;

/**
 * A write takes from its first attempt to its answer, whoever gave it, as its client waits for it.
 *
 * @throws when the history has no end
 */
export function latency(history: History, intervalMs: number): Point[] {
  const end = entries(history, "end")[0];
  if (end === undefined) {
    throw new Error("the history is not whole: it lacks its end");
  }
  const within = (at: number) => at >= end.from && at < end.to;
  const since = (at: number) => Math.round(at - end.from);
  return [
    ...absences(history)
      .filter(({ from }) => within(from))
      .map(({ endpoint, from, to }): Restart => {
        return { record: "restart", endpoint, from: since(from), to: since(to) };
      }),
    ...elections(entries(history, "sample"))
      .filter(within)
      .map((at): Election => ({ record: "election", at: since(at) })),
    ...writes(history, end, intervalMs),
  ];
}

function writes(history: History, { from, to }: EntryOf<"end">, intervalMs: number): Writes[] {
  const intervals = new Map<number, number[]>();
  for (const operation of entries(history, "operation").filter(wrote)) {
    const [sent = 0, answered = 0] = [operation.attempts[0]?.start, operation.attempts.at(-1)?.end];
    if (sent >= from && sent < to) {
      const at = Math.floor((sent - from) / intervalMs) * intervalMs;
      intervals.set(at, [...(intervals.get(at) ?? []), answered - sent]);
    }
  }
  const rounded = (milliseconds: number) => Math.round(milliseconds * 10) / 10;
  return [...intervals]
    .sort(([one], [other]) => one - other)
    .map(([at, times]) => {
      const sorted = times.sort((one, other) => one - other);
      const count = sorted.length;
      const median = rounded(sorted[Math.floor(count / 2)] ?? 0);
      return { record: "writes", at, count, median, slowest: rounded(sorted.at(-1) ?? 0) };
    });
}

/** When the first member was seen in each further term. */
function elections(samples: readonly EntryOf<"sample">[]): number[] {
  let last: number | undefined;
  return samples.flatMap(({ term, end }) => {
    const later = term !== undefined && last !== undefined && term > last;
    last = Math.max(term ?? 0, last ?? 0) || undefined;
    return later ? [end] : [];
  });
}
