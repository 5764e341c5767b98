import type { NodeConfig } from "../config";
import { addressOf, bracketed, type LiveMember, peerUrl, quorum } from "../etcd/members";

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
  /** Why a host could not be looked at. */
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
  { empty, silent, running, givenUp = new Map(), stopped = new Set() }: InspectedHosts,
): Change {
  const first = givenUp.size === 0 ? [] : nodes.filter(({ name }) => stopped.has(name));
  const live = listed.map((one) =>
    first.some(({ name }) => name === one.name) ? { ...one, healthy: true } : one,
  );
  const wanted = nodes
    .filter(({ lost }) => !lost)
    .map((node) => new DesiredMember(node, live, running));
  const voters = live.filter(({ learner }) => !learner);
  const well = listed.filter(({ learner, healthy }) => !learner && healthy);
  const count = `${plural(voters.length, "voter")}, ${well.length} healthy`;
  const taken = addressConflicts(wanted);
  if (taken.length > 0) {
    return { ...NO_CHANGE, findings: taken };
  }
  const joining = wanted.filter(
    ({ name, member }) => member === undefined || empty.has(name) || givenUp.has(name),
  );
  // A member without a name was added by an interrupted run and will be reused as it is.
  const rebuilt = joining.filter(({ member }) => member !== undefined && member.name !== "");
  const moving = wanted.filter((node) => node.isElsewhere && !joining.includes(node));
  // etcd lists members by their IDs, which are in no order that a person knows.
  const leaving = live
    .filter((one) => !wanted.some(({ member }) => member === one))
    .sort((a, b) => Number(a.name === "") - Number(b.name === "") || a.name.localeCompare(b.name));
  if (leaving.length === 0 && joining.length === 0 && moving.length === 0) {
    return NO_CHANGE;
  }
  const isOf = (some: readonly DesiredMember[]) => (one: LiveMember) =>
    some.some(({ member }) => member === one);
  const lost = new Set(nodes.filter((node) => node.lost).map(({ address }) => peerUrl(address)));
  const findings: string[] = [];
  // Lost members go before others come, so without them those must do that are to be replaced yet.
  const gone = leaving.filter(({ peerUrls }) => lost.has(peerUrls));
  const rest = voters.filter((one) => !gone.includes(one));
  const staying = voters.filter((one) => isOf(wanted)(one) && !isOf(joining)(one));
  // Of an empty host nothing is left to be given up.
  const also = voters.filter(isOf(joining.filter(({ name }) => givenUp.has(name))));
  const short = missing(count, gone, rest) ?? missing(count, [...leaving, ...also], staying);
  if (short !== undefined) {
    findings.push(short);
  }
  const unhealthy = voters.filter(({ healthy, peerUrls }) => !healthy && !lost.has(peerUrls));
  // etcd adds no member while one of those that stay does not answer (--strict-reconfig-check); a
  // member that moves has done so by then.
  const blocking = unhealthy.filter((one) => !isOf(joining)(one) && !isOf(moving)(one));
  if (joining.length > 0 && blocking.length > 0) {
    findings.push(
      `${count}: ${namesOf(joining)} cannot join while ${names(blocking)} ${blocking.length === 1 ? "is" : "are"} unhealthy; start ${blocking.length === 1 ? "it" : "them"}, or set lost: true`,
    );
  }
  const present = voters.filter(({ peerUrls }) => !lost.has(peerUrls));
  for (const { name, member } of moving) {
    const down = unhealthy.filter((one) => one !== member);
    // One that answers nobody where it is costs nothing when it restarts.
    if (member?.healthy && down.length > 0) {
      findings.push(
        `${count}: moving ${name} restarts it, which would leave ${present.length - 1 - down.length} healthy of ${present.length} voters; no member is restarted while another is unhealthy: start ${names(down)}, or set lost: true`,
      );
    }
  }
  for (const { name } of [...joining, ...moving]) {
    const reason = silent.get(name);
    if (reason !== undefined) {
      findings.push(`${name}: cannot join or move while its host is unreachable: ${reason}`);
    }
  }
  // The rest of them serves on while one restarts; of two or one there is no rest that could.
  const pause =
    moving.length > 0 && present.length - 1 < quorum(present.length)
      ? [`the cluster is unavailable while it restarts (quorum is ${quorum(present.length)})`]
      : [];
  const after = wanted.length;
  const parts = [
    ...first.map(({ name }) => `${name} is started first`),
    ...moving.map((node) => `${node.move} and restarts there`),
    ...pause,
    ...joining.map((node) =>
      rebuilt.includes(node)
        ? node.rebuilt(givenUp.get(node.name))
        : `${node.name} joins as a learner and is promoted`,
    ),
    ...leaving.map((one) => leave(one, lost.has(one.peerUrls))),
  ];
  return {
    plan: [
      `members: ${count}; ${parts.join("; ")}; afterwards: ${plural(after, "voter")}, quorum ${quorum(after)}, tolerates ${plural(after - quorum(after), "failure")}`,
      ...clientsOf(live, wanted),
    ],
    findings,
    joining: joining.map(({ name }) => name),
    rebuilt: rebuilt.map(({ name }) => name),
    leaving: leaving.map(({ name }) => name),
    moving: new Map(moving.map((node) => [node.name, `${node.before} to ${node.address}`])),
  };
}

/** Members keep their addresses until they have moved: whose node is to have that of another one, and what to do about it. */
function addressConflicts(wanted: readonly DesiredMember[]): readonly string[] {
  const cycles = new Map<DesiredMember, string>();
  for (const node of wanted) {
    const cycle = ring(node, wanted);
    if (!cycles.has(node) && cycle.length > 0) {
      const words = exchange(cycle);
      cycle.forEach((one, index) => {
        cycles.set(one, index === 0 ? words : "");
      });
    }
  }
  return wanted.flatMap((node) => {
    const words = cycles.get(node);
    return words === undefined ? node.taken(wanted) : words === "" ? [] : [words];
  });
}

/** The node, whose address the next one has, and so on until somebody has its own; none when that does not lead back to it. */
function ring(node: DesiredMember, wanted: readonly DesiredMember[]): readonly DesiredMember[] {
  const found = [node];
  for (;;) {
    const next = wanted.find(({ name }) => name === found.at(-1)?.occupant);
    if (next === undefined || next === node || found.includes(next)) {
      return next === node && found.length > 1 ? found : [];
    }
    found.push(next);
  }
}

/** No order of moves does it: one of them has to make room first. */
function exchange(cycle: readonly DesiredMember[]): string {
  const [first] = cycle;
  const rest = [...cycle.slice(1)].reverse();
  const moves = rest.map(({ name, address }) => `${name} to ${address}`).join(", then ");
  return `${namesOf(cycle)}: cannot swap their addresses in one edit, because no two members can ever have the same one; first give ${first?.name} an unused address, then move ${moves}, and finally ${first?.name} to ${first?.address}, each in an edit of its own; or, if the hosts still have their old addresses, restore those in the configuration`;
}

/** A node that is to have a member, and the one it has. */
class DesiredMember {
  readonly name: string;
  readonly address: string;
  readonly member: LiveMember | undefined;
  /** Its member has another address now. */
  readonly isElsewhere: boolean;
  readonly #live: readonly LiveMember[];

  constructor(
    { name, address }: NodeConfig,
    live: readonly LiveMember[],
    running: ReadonlyMap<string, string>,
  ) {
    this.name = name;
    this.address = address;
    this.#live = live;
    const url = peerUrl(address);
    const own = live.find(({ id }) => id !== undefined && id === running.get(name));
    // A host says of itself which member it runs: that of another name it cannot be.
    this.member =
      (own?.name === name ? own : undefined) ??
      live.find(({ peerUrls }) => peerUrls === url) ??
      live.find((one) => one.name === name);
    this.isElsewhere = this.member !== undefined && this.member.peerUrls !== url;
  }

  /** The address that its member has now. */
  get before(): string {
    return addressOf(this.member?.peerUrls ?? "");
  }

  get move(): string {
    return `${this.name} moves from ${this.before} to ${this.address}`;
  }

  /** @param givenUp ID of the member that it has, when the configuration gives it up. */
  rebuilt(givenUp: string | undefined): string {
    const joins = "its old member is removed, it rejoins as a learner and is promoted";
    if (givenUp !== undefined) {
      return `${this.name} is rebuilt: its member ${givenUp} is removed, its data is moved to /var/lib/etcd.rebuilt-${givenUp}-TIME, it rejoins as a learner and is promoted`;
    }
    return this.isElsewhere
      ? `${this.move}, where the host is empty: ${joins}; what still runs at ${this.before} is not removed`
      : `${this.name} is rebuilt: ${joins}`;
  }

  /** Name of the member of another node that has its address now. */
  get occupant(): string | undefined {
    const there = this.#live.filter(({ peerUrls }) => peerUrls === peerUrl(this.address));
    return there.find(({ name }) => name !== "" && name !== this.name)?.name;
  }

  /** A member keeps its name for life, and two cannot have one address, not even for a moment. */
  taken(others: readonly DesiredMember[]): readonly string[] {
    const name = this.occupant;
    if (name === undefined) {
      return [];
    }
    const elsewhere = others.find((other) => other.name === name);
    const remedy =
      elsewhere !== undefined
        ? `move ${name} to ${elsewhere.address} first`
        : this.#live.some((one) => one.name === this.name)
          ? `remove ${name} in an edit of its own first`
          : `name the node ${name}, or remove ${name} in one edit and add ${this.name} in the next`;
    return [`${this.name}: ${this.address} is the address of the member ${name}; ${remedy}`];
  }
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

function namesOf(nodes: readonly DesiredMember[]): string {
  return nodes.map(({ name }) => name).join(", ");
}

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
