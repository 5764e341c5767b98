import type { NodeConfig } from "../config";
import { type LiveMember, peerUrl } from "../etcd/members";
import type { HostState } from "../hosts/host-state";

/** What `nodes[].rebuild` asks for. */
export interface Rebuild {
  /** By node name, the ID of the member that is given up in this run. */
  readonly asked: ReadonlyMap<string, string>;
  /**
   * Names of nodes whose etcd does not run, on a host with data: perhaps because of the member that
   * is given up, since etcd does not start beside data that differs. They are started first
   * (scripts/lib/rebuild.sh, start_unchecked).
   */
  readonly stopped: ReadonlySet<string>;
  /** Reasons to refuse it. */
  readonly findings: readonly string[];
  /** Of keys that have no effect any more. */
  readonly plan: readonly string[];
}

/**
 * A member whose data cannot be used is given up when the configuration names it by its ID: a node
 * that has another member is left alone, so the key may stay, and asks for nothing twice. That the
 * others have a quorum is checked with the other changes (membership.ts), and again by the host.
 *
 * @param live empty when no quorum answers.
 */
export function planRebuild(
  hosts: ReadonlyMap<string, HostState>,
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
): Rebuild {
  const asked = new Map<string, string>();
  const findings: string[] = [];
  const plan: string[] = [];
  nodes.forEach(({ name, address, rebuild }, index) => {
    if (rebuild === undefined) {
      return;
    }
    const key = `etcd:nodes[${index}].rebuild`;
    const host = hosts.get(name);
    const member =
      live.find(({ peerUrls }) => peerUrls === peerUrl(address)) ??
      live.find((one) => one.name === name);
    const own = member?.id ?? (host?.inspected ? host.data?.member : undefined);
    if (own === undefined) {
      return;
    }
    if (own !== rebuild) {
      plan.push(
        `${name}: ${key} is ${rebuild}, but its member is ${own}: nothing is rebuilt, the key can be removed`,
      );
    } else if (member === undefined) {
      findings.push(
        `${name}: cannot be rebuilt (${key}), because the cluster has no quorum; start the other members first, or recover from the best survivor or a snapshot (docs/recovery.md)`,
      );
    } else if (live.length === 1) {
      findings.push(
        `${name}: cannot be rebuilt (${key}), because its member is the only one; recover from a snapshot (docs/recovery.md)`,
      );
    } else if (member.peerUrls !== peerUrl(address)) {
      findings.push(`${name}: cannot be rebuilt (${key}) while it moves; do that in another edit`);
    } else if (!(host?.inspected && host.empty)) {
      asked.set(name, rebuild);
    }
  });
  const stopped = new Set(
    asked.size === 0
      ? []
      : [...hosts].flatMap(([name, host]) =>
          host.inspected &&
          host.bootstrapped &&
          !host.empty &&
          host.version === undefined &&
          !asked.has(name)
            ? [name]
            : [],
        ),
  );
  return { asked, stopped, findings, plan };
}

/** For a member whose data is of no use: what to do about it. `index` is -1 for one of no node. */
export function rebuildRemedy(nodes: readonly NodeConfig[], index: number, member: string): string {
  const others = nodes.filter((node, other) => other !== index && !node.lost).length;
  if (index === -1) {
    return "remove it";
  }
  return others === 0
    ? "it is the only member: recover from a snapshot (docs/recovery.md)"
    : `rebuild it from them with \`pulumi config set --path 'nodes[${index}].rebuild' ${member}\` and pulumi up; its data is moved aside (docs/alarms.md)`;
}
