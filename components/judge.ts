import { judgeSubject } from "./authority";
import type { ClusterConfig, NodeConfig, RecoverConfig, SubjectConfig } from "./config";
import { due, endingSoon, type Lifetimes } from "./expiry";
import { judgeIdentity } from "./identity";
import { judgeLearners, withStrangeLearners } from "./learners";
import { clusterExists, type Look } from "./look";
import {
  judgeMembership,
  judgeStrangers,
  judgeWithoutQuorum,
  type LiveMember,
  NO_CHANGE,
} from "./membership";
import { judgeRecovery } from "./recovery";
import { judgeRotation, type Rotation } from "./rotation";
import { STEPS } from "./step";
import { driftOf, inTurn, revisionsOf, type Verdict } from "./verdict";
import { judgeVersions } from "./version-change";

export interface Survey {
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** Reasons to stop before anything is touched; one line each, starting with the node's name. */
  readonly findings: readonly string[];
  /** Things to tell the operator; likewise. */
  readonly warnings: readonly string[];
  /** What is not as the last run left it and will be repaired; likewise. */
  readonly repairs: readonly string[];
  /** Which certificates will be renewed, and when they end; likewise. */
  readonly renewals: readonly string[];
  /** Who joins and who leaves, with the arithmetic of the quorum; how far a CA rotation is. */
  readonly plan: readonly string[];
  /** What this run makes certificates with. */
  readonly rotation: Rotation;
}

/** What the configuration says about the things that are looked at. */
export interface Expectation extends Lifetimes {
  readonly nodes: ClusterConfig["nodes"];
  /** The etcd release that the members are to run. */
  readonly version: string;
  /** Name of the CA that is to be the only one in the end. */
  readonly authority: string;
  /** Its names, beside `etcd`. */
  readonly subject: SubjectConfig;
  readonly recover?: RecoverConfig;
  /** By node name, the digest of what its member is to be. */
  readonly wanted: ReadonlyMap<string, string>;
  /** Members of the cluster as the last run that came to its end left it. */
  readonly former: readonly Pick<NodeConfig, "name" | "address">[];
  /** Its ID in hexadecimal. */
  readonly formerCluster?: string;
}

/**
 * Judges the looks at all hosts: what forbids to go on, what to warn of, and the revision of each
 * step. A step whose receipt matches its host keeps the receipt's revision, so its inputs are
 * those in the state and nothing is planned. Anything else gets a new revision that says why.
 *
 * @param looked by node name, in the order of the configuration.
 * @param now for revisions, because two repairs of the same thing must differ, and for
 *   certificates.
 */
export function judge(looked: ReadonlyMap<string, Look>, now: Date, expected: Expectation): Survey {
  const looks = withStrangeLearners(looked, expected.nodes);
  const findings: string[] = [];
  const warnings: string[] = [];
  // That a neighbour does not answer says nothing when it does not answer the operator either, or
  // when its own firewall, which is ours, will be opened by this very run.
  const excused = new Set(
    [...looks].filter(([, look]) => !look.seen || look.receipts.has("host")).map(([name]) => name),
  );
  const formed = clusterExists(looks);
  const seen = [...looks.values()].filter((look) => look.seen);
  const live = membersSeen(seen);
  const hosts = {
    empty: new Set([...looks].filter(([, look]) => look.seen && look.empty).map(([name]) => name)),
    silent: new Map([...looks].flatMap(([name, look]) => (look.seen ? [] : [[name, look.reason]]))),
  };
  const recovery = judgeRecovery(
    looks,
    expected.nodes,
    live.length > 0,
    expected.version,
    expected.recover,
    expected.formerCluster,
  );
  const change =
    live.length > 0
      ? judgeMembership(live, expected.nodes, hosts)
      : recovery.first === undefined
        ? judgeWithoutQuorum(new Set(seen.flatMap(({ nodes }) => nodes)), expected.nodes)
        : NO_CHANGE;
  for (const [name, look] of looks) {
    if (!look.seen) {
      const known = formed && !look.distrusted;
      (known ? warnings : findings).push(
        known
          ? `${name}: cannot be reached, so nothing on it could be checked: ${look.reason}`
          : `${name}: ${look.reason}`,
      );
      continue;
    }
    // What stands in the way of a move is no concern of a host that stays.
    const ours = look.receipts.has("host") && !change.moving.has(name);
    for (const finding of look.findings) {
      if (finding.about === undefined || !excused.has(finding.about)) {
        (ours ? warnings : findings).push(`${name}: ${finding.text}`);
      }
    }
  }
  for (const [name, look] of looks) {
    warnings.push(...endingSoon(look, now, expected).map((text) => `${name}: ${text}`));
  }
  const rotation = judgeRotation(looks, expected.authority);
  // Who has a part in a recovery gives up what is there.
  const identity = judgeIdentity(new Map([...looks].filter(([name]) => !recovery.words.has(name))));
  const repairs = [...looks].flatMap(([name, look]) =>
    STEPS.flatMap((step) => driftOf(look, step).map((drift) => `${name}: ${drift}`)),
  );
  const renewals = [...looks].flatMap(([name, look]) =>
    STEPS.flatMap((step) => due(look, step, now, expected).map((text) => `${name}: ${text}`)),
  );
  const stamp = now.toISOString().replace(/\.\d+Z$/, "Z");
  const place = (name: string, look: Look) => ({
    leader: look.seen && look.leader,
    absent: look.seen && formed && look.version === undefined,
    empty: look.seen && look.empty,
    moving: change.moving.has(name),
    first: recovery.first === name,
  });
  const order = inTurn([...looks], ([name, look]) => place(name, look)).map(([name]) => name);
  if (!formed && seen.length === looks.size && recovery.first === undefined) {
    findings.push(...judgeStrangers(expected.former, expected.nodes, hosts.empty));
  }
  const roll = judgeVersions({ looks, order, live, change, configured: expected.version });
  findings.push(...change.findings, ...roll.findings, ...rotation.findings);
  findings.push(...identity.findings, ...recovery.findings);
  findings.push(...judgeSubject(looks, expected.authority, expected.subject));
  const verdicts = new Map(
    [...looks].map(([name, look]): [string, Verdict] => {
      const revisions = revisionsOf(
        look,
        formed,
        change.rebuilt.filter((other) => other !== name),
        stamp,
        (step) => due(look, step, now, expected),
        expected.wanted.get(name),
      );
      // The member's step reads the first word (scripts/version.sh, change_version; scripts/move.sh).
      const unsaved = `unsaved: no snapshot from before the change of release, ${stamp}`;
      const move = change.moving.get(name);
      const moved = move === undefined ? undefined : `move: ${move}, ${stamp}`;
      const recover = recovery.words.get(name);
      const recovered = recover === undefined ? undefined : `${recover}, ${stamp}`;
      const word = recovered ?? (name === roll.unsaved ? unsaved : moved);
      return [
        name,
        {
          hold: look.seen ? "nothing" : "everything",
          ...place(name, look),
          revisions: { ...revisions, ...(word === undefined ? {} : { member: word }) },
        },
      ];
    }),
  );
  return {
    verdicts,
    findings,
    warnings,
    repairs,
    renewals,
    plan: [
      ...recovery.plan,
      ...identity.plan,
      ...judgeLearners(live, expected.nodes),
      ...change.plan,
      ...roll.plan,
      ...rotation.plan,
    ],
    rotation: { signer: rotation.signer, beside: rotation.beside },
  };
}

/**
 * The member list of the leader's host if that tells one. A member that answered anybody is
 * healthy: whoever asked may be cut off itself, for example under an address that is new.
 */
function membersSeen(seen: readonly Look[]): readonly LiveMember[] {
  const lists = [...seen]
    .sort((a, b) => Number(b.seen && b.leader) - Number(a.seen && a.leader))
    .flatMap((look) => (look.seen && look.members.length > 0 ? [look.members] : []));
  const well = new Set(
    lists.flatMap((list) => list.flatMap(({ peerUrls, healthy }) => (healthy ? [peerUrls] : []))),
  );
  return (lists[0] ?? []).map((one) => ({ ...one, healthy: well.has(one.peerUrls) }));
}
