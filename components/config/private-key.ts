import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";

/** Where the program runs: what paths and the agent are looked up in. */
export interface Surroundings {
  /** The project directory. */
  readonly directory: string;
  /** The operator's home directory. */
  readonly home: string;
  /** Value of SSH_AUTH_SOCK. */
  readonly agentSocket?: string;
}

/** Absolute form of a path that may start with `~/` or be relative to the project. */
export function expand(path: string, { directory, home }: Surroundings): string {
  if (path === "~" || path.startsWith("~/")) {
    return join(home, path.slice(1));
  }
  return isAbsolute(path) ? path : resolve(directory, path);
}

/** A private key that can be used, or why it cannot. */
export type KeyFile =
  | {
      readonly kind: "key";
      readonly file: string;
      readonly text: string;
      /** It is encrypted with this one. */
      readonly passphrase?: string;
    }
  | { readonly kind: "passphrase" }
  | { readonly kind: "absent" }
  | { readonly kind: "unusable"; readonly reason: string };

/**
 * Reads a private key file without ever asking for a passphrase.
 *
 * @param passphrase of keys that have one; whether it is the right one is seen at the login.
 */
export function readPrivateKey(file: string, passphrase?: string): KeyFile {
  let text: string;
  try {
    const found = statSync(file);
    if (!found.isFile()) {
      return { kind: "unusable", reason: "is not a file; name a private key" };
    }
    // OpenSSH ignores such a key, but only where the file is the caller's own.
    if (found.uid === process.getuid?.() && (found.mode & 0o077) !== 0) {
      return { kind: "unusable", reason: `can be read by others; run chmod 600 ${file}` };
    }
    text = readFileSync(file, "utf8");
  } catch (error) {
    return reasonOf(error) === "ENOENT"
      ? { kind: "absent" }
      : { kind: "unusable", reason: `cannot be read (${reasonOf(error)}); name a readable file` };
  }
  return classify(file, text, passphrase);
}

/** The operating system's name for an error, such as EACCES. */
export function reasonOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}

/** What golang.org/x/crypto/ssh decrypts of OpenSSH's own format; of the others it knows PEM's. */
const CIPHERS = ["aes256-ctr", "aes256-cbc"];

function classify(file: string, text: string, passphrase: string | undefined): KeyFile {
  if (/^(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/]/.test(text)) {
    return {
      kind: "unusable",
      reason: "is a public key; name the private one, which has no .pub at the end",
    };
  }
  const armour = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----\s([\s\S]*?)-----END /.exec(text);
  if (armour === null) {
    return {
      kind: "unusable",
      reason: "is no private key that OpenSSH reads; make one with ssh-keygen -t ed25519",
    };
  }
  const [, kind = "", body = ""] = armour;
  const locked =
    kind === "ENCRYPTED " ||
    /^Proc-Type: 4,ENCRYPTED/m.test(body) ||
    (kind === "OPENSSH " && cipherOf(body) !== "none");
  if (!locked) {
    return { kind: "key", file, text };
  }
  if (passphrase === undefined) {
    return { kind: "passphrase" };
  }
  const cipher = kind === "OPENSSH " ? cipherOf(body) : "";
  return kind === "ENCRYPTED " || (kind === "OPENSSH " && !CIPHERS.includes(cipher))
    ? {
        kind: "unusable",
        reason: `is encrypted in a way that the Pulumi provider cannot read (${cipher || "PKCS #8"}); run ssh-keygen -p -Z aes256-ctr -f ${file}`,
      }
    : { kind: "key", file, text, passphrase };
}

const MAGIC = "openssh-key-v1\0";

/** Name of the cipher in OpenSSH's own format: a length of four bytes behind the magic, the name. */
function cipherOf(body: string): string {
  const bytes = Buffer.from(body, "base64");
  const start = MAGIC.length + 4;
  if (bytes.length < start || bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) {
    return "none";
  }
  return bytes.toString("latin1", start, start + bytes.readUInt32BE(MAGIC.length));
}
