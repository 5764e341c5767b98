import type { Look } from "./look";

/** Name of the CA of a cluster whose `pki.rotate` was never set; no `pki.rotate` can be it. */
export const FIRST = "-";

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

export interface RotationVerdict extends Rotation {
  /** What this run does and what comes after it; none when no rotation is under way. */
  readonly plan: readonly string[];
  /** Reasons to refuse. */
  readonly findings: readonly string[];
}

/** A host with a member, as far as the rotation goes. */
interface Member {
  readonly name: string;
  /** CAs that the running etcd certainly trusts; undefined when it could not be learnt. */
  readonly trusts: readonly string[] | undefined;
  /** CA that signed the certificates on its disk. */
  readonly issuer: string | undefined;
}

/**
 * Decides how far a rotation has come, from what the hosts' steps have left there. The order is
 * what keeps it safe: nobody shows a certificate of the new CA before all members have loaded it,
 * and nobody forgets the old CA before all certificates are of the new one.
 *
 * A host that was not seen holds the rotation up where it is; that the others are further along
 * already proves that it was so far as well. A host without data has nothing to lose, and takes
 * what the others have.
 *
 * @param target the configured `pki.rotate`, or `FIRST`.
 */
export function judgeRotation(looks: ReadonlyMap<string, Look>, target: string): RotationVerdict {
  const members = [...looks].flatMap(([name, look]) => memberOf(name, look));
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
  const from = `CA rotation from ${words(old)} to ${words(target)}`;
  const waits = unknown.length === 0 ? "" : `; waits for ${unknown.join(", ")}`;
  // Whoever has forgotten the old CA did so when no certificate was left of it.
  const forgotten = known.some(({ trusts }) => trusts.length === 1 && trusts[0] === target);
  const reissued = (member: Member) => member.issuer === target;
  if (forgotten || (unknown.length === 0 && known.every(reissued))) {
    return {
      ...settled,
      plan: [
        `${from}, 3 of 3: the members forget the old CA, one after the other; then it is done`,
      ],
    };
  }
  if (another !== undefined) {
    return {
      ...settled,
      findings: [
        `etcd:pki.rotate is ${words(target)}, but a CA rotation is under way between ${[...others].map(words).join(" and ")}; write one of these until it is done`,
      ],
    };
  }
  if (
    known.every(({ trusts }) => trusts.includes(target)) &&
    (unknown.length === 0 || known.some(reissued))
  ) {
    return {
      signer: target,
      beside: [old],
      plan: [
        `${from}, 2 of 3: the new CA signs all certificates, nothing restarts${waits}; before the next up, which forgets the old CA, give clients the new client certificate`,
      ],
      findings: [],
    };
  }
  return {
    signer: old,
    beside: [target],
    plan: [
      `${from}, 1 of 3: the members learn to trust both, one after the other${waits}; before the next up, which has the new CA sign, give clients the new caCertificate`,
    ],
    findings: [],
  };
}

/** Without a look at the hosts there is no rotation; the configuration sees to that. */
export function withoutRotation(target: string): Rotation {
  return { signer: target, beside: [] };
}

function memberOf(name: string, look: Look): readonly Member[] {
  if (!look.seen) {
    return [{ name, trusts: undefined, issuer: undefined }];
  }
  return look.empty ? [] : [{ name, trusts: look.trusts, issuer: look.issuer }];
}

function words(name: string): string {
  return name === FIRST ? "the first CA" : `"${name}"`;
}
