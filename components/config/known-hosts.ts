import { createHmac } from "node:crypto";
import { readHostKey } from "./values";

/** One line of a known_hosts file. */
interface Entry {
  readonly marker: string;
  readonly hosts: string;
  /** `TYPE BASE64` */
  readonly key: string;
}

export type KnownHosts = readonly Entry[];

/** Reads the text of a known_hosts file; lines that say nothing are left out. */
export function parseKnownHosts(text: string): KnownHosts {
  return text.split("\n").flatMap((line): Entry[] => {
    const fields = line.trim().split(/\s+/);
    const marker = fields[0]?.startsWith("@") ? (fields.shift() ?? "") : "";
    const [hosts = "", type = "", blob = ""] = fields;
    const key = readHostKey(`${type} ${blob}`);
    return hosts === "" || hosts.startsWith("#") || key === undefined
      ? []
      : [{ marker, hosts, key }];
  });
}

/**
 * Best first: the order in which a key is chosen when a host has several. RSA is missing: the
 * client of the command plugin asks for the algorithm that the key's type names, which for RSA is
 * the one with SHA-1, and sshd refuses that since OpenSSH 8.8.
 */
const PREFERENCE = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
];

/** Why a known host has no usable key. */
export type Unusable = "revoked" | "rsa";

/**
 * The key of a host, or why those that are known cannot be used. Like OpenSSH it looks for
 * `[host]:port` and then, for a port that is not 22, for the bare host.
 *
 * @param names the same machine's address and name, the more trustworthy first.
 */
export function findHostKey(
  known: KnownHosts,
  names: readonly string[],
  port: number,
): { readonly key: string } | { readonly unusable: Unusable } | undefined {
  const revoked = new Set(
    known.filter(({ marker }) => marker === "@revoked").map(({ key }) => key),
  );
  const plain = known.filter(({ marker }) => marker === "");
  let unusable: Unusable | undefined;
  for (const name of names) {
    const forms = port === 22 ? [name] : [`[${name}]:${port}`, name];
    for (const form of forms) {
      const keys = plain.filter(({ hosts }) => matches(hosts, form)).map(({ key }) => key);
      const usable = keys.filter((key) => !revoked.has(key));
      const best = PREFERENCE.flatMap(
        (type) => usable.find((key) => key.startsWith(`${type} `)) ?? [],
      );
      if (best[0] !== undefined) {
        return { key: best[0] };
      }
      unusable ??= usable.length > 0 ? "rsa" : keys.length > 0 ? "revoked" : undefined;
    }
  }
  return unusable === undefined ? undefined : { unusable };
}

/** Whether the first field of a line stands for a host: a hash of it, or a list of patterns. */
function matches(hosts: string, form: string): boolean {
  const lower = form.toLowerCase();
  if (hosts.startsWith("|1|")) {
    const [, , salt = "", hash = ""] = hosts.split("|");
    const digest = createHmac("sha1", Buffer.from(salt, "base64")).update(lower).digest("base64");
    return digest === hash;
  }
  let found = false;
  for (const pattern of hosts.toLowerCase().split(",")) {
    const negated = pattern.startsWith("!");
    if (glob(negated ? pattern.slice(1) : pattern).test(lower)) {
      if (negated) {
        return false;
      }
      found = true;
    }
  }
  return found;
}

function glob(pattern: string): RegExp {
  const escaped = pattern.replace(/[\\^$.|+()[\]{}]/g, "\\$&");
  return new RegExp(`^${escaped.replace(/\*/g, ".*").replace(/\?/g, ".")}$`);
}
