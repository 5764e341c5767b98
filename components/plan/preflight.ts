import type { ClusterConfig } from "../config";
import { type LiveMember, peerUrl } from "../etcd/members";
import type { HostState, InspectedHost } from "../hosts/host-state";
import type { NodePlan } from "./node-plan";

/** Lines that start with the node's name. */
interface Judged {
  readonly findings: readonly string[];
  readonly warnings: readonly string[];
}

/** What the run does beside what the inspection shows of each host. */
export interface Doings {
  readonly nodes: ClusterConfig["nodes"];
  /** Its members as a host of the cluster lists them. */
  readonly live: readonly LiveMember[];
  /** A cluster exists. */
  readonly formed: boolean;
  /** Names of nodes whose address changes. */
  readonly moving: ReadonlySet<string>;
  readonly nodePlans: ReadonlyMap<string, NodePlan>;
  /** The members change, or the CA does. */
  readonly planned: boolean;
}

/** What the preflight (scripts/lib/preflight.sh) found on the hosts: whether it stops this run or is only said. */
export function checkPreflight(hosts: ReadonlyMap<string, HostState>, doings: Doings): Judged {
  const findings: string[] = [];
  const warnings: string[] = [];
  const excused = excusedNeighbours(hosts, doings);
  for (const [name, host] of hosts) {
    if (!host.inspected) {
      const known = doings.formed && !host.answered;
      (known ? warnings : findings).push(
        known
          ? `${name}: unreachable, so it was not checked for drift and its steps are left unchanged: ${host.reason}`
          : `${name}: ${host.reason}`,
      );
      continue;
    }
    // What stands in the way of a move is no concern of a host that stays.
    const ours = host.receipts.has("host") && !doings.moving.has(name);
    const busy = !ours || doings.planned || hasWork(host, doings, doings.nodePlans.get(name));
    for (const { text, about, stops = "first run" } of host.findings) {
      if (about === undefined || !excused.has(about)) {
        const stopped = { "every run": true, changes: busy, "first run": !ours, nothing: false };
        (stopped[stops] ? findings : warnings).push(`${name}: ${text}`);
      }
    }
  }
  return { findings, warnings };
}

/** A step runs on this host: its revision is another one than the last, or the nodes are. */
function hasWork(host: InspectedHost, { nodes }: Doings, plan: NodePlan | undefined): boolean {
  const before = new Set(host.nodes);
  const wanted = nodes.filter(({ lost }) => !lost).map(({ address }) => address);
  return (
    plan?.revisions.install !== host.receipts.get("host")?.revision ||
    plan?.revisions.member !== host.receipts.get("member")?.revision ||
    (before.size > 0 &&
      (before.size !== wanted.length || wanted.some((address) => !before.has(address))))
  );
}

/**
 * That a neighbour does not answer says nothing when it does not answer the operator either, or when its
 * own packet filter, which is ours, is put right by this very run. One whose member the others reach has that
 * in order: it refuses whom it does not know, so silence comes from something in between.
 */
function excusedNeighbours(
  hosts: ReadonlyMap<string, HostState>,
  { nodes, live }: Doings,
): ReadonlySet<string> {
  const healthy = new Set(live.flatMap((one) => (one.healthy ? one.peerUrls.split(",") : [])));
  const reached = new Set(
    nodes.filter(({ address }) => healthy.has(peerUrl(address))).map(({ name }) => name),
  );
  return new Set(
    [...hosts].flatMap(([name, host]) => {
      const receipt = host.inspected ? host.receipts.get("host") : undefined;
      const ours = receipt !== undefined && !(receipt.drift.length === 0 && reached.has(name));
      return !host.inspected || ours ? [name] : [];
    }),
  );
}
