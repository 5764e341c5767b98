import { createHash, createPublicKey, type KeyObject, randomBytes } from "node:crypto";
import { encodePem } from "./pem";

/** OpenSSH's formats of a key; P-224 has none. */
export interface OpensshKey {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly fingerprintMd5: string;
  readonly fingerprintSha256: string;
}

function string(content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A non-negative multiple precision integer (RFC 4251, 5). */
function mpint(base64url: string | undefined): Buffer {
  const bytes = Buffer.from(base64url ?? "", "base64url");
  const start = bytes.findIndex((byte) => byte !== 0);
  const short = start < 0 ? Buffer.alloc(0) : bytes.subarray(start);
  return string((short[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), short]) : short);
}

interface Encoded {
  readonly type: string;
  /** What follows the type in the public and in the private form. */
  readonly publicParts: Buffer[];
  readonly privateParts: Buffer[];
}

function encode(key: KeyObject): Encoded | undefined {
  if (key.asymmetricKeyType === "ed25519") {
    const { d, x } = key.export({ format: "jwk" });
    const seed = Buffer.from(d ?? "", "base64url");
    const point = Buffer.from(x ?? "", "base64url");
    const publicParts = [string(point)];
    const privateParts = [...publicParts, string(Buffer.concat([seed, point]))];
    return { type: "ssh-ed25519", publicParts, privateParts };
  }
  if (key.asymmetricKeyType === "rsa") {
    const { n, e, d, p, q, qi } = key.export({ format: "jwk" });
    return {
      type: "ssh-rsa",
      publicParts: [mpint(e), mpint(n)],
      privateParts: [mpint(n), mpint(e), mpint(d), mpint(qi), mpint(p), mpint(q)],
    };
  }
  const curve = { prime256v1: "nistp256", secp384r1: "nistp384", secp521r1: "nistp521" }[
    key.asymmetricKeyDetails?.namedCurve ?? ""
  ];
  if (curve === undefined) return undefined;
  const { d, x, y } = key.export({ format: "jwk" });
  const coordinates = [x, y].map((value) => Buffer.from(value ?? "", "base64url"));
  const point = Buffer.concat([Buffer.from([4]), ...coordinates]);
  const publicParts = [string(curve), string(point)];
  return {
    type: `ecdsa-sha2-${curve}`,
    publicParts,
    privateParts: [...publicParts, mpint(d)],
  };
}

/** An unencrypted `openssh-key-v1` file without a comment. */
export function opensshKey(key: KeyObject): OpensshKey | undefined {
  const encoded = encode(key);
  if (!encoded) return undefined;
  const { type, publicParts, privateParts } = encoded;
  const blob = Buffer.concat([string(type), ...publicParts]);
  const check = randomBytes(4);
  const body = Buffer.concat([check, check, string(type), ...privateParts, string("")]);
  const padding = Buffer.from(Array.from({ length: -body.length & 7 }, (_, index) => index + 1));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    ...["none", "none", ""].map(string),
    Buffer.from([0, 0, 0, 1]),
    string(blob),
    string(Buffer.concat([body, padding])),
  ]);
  const md5 = createHash("md5").update(blob).digest("hex");
  const sha256 = createHash("sha256").update(blob).digest("base64").replace(/=+$/, "");
  return {
    privateKey: encodePem("OPENSSH PRIVATE KEY", file),
    publicKey: `${type} ${blob.toString("base64")}\n`,
    fingerprintMd5: md5.match(/../g)?.join(":") ?? "",
    fingerprintSha256: `SHA256:${sha256}`,
  };
}

/** The public half of a private key, in PEM. */
export function publicPem(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
}
