import type { SubjectConfig } from "../config";
import type { HostState } from "../hosts/host-state";
import { SUBJECT_FIELDS } from "../hosts/probe-fields";

/**
 * A CA keeps its subject for life: a certificate is checked by its issuer's name, so members that
 * have loaded the CA under the name before would refuse every leaf that names the new one.
 *
 * @param target name of the CA that the configuration asks for.
 * @returns reasons to refuse.
 */
export function checkCaSubject(
  hosts: ReadonlyMap<string, HostState>,
  target: string,
  configured: SubjectConfig,
): readonly string[] {
  const wanted = words(configured);
  const found = [...hosts.values()]
    .filter((host) => host.inspected && host.bootstrapped && !replaced(host))
    .flatMap((host) => (host.inspected ? host.certificates : []))
    .flatMap(({ authority }) => (authority?.name === target ? [words(authority.subject)] : []));
  const [first] = found;
  // Where one host has it as configured, the others are to be repaired.
  if (first === undefined || found.includes(wanted)) {
    return [];
  }
  return [
    `etcd:pki.subject is ${wanted}, but the CA in use has ${first}, and members would reject certificates issued under another subject; set etcd:pki.rotate to an unused name in the same edit, which creates a new CA with the new subject, or restore the old subject`,
  ];
}

/**
 * The key of a CA as the hosts with a member know it, PEM by node name.
 *
 * @param target name of the CA.
 */
export function authorityKeys(
  hosts: ReadonlyMap<string, HostState>,
  target: string,
): ReadonlyMap<string, string> {
  return new Map(
    [...hosts].flatMap(([name, host]): [string, string][] =>
      host.inspected && host.bootstrapped && !replaced(host)
        ? host.certificates.flatMap(({ authority, publicKey }): [string, string][] =>
            authority?.name === target && publicKey !== undefined ? [[name, publicKey]] : [],
          )
        : [],
    ),
  );
}

/** Somebody put another file in the place of `ca.pem`: it says nothing about the CA in use. */
function replaced(host: HostState): boolean {
  const drift = host.inspected ? (host.receipts.get("member")?.drift ?? []) : [];
  return drift.some((words) => words.includes("/ca.pem changed"));
}

function words(subject: SubjectConfig): string {
  const names = Object.entries(SUBJECT_FIELDS).flatMap(([key, short]) => {
    const value = Object.entries(subject).find(([name]) => name === key)?.[1];
    return value === undefined ? [] : [`${short}=${value}`];
  });
  return names.length === 0 ? "empty" : names.join(", ");
}
