import type { NodeConfig } from "../config";
import { addressOf, bracketed, type LiveMember, peerUrl, quorum } from "../etcd/members";
import { addressConflicts, DesiredMember, namesOf } from "./desired-members";

/** What the configuration does to the members. */
export interface Change {
  /** One line when members join, move or leave; none when the lists agree. */
  readonly plan: readonly string[];
  /** Reasons to refuse it. */
  readonly findings: readonly string[];
  /** Names of nodes without a member that counts yet; a rebuilt one is among them. */
  readonly joining: readonly string[];
  /** Those of them whose host was rebuilt, so that an old member has to go first. */
  readonly rebuilt: readonly string[];
  /** Names of members that the configuration has no longer, or as lost. */
  readonly leaving: readonly string[];
  /** By name of a member whose address changes, in words from where to where. */
  readonly moving: ReadonlyMap<string, string>;
}

export const NO_CHANGE: Change = {
  plan: [],
  findings: [],
  joining: [],
  rebuilt: [],
  leaving: [],
  moving: new Map(),
};

/** What is known of the configured nodes' hosts, by node name. */
export interface InspectedHosts {
  /** Nodes whose host has no data; one that is listed was rebuilt. */
  readonly empty: ReadonlySet<string>;
  /** Why a host could not be inspected. */
  readonly silent: ReadonlyMap<string, string>;
  /** IDs of the members that run on them. */
  readonly running: ReadonlyMap<string, string>;
  /** IDs of members that the configuration gives up, so that their nodes rejoin. */
  readonly givenUp?: ReadonlyMap<string, string>;
  /** Nodes with data whose etcd does not run, and is started before a member is given up. */
  readonly stopped?: ReadonlySet<string>;
}

/**
 * Compares the live member list with the configured nodes: who joins, who moves, who leaves, and
 * whether a quorum of healthy voters is left (etcd docs, "Runtime reconfiguration"). A member is
 * the one that runs on the node's host; failing that, that of the node with its peer URL; failing that,
 * that of the node with its name, which moves then. The hosts' own scripts check the same again just before the act.
 */
export function planMembership(
  listed: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  hosts: InspectedHosts,
): Change {
  const edit = compare(listed, nodes, hosts);
  const { wanted, joining, rebuilt, leaving, moving } = edit;
  const taken = addressConflicts(wanted);
  if (taken.length > 0) {
    return { ...NO_CHANGE, findings: taken };
  }
  if (leaving.length === 0 && joining.length === 0 && moving.length === 0) {
    return NO_CHANGE;
  }
  return {
    plan: [summary(edit), ...clientsOf(edit.live, wanted)],
    findings: [
      ...withoutThoseThatLeave(edit),
      ...besideUnhealthy(edit),
      ...restartsBesideUnhealthy(edit),
      ...onUnreachableHosts(edit, hosts.silent),
    ],
    joining: joining.map(({ name }) => name),
    rebuilt: rebuilt.map(({ name }) => name),
    leaving: leaving.map(({ name }) => name),
    moving: new Map(moving.map((node) => [node.name, `${node.before} to ${node.address}`])),
  };
}

/** The live members and the configured nodes, side by side. */
interface Edit {
  /** A member that is started first counts as healthy. */
  readonly live: readonly LiveMember[];
  readonly voters: readonly LiveMember[];
  /** How many voters there are, in words. */
  readonly count: string;
  readonly wanted: readonly DesiredMember[];
  readonly joining: readonly DesiredMember[];
  readonly rebuilt: readonly DesiredMember[];
  readonly moving: readonly DesiredMember[];
  readonly leaving: readonly LiveMember[];
  readonly startedFirst: readonly NodeConfig[];
  /** IDs of members that the configuration gives up, by node name. */
  readonly givenUp: ReadonlyMap<string, string>;
  /** Peer URLs of nodes that are lost. */
  readonly lost: ReadonlySet<string>;
}

function compare(
  listed: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  { empty, running, givenUp = new Map(), stopped = new Set() }: InspectedHosts,
): Edit {
  const startedFirst = givenUp.size === 0 ? [] : nodes.filter(({ name }) => stopped.has(name));
  const live = listed.map((one) =>
    startedFirst.some(({ name }) => name === one.name) ? { ...one, healthy: true } : one,
  );
  const wanted = nodes
    .filter(({ lost }) => !lost)
    .map((node) => new DesiredMember(node, live, running));
  const joining = wanted.filter(
    ({ name, member }) => member === undefined || empty.has(name) || givenUp.has(name),
  );
  const voters = live.filter(({ learner }) => !learner);
  const healthy = listed.filter((one) => !one.learner && one.healthy);
  return {
    live,
    voters,
    count: `${plural(voters.length, "voter")}, ${healthy.length} healthy`,
    wanted,
    joining,
    // A member without a name was added by an interrupted run and will be reused as it is.
    rebuilt: joining.filter(({ member }) => member !== undefined && member.name !== ""),
    moving: wanted.filter((node) => node.isElsewhere && !joining.includes(node)),
    // etcd lists members by their IDs, which are in no order that a person knows.
    leaving: live
      .filter((one) => !isOf(wanted, one))
      .sort(
        (a, b) => Number(a.name === "") - Number(b.name === "") || a.name.localeCompare(b.name),
      ),
    startedFirst,
    givenUp,
    lost: new Set(nodes.filter((node) => node.lost).map(({ address }) => peerUrl(address))),
  };
}

function isOf(some: readonly DesiredMember[], one: LiveMember): boolean {
  return some.some(({ member }) => member === one);
}

/** A quorum has to be left when those that leave are gone, the lost ones among them, which go before others join. */
function withoutThoseThatLeave(edit: Edit): readonly string[] {
  const { voters, count, wanted, joining, leaving, givenUp, lost } = edit;
  const gone = leaving.filter(({ peerUrls }) => lost.has(peerUrls));
  const rest = voters.filter((one) => !gone.includes(one));
  const staying = voters.filter((one) => isOf(wanted, one) && !isOf(joining, one));
  // Of an empty host nothing is left to be given up.
  const discarded = joining.filter(({ name }) => givenUp.has(name));
  const also = voters.filter((one) => isOf(discarded, one));
  const short = missing(count, gone, rest) ?? missing(count, [...leaving, ...also], staying);
  return short === undefined ? [] : [short];
}

/**
 * etcd adds no member while one of those that stay does not answer (--strict-reconfig-check); a
 * member that moves has done so by then.
 */
function besideUnhealthy(edit: Edit): readonly string[] {
  const { count, joining, moving } = edit;
  const blocking = unhealthyVoters(edit).filter((one) => !isOf(joining, one) && !isOf(moving, one));
  return joining.length > 0 && blocking.length > 0
    ? [
        `${count}: ${namesOf(joining)} cannot join while ${names(blocking)} ${blocking.length === 1 ? "is" : "are"} unhealthy; start ${blocking.length === 1 ? "it" : "them"}, or set lost: true`,
      ]
    : [];
}

/** One that moves restarts; one that answers nobody where it is costs nothing by that. */
function restartsBesideUnhealthy(edit: Edit): readonly string[] {
  const present = presentVoters(edit);
  const unhealthy = unhealthyVoters(edit);
  return edit.moving.flatMap(({ name, member }) => {
    const down = unhealthy.filter((one) => one !== member);
    return member?.healthy && down.length > 0
      ? [
          `${edit.count}: moving ${name} restarts it, which would leave ${present.length - 1 - down.length} healthy of ${present.length} voters; no member is restarted while another is unhealthy: start ${names(down)}, or set lost: true`,
        ]
      : [];
  });
}

function onUnreachableHosts(
  { joining, moving }: Edit,
  silent: ReadonlyMap<string, string>,
): readonly string[] {
  return [...joining, ...moving].flatMap(({ name }) => {
    const reason = silent.get(name);
    return reason === undefined
      ? []
      : [`${name}: cannot join or move while its host is unreachable: ${reason}`];
  });
}

function presentVoters({ voters, lost }: Edit): readonly LiveMember[] {
  return voters.filter(({ peerUrls }) => !lost.has(peerUrls));
}

function unhealthyVoters(edit: Edit): readonly LiveMember[] {
  return presentVoters(edit).filter(({ healthy }) => !healthy);
}

/** The line of the preview that says what becomes of the members. */
function summary(edit: Edit): string {
  const { count, wanted, joining, rebuilt, leaving, moving, startedFirst, givenUp, lost } = edit;
  const present = presentVoters(edit).length;
  // The rest of them serves on while one restarts; of two or one there is no rest that could.
  const pause =
    moving.length > 0 && present - 1 < quorum(present)
      ? [`the cluster is unavailable while it restarts (quorum is ${quorum(present)})`]
      : [];
  const after = wanted.length;
  const parts = [
    ...startedFirst.map(({ name }) => `${name} is started first`),
    ...moving.map((node) => `${node.move} and restarts there`),
    ...pause,
    ...joining.map((node) =>
      rebuilt.includes(node)
        ? node.rebuilt(givenUp.get(node.name))
        : `${node.name} joins as a learner and is promoted`,
    ),
    ...leaving.map((one) => leave(one, lost.has(one.peerUrls))),
  ];
  return `members: ${count}; ${parts.join("; ")}; afterwards: ${plural(after, "voter")}, quorum ${quorum(after)}, tolerates ${plural(after - quorum(after), "failure")}`;
}

/**
 * Members that no node has and no edit of the list left over: nothing else of a run would take them out.
 *
 * @param before addresses of the nodes of the last run.
 */
export function unknownMembers(
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  running: ReadonlyMap<string, string>,
  before: ReadonlySet<string>,
): readonly LiveMember[] {
  const present = nodes.filter(({ lost }) => !lost);
  const owned = new Set(present.map((node) => new DesiredMember(node, live, running).member));
  const lost = new Set(nodes.filter((node) => node.lost).map(({ address }) => peerUrl(address)));
  return live.filter(
    (one) =>
      !owned.has(one) &&
      (one.learner || !(lost.has(one.peerUrls) || before.has(addressOf(one.peerUrls)))),
  );
}

/**
 * The same when no quorum answers, so that nobody can say who the members are: nobody joins or
 * leaves then.
 *
 * @param before addresses of the nodes of the last run; empty when no cluster was formed.
 */
export function planWithoutQuorum(
  before: ReadonlySet<string>,
  nodes: readonly NodeConfig[],
): Change {
  const wanted = nodes.filter(({ lost }) => !lost);
  const addresses = new Set(wanted.map(({ address }) => address));
  const named = new Map(nodes.map(({ name, address }) => [address, name]));
  const changes = [
    ...wanted.filter(({ address }) => !before.has(address)).map(({ name }) => `${name} joins`),
    ...[...before]
      .filter((address) => !addresses.has(address))
      .map((address) => `${named.get(address) ?? address} is removed`),
  ];
  return before.size === 0 || changes.length === 0
    ? NO_CHANGE
    : {
        ...NO_CHANGE,
        findings: [
          `the cluster has no quorum, so members can be neither added nor removed: start its members before ${changes.join(", ")}`,
        ],
      };
}

function leave(one: LiveMember, lost: boolean): string {
  const { name, healthy, learner } = one;
  const leaves = `${called(one)} is removed`;
  if (name === "" || learner || lost !== healthy) {
    return leaves;
  }
  return lost
    ? `${leaves} as lost although it is healthy: its host is left unchanged`
    : `${leaves}, and is unhealthy: if its host is gone, set lost: true first`;
}

/**
 * The same when no node has a member. A new cluster would be formed then, which must happen neither
 * beside one that lives on elsewhere nor in place of one whose hosts are all empty: its clients
 * would find nothing, and take that for the truth.
 *
 * @param former members of the cluster of this stack's last run that came to its end.
 * @param empty names of nodes whose hosts have no data; one that has some is a new cluster's, half
 *   made.
 */
export function refuseSecondCluster(
  former: readonly Pick<NodeConfig, "name" | "address">[],
  nodes: readonly NodeConfig[],
  empty: ReadonlySet<string>,
): readonly string[] {
  const here = new Map(
    nodes.filter(({ lost }) => !lost).map(({ name, address }) => [address, name]),
  );
  const names = former.map(({ name }) => name).join(", ");
  if (former.some(({ address }) => !here.has(address))) {
    return [
      `none of the nodes is a member of the existing cluster (${names}): this would bootstrap a second cluster; keep one of its members until the new ones have joined, or run \`pulumi destroy\` first`,
    ];
  }
  return former.length > 0 && former.every(({ address }) => empty.has(here.get(address) ?? ""))
    ? [
        `all members of the existing cluster (${names}) have lost their data: refusing to bootstrap an empty cluster in its place; restore it from a snapshot with etcd:recover (docs/recovery.md), or, to discard its data, run \`pulumi destroy\` first`,
      ]
    : [];
}

/** What clients have to do with members that are to be found where they are no more: etcd tells them nothing of that. */
function clientsOf(
  live: readonly LiveMember[],
  wanted: readonly DesiredMember[],
): readonly string[] {
  const urls = live
    .filter(({ name, learner }) => name !== "" && !learner)
    .map(({ peerUrls }) => addressOf(peerUrls))
    .filter((address) => !wanted.some((node) => node.address === address))
    .map((address) => `https://${bracketed(address)}:2379`);
  return urls.length === 0
    ? []
    : [
        `clients: remove ${urls.join(", ")} from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)`,
      ];
}

/** Why the others cannot do without those that go, if they cannot. */
function missing(
  count: string,
  gone: readonly LiveMember[],
  staying: readonly LiveMember[],
): string | undefined {
  const well = staying.filter(({ healthy }) => healthy);
  const sick = staying.filter(({ healthy }) => !healthy);
  const needed = quorum(staying.length);
  return gone.length === 0 || well.length >= needed
    ? undefined
    : `${count}: removing ${names(gone)} would leave ${well.length} healthy of ${plural(staying.length, "voter")}; quorum is ${needed}: start ${names(sick)}, or set lost: true`;
}

function names(members: readonly LiveMember[]): string {
  return members.map(called).join(", ");
}

function called({ name }: LiveMember): string {
  return name === "" ? "an unstarted member" : name;
}

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
