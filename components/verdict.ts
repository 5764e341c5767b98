import type { Look } from "./look";
import type { Hold, StepName } from "./step";

/** What the look at one host means for its steps. */
export interface Verdict {
  /** What of its steps stays as it is. */
  readonly hold: Hold;
  /** Its member leads the cluster: its turn comes last. */
  readonly leader: boolean;
  /** Its host has no running member of a cluster that exists: its turn comes first. */
  readonly absent: boolean;
  /** It has no data either: its turn comes after those that only have to be started. */
  readonly empty: boolean;
  /** The address of its member changes: its turn comes before all others. */
  readonly moving: boolean;
  /** A recovery begins with its host: the others come after. */
  readonly first?: boolean;
  readonly revisions: Readonly<Record<StepName, string>>;
}

/**
 * In the order in which members are worked on: the one that a recovery begins with; those that
 * move, because nobody believes their certificates before they have arrived; those that do not run,
 * because nothing restarts beside a missing member, and those that join last of them, because that
 * takes a quorum; then as configured; the leader last, so that a roll moves the leadership once
 * (etcd docs, «Upgrading etcd clusters»).
 */
export function inTurn<T>(
  things: readonly T[],
  verdictOf: (thing: T) => Pick<Verdict, "absent" | "empty" | "leader" | "moving" | "first">,
): readonly T[] {
  const turn = (thing: T) => {
    const { absent, empty, leader, moving, first } = verdictOf(thing);
    return first ? 0 : moving ? 1 : absent ? (empty ? 3 : 2) : leader ? 5 : 4;
  };
  return [...things].sort((a, b) => turn(a) - turn(b));
}

/** Without a look at the hosts: what a first run would say; on a later one the state decides. */
export function unseen(names: Iterable<string>, now: Date): ReadonlyMap<string, Verdict> {
  const stamp = now.toISOString().replace(/\.\d+Z$/, "Z");
  const look: Look = { seen: false, distrusted: false, reason: "not looked at" };
  return new Map(
    [...names].map((name) => [
      name,
      {
        hold: "revision",
        leader: false,
        absent: false,
        empty: false,
        moving: false,
        revisions: revisionsOf(look, false, [], stamp, () => []),
      },
    ]),
  );
}

/** In words, what differs from what the step's last run left. A host without a receipt has no drift. */
export function driftOf(look: Look, step: StepName): readonly string[] {
  const receipt = look.seen ? look.receipts.get(step) : undefined;
  return look.seen && receipt !== undefined
    ? [...receipt.drift, ...(step === "member" ? look.unit : [])]
    : [];
}

/**
 * The revision of each step.
 *
 * @param formed a cluster exists.
 * @param rebuilt other hosts that were rebuilt, whose old members are in the way.
 * @param stamp the time of the look.
 * @param renewalsOf which certificates of a step are to be renewed, in words.
 * @param wanted the digest of what the member is to be.
 */
export function revisionsOf(
  look: Look,
  formed: boolean,
  rebuilt: readonly string[],
  stamp: string,
  renewalsOf: (step: StepName) => readonly string[],
  wanted?: string,
): Verdict["revisions"] {
  // The member's step reads the first word and the stamp (scripts/member.sh, first_start), and whose old members are in the way
  // (make_way).
  const beside = rebuilt.length === 0 ? "" : ` beside the rebuilt ${rebuilt.join(", ")}`;
  const start = formed ? `join${beside}` : look.seen ? "new cluster" : "unseen";
  const first = (step: StepName) => `${step === "member" ? start : "create"}, ${stamp}`;
  const revision = (step: StepName): string => {
    if (!look.seen) {
      return first(step);
    }
    const receipt = look.receipts.get(step);
    if (receipt === undefined) {
      return first(step);
    }
    const drift = driftOf(look, step);
    const reasons = [...drift, ...renewalsOf(step)];
    if (reasons.length > 0) {
      return `${drift.length === 0 ? "renew" : "repair"}: ${reasons.join("; ")}, ${stamp}`;
    }
    // The state may know nothing of the change that the host has seen last.
    const other = look.wanted !== undefined && wanted !== undefined && look.wanted !== wanted;
    return step === "member" && other ? `change, ${stamp}` : receipt.revision;
  };
  return {
    host: revision("host"),
    binaries: revision("binaries"),
    files: revision("files"),
    member: revision("member"),
    // The gate leaves nothing on the host; it runs again when a member's step does.
    health: "gate",
  };
}
