import type { NodeConfig } from "./config";
import { bracketed } from "./unit";

/** A member as the leader lists it. */
export interface LiveMember {
  readonly name: string;
  /** Peer URLs, comma separated. */
  readonly peerUrls: string;
  readonly learner: boolean;
  /** It answers a linearizable read, as asked from the leader's host. */
  readonly healthy: boolean;
  /** Hexadecimal. */
  readonly id?: string;
}

/** What the configuration does to the members. */
export interface Change {
  /** One line when members join or leave; none when the lists agree. */
  readonly plan: readonly string[];
  /** Reasons to refuse it. */
  readonly findings: readonly string[];
  /** Names of nodes without a member that counts yet; a rebuilt one is among them. */
  readonly joining: readonly string[];
  /** Names of members that the configuration has no longer, or as lost. */
  readonly leaving: readonly string[];
}

export const NO_CHANGE: Change = { plan: [], findings: [], joining: [], leaving: [] };

/** Voters that must agree, of so many. */
export function quorum(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * Compares the live member list with the configured nodes: who joins, who leaves, and whether a
 * quorum of healthy voters is left (etcd docs, «Runtime reconfiguration»). The hosts' own scripts
 * check the same again just before the act.
 *
 * @param empty names of configured nodes whose host has no data; one that is listed was rebuilt.
 */
export function judgeMembership(
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  empty: ReadonlySet<string>,
): Change {
  const wanted = new Map(
    nodes.filter(({ lost }) => !lost).map((node) => [peerUrl(node.address), node.name]),
  );
  const voters = live.filter(({ learner }) => !learner);
  const leaving = live.filter(({ peerUrls }) => !wanted.has(peerUrls));
  const listed = new Set(live.map(({ peerUrls }) => peerUrls));
  const rebuilt = new Set(
    [...wanted].filter(([url, name]) => listed.has(url) && empty.has(name)).map(([, name]) => name),
  );
  const joining = [...wanted]
    .filter(([url, name]) => !listed.has(url) || rebuilt.has(name))
    .map(([, name]) => name);
  if (leaving.length === 0 && joining.length === 0) {
    return NO_CHANGE;
  }
  const lost = new Set(nodes.filter((node) => node.lost).map((node) => peerUrl(node.address)));
  const staying = voters.filter(
    ({ peerUrls }) => wanted.has(peerUrls) && !rebuilt.has(wanted.get(peerUrls) ?? ""),
  );
  const well = staying.filter(({ healthy }) => healthy);
  const sick = staying.filter(({ healthy }) => !healthy).map(({ name }) => name);
  const count = `${voters.length} voters, ${voters.filter(({ healthy }) => healthy).length} healthy`;
  const findings: string[] = [];
  if (leaving.length > 0 && well.length < quorum(staying.length)) {
    findings.push(
      `${count}: removing ${names(leaving)} would leave ${well.length} healthy of ${staying.length}, and ${quorum(staying.length)} are needed; bring ${sick.join(", ")} back or mark it lost`,
    );
  }
  // etcd adds no member while one of those that stay does not answer (--strict-reconfig-check).
  const unhealthy = voters.filter(({ healthy, peerUrls }) => !healthy && !lost.has(peerUrls));
  const blocking = unhealthy.filter(({ peerUrls }) => !rebuilt.has(wanted.get(peerUrls) ?? ""));
  if (joining.length > 0 && blocking.length > 0) {
    findings.push(
      `${count}: ${joining.join(", ")} cannot join while ${names(blocking)} does not answer; bring it back or mark it lost`,
    );
  }
  const after = wanted.size;
  const parts = [
    ...joining.map((name) =>
      rebuilt.has(name)
        ? `${name} is rebuilt: its old member is removed, it joins again as a learner and is promoted`
        : `${name} joins as a learner and is promoted`,
    ),
    ...leaving.map(({ name }) => `${name === "" ? "a member that never started" : name} leaves`),
  ];
  return {
    plan: [
      `members: ${count}; ${parts.join("; ")}; then ${after} voters, quorum ${quorum(after)}, which survives ${after - quorum(after)} down`,
    ],
    findings,
    joining,
    leaving: leaving.map(({ name }) => name),
  };
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

function names(members: readonly LiveMember[]): string {
  return members.map(({ name }) => name).join(", ");
}

function peerUrl(address: string): string {
  return `https://${bracketed(address)}:2380`;
}
