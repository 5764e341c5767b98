import { MINORS, type Minor, type Version } from "./versions";

/** A step from one minor series to its neighbour that etcd supports. */
export interface SeriesStep {
  readonly from: Minor;
  readonly to: Minor;
  /**
   * The two releases run beside each other during the roll, in whichever direction it goes. Of the
   * older series only patches from this one on do that safely.
   */
  readonly olderPatch: number;
  /** What goes wrong below that patch. */
  readonly otherwise: string;
}

const STRANDED = "removed members can come back and learners cannot be promoted";
const MIXED = "members of both minor versions do not run together safely";

/**
 * All moves between series; within a series every patch may follow every other. Anything that is
 * not here is refused (etcd docs, "Upgrading etcd clusters", "Downgrading etcd clusters").
 */
export const SERIES_STEPS: readonly SeriesStep[] = [
  { from: "3.5", to: "3.6", olderPatch: 32, otherwise: STRANDED },
  { from: "3.6", to: "3.7", olderPatch: 11, otherwise: MIXED },
  { from: "3.7", to: "3.6", olderPatch: 11, otherwise: MIXED },
  { from: "3.6", to: "3.5", olderPatch: 32, otherwise: STRANDED },
];

/** What is known of a cluster whose members are to run another release. Names are the nodes'. */
export interface Situation {
  /** Hosts that do not answer the operator. */
  readonly unreachable: readonly string[];
  /** Members that do not answer, on hosts that do. */
  readonly silent: readonly string[];
  /** No member leads, so there is no quorum. */
  readonly leaderless: boolean;
  /** In words: `NOSPACE of etcd02`. */
  readonly alarms: readonly string[];
  readonly learners: readonly string[];
  readonly joining: readonly string[];
  readonly moving: readonly string[];
  readonly leaving: readonly string[];
  /** The members are to go down a series. */
  readonly down: boolean;
}

/** Something that forbids to give the members another release. */
export interface Condition {
  /** For the documentation. */
  readonly when: string;
  readonly remedy: string;
  /**
   * Before the first member has changed, or always. Once the members run different releases, the
   * way out is to go on (or back): what a member's own step mends must not forbid that.
   */
  readonly applies: "at the start" | "always";
  /** In words, what stands in the way; undefined when nothing does. */
  readonly found: (situation: Situation) => string | undefined;
}

const ifAny = (names: readonly string[], words: string) =>
  names.length === 0 ? undefined : `${names.join(", ")} ${words}`;
const plural = (names: readonly string[], one: string, many: string) =>
  names.length === 1 ? one : many;

const raised = (alarms: readonly string[]) =>
  alarms.length === 0 ? undefined : `the cluster reports ${alarms.join(", ")}`;

/** In the order in which they are told; the first that holds is. */
export const CONDITIONS: readonly Condition[] = [
  {
    when: "a host cannot be reached",
    remedy: "bring it back first, or set lost: true",
    applies: "always",
    found: ({ unreachable }) => ifAny(unreachable, "cannot be reached"),
  },
  {
    when: "there is no quorum",
    remedy: "start the stopped members first",
    applies: "always",
    found: ({ leaderless }) => (leaderless ? "the cluster has no quorum" : undefined),
  },
  {
    when: "the database of a member is corrupt",
    remedy: "rebuild that member first",
    applies: "always",
    found: ({ alarms }) => raised(alarms.filter((alarm) => alarm.includes("CORRUPT"))),
  },
  {
    when: "a node joins during a downgrade",
    remedy:
      "etcd rejects new members during a downgrade: cancel the downgrade, let the node join, then downgrade",
    applies: "always",
    found: ({ down, joining }) => (down ? ifAny(joining, "is to join") : undefined),
  },
  {
    when: "a member is unhealthy",
    remedy: "start it first; `pulumi up` with the running release does",
    applies: "at the start",
    found: ({ silent }) => ifAny(silent, plural(silent, "is unhealthy", "are unhealthy")),
  },
  {
    when: "another alarm is raised",
    remedy: "clear it first; `pulumi up` with the running release does",
    applies: "at the start",
    found: ({ alarms }) => raised(alarms),
  },
  {
    when: "there is a learner",
    remedy: "let it become a voter first; `pulumi up` with the running release promotes it",
    applies: "at the start",
    found: ({ learners }) => ifAny(learners, plural(learners, "is a learner", "are learners")),
  },
  {
    when: "nodes join, move or leave in the same edit",
    remedy:
      "change the nodes first, the release afterwards; a host that has lost its data joins in a `pulumi up` with the running release",
    applies: "at the start",
    found: ({ joining, moving, leaving }) =>
      ifAny(joining, "is to join") ?? ifAny(moving, "is to move") ?? ifAny(leaving, "is to leave"),
  },
];

const series = ({ major, minor }: Version): string => `${major}.${minor}`;

/**
 * The oldest patch of each series that `to` can follow, for the host's own check just before the
 * act: `3.6.11`, `3.7.0`.
 */
export function predecessors(to: Version): readonly string[] {
  return MINORS.flatMap((from) => {
    if (from === series(to)) {
      return [`${from}.0`];
    }
    const move = SERIES_STEPS.find((each) => each.from === from && each.to === series(to));
    if (move === undefined) {
      return [];
    }
    const down = move.to < move.from;
    return down && to.patch < move.olderPatch ? [] : [`${from}.${down ? 0 : move.olderPatch}`];
  });
}

/** Why a member that runs `from` cannot be given `to`, with what to do instead; or undefined. */
export function rollProblem(from: Version, to: Version): string | undefined {
  if (series(from) === series(to)) {
    return undefined;
  }
  const move = SERIES_STEPS.find((each) => each.from === series(from) && each.to === series(to));
  if (move === undefined) {
    const step = Math.sign(to.minor - from.minor);
    const text = `${to.major}.${to.minor}.${to.patch}`;
    return from.major === to.major && Math.abs(to.minor - from.minor) > 1
      ? `${text} is more than one minor version away; go to ${from.major}.${from.minor + step} first`
      : `etcd has no upgrade or downgrade path from ${series(from)} to ${series(to)}`;
  }
  const down = to.minor < from.minor;
  const least = `${down ? move.to : move.from}.${move.olderPatch}`;
  if (down ? to.patch >= move.olderPatch : from.patch >= move.olderPatch) {
    return undefined;
  }
  return down
    ? `only ${least} or a later ${move.to} runs safely beside ${move.from}: with an earlier one, ${move.otherwise}`
    : `${move.to} can follow only ${least} or later (with an earlier one, ${move.otherwise}); go there first`;
}

/** Why a release cannot be given to a cluster in this situation; or undefined. */
export function obstacle(situation: Situation, midway: boolean): string | undefined {
  for (const { applies, found, remedy } of CONDITIONS) {
    const words = midway && applies === "at the start" ? undefined : found(situation);
    if (words !== undefined) {
      return `${words}; ${remedy}`;
    }
  }
  return undefined;
}
