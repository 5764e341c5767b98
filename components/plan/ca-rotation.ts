import { FIRST_CA } from "../config/types";
import type { HostState } from "../hosts/host-state";

/**
 * What the certificates of a run are made with. CAs are named by the `pki.rotate` that made them;
 * a rotation takes three runs, each of which ends with a cluster that serves.
 */
export interface Rotation {
  /** Name of the CA that signs every certificate. */
  readonly signer: string;
  /** CAs that are trusted beside it. */
  readonly beside: readonly string[];
}

export interface RotationPlan extends Rotation {
  /** What this run does and what comes after it; none when no rotation is under way. */
  readonly plan: readonly string[];
  /** Reasons to refuse. */
  readonly findings: readonly string[];
  /** After this run nobody gets in any more who trusts the CA of before alone. */
  readonly forgets?: boolean;
}

/** A host with a member, as far as the rotation goes. */
interface Member {
  readonly name: string;
  /** CAs that the running etcd certainly trusts; undefined when it could not be learnt. */
  readonly trusts: readonly string[] | undefined;
  /** CA that signed the certificates on its disk. */
  readonly issuer: string | undefined;
}

type KnownMember = Member & { readonly trusts: readonly string[] };

/**
 * Decides how far a rotation has come, from what the hosts' steps have left there. The order is
 * what keeps it safe: nobody shows a certificate of the new CA before all members have loaded it,
 * and nobody forgets the old CA before all certificates are of the new one.
 *
 * A host that was not seen holds the rotation up where it is; that more than half of the others are further
 * along already proves that it was so far as well. One host's word proves nothing. A host without data has nothing to lose, and takes
 * what the others have.
 *
 * @param target the configured `pki.rotate`, or `FIRST`.
 */
export function planRotation(hosts: ReadonlyMap<string, HostState>, target: string): RotationPlan {
  const members = [...hosts].flatMap(([name, host]) => memberOf(name, host));
  const known = members.flatMap(({ name, trusts, issuer }) =>
    trusts === undefined ? [] : [{ name, trusts, issuer }],
  );
  const unknown = members.filter(({ trusts }) => trusts === undefined).map(({ name }) => name);
  const others = new Set(
    known
      .flatMap(({ trusts, issuer }) => [...trusts, ...(issuer === undefined ? [] : [issuer])])
      .filter((name) => name !== target),
  );
  const [old, another] = others;
  const settled = { signer: target, beside: [], plan: [], findings: [] };
  if (old === undefined) {
    return settled;
  }
  const rotation = { old, target, known, unknown };
  // A host that has forgotten the old CA did so when no certificate was left of it, so others say the same of theirs.
  const forgotten = known.filter(({ trusts }) => trusts.length === 1 && trusts[0] === target);
  const reissued = known.filter(({ issuer }) => issuer === target);
  const behind = known.filter((member) => !reissued.includes(member));
  if (forgotten.length > 0 && reissued.length * 2 <= known.length) {
    return { ...settled, findings: [onlyOneHost(forgotten, behind, target)] };
  }
  if (forgotten.length > 0 || (unknown.length === 0 && behind.length === 0)) {
    return thirdStage(rotation);
  }
  if (another !== undefined) {
    return {
      ...settled,
      findings: [
        `etcd:pki.rotate is ${words(target)}, but a CA rotation is in progress between ${[...others].map(words).join(" and ")}; set it to one of these until it is done${known.length < 3 ? "" : [...others].map((name) => alone(name, known)).join("")}`,
      ],
    };
  }
  return known.every(({ trusts }) => trusts.includes(target)) &&
    (unknown.length === 0 || reissued.length * 2 > known.length)
    ? secondStage(rotation)
    : firstStage(rotation);
}

/** A rotation between two CAs, and what the hosts say of it. */
interface Stage {
  readonly old: string;
  readonly target: string;
  readonly known: readonly KnownMember[];
  /** Names of members whose trust could not be learnt. */
  readonly unknown: readonly string[];
}

function firstStage({ old, target, known, unknown }: Stage): RotationPlan {
  const behind = known.filter(({ trusts }) => !trusts.includes(target));
  return {
    signer: old,
    beside: [target],
    plan: [
      `${heading(old, target)}, 1 of 3: members trust both CAs (rolling restart)${still(behind)}${waits(unknown)}; before the next up, which signs with the new CA, give clients the new caCertificate, and restart those that read it only at startup (such as kube-apiserver)`,
    ],
    findings: [],
  };
}

function secondStage({ old, target, known, unknown }: Stage): RotationPlan {
  const behind = known.filter(({ issuer }) => issuer !== target);
  return {
    signer: target,
    beside: [old],
    plan: [
      `${heading(old, target)}, 2 of 3: the new CA signs all certificates (no restarts)${still(behind)}${waits(unknown)}; before the next up, which removes the old CA, give clients the new client certificate, and restart those that read caCertificate only at startup and have not been restarted since they got the new one`,
    ],
    findings: [],
  };
}

function thirdStage({ old, target, known }: Stage): RotationPlan {
  const behind = known.filter(({ issuer, trusts }) => issuer !== target || trusts.length !== 1);
  return {
    signer: target,
    beside: [],
    forgets: true,
    plan: [
      `${heading(old, target)}, 3 of 3: members stop trusting the old CA (rolling restart)${still(behind)}; afterwards give clients the new caCertificate, which no longer contains it`,
    ],
    findings: [],
  };
}

function heading(old: string, target: string): string {
  return `CA rotation from ${words(old)} to ${words(target)}`;
}

function waits(unknown: readonly string[]): string {
  return unknown.length === 0 ? "" : `; waits for ${unknown.join(", ")}`;
}

function onlyOneHost(
  forgotten: readonly KnownMember[],
  behind: readonly KnownMember[],
  target: string,
): string {
  return `${names(forgotten)}: ${forgotten.length === 1 ? "reports" : "report"} trusting ${words(target)} alone, which happens only after all certificates are signed by it, but ${names(behind)} ${behind.length === 1 ? "reports" : "report"} otherwise; one host alone is not believed: check /var/lib/etcd-on-pulumi/trust and issuer there, and correct what is wrong`;
}

/** Without an inspection of the hosts there is no rotation; the configuration sees to that. */
export function withoutRotation(target: string): Rotation {
  return { signer: target, beside: [] };
}

function memberOf(name: string, host: HostState): readonly Member[] {
  if (!host.inspected) {
    return [{ name, trusts: undefined, issuer: undefined }];
  }
  return host.empty ? [] : [{ name, trusts: host.trusts, issuer: host.issuer }];
}

function words(name: string): string {
  return name === FIRST_CA ? "the first CA" : `"${name}"`;
}

/** Where the name of a CA comes from, if from one host alone. */
function alone(name: string, known: readonly Member[]): string {
  const by = known.filter(({ trusts, issuer }) => trusts?.includes(name) || issuer === name);
  return by.length === 1 ? `; only ${names(by)} reports ${words(name)}` : "";
}

/** Who has it before them, where that are not all. */
function still(members: readonly KnownMember[]): string {
  return members.length === 0 ? "" : ` (remaining: ${names(members)})`;
}

function names(members: readonly Member[]): string {
  return members.map(({ name }) => name).join(", ");
}
