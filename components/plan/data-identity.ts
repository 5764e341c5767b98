import { type LiveMember, quorum } from "../etcd/members";
import type { HostState, Identity, InspectedHost } from "../hosts/host-state";
import { liveCluster } from "./live-cluster";

/** What is said of data that is not this host's own, and what a person does about it. */
const ASIDE =
  "it is neither used nor deleted: move it away (mv /var/lib/etcd/member /var/lib/etcd/member.foreign), and the next pulumi up rejoins this host";

interface Holder {
  readonly name: string;
  readonly host: InspectedHost;
  readonly data: Identity;
}

/**
 * Compares the data on the hosts with each other, with what each had before, and with the live
 * member list. The hosts check the same again before they start anything (scripts/lib/data-identity.sh).
 *
 * @param heard who the members are, if a quorum answers.
 * @returns reasons to refuse, and what becomes of the data of members that were removed.
 */
export function planDataIdentity(
  hosts: ReadonlyMap<string, HostState>,
  heard = liveCluster(hosts),
): {
  readonly findings: readonly string[];
  readonly plan: readonly string[];
} {
  // What a first start has not finished holds nothing yet: the member's step goes on with it or starts over.
  const seen = [...hosts].flatMap(([name, host]): Holder[] =>
    host.inspected && host.data !== undefined && (host.bootstrapped || host.data.unmanaged)
      ? [{ name, host, data: host.data }]
      : [],
  );
  const answers = heard.live.length > 0;
  const live = new Set(heard.live.map(({ id }) => id ?? ""));
  const outvoted = answers ? outvotedBy(seen, heard) : undefined;
  const findings: string[] = outvoted === undefined ? [] : [outvoted];
  const plan: string[] = [];
  for (const { name, host, data } of seen) {
    const found = `${name}: has data in /var/lib/etcd of member ${data.member} of cluster ${data.cluster}`;
    const own = host.identity;
    const twin = seen.find((other) => other.name !== name && isTwin(other, data, heard.live, name));
    if (data.unmanaged) {
      findings.push(`${found}, which this program did not create; ${ASIDE}`);
    } else if (own !== undefined && !same(own, data)) {
      findings.push(
        `${found}; its own member is ${own.member} of cluster ${own.cluster}; ${ASIDE}; if it was restored by hand and is correct, remove /var/lib/etcd-on-pulumi/identity instead`,
      );
    } else if (answers && data.cluster !== heard.cluster) {
      if (outvoted === undefined) {
        findings.push(
          `${found}, but ${heard.by.join(", ")} ${heard.by.length === 1 ? "is" : "are"} in cluster ${heard.cluster}; ${ASIDE}`,
        );
      }
    } else if (twin !== undefined) {
      findings.push(
        `${found}, and so does ${twin.name}: one of them is a copy; etcd is started on neither: move the copy away (mv /var/lib/etcd/member /var/lib/etcd/member.foreign)`,
      );
    } else if (answers && !live.has("") && !live.has(data.member)) {
      const [say, needed] = [heard.by, data.left ? 1 : wordsNeeded(host, hosts.size)];
      (say.length < needed ? findings : plan).push(
        say.length < needed
          ? `${name}: its member ${data.member} of cluster ${data.cluster} is no longer in the member list, but only ${say.join(", ")} ${say.length === 1 ? "reports" : "report"} this, and ${needed} hosts must: nothing is moved aside; start the other members, or inspect etcd there`
          : `${name}: its member ${data.member} was removed from the cluster; its data will be moved aside, and the host rejoins`,
      );
    }
  }
  const clusters = new Set(seen.map(({ data }) => data.cluster));
  if (!answers && findings.length === 0 && clusters.size > 1) {
    findings.push(
      `the hosts have data of different clusters, and none of those clusters has a quorum: ${seen.map(({ name, data }) => `${name} of ${data.cluster}`).join(", ")}; move away what does not belong here (mv /var/lib/etcd/member /var/lib/etcd/member.foreign)`,
    );
  }
  return { findings, plan };
}

/** Whether another host may have this data as well as this one: not one that contradicts itself or the live list. */
function isTwin(
  { name, host, data }: Holder,
  of: Identity,
  live: readonly LiveMember[],
  rightful: string,
): boolean {
  const known = live.find(({ id }) => id === of.member)?.name;
  return (
    same(data, of) &&
    (host.identity === undefined || same(host.identity, data)) &&
    (known === undefined || known === name || known !== rightful)
  );
}

/** Why those that answer are not believed: more hosts have data of one other cluster, each its own member's. */
function outvotedBy(
  seen: readonly Holder[],
  { by, cluster }: { readonly by: readonly string[]; readonly cluster?: string },
): string | undefined {
  const others = seen.filter(
    ({ data, host }) =>
      !data.unmanaged &&
      data.cluster !== cluster &&
      (host.identity === undefined || same(host.identity, data)),
  );
  const [first] = others;
  const agree = others.every(({ data }) => data.cluster === first?.data.cluster);
  return first === undefined || !agree || others.length <= by.length
    ? undefined
    : `${by.join(", ")}: ${by.length === 1 ? "is" : "are"} in cluster ${cluster}, but ${others.map(({ name }) => name).join(", ")} have data of cluster ${first.data.cluster}: the minority is faulty or compromised and is not believed; inspect etcd there, and move away what does not belong here`;
}

/**
 * How many other hosts must say that a member was removed, before its data is moved aside: its removal
 * took more than half of the others that it knew, or of those that there are now. One is enough where the host says it too: a removal
 * was interrupted there (scripts/lib/depart.sh), perhaps the last but one of a destroy.
 */
function wordsNeeded(host: Holder["host"], hosts: number): number {
  const others = Math.min(
    host.peerUrlsSeen.length > 0 ? host.peerUrlsSeen.length - 1 : hosts - 1,
    hosts - 1,
  );
  return Math.max(1, quorum(others));
}

function same(a: Identity, b: Identity): boolean {
  return a.cluster === b.cluster && a.member === b.member;
}
