import { readFileSync, statSync } from "node:fs";

/** A private key that can be used, or why it cannot. */
export type PrivateKey =
  | {
      readonly kind: "key";
      /** Absent when the text was given. */
      readonly file?: string;
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
export function readPrivateKey(file: string, passphrase?: string): PrivateKey {
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
  const found = classify(text, passphrase, {
    private: "name the private one, which has no .pub at the end",
    file,
  });
  return found.kind === "key" ? { ...found, file } : found;
}

/** The same of a key whose text was given. */
export function readPrivateKeyText(text: string, passphrase?: string): PrivateKey {
  return classify(text, passphrase, { private: "write the text of the private one", file: "FILE" });
}

/** The operating system's name for an error, such as EACCES. */
export function reasonOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}

/** What golang.org/x/crypto/ssh decrypts of OpenSSH's own format; of the others it knows PEM's. */
const CIPHERS = ["aes256-ctr", "aes256-cbc"];

/** What to do about a key, in the words of those who gave its file, or its text. */
interface Remedy {
  /** Instead of a public key. */
  readonly private: string;
  /** For ssh-keygen. */
  readonly file: string;
}

function classify(text: string, passphrase: string | undefined, remedy: Remedy): PrivateKey {
  if (/^(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/]/.test(text)) {
    return {
      kind: "unusable",
      reason: `is a public key; ${remedy.private}`,
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
    return { kind: "key", text };
  }
  if (passphrase === undefined) {
    return { kind: "passphrase" };
  }
  const cipher = kind === "OPENSSH " ? cipherOf(body) : "";
  return kind === "ENCRYPTED " || (kind === "OPENSSH " && !CIPHERS.includes(cipher))
    ? {
        kind: "unusable",
        reason: `is encrypted in a way that the Pulumi provider cannot read (${cipher || "PKCS #8"}); run ssh-keygen -p -Z aes256-ctr -f ${remedy.file}`,
      }
    : { kind: "key", text, passphrase };
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
