/** Client hellos as bytes (RFC 8446, 4.1.2): what no TLS library of today would still say. */
import { randomBytes } from "node:crypto";

/** What a hello says. All numbers are those of IANA's TLS registries. */
export interface Hello {
  /** Of the record; hellos of TLS 1.3 say 0x0301 here. */
  readonly record: number;
  readonly version: number;
  readonly suites: readonly number[];
  readonly compressions: readonly number[];
  /** Of the extension "supported_versions"; none leaves it and the key shares of TLS 1.3 out. */
  readonly versions: readonly number[];
  readonly groups: readonly number[];
  readonly signatures: readonly number[];
  /** Names of the extension "server_name"; none leaves it out. */
  readonly names: readonly string[];
  /** How often the extension stands there. */
  readonly repeated: number;
}

const AES_128_GCM = 0x1301;
const X25519 = 0x001d;
const P256 = 0x0017;
const ECDSA_P256 = 0x0403;
const RSA_PSS = 0x0804;
const RSA_PKCS1 = 0x0401;

/** TLS 1.3 as any client says it. */
export const MODERN: Hello = {
  record: 0x0301,
  version: 0x0303,
  suites: [AES_128_GCM],
  compressions: [0],
  versions: [0x0304],
  groups: [X25519, P256],
  signatures: [ECDSA_P256, RSA_PSS, RSA_PKCS1],
  names: [],
  repeated: 1,
};

const u8 = (value: number) => Buffer.from([value]);
const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
const list16 = (...parts: readonly Buffer[]) => {
  const all = Buffer.concat(parts);
  return Buffer.concat([u16(all.length), all]);
};
const list8 = (...parts: readonly Buffer[]) => {
  const all = Buffer.concat(parts);
  return Buffer.concat([u8(all.length), all]);
};
const extension = (type: number, body: Buffer) => Buffer.concat([u16(type), list16(body)]);

function extensions(hello: Hello): Buffer {
  const names = hello.names.map((name) => Buffer.concat([u8(0), list16(Buffer.from(name))]));
  const serverName = names.length === 0 ? [] : [extension(0, list16(...names))];
  const modern =
    hello.versions.length === 0
      ? []
      : [
          extension(43, list8(...hello.versions.map(u16))),
          extension(51, list16(u16(X25519), list16(randomBytes(32)))),
        ];
  return list16(
    ...Array(hello.repeated).fill(serverName).flat(),
    extension(10, list16(...hello.groups.map(u16))),
    extension(11, list8(u8(0))),
    extension(13, list16(...hello.signatures.map(u16))),
    ...modern,
  );
}

/** The record with the hello in it: MODERN with these changes. */
export function clientHello(change: Partial<Hello> = {}): Buffer {
  const hello = { ...MODERN, ...change };
  const body = Buffer.concat([
    u16(hello.version),
    randomBytes(32),
    list8(randomBytes(32)),
    list16(...hello.suites.map(u16)),
    list8(...hello.compressions.map(u8)),
    // SSL 3.0 has no extensions.
    ...(hello.version > 0x0300 ? [extensions(hello)] : []),
  ]);
  const message = Buffer.concat([u8(1), u8(0), u16(body.length), body]);
  return Buffer.concat([u8(0x16), u16(hello.record), list16(message)]);
}

/** A hello of SSL 2.0 (two bytes of length, no record). */
export function ssl2Hello(): Buffer {
  const suites = Buffer.from("0700c0060040010080030080020080", "hex");
  const challenge = randomBytes(16);
  const body = Buffer.concat([
    u8(1),
    u16(2),
    u16(suites.length),
    u16(0),
    u16(challenge.length),
    suites,
    challenge,
  ]);
  return Buffer.concat([u16(0x8000 | body.length), body]);
}

/** What a server's first bytes say: `hello` accepts, anything else does not. */
export function answerOf(bytes: Buffer): string {
  if (bytes.length === 0) {
    return "closed";
  }
  if (bytes[0] === 0x16 && bytes[5] === 2) {
    return "hello";
  }
  return bytes[0] === 0x15
    ? `alert ${bytes[6]}`
    : `other ${bytes.subarray(0, 16).toString("latin1")}`;
}
