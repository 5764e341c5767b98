import type { SubjectConfig } from "./config";
import type { Authority, Look } from "./look";
import { FIRST } from "./rotation";

const FIELDS = {
  country: "C",
  province: "ST",
  locality: "L",
  organization: "O",
  organizationalUnit: "OU",
} as const;

/** What a certificate's subject says when it is one of this program's CAs. */
export function authorityOf(subject: Readonly<Record<string, unknown>>): Authority | undefined {
  if (subject.CN !== "etcd") {
    return undefined;
  }
  const { serialNumber } = subject;
  const names = Object.entries(FIELDS).flatMap(([key, short]) => {
    const value = subject[short];
    return typeof value === "string" ? [[key, value]] : [];
  });
  return {
    name: typeof serialNumber === "string" ? serialNumber : FIRST,
    subject: Object.fromEntries(names),
  };
}

/**
 * A CA keeps its subject for life: a certificate is checked by its issuer's name, so members that
 * have loaded the CA under the name before would refuse every leaf that names the new one.
 *
 * @param target name of the CA that the configuration asks for.
 * @returns reasons to refuse.
 */
export function judgeSubject(
  looks: ReadonlyMap<string, Look>,
  target: string,
  configured: SubjectConfig,
): readonly string[] {
  const wanted = words(configured);
  const found = [...looks.values()]
    .filter((look) => look.seen && look.formed && !replaced(look))
    .flatMap((look) => (look.seen ? look.certificates : []))
    .flatMap(({ authority }) => (authority?.name === target ? [words(authority.subject)] : []));
  const [first] = found;
  // Where one host has it as configured, the others are to be repaired.
  if (first === undefined || found.includes(wanted)) {
    return [];
  }
  return [
    `etcd:pki.subject is ${wanted}, but the CA in use has ${first}, and members would refuse certificates of a CA whose name they do not know; set etcd:pki.rotate to a name that was not used before in the same edit, which makes a new CA with the new subject, or put the subject back`,
  ];
}

/** Somebody put another file in the place of `ca.pem`: it says nothing about the CA in use. */
function replaced(look: Look): boolean {
  const drift = look.seen ? (look.receipts.get("member")?.drift ?? []) : [];
  return drift.some((words) => words.includes("/ca.pem changed"));
}

function words(subject: SubjectConfig): string {
  const names = Object.entries(FIELDS).flatMap(([key, short]) => {
    const value = Object.entries(subject).find(([name]) => name === key)?.[1];
    return value === undefined ? [] : [`${short}=${value}`];
  });
  return names.length === 0 ? "empty" : names.join(", ");
}
