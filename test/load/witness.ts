/** What the load saw in a stretch of its time, for a failure to tell: who was asked, who led, who was away. */
import { entries, type History } from "./history";

/**
 * @param from,to milliseconds of the load's clock.
 * @returns a text for each endpoint and way in which calls ended that were under way in that time,
 *   for each term that began in it, and for each look at a member that was not answered.
 */
export function seenBetween(history: History, from: number, to: number): string[] {
  const calls = new Map<string, { count: number; longest: number }>();
  for (const { attempts } of entries(history, "operation")) {
    for (const { endpoint, start, end, outcome, error } of attempts) {
      if (start < to && end > from) {
        const what = `${endpoint}: ${outcome === "ok" ? "answered" : withoutTimes(error ?? outcome)}`;
        const { count, longest } = calls.get(what) ?? { count: 0, longest: 0 };
        calls.set(what, { count: count + 1, longest: Math.max(longest, end - start) });
      }
    }
  }
  const samples = entries(history, "sample");
  const before = samples.filter(({ end }) => end <= from).flatMap(({ term }) => term ?? []);
  let term = before.reduce((one, other) => Math.max(one, other), 0);
  const looks: string[] = [];
  for (const sample of samples.filter(({ start, end }) => start < to && end > from)) {
    const at = `after ${Math.round(sample.end - from)} ms`;
    if (sample.term !== undefined && sample.term > term) {
      term = sample.term;
      looks.push(`${at} ${sample.endpoint} was in term ${term}`);
    }
    if (!sample.serving) {
      looks.push(`${at} ${sample.endpoint} did not serve: ${sample.error ?? "no reason"}`);
    }
  }
  return [
    ...[...calls].map(
      ([what, { count, longest }]) => `${count} calls to ${what}, up to ${Math.round(longest)} ms`,
    ),
    ...looks,
  ];
}

/** Without the times that gRPC puts into it, which differ for every call. */
export function withoutTimes(error: string): string {
  return error.replace(/ after [0-9.]+s.*$/s, "");
}
