import type { NodeConfig } from "./config";
import { bracketed } from "./unit";

/** A member as the leader lists it. */
export interface LiveMember {
  readonly name: string;
  /** Peer URLs, comma separated. */
  readonly peerUrls: string;
  readonly learner: boolean;
  /** It answers a linearizable read, as asked from a host of the cluster. */
  readonly healthy: boolean;
  /** Hexadecimal. */
  readonly id?: string;
}

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
export interface HostsSeen {
  /** Nodes whose host has no data; one that is listed was rebuilt. */
  readonly empty: ReadonlySet<string>;
  /** Why a host could not be looked at. */
  readonly silent: ReadonlyMap<string, string>;
}

/** Voters that must agree, of so many. */
export function quorum(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * Compares the live member list with the configured nodes: who joins, who moves, who leaves, and
 * whether a quorum of healthy voters is left (etcd docs, «Runtime reconfiguration»). A member is
 * that of the node with its peer URL; failing that, that of the node with its name, which moves
 * then. The hosts' own scripts check the same again just before the act.
 */
export function judgeMembership(
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  { empty, silent }: HostsSeen,
): Change {
  const wanted = nodes.filter(({ lost }) => !lost).map((node) => new Wanted(node, live));
  const voters = live.filter(({ learner }) => !learner);
  const count = `${many(voters.length, "voter")}, ${voters.filter(({ healthy }) => healthy).length} healthy`;
  const taken = wanted.flatMap((node) => node.taken(wanted));
  if (taken.length > 0) {
    return { ...NO_CHANGE, findings: taken };
  }
  const joining = wanted.filter(({ name, member }) => member === undefined || empty.has(name));
  // A member without a name was added by a run that got no further: it is used as it is.
  const rebuilt = joining.filter(({ member }) => member !== undefined && member.name !== "");
  const moving = wanted.filter((node) => node.isElsewhere && !joining.includes(node));
  // etcd lists members by their IDs, which are in no order that a person knows.
  const leaving = live
    .filter((one) => !wanted.some(({ member }) => member === one))
    .sort((a, b) => Number(a.name === "") - Number(b.name === "") || a.name.localeCompare(b.name));
  if (leaving.length === 0 && joining.length === 0 && moving.length === 0) {
    return NO_CHANGE;
  }
  const isOf = (some: readonly Wanted[]) => (one: LiveMember) =>
    some.some(({ member }) => member === one);
  const lost = new Set(nodes.filter((node) => node.lost).map(({ address }) => peerUrl(address)));
  const findings: string[] = [];
  // Lost members go before others come, so without them those must do that are to be replaced yet.
  const gone = leaving.filter(({ peerUrls }) => lost.has(peerUrls));
  const rest = voters.filter((one) => !gone.includes(one));
  const staying = voters.filter((one) => isOf(wanted)(one) && !isOf(joining)(one));
  const short = missing(count, gone, rest) ?? missing(count, leaving, staying);
  if (short !== undefined) {
    findings.push(short);
  }
  const unhealthy = voters.filter(({ healthy, peerUrls }) => !healthy && !lost.has(peerUrls));
  // etcd adds no member while one of those that stay does not answer (--strict-reconfig-check); a
  // member that moves has done so by then.
  const blocking = unhealthy.filter((one) => !isOf(joining)(one) && !isOf(moving)(one));
  if (joining.length > 0 && blocking.length > 0) {
    findings.push(
      `${count}: ${namesOf(joining)} cannot join while ${names(blocking)} does not answer; bring it back or mark it lost`,
    );
  }
  const present = voters.filter(({ peerUrls }) => !lost.has(peerUrls));
  for (const { name, member } of moving) {
    const down = unhealthy.filter((one) => one !== member);
    // One that answers nobody where it is costs nothing when it restarts.
    if (member?.healthy && down.length > 0) {
      findings.push(
        `${count}: moving ${name} restarts it, which would leave ${present.length - 1 - down.length} healthy of ${present.length}, and nothing restarts beside a member that is down; bring ${names(down)} back or mark it lost`,
      );
    }
  }
  for (const { name } of [...joining, ...moving]) {
    const reason = silent.get(name);
    if (reason !== undefined) {
      findings.push(`${name}: cannot join or move while its host cannot be reached: ${reason}`);
    }
  }
  // The rest of them serves on while one restarts; of two or one there is no rest that could.
  const pause =
    moving.length > 0 && present.length - 1 < quorum(present.length)
      ? [`nobody is answered while it restarts, for ${quorum(present.length)} are needed`]
      : [];
  const after = wanted.length;
  const parts = [
    ...moving.map((node) => `${node.move} and restarts there`),
    ...pause,
    ...joining.map((node) =>
      rebuilt.includes(node) ? node.rebuilt : `${node.name} joins as a learner and is promoted`,
    ),
    ...leaving.map((one) => leave(one, lost.has(one.peerUrls))),
  ];
  return {
    plan: [
      `members: ${count}; ${parts.join("; ")}; then ${many(after, "voter")}, quorum ${quorum(after)}, which survives ${after - quorum(after)} down`,
    ],
    findings,
    joining: joining.map(({ name }) => name),
    rebuilt: rebuilt.map(({ name }) => name),
    leaving: leaving.map(({ name }) => name),
    moving: new Map(moving.map((node) => [node.name, `${node.before} to ${node.address}`])),
  };
}

/** A node that is to have a member, and the one it has. */
class Wanted {
  readonly name: string;
  readonly address: string;
  readonly member: LiveMember | undefined;
  /** Its member has another address now. */
  readonly isElsewhere: boolean;
  readonly #live: readonly LiveMember[];

  constructor({ name, address }: NodeConfig, live: readonly LiveMember[]) {
    this.name = name;
    this.address = address;
    this.#live = live;
    const here = live.find(({ peerUrls }) => peerUrls === peerUrl(address));
    const named = live.find((one) => one.name === name);
    this.member = here ?? named;
    this.isElsewhere = here === undefined && named !== undefined;
  }

  /** The address that its member has now. */
  get before(): string {
    return addressOf(this.member?.peerUrls ?? "");
  }

  get move(): string {
    return `${this.name} moves from ${this.before} to ${this.address}`;
  }

  get rebuilt(): string {
    const joins = "its old member is removed, it joins again as a learner and is promoted";
    return this.isElsewhere
      ? `${this.move}, where the host is empty: ${joins}; what is left at ${this.before} is not taken away`
      : `${this.name} is rebuilt: ${joins}`;
  }

  /** A member keeps its name for life, and two cannot have one address, not even for a moment. */
  taken(others: readonly Wanted[]): readonly string[] {
    const name = this.member?.name ?? "";
    if (name === "" || name === this.name) {
      return [];
    }
    const elsewhere = others.find((other) => other.name === name);
    const remedy =
      elsewhere !== undefined
        ? `move ${name} to ${elsewhere.address} first`
        : this.#live.some((one) => one.name === this.name)
          ? `remove ${name} in an edit of its own first`
          : `call the node ${name}, or remove ${name} in one edit and add ${this.name} in the next`;
    return [`${this.name}: ${this.address} is the address of the member ${name}; ${remedy}`];
  }
}

/**
 * The same when no quorum answers, so that nobody can say who the members are: nobody joins or
 * leaves then.
 *
 * @param before addresses of the nodes of the last run; empty when no cluster was formed.
 */
export function judgeWithoutQuorum(
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
      .map((address) => `${named.get(address) ?? address} leaves`),
  ];
  return before.size === 0 || changes.length === 0
    ? NO_CHANGE
    : {
        ...NO_CHANGE,
        findings: [
          `no quorum of the cluster answers, so nobody can be let in or out: bring its members back before ${changes.join(", ")}`,
        ],
      };
}

function leave(one: LiveMember, lost: boolean): string {
  const { name, healthy, learner } = one;
  const leaves = `${called(one)} leaves`;
  if (name === "" || learner || lost !== healthy) {
    return leaves;
  }
  return lost
    ? `${leaves} as lost, though it answers: its host is left as it is`
    : `${leaves}, and does not answer: mark it lost first if its host cannot be dialled any more`;
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
export function judgeStrangers(
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
      `none of the nodes is a member of the cluster of ${names}, so a second one would be formed; keep one that is until the new ones have joined, or end that cluster with \`pulumi destroy\` first`,
    ];
  }
  return former.length > 0 && former.every(({ address }) => empty.has(here.get(address) ?? ""))
    ? [
        `nothing is left of the cluster of ${names} on any host, so an empty one would take its place; bring it back from a snapshot with etcd:recover (docs/recovery.md), or, if its data is to be given up, end it with \`pulumi destroy\` first`,
      ]
    : [];
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
    : `${count}: removing ${names(gone)} would leave ${well.length} healthy of ${staying.length}, and ${needed} are needed; bring ${names(sick)} back or mark it lost`;
}

function names(members: readonly LiveMember[]): string {
  return members.map(called).join(", ");
}

function called({ name }: LiveMember): string {
  return name === "" ? "a member that never started" : name;
}

function namesOf(nodes: readonly Wanted[]): string {
  return nodes.map(({ name }) => name).join(", ");
}

function many(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

/** Of the member at this address; the ports are fixed in this program. */
export function peerUrl(address: string): string {
  return `https://${bracketed(address)}:2380`;
}

/** Of the first of its peer URLs. */
export function addressOf(peerUrls: string): string {
  return peerUrls.replace(/,.*/, "").replace(/^https:\/\/\[?|\]?:\d+$/g, "");
}
