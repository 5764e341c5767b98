import type { ClusterConfig, NodeConfig, RecoverConfig, SubjectConfig } from "../config";
import { addressOf, type LiveMember, peerUrl } from "../etcd/members";
import { clusterExists, type HostState } from "../hosts/host-state";
import { formatRevision, type Instruction, type Revision, revisionTime } from "../scripts/revision";
import { RECEIPTS } from "../scripts/steps";
import { planAlarms, withAlarms } from "./alarms";
import { type DesiredJobs, planJobs } from "./backup";
import { planRotation, type Rotation } from "./ca-rotation";
import { checkCaSubject } from "./ca-subject";
import { clientsOfOldCa, clientsShutOut } from "./clients";
import { planDataIdentity } from "./data-identity";
import { due, endingSoon, type Lifetimes } from "./expiry";
import { planLearners, runningMembers, withStrangers } from "./learners";
import { type LiveCluster, liveCluster, withoutFalseLeaders } from "./live-cluster";
import {
  type Change,
  NO_CHANGE,
  planMembership,
  planWithoutQuorum,
  refuseSecondCluster,
} from "./membership";
import { driftOf, type NodePlan, type Phase, revisionsOf, rolloutOrder } from "./node-plan";
import { checkPreflight } from "./preflight";
import { planProgramChange } from "./program-change";
import { planRebuild, type Rebuild } from "./rebuild";
import { planRecovery, type Recovery } from "./recovery";
import { planVersionChange } from "./version-change";

export interface Plan {
  readonly nodePlans: ReadonlyMap<string, NodePlan>;
  /** Reasons to stop before anything is touched; one line each, starting with the node's name. */
  readonly findings: readonly string[];
  /** Things to tell the operator; likewise. */
  readonly warnings: readonly string[];
  /** What is not as the last run left it and will be repaired; likewise. */
  readonly repairs: readonly string[];
  /** Which certificates will be renewed, and when they end; likewise. */
  readonly renewals: readonly string[];
  /** Members that serve, of nodes that the configuration has no longer. */
  readonly leaving: readonly LiveMember[];
  /** Who joins and who leaves, with the arithmetic of the quorum; how far a CA rotation is. */
  readonly summary: readonly string[];
  /** What this run makes certificates with. */
  readonly rotation: Rotation;
}

/** What the configuration says about the things that are inspected. */
export interface Desired extends Lifetimes, DesiredJobs {
  readonly nodes: ClusterConfig["nodes"];
  /** The etcd release that the members are to run. */
  readonly version: string;
  /** The release of this program. */
  readonly program: string;
  /** Name of the CA that is to be the only one in the end. */
  readonly authority: string;
  /** Its names, beside `etcd`. */
  readonly subject: SubjectConfig;
  readonly recover?: RecoverConfig;
  /** Networks whose clients the packet filter lets in; undefined without a packet filter of ours. */
  readonly clientNetworks?: readonly string[];
  /** By node name, the digest of what its member is to be. */
  readonly wanted: ReadonlyMap<string, string>;
  /** Members of the cluster as the last run that came to its end left it. */
  readonly former: readonly Pick<NodeConfig, "name" | "address">[];
  /** Its ID in hexadecimal. */
  readonly formerCluster?: string;
  /** IDs of the clusters that recoveries of this stack gave up. */
  readonly retired: readonly string[];
}

/**
 * Compares the hosts with what is desired: what forbids to go on, what to warn of, and the revision of each
 * step. A step whose receipt matches its host keeps the receipt's revision, so its inputs are
 * those in the state and nothing is planned. Anything else gets a new revision that says why.
 *
 * @param inspected by node name, in the order of the configuration.
 * @param now for revisions, because two repairs of the same thing must differ, and for
 *   certificates.
 */
export function makePlan(
  inspected: ReadonlyMap<string, HostState>,
  now: Date,
  desired: Desired,
): Plan {
  const cluster = liveCluster(inspected, desired.formerCluster);
  const trusted = withoutFalseLeaders(inspected);
  const hosts = withAlarms(withStrangers(trusted.hosts, cluster, desired.nodes), cluster.live);
  const changes = planChanges(hosts, cluster, desired);
  const { rebuild, recovery, membership, rotation, identity, alarms, versions } = changes;
  const nodePlans = planNodes(hosts, changes, now, desired);
  const program = planProgramChange(hosts, desired.program, desired.wanted);
  const jobs = planJobs(hosts, now, desired);
  const summary = [
    ...recovery.plan,
    ...identity.plan,
    ...rebuild.plan,
    ...planLearners(cluster.live, desired.nodes, runningMembers(hosts)),
    ...membership.plan,
    ...versions.plan,
    ...rotation.plan,
  ];
  const preflight = checkPreflight(hosts, {
    ...{ nodes: desired.nodes, live: cluster.live, nodePlans },
    formed: changes.bootstrapped,
    moving: new Set(membership.moving.keys()),
    planned: summary.length > 0,
  });
  // Beside somebody else's up the hosts may be asked before and after a change of the members.
  const unsettled = [...hosts.values()].some(
    (host) => host.inspected && host.lockedBy !== undefined,
  );
  return {
    nodePlans,
    findings: [
      ...preflight.findings,
      ...(unsettled ? [] : cluster.contradictions),
      ...changes.secondCluster,
      ...[rebuild, alarms, membership, versions, rotation, identity, recovery].flatMap(
        ({ findings }) => findings,
      ),
      ...checkCaSubject(hosts, desired.authority, desired.subject),
    ],
    warnings: [
      ...preflight.warnings,
      ...trusted.warnings,
      ...(unsettled ? cluster.contradictions : []),
      ...ofEach(hosts, (host) => endingSoon(host, now, desired)),
      ...ofEach(hosts, (host) => (host.inspected ? (host.warnings ?? []) : [])),
      ...program.warnings,
      ...clientWarnings(hosts, changes, cluster, desired),
      ...alarms.warnings,
      ...jobs.warnings,
    ],
    repairs: ofEach(hosts, (host) => RECEIPTS.flatMap((name) => driftOf(host, name))),
    renewals: ofEach(hosts, (host) => RECEIPTS.flatMap((name) => due(host, name, now, desired))),
    summary: [...program.plan, ...summary, ...jobs.plan],
    leaving: leavingMembers(cluster, membership, desired),
    rotation: { signer: rotation.signer, beside: rotation.beside },
  };
}

interface Places {
  /** A cluster exists. */
  readonly bootstrapped: boolean;
  readonly rebuild: Rebuild;
  readonly recovery: Recovery;
  readonly membership: Change;
}

/** What is to become of the cluster, thing by thing. */
type Changes = ReturnType<typeof planChanges>;

function planChanges(
  hosts: ReadonlyMap<string, HostState>,
  cluster: LiveCluster,
  desired: Desired,
) {
  const { live } = cluster;
  const { nodes } = desired;
  const seen = [...hosts.values()].filter((host) => host.inspected);
  const bootstrapped = clusterExists(hosts);
  const rebuild = planRebuild(hosts, live, nodes);
  const empty = new Set(
    [...hosts].flatMap(([name, host]) => (host.inspected && host.empty ? [name] : [])),
  );
  const recovery = planRecovery(hosts, nodes, cluster, desired.version, desired.recover, {
    cluster: desired.formerCluster,
    retired: desired.retired,
  });
  const withoutLive = () =>
    recovery.first === undefined
      ? planWithoutQuorum(new Set(seen.flatMap((host) => host.nodes)), nodes)
      : NO_CHANGE;
  const membership =
    live.length === 0
      ? withoutLive()
      : planMembership(live, nodes, {
          empty,
          silent: new Map(
            [...hosts].flatMap(([name, host]) => (host.inspected ? [] : [[name, host.reason]])),
          ),
          running: runningMembers(hosts),
          givenUp: rebuild.asked,
          stopped: rebuild.stopped,
        });
  const places: Places = { bootstrapped, rebuild, recovery, membership };
  const order = rolloutOrder([...hosts], ([name, host]) => phaseOf(name, host, places));
  const alarms = planAlarms(hosts, live, nodes, membership);
  return {
    ...places,
    rotation: planRotation(hosts, desired.authority),
    // Who has a part in a recovery gives up what is there.
    identity: planDataIdentity(
      new Map([...hosts].filter(([name]) => !recovery.parts.has(name))),
      cluster,
    ),
    secondCluster:
      !bootstrapped && seen.length === hosts.size && recovery.first === undefined
        ? refuseSecondCluster(desired.former, nodes, empty)
        : [],
    alarms,
    versions: planVersionChange({
      ...{ hosts, live, change: membership },
      order: order.map(([name]) => name),
      configured: desired.version,
      alarms: alarms.standing,
    }),
  };
}

function phaseOf(name: string, host: HostState, changes: Places): Phase {
  const givenUp = changes.rebuild.asked.has(name);
  if (changes.recovery.first === name) {
    return "recover";
  }
  // After a recovery the others wait for the one that it begins with.
  if (!changes.bootstrapped && changes.recovery.first === undefined && host.inspected) {
    return "bootstrap";
  }
  if (changes.membership.moving.has(name)) {
    return "move";
  }
  if (host.inspected && changes.bootstrapped && (host.version === undefined || givenUp)) {
    return host.empty || givenUp ? "join" : "start";
  }
  return host.inspected && host.leader ? "roll-last" : "roll";
}

function planNodes(
  hosts: ReadonlyMap<string, HostState>,
  changes: Changes,
  now: Date,
  desired: Desired,
): ReadonlyMap<string, NodePlan> {
  const time = revisionTime(now);
  return new Map(
    [...hosts].map(([name, host]): [string, NodePlan] => {
      const join = joinBeside(changes.membership.rebuilt.filter((other) => other !== name));
      const revisions = revisionsOf(
        host,
        changes.bootstrapped ? join : { mode: host.inspected ? "bootstrap" : "uninspected" },
        time,
        (step) => due(host, step, now, desired),
        desired.wanted.get(name),
      );
      // What the preview says of a member is done by its step, also where nothing else is different there.
      const joins =
        host.inspected &&
        host.empty &&
        changes.membership.joining.includes(name) &&
        revisions.member === host.receipts.get("member")?.revision;
      const told = memberInstruction(name, changes) ?? (joins ? join : undefined);
      return [
        name,
        {
          freeze: host.inspected ? "none" : "all",
          phase: phaseOf(name, host, changes),
          revisions: {
            ...revisions,
            member:
              told === undefined ? revisions.member : formatRevision("member", { ...told, time }),
          },
        },
      ];
    }),
  );
}

/** @param rebuilt other hosts that were rebuilt, whose old members are in the way. */
function joinBeside(rebuilt: readonly string[]): Instruction<"member"> {
  return { mode: "join", ...(rebuilt.length === 0 ? {} : { values: { rebuilt } }) };
}

/** What a change of the cluster asks of a member. */
function memberInstruction(
  name: string,
  { recovery, rebuild, versions, membership }: Changes,
): Omit<Revision<"member">, "time"> | undefined {
  const part = recovery.parts.get(name);
  if (part !== undefined) {
    return part;
  }
  const member = rebuild.asked.get(name);
  if (member !== undefined) {
    return { mode: "rebuild", values: { member } };
  }
  if (rebuild.stopped.has(name)) {
    const others = [...rebuild.asked.values()].join(", ");
    return { mode: "start-unchecked", reason: `${others} to be rebuilt` };
  }
  if (name === versions.unsaved) {
    return { mode: "snapshot-first", reason: "no host has a snapshot from before the change" };
  }
  const move = membership.moving.get(name);
  return move === undefined ? undefined : { mode: "move", reason: move };
}

function clientWarnings(
  hosts: ReadonlyMap<string, HostState>,
  { rotation }: Changes,
  { live }: LiveCluster,
  desired: Desired,
): readonly string[] {
  const members = new Set([
    ...desired.nodes.map(({ address }) => address),
    ...live.map(({ peerUrls }) => addressOf(peerUrls)),
  ]);
  return [
    ...clientsShutOut(hosts, desired.clientNetworks, members),
    ...(rotation.forgets ? clientsOfOldCa(hosts, members) : []),
  ];
}

/** Members that serve, of nodes that the configuration has no longer. */
function leavingMembers(
  { live }: LiveCluster,
  membership: Change,
  { nodes }: Desired,
): readonly LiveMember[] {
  return live.filter(
    ({ name, healthy, learner, peerUrls }) =>
      healthy &&
      !learner &&
      membership.leaving.includes(name) &&
      !nodes.some(({ address }) => peerUrl(address) === peerUrls),
  );
}

/** Lines about each host, which begin with its node's name. */
function ofEach(
  hosts: ReadonlyMap<string, HostState>,
  lines: (host: HostState) => readonly string[],
): readonly string[] {
  return [...hosts].flatMap(([name, host]) => lines(host).map((text) => `${name}: ${text}`));
}
