import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign,
} from "node:crypto";
import { promisify } from "node:util";
import { nothing, octetString, oid, read, sequence } from "./der";
import { decodePem } from "./pem";

const generate = promisify(generateKeyPair);

/** OpenSSL's names of the curves. */
export const curves: Readonly<Record<string, string>> = {
  P224: "secp224r1",
  P256: "prime256v1",
  P384: "secp384r1",
  P521: "secp521r1",
};

export type Algorithm = "RSA" | "ECDSA" | "ED25519";
export const algorithms: readonly Algorithm[] = ["RSA", "ECDSA", "ED25519"];

/** Makes a key off the main thread, so that several are made at the same time. */
export async function generateKey(
  algorithm: string,
  rsaBits: number,
  curve: string,
): Promise<KeyObject> {
  switch (algorithm) {
    case "RSA":
      return (await generate("rsa", { modulusLength: rsaBits })).privateKey;
    case "ECDSA":
      return (await generate("ec", { namedCurve: curves[curve] ?? curve })).privateKey;
    case "ED25519":
      return (await generate("ed25519")).privateKey;
    default:
      throw new Error(`Invalid Key Algorithm: Key Algorithm "${algorithm}" is not supported`);
  }
}

export function algorithmOf(key: KeyObject): Algorithm {
  switch (key.asymmetricKeyType) {
    case "rsa":
      return "RSA";
    case "ec":
      return "ECDSA";
    case "ed25519":
      return "ED25519";
    default:
      throw new Error(`unsupported private key type: ${key.asymmetricKeyType}`);
  }
}

/** A private key in PKCS#1, SEC 1 or PKCS#8 PEM. Errors never quote the key. */
export function parsePrivateKey(pem: string): KeyObject {
  const block = decodePem(pem);
  if (!block) {
    const size = Buffer.byteLength(pem);
    throw new Error(`failed to decode PEM block: decoded bytes 0, undecoded ${size}`);
  }
  if (!["RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY"].includes(block.type)) {
    throw new Error(`unsupported PEM preamble/type: ${block.type}`);
  }
  try {
    const key = createPrivateKey(pem);
    algorithmOf(key);
    return key;
  } catch (cause) {
    throw new Error(`failed to parse private key given PEM preamble '${block.type}'`, { cause });
  }
}

export function publicKeyInfo(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: "spki", format: "der" });
}

/** SHA-1 over the key itself as the official plugin does it (for Ed25519 over its OCTET STRING). */
export function keyId(info: Buffer): Buffer {
  const [outer] = read(info);
  const [algorithm, bits] = outer ? read(outer.content) : [];
  if (!algorithm || !bits) throw new Error("failed to marshal public key");
  const key = bits.content.subarray(1);
  const ed25519 = read(algorithm.content)[0]?.raw.equals(oid("1.3.101.112"));
  return createHash("sha1")
    .update(ed25519 ? octetString(key) : key)
    .digest();
}

interface Signing {
  readonly digest: string | null;
  readonly algorithm: Buffer;
}

function signing(key: KeyObject): Signing {
  if (key.asymmetricKeyType === "rsa") {
    return { digest: "sha256", algorithm: sequence(oid("1.2.840.113549.1.1.11"), nothing) };
  }
  if (key.asymmetricKeyType === "ed25519") {
    return { digest: null, algorithm: sequence(oid("1.3.101.112")) };
  }
  switch (key.asymmetricKeyDetails?.namedCurve) {
    case "secp384r1":
      return { digest: "sha384", algorithm: sequence(oid("1.2.840.10045.4.3.3")) };
    case "secp521r1":
      return { digest: "sha512", algorithm: sequence(oid("1.2.840.10045.4.3.4")) };
    default:
      return { digest: "sha256", algorithm: sequence(oid("1.2.840.10045.4.3.2")) };
  }
}

export function signatureAlgorithm(key: KeyObject): Buffer {
  return signing(key).algorithm;
}

export function signature(key: KeyObject, content: Buffer): Buffer {
  return sign(signing(key).digest, content, key);
}

/** The official plugin's id of a key or request: SHA-1 in hex, white space at the ends left out. */
export function contentId(der: Buffer): string {
  const space = [0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x20];
  let end = der.length;
  while (end > 0 && space.includes(der[end - 1] ?? 0)) end -= 1;
  return createHash("sha1").update(der.subarray(0, end)).digest("hex");
}
