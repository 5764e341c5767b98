/** When which voter did not serve its clients. */
import { type EntryOf, entries, type History } from "./history";

/** Times are milliseconds since the load began. */
export interface Absence {
  readonly endpoint: string;
  readonly from: number;
  readonly to: number;
  /** What its first sample failed with. */
  readonly error?: string;
}

/**
 * From the first to the last of successive samples without an answer: the member was certainly away
 * then, so two absences that overlap are never two that only followed each other.
 */
export function absences(history: History): Absence[] {
  const members = entries(history, "members");
  const running = new Map<string, Absence>();
  const found: Absence[] = [];
  const finish = (endpoint: string) => {
    found.push(...clip(running.get(endpoint), members));
    running.delete(endpoint);
  };
  for (const { endpoint, serving, start, end, error } of entries(history, "sample")) {
    if (serving) {
      finish(endpoint);
    } else {
      const first = running.get(endpoint) ?? { endpoint, from: start, error };
      running.set(endpoint, { ...first, to: end });
    }
  }
  for (const endpoint of [...running.keys()]) {
    finish(endpoint);
  }
  return found.sort((one, other) => one.from - other.from);
}

/** The parts of an absence in which the member was a voter: as long as the list said so. */
function clip(absence: Absence | undefined, members: readonly EntryOf<"members">[]): Absence[] {
  if (absence === undefined) {
    return [];
  }
  const { endpoint, error } = absence;
  const votes = ({ members: list }: EntryOf<"members">) =>
    list.some((member) => member.endpoint === endpoint && !member.learner);
  const parts: Absence[] = [];
  let voter: { from: number; to: number } | undefined;
  for (const entry of [...members, undefined]) {
    if (entry !== undefined && votes(entry)) {
      voter = { from: voter?.from ?? entry.at, to: entry.at };
    } else if (voter !== undefined) {
      // The list is read twice a second: without a later one the member stays what it was.
      const last = entry === undefined ? absence.to : voter.to;
      const [from, to] = [Math.max(absence.from, voter.from), Math.min(absence.to, last)];
      if (from <= to) {
        parts.push({ endpoint, from, to, error });
      }
      voter = undefined;
    }
  }
  return parts;
}

/** The greatest number of voters that were away at one time. */
export function mostAtOnce(found: readonly Absence[]): number {
  // The number can only be greatest where an absence begins.
  return Math.max(
    0,
    ...found.map(({ from }) => {
      const away = found.filter((other) => other.from <= from && from <= other.to);
      return new Set(away.map(({ endpoint }) => endpoint)).size;
    }),
  );
}
