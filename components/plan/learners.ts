import type { NodeConfig } from "../config";
import { type LiveMember, peerUrl } from "../etcd/members";
import type { HostState } from "../hosts/host-state";
import { unknownMembers } from "./membership";

/**
 * What an interrupted run left of an addition. One that belongs to a configured node is used as it
 * is; any other is removed, because etcd has room for one learner only.
 *
 * @param running by node name, the ID of the member that runs on its host.
 * @returns one line for each learner that the live list has.
 */
export function planLearners(
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  running: ReadonlyMap<string, string> = new Map(),
): readonly string[] {
  const strange = unknownMembers(live, nodes, running, new Set());
  return live.flatMap((member) => {
    const node = nodes.find(
      ({ name, address }) => member.name === name || member.peerUrls === peerUrl(address),
    );
    if (!member.learner || node === undefined || strange.includes(member)) {
      return [];
    }
    const id = member.id ?? "";
    return [
      member.name === ""
        ? `${node.name}: its member ${id} was added by an interrupted run and will be reused`
        : `${node.name}: its member ${id} is still a learner and will be promoted`,
    ];
  });
}

/** By node name, the ID of the member that runs on its host, by the host's own word. */
export function runningMembers(hosts: ReadonlyMap<string, HostState>): ReadonlyMap<string, string> {
  return new Map(
    [...hosts].flatMap(([name, host]): [string, string][] => {
      const id = host.inspected ? (host.runs?.member ?? host.data?.member) : undefined;
      return id === undefined ? [] : [[name, id]];
    }),
  );
}

/**
 * The same host states; members that are nobody's are drift of the leader's host, or of another one that
 * tells of them: its step is run again for it, and with it the gate, which takes them out.
 *
 * @param by names of the nodes whose hosts tell the list.
 */
export function withStrangers(
  hosts: ReadonlyMap<string, HostState>,
  { live, by }: { readonly live: readonly LiveMember[]; readonly by: readonly string[] },
  nodes: readonly NodeConfig[],
): ReadonlyMap<string, HostState> {
  const before = new Set([...hosts.values()].flatMap((host) => (host.inspected ? host.nodes : [])));
  const words = unknownMembers(live, nodes, runningMembers(hosts), before).map(
    ({ id, name, peerUrls, learner }) =>
      `${learner ? "learner" : "member"} ${id ?? name} at ${peerUrls} belongs to no configured node`,
  );
  const [carrier = by[0]] = [...hosts].flatMap(([name, host]) =>
    host.inspected && host.leader ? [name] : [],
  );
  return new Map(
    [...hosts].map(([name, host]): [string, HostState] => [
      name,
      host.inspected && name === carrier && words.length > 0
        ? { ...host, unit: [...host.unit, ...words] }
        : host,
    ]),
  );
}
