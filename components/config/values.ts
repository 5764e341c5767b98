import { z } from "zod";
import {
  ACCEPTED,
  DEFAULT_VERSION,
  formatVersion,
  parseVersion,
  versionProblem,
} from "../etcd/versions";
import { asText, leaf, Refusal, VALUE } from "./fields";

/** A version that is accepted, without its `v`. */
export const version: z.ZodType<string> = leaf({
  type: "string",
  is: "an etcd version",
  write: `a release such as ${DEFAULT_VERSION}`,
  read: (value) => {
    const parsed = parseVersion(asText(value) ?? "");
    if (parsed === undefined) {
      return undefined;
    }
    const problem = versionProblem(parsed);
    return problem === undefined
      ? formatVersion(parsed)
      : new Refusal(
          `${VALUE} ${problem}; accepted are ${ACCEPTED}, for example ${DEFAULT_VERSION}`,
        );
  },
});

/** Base URL of a mirror, without trailing slash. */
export const downloadUrl: z.ZodType<string> = leaf({
  type: "string",
  is: "an http or https URL",
  write: "the address that vVERSION/etcd-vVERSION-linux-ARCH.tar.gz is found below",
  read: (value) => {
    if (typeof value !== "string" || !URL.canParse(value)) {
      return undefined;
    }
    const url = new URL(value);
    if (url.username !== "" || url.password !== "") {
      // The value is not shown: it holds a password.
      return new Refusal("has a user name or password in it; use a mirror that needs none");
    }
    if (!/^https?:$/.test(url.protocol) || !/^[\w.~:/%[\]@+-]+$/.test(value)) {
      return undefined;
    }
    return value.replace(/\/+$/, "");
  },
});

const digest = (value: unknown): string | undefined =>
  typeof value === "string" && /^[0-9a-f]{64}$/i.test(value) ? value.toLowerCase() : undefined;

const DIGEST: z.ZodType<string> = leaf({
  type: "string",
  is: "a SHA-256 digest",
  write: "the 64 hexadecimal digits that sha256sum prints for the tarball",
  read: digest,
});

/** What a change of where a release comes from does on a running cluster. */
export const RELEASE = "The steps `install` run again; no restart.";

/** A digest for each architecture. */
export const sha256 = z.strictObject({
  amd64: DIGEST.optional().meta({ description: "Digest of the tarball for amd64.", edit: RELEASE }),
  arm64: DIGEST.optional().meta({ description: "Digest of the tarball for arm64.", edit: RELEASE }),
});

/** A digest alone is that of amd64. */
export const digestOfAmd64 = DIGEST.transform((amd64): z.output<typeof sha256> => ({ amd64 }));

/** What a flag of etcd is set to. */
export const scalar: z.ZodType<string> = leaf({
  type: "string, integer or boolean",
  is: "one value",
  write: "a text, a number, true or false",
  read: (value) =>
    typeof value === "number" && !Number.isFinite(value) ? undefined : asText(value),
});

/** A password or passphrase: it is sent as a line, and no message repeats it. */
export const secret: z.ZodType<string> = leaf({
  type: "secret string",
  is: "",
  write: "",
  read: (value) => {
    const found = asText(value);
    return found !== undefined && /^[^\p{Cc}]{1,1024}$/u.test(found)
      ? found
      : new Refusal("is not one line of 1 to 1024 characters");
  },
});
/** The text of a private key, which no message repeats; whether it is one is looked at with the other keys. */
export const keyText: z.ZodType<string> = leaf({
  type: "secret string",
  is: "",
  write: "",
  // The end of the last line is lost in many ways, and OpenSSH reads no key without.
  read: (value) =>
    typeof value === "string" && /\S\r?\n./.test(value)
      ? `${value.replaceAll("\r\n", "\n").trim()}\n`
      : new Refusal("is not the text of a private key; write all its lines, or name its file"),
});

/** Path on the operator's machine. */
export const path: z.ZodType<string> = leaf({
  type: "string",
  is: "a path",
  write: "the path of a file, absolute, below ~ or below the project directory",
  read: (value) =>
    typeof value === "string" && /^[^\p{C}]+$/u.test(value) && !/^~[^/]/.test(value)
      ? value
      : undefined,
});

/** The directories that belong to the system or to etcd's data: ours must be below or beside. */
const FORBIDDEN =
  /^\/($|(bin|boot|dev|etc|home|lib|lib64|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)$)/;
const NEVER_BELOW = /^\/(dev|proc|sys|run|tmp|boot|var\/tmp|var\/lib\/etcd)(\/|$)/;

/** Directory on the hosts that holds nothing but our certificates. */
export const directory: z.ZodType<string> = leaf({
  type: "string",
  is: "an absolute path of plain characters",
  write: "a directory such as /etc/kubernetes/pki/etcd",
  read: (value) => {
    if (typeof value !== "string" || !/^(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\/?$/.test(value)) {
      return undefined;
    }
    const found = value.replace(/\/$/, "");
    if (FORBIDDEN.test(found || "/") || found === "/etc/ssl" || found === "/etc/ssl/certs") {
      return new Refusal(
        `${VALUE} belongs to the system; write a directory of its own such as /etc/kubernetes/pki/etcd`,
      );
    }
    if (NEVER_BELOW.test(found)) {
      return new Refusal(
        `${VALUE} is emptied or belongs to etcd's data; write a directory such as /etc/kubernetes/pki/etcd`,
      );
    }
    return found;
  },
});

const KEY_TYPES = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))$/;

/** Reads a public key of a host, dropping a comment; undefined when it is none. */
export function readHostKey(value: string): string | undefined {
  const [type = "", blob = ""] = value.trim().split(/\s+/);
  if (!KEY_TYPES.test(type) || !/^[A-Za-z0-9+/]+={0,2}$/.test(blob)) {
    return undefined;
  }
  const bytes = Buffer.from(blob, "base64");
  // The blob starts with the type once more, behind its length in four bytes.
  const named = bytes.length > 4 + type.length && bytes.readUInt32BE(0) === type.length;
  return named && bytes.toString("latin1", 4, 4 + type.length) === type
    ? `${type} ${blob}`
    : undefined;
}

/** Public key of a host in the form of an authorized_keys file, without comment. */
export const hostKey: z.ZodType<string> = leaf({
  type: "string",
  is: "a public host key",
  write: "its type and its base64 text such as ssh-ed25519 AAAA...",
  read: (value) => {
    const key = typeof value === "string" ? readHostKey(value) : undefined;
    return key?.startsWith("ssh-rsa ")
      ? new Refusal(
          "is an RSA key, which is asked for in a form that current servers refuse; " +
            "write the host's ssh-ed25519 or ecdsa key",
        )
      : key;
  },
});
