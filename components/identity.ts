import type { Identity, Look } from "./look";

/** As the probe prints it: `CLUSTER MEMBER` and perhaps `nobody's`. */
export function readIdentity(text: string | undefined): Identity | undefined {
  const [cluster, member, whose] = text?.split(" ") ?? [];
  return cluster === undefined || member === undefined
    ? undefined
    : { cluster, member, nobodys: whose !== undefined };
}

/** What is said of data that is not this host's own, and what a person does about it. */
const ASIDE =
  "nothing is started on it or deleted: move it away (mv /var/lib/etcd /var/lib/etcd.foreign), and the next up lets this host join afresh";

/**
 * Compares the data on the hosts with each other, with what each had before, and with the live
 * member list. The hosts check the same again before they start anything (scripts/identity.sh).
 *
 * @returns reasons to refuse, and what becomes of the data of members that were removed.
 */
export function judgeIdentity(looks: ReadonlyMap<string, Look>): {
  readonly findings: readonly string[];
  readonly plan: readonly string[];
} {
  // What a first start has not finished holds nothing yet: the member's step goes on with it or begins anew.
  const seen = [...looks].flatMap(([name, look]) =>
    look.seen && look.data !== undefined && (look.formed || look.data.nobodys)
      ? [{ name, look, data: look.data }]
      : [],
  );
  const asked = seen.find(({ look }) => look.members.length > 0);
  const live = new Set(asked?.look.members.map(({ id }) => id ?? ""));
  const findings: string[] = [];
  const plan: string[] = [];
  for (const { name, look, data } of seen) {
    const found = `${name}: has data in /var/lib/etcd of member ${data.member} of cluster ${data.cluster}`;
    const own = look.identity;
    const twin = seen.find((other) => other.name !== name && same(other.data, data));
    if (data.nobodys) {
      findings.push(`${found}, which no start by this program made; ${ASIDE}`);
    } else if (own !== undefined && !same(own, data)) {
      findings.push(
        `${found}; its own member is ${own.member} of cluster ${own.cluster}; ${ASIDE}; if it was restored by hand and is right, remove /var/lib/etcd-on-pulumi/identity instead`,
      );
    } else if (asked !== undefined && data.cluster !== asked.data.cluster) {
      findings.push(`${found}, but ${asked.name} is of cluster ${asked.data.cluster}; ${ASIDE}`);
    } else if (twin !== undefined) {
      findings.push(
        `${found}, and so has ${twin.name}: one of them is a copy; nothing is started on either: move the copy away (mv /var/lib/etcd /var/lib/etcd.foreign)`,
      );
    } else if (asked !== undefined && !live.has("") && !live.has(data.member)) {
      plan.push(
        `${name}: its member ${data.member} was removed from the cluster meanwhile; the data is put aside, and the host joins afresh`,
      );
    }
  }
  const clusters = new Set(seen.map(({ data }) => data.cluster));
  if (asked === undefined && findings.length === 0 && clusters.size > 1) {
    findings.push(
      `the hosts have data of different clusters, and none of these answers: ${seen.map(({ name, data }) => `${name} of ${data.cluster}`).join(", ")}; move away what does not belong here (mv /var/lib/etcd /var/lib/etcd.foreign)`,
    );
  }
  return { findings, plan };
}

function same(a: Identity, b: Identity): boolean {
  return a.cluster === b.cluster && a.member === b.member;
}
