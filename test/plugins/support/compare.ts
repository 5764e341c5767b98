import {
  isProps,
  isSecret,
  type Props,
  unwrap,
  type Value,
} from "../../../lab/plugins/shared/values";
import { certificateText, privateKeyText, publicKeyText, requestText } from "./openssl";

/** What the recordings have in place of any OpenSSH private key. */
const redacted = "<the SSH private key of the host>";

/** Describes values that are new with every call, so that two answers can be compared. */
export type Describe = (value: Value, key: string) => Value;

export const exactly: Describe = (value) => value;

const pem = /^-----BEGIN ([A-Z0-9 ]+)-----\n[\w+/=\n]+\n-----END \1-----\n$/;

function pemText(type: string, value: string): string {
  switch (type) {
    case "CERTIFICATE":
      return certificateText(value);
    case "CERTIFICATE REQUEST":
      return requestText(value);
    case "PUBLIC KEY":
      return publicKeyText(value);
    case "OPENSSH PRIVATE KEY":
      return "an OpenSSH private key";
    default:
      return privateKeyText(value);
  }
}

function described(value: string, key: string): string {
  const type = pem.exec(value)?.[1];
  if (type !== undefined) return pemText(type, value);
  if (value === redacted) return "an OpenSSH private key";
  if (/^(ssh|ecdsa)-\S+ AAAA\S+\n$/.test(value)) return `${value.split(" ")[0]}, ${value.length}`;
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){15}$/.test(value)) return "an MD5 fingerprint";
  if (/^SHA256:[\w+/]{43}$/.test(value)) return "a SHA-256 fingerprint";
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)) return "an RFC 3339 time";
  if (key === "id" && /^[0-9a-f]{40}$/.test(value)) return "a SHA-1 in hex";
  if (key === "id" && /^\d{36,39}$/.test(value)) return "128 bits in decimal";
  return value;
}

/** For what the tls plugin makes. */
export const byContent: Describe = (value, key) =>
  typeof value === "string" ? described(value, key) : value;

/** For 8 random bytes in each of the forms of a RandomId. */
export const randomBytes: Describe = (value, key) => {
  const forms: Record<string, RegExp> = {
    id: /^[\w-]{11}$/,
    b64Url: /^[\w-]{11}$/,
    b64Std: /^[A-Za-z0-9+/]{11}=$/,
    dec: /^\d{15,20}$/,
    hex: /^[0-9a-f]{16}$/,
  };
  return typeof value === "string" && forms[key]?.test(value) ? `8 bytes as ${key}` : value;
};

/** For the id of a command: its name and 8 random hexadecimal digits. */
export const commandId: Describe = (value, key) =>
  key === "id" && typeof value === "string" ? value.replace(/[0-9a-f]{8}$/, "<8 hex>") : value;

function show(value: Value | undefined): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

/** The differences between two answers, secretness included, each with its place. */
export function differences(
  expected: Value | undefined,
  actual: Value | undefined,
  describe: Describe,
  path = "",
): string[] {
  if (expected === undefined || actual === undefined) {
    if (expected === actual) return [];
    return [`${path}: expected ${show(expected)}, got ${show(actual)}`];
  }
  if (isSecret(expected) !== isSecret(actual)) {
    const [is, not] = isSecret(expected) ? ["secret", "clear"] : ["clear", "secret"];
    return [`${path}: expected it ${is}, got it ${not}`];
  }
  const left = unwrap(expected);
  const right = unwrap(actual);
  if (isProps(left) && isProps(right)) return differentProps(left, right, describe, path);
  if (Array.isArray(left) && Array.isArray(right)) {
    const length = Math.max(left.length, right.length);
    return Array.from({ length }, (_, index) => index).flatMap((index) =>
      differences(left[index], right[index], describe, `${path}[${index}]`),
    );
  }
  const key = path.split(".").pop() ?? "";
  const wanted = describe(left, key);
  const got = describe(right, key);
  return wanted === got ? [] : [`${path}: expected ${show(wanted)}, got ${show(got)}`];
}

function differentProps(left: Props, right: Props, describe: Describe, path: string): string[] {
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys]
    .sort()
    .flatMap((key) =>
      differences(left[key], right[key], describe, path === "" ? key : `${path}.${key}`),
    );
}
