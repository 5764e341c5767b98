import type { NodeConfig } from "./config";
import type { Look } from "./look";
import { type LiveMember, peerUrl } from "./membership";

/**
 * What an interrupted run left of an addition. One that belongs to a configured node is used as it
 * is; any other is removed, because etcd has room for one learner only.
 *
 * @returns one line for each learner that the live list has.
 */
export function judgeLearners(
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
): readonly string[] {
  return live.flatMap((member) => {
    if (!member.learner || isStrange(member, nodes)) {
      return [];
    }
    const node = nodes.find(({ address }) => member.peerUrls === peerUrl(address));
    const id = member.id ?? "";
    return [
      member.name === ""
        ? `${node?.name}: its member ${id} was added by a run that got no further: it is used`
        : `${node?.name}: its member ${id} is a learner still: it is promoted`,
    ];
  });
}

/**
 * The same looks; learners of nobody are drift of the leader's host, whose step is run again for
 * it, and with it the gate, which takes them out.
 */
export function withStrangeLearners(
  looks: ReadonlyMap<string, Look>,
  nodes: readonly NodeConfig[],
): ReadonlyMap<string, Look> {
  return new Map(
    [...looks].map(([name, look]): [string, Look] => {
      if (!look.seen || !look.leader) {
        return [name, look];
      }
      const strange = look.members.filter((one) => one.learner && isStrange(one, nodes));
      const words = strange.map(
        (one) => `learner ${one.id ?? one.name} at ${one.peerUrls} belongs to no configured node`,
      );
      return [name, words.length === 0 ? look : { ...look, unit: [...look.unit, ...words] }];
    }),
  );
}

function isStrange(member: LiveMember, nodes: readonly NodeConfig[]): boolean {
  return !nodes.some(
    ({ name, address, lost }) =>
      !lost && (member.peerUrls === peerUrl(address) || member.name === name),
  );
}
