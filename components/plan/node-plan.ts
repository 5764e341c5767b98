import type { HostState } from "../hosts/host-state";
import { printable } from "../hosts/printable";
import {
  formatRevision,
  type Instruction,
  isRevision,
  revisionTime,
  timeOf,
} from "../scripts/revision";
import { type Freeze, INSTALLED, type ReceiptName, type StepName } from "../scripts/steps";

/** As much as a revision says of what a step has to do, in characters. */
const MOST_WORDS = 1000;

/**
 * What a run does with a member, in the order in which members are worked on: those of a new cluster, all at once; the one that a
 * recovery begins with; those that move, because nobody believes their certificates before they have arrived; those that do not run, because nothing restarts
 * beside a missing member, and those that join last of them, because that takes a quorum; then as configured; the leader last,
 * so that a roll moves the leadership once (etcd docs, "Upgrading etcd clusters").
 */
export const PHASES = [
  "bootstrap",
  "recover",
  "move",
  "start",
  "join",
  "roll",
  "roll-last",
] as const;
export type Phase = (typeof PHASES)[number];

/** What the inspection of one host means for its steps. */
export interface NodePlan {
  /** What of its steps stays as it is. */
  readonly freeze: Freeze;
  readonly phase: Phase;
  readonly revisions: Readonly<Record<Exclude<StepName, "leave">, string>>;
}

/** In the order of their phases; within a phase as they come. */
export function rolloutOrder<T>(things: readonly T[], phaseOf: (thing: T) => Phase): readonly T[] {
  const turn = (thing: T) => PHASES.indexOf(phaseOf(thing));
  return [...things].sort((a, b) => turn(a) - turn(b));
}

/** Without an inspection of the hosts: what a first run would say; on a later one the state decides. */
export function uninspectedPlans(
  names: Iterable<string>,
  now: Date,
): ReadonlyMap<string, NodePlan> {
  const time = revisionTime(now);
  const host: HostState = { inspected: false, answered: false, reason: "not looked at" };
  return new Map(
    [...names].map((name) => [
      name,
      {
        freeze: "revision",
        phase: "roll",
        revisions: revisionsOf(host, { mode: "uninspected" }, time, () => []),
      },
    ]),
  );
}

/** In words, what differs from what the step's last run left, by the receipt. A host without a receipt has no drift. */
export function driftOf(host: HostState, name: ReceiptName): readonly string[] {
  const receipt = host.inspected ? host.receipts.get(name) : undefined;
  return host.inspected && receipt !== undefined
    ? [
        ...(isRevision(name === "member" ? name : "install", receipt.revision)
          ? []
          : ["its receipt was written by another release of this program"]),
        ...receipt.drift,
        ...(name === "member" ? host.unit : []),
      ]
    : [];
}

/**
 * A step refuses to follow one of a later run (scripts/lib/base.sh, refuse_outdated). So a new revision has a later time than every receipt
 * on the host, also where the clock of another operator's machine was ahead.
 */
function afterReceipts(host: HostState, time: string): string {
  const receipts = host.inspected ? [...host.receipts.values()] : [];
  const [last] = receipts
    .flatMap(({ revision }) => timeOf(revision) ?? [])
    .sort()
    .reverse();
  // A time that no later one can be written for is no run's.
  return last === undefined || last < time || last > "9999"
    ? time
    : revisionTime(new Date(Date.parse(last) + 1000));
}

/**
 * The revision of each step.
 *
 * @param first what the member's step is told on a host where it never came to its end.
 * @param now when the hosts were inspected.
 * @param renewalsOf which certificates that a receipt is about are to be renewed, in words.
 * @param wanted the digest of what the member is to be.
 */
export function revisionsOf(
  host: HostState,
  first: Instruction<"member">,
  now: string,
  renewalsOf: (name: ReceiptName) => readonly string[],
  wanted?: string,
): NodePlan["revisions"] {
  const time = afterReceipts(host, now);
  const kept = (step: "install" | "member", names: readonly ReceiptName[]): string | undefined => {
    const receipts = names.flatMap((name) =>
      host.inspected ? (host.receipts.get(name) ?? []) : [],
    );
    const [receipt] = receipts;
    if (!host.inspected || receipt === undefined || receipts.length < names.length) {
      return undefined;
    }
    const drift = [
      ...names.flatMap((name) => driftOf(host, name)),
      ...(receipts.every(({ revision }) => revision === receipt.revision)
        ? []
        : ["its last run was interrupted"]),
    ];
    const reasons = [...drift, ...names.flatMap(renewalsOf)];
    if (reasons.length > 0) {
      // It comes back in the receipt, of which no more is read (hosts/probe-words.ts).
      const reason = printable(reasons.join("; "), MOST_WORDS);
      return formatRevision(step, { mode: drift.length === 0 ? "renew" : "repair", time, reason });
    }
    // The state may know nothing of the change that the host has seen last.
    const other =
      host.desiredDigest !== undefined && wanted !== undefined && host.desiredDigest !== wanted;
    return step === "member" && other
      ? formatRevision("member", { mode: "change", time })
      : receipt.revision;
  };
  return {
    install: kept("install", INSTALLED) ?? formatRevision("install", { mode: "create", time }),
    member: kept("member", ["member"]) ?? formatRevision("member", { ...first, time }),
    // The gate leaves nothing on the host; it runs again when a member's step does.
    health: formatRevision("health", { mode: "gate" }),
  };
}
