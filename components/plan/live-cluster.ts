import type { LiveMember } from "../etcd/members";
import type { HostState, InspectedHost } from "../hosts/host-state";
import { groupByValue } from "./majority";

/** What the hosts with a running member say together: one host's word is not enough to hurt another. */
export interface LiveCluster {
  /** The live member list that is believed; empty when no quorum answers. */
  readonly live: readonly LiveMember[];
  /** ID of its cluster, hexadecimal. */
  readonly cluster?: string;
  /** Names of the nodes whose hosts tell it. */
  readonly by: readonly string[];
  /** Whose word stands against that of others, one line each, starting with the node's name. */
  readonly contradictions: readonly string[];
}

type Seen = InspectedHost;
interface Teller {
  readonly name: string;
  readonly host: Seen;
  readonly cluster: string;
}

const REMEDY =
  "it is faulty or compromised and is not believed: inspect etcd there, and reinstall the host if its state cannot be explained";

/**
 * Compares the member lists of all hosts. Each reads its own through the leader (a linearizable read),
 * so all are the same when nobody changes the members meanwhile. Of different ones that of more
 * than half of the hosts is believed; failing that, that of the cluster which this stack made.
 *
 * @param made ID of the cluster in the stack's own outputs.
 */
export function liveCluster(hosts: ReadonlyMap<string, HostState>, made?: string): LiveCluster {
  const tellers = [...hosts].flatMap(([name, host]): Teller[] =>
    host.inspected && host.members.length > 0
      ? [{ name, host, cluster: clusterOf(host) ?? "unknown" }]
      : [],
  );
  const parties = groupByValue(tellers.map((teller) => [teller.name, listOf(teller)]));
  const of = (nodes: readonly string[]) => tellers.filter(({ name }) => nodes.includes(name));
  const clear = (parties[0]?.nodes.length ?? 0) * 2 > tellers.length;
  const ours = parties.filter(({ nodes }) => of(nodes).every(({ cluster }) => cluster === made));
  const believed = clear ? parties[0] : ours.length === 1 ? ours[0] : undefined;
  const heard = of(believed?.nodes ?? parties[0]?.nodes ?? []);
  const others = parties.filter((party) => party !== believed && parties.length > 1);
  return {
    ...listed(heard),
    contradictions: [
      ...doubles(hosts, listed(heard).live),
      ...others.map(({ nodes, value }) => {
        const against = parties
          .filter((party) => party !== believed && party.value !== value)
          .flatMap((party) => party.nodes);
        const rest = believed?.nodes ?? against;
        return `${nodes.join(", ")}: ${nodes.length === 1 ? "reports" : "report"} ${value}, but ${rest.join(", ")} ${rest.length === 1 ? "reports" : "report"} ${believed?.value ?? "something else"}; ${REMEDY}`;
      }),
    ],
  };
}

/** Hosts that say that they run another host's member: the live list has its name. */
function doubles(
  hosts: ReadonlyMap<string, HostState>,
  live: readonly LiveMember[],
): readonly string[] {
  const running = [...hosts].flatMap(([name, host]): [string, string][] =>
    host.inspected && host.runs !== undefined ? [[name, host.runs.member]] : [],
  );
  return groupByValue(running)
    .filter(({ nodes }) => nodes.length > 1)
    .map(({ nodes, value }) => {
      const rightful = live.find(({ id }) => id === value)?.name;
      const wrong = nodes.includes(rightful ?? "")
        ? nodes.filter((name) => name !== rightful)
        : nodes;
      return `${wrong.join(", ")}: ${wrong.length === 1 ? "claims" : "claim"} to run member ${value}, which belongs to ${rightful ?? "only one of them"}; ${REMEDY}`;
    });
}

/**
 * Who leads: a host that says so of itself is not believed while more hosts follow somebody else.
 *
 * @returns the same host states without such claims, and a warning for each.
 */
export function withoutFalseLeaders(hosts: ReadonlyMap<string, HostState>): {
  readonly hosts: ReadonlyMap<string, HostState>;
  readonly warnings: readonly string[];
} {
  const followers = [...hosts].flatMap(([name, host]): [string, string][] =>
    host.inspected && host.runs?.leader !== undefined ? [[name, host.runs.leader]] : [],
  );
  const [most] = groupByValue(followers);
  const warnings: string[] = [];
  const heard = [...hosts].map(([name, host]): [string, HostState] => {
    const pretends =
      host.inspected &&
      host.leader &&
      most !== undefined &&
      most.nodes.length * 2 > followers.length &&
      host.runs?.member !== most.value;
    if (pretends) {
      warnings.push(
        `${name}: claims to be the leader, but ${most.nodes.join(", ")} ${most.nodes.length === 1 ? "follows" : "follow"} member ${most.value}: the claim is ignored`,
      );
    }
    return [name, pretends ? { ...host, leader: false } : host];
  });
  return { hosts: new Map(heard), warnings };
}

/** Names of the hosts whose member of this cluster is in a quorum, by their own words. */
export function inQuorumOf(
  cluster: string,
  hosts: ReadonlyMap<string, HostState>,
): readonly string[] {
  return [...hosts].flatMap(([name, host]) =>
    host.inspected &&
    clusterOf(host) === cluster &&
    (host.runs?.leader !== undefined || host.members.length > 0)
      ? [name]
      : [],
  );
}

/** That of its running etcd; failing that, that of its data. */
function clusterOf(host: Seen): string | undefined {
  return host.runs?.cluster ?? host.data?.cluster;
}

/** A member that answered anybody is healthy: the one that asked may be cut off, as under a new address. */
function listed(tellers: readonly Teller[]): Omit<LiveCluster, "contradictions"> {
  const lists = [...tellers]
    .sort((a, b) => Number(b.host.leader) - Number(a.host.leader))
    .map(({ host }) => host.members);
  const well = new Set(
    lists.flatMap((list) => list.flatMap(({ peerUrls, healthy }) => (healthy ? [peerUrls] : []))),
  );
  const [first] = tellers;
  return {
    live: (lists[0] ?? []).map((one) => ({ ...one, healthy: well.has(one.peerUrls) })),
    ...(first === undefined ? {} : { cluster: first.cluster }),
    by: tellers.map(({ name }) => name),
  };
}

/** In words that two hosts have in common when they tell the same. */
function listOf({ host, cluster }: Teller): string {
  const members = host.members
    .map(
      ({ id, name, peerUrls, learner }) =>
        `${id ?? "-"} ${name === "" ? "-" : name} ${peerUrls}${learner ? " (learner)" : ""}`,
    )
    .sort();
  return `cluster ${cluster} with ${members.join("; ")}`;
}
