import { isIPv4, isIPv6 } from "node:net";
import { bitString, element, integer, octetString, oid, read, sequence, tag, yes } from "./der";

export const extensionOid = {
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Bit numbers of RFC 5280, 4.2.1.3. */
const keyUsages: Readonly<Record<string, number>> = {
  digital_signature: 0,
  content_commitment: 1,
  key_encipherment: 2,
  data_encipherment: 3,
  key_agreement: 4,
  cert_signing: 5,
  crl_signing: 6,
  encipher_only: 7,
  decipher_only: 8,
};

const extendedKeyUsages: Readonly<Record<string, string>> = {
  any_extended: "2.5.29.37.0",
  server_auth: "1.3.6.1.5.5.7.3.1",
  client_auth: "1.3.6.1.5.5.7.3.2",
  code_signing: "1.3.6.1.5.5.7.3.3",
  email_protection: "1.3.6.1.5.5.7.3.4",
  ipsec_end_system: "1.3.6.1.5.5.7.3.5",
  ipsec_tunnel: "1.3.6.1.5.5.7.3.6",
  ipsec_user: "1.3.6.1.5.5.7.3.7",
  timestamping: "1.3.6.1.5.5.7.3.8",
  ocsp_signing: "1.3.6.1.5.5.7.3.9",
  microsoft_server_gated_crypto: "1.3.6.1.4.1.311.10.3.3",
  netscape_server_gated_crypto: "2.16.840.1.113730.4.1",
  microsoft_commercial_code_signing: "1.3.6.1.4.1.311.2.1.22",
  microsoft_kernel_code_signing: "1.3.6.1.4.1.311.61.1.1",
};

export const allowedUses = [...Object.keys(keyUsages), ...Object.keys(extendedKeyUsages)].sort();

/** Subject alternative names, each kind in the order given. */
export interface AltNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly Buffer[];
  readonly uris: readonly string[];
}

/** The 4 or 16 bytes of an address in text. Throws for anything else. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  if (!isIPv6(address) || address.includes("%")) {
    throw new Error(`Invalid IP address: Failed to parse ${JSON.stringify(address)}`);
  }
  // The URL parser spells every form of an address out in the same canonical way.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = canonical.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? [] : Array(8 - left.length - right.length).fill("0");
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...left, ...gap, ...right].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  }
  const mapped = bytes.subarray(0, 12).equals(Buffer.from("00000000000000000000ffff", "hex"));
  return mapped ? bytes.subarray(12) : bytes;
}

function extension(type: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(type), ...(critical ? [yes()] : []), octetString(value));
}

/** Key usage and extended key usage, each only if asked for. */
export function usageExtensions(uses: readonly string[]): Buffer[] {
  const bits = uses.flatMap((use) => keyUsages[use] ?? []);
  const extended = uses.flatMap((use) => extendedKeyUsages[use] ?? []);
  const result: Buffer[] = [];
  if (bits.length > 0) {
    const last = Math.max(...bits);
    const bytes = Buffer.alloc(last < 8 ? 1 : 2);
    for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
    result.push(extension(extensionOid.keyUsage, bitString(bytes, 7 - (last & 7)), true));
  }
  if (extended.length > 0) {
    result.push(extension(extensionOid.extendedKeyUsage, sequence(...extended.map(oid))));
  }
  return result;
}

/** A path length of 0 is left out, as the official plugin leaves it out. */
export function basicConstraints(isCa: boolean, maxPathLength: number): Buffer {
  const content: Buffer[] = isCa ? [yes()] : [];
  if (maxPathLength > 0) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(maxPathLength);
    content.push(integer(bytes));
  }
  return extension(extensionOid.basicConstraints, sequence(...content), true);
}

export function subjectKeyId(id: Buffer): Buffer {
  return extension(extensionOid.subjectKeyId, octetString(id));
}

export function authorityKeyId(id: Buffer): Buffer {
  return extension(extensionOid.authorityKeyId, sequence(element(0x80, id)));
}

export function subjectAltName(names: AltNames, critical: boolean): Buffer[] {
  const ascii = (name: string) => {
    if (/[^ -~]/.test(name)) {
      throw new Error(`x509: ${JSON.stringify(name)} cannot be encoded as an IA5String`);
    }
    return Buffer.from(name);
  };
  const all = [
    ...names.dnsNames.map((name) => element(0x82, ascii(name))),
    ...names.ipAddresses.map((address) => element(0x87, address)),
    ...names.uris.map((uri) => element(0x86, ascii(uri))),
  ];
  if (all.length === 0) return [];
  return [extension(extensionOid.subjectAltName, sequence(...all), critical)];
}

/** The value of an extension in a list of extensions. */
export function findExtension(extensions: Buffer, type: string): Buffer | undefined {
  for (const item of read(extensions)) {
    const parts = read(item.content);
    const value = parts.at(-1);
    if (parts[0]?.raw.equals(oid(type)) && value?.tag === tag.octetString) return value.content;
  }
  return undefined;
}

/** Reads the names that the official plugin copies from a request. */
export function readAltNames(value: Buffer): AltNames {
  const [list] = read(value);
  const names = list ? read(list.content) : [];
  const contents = (type: number) =>
    names.filter((name) => name.tag === type).map((name) => name.content);
  return {
    dnsNames: contents(0x82).map(String),
    ipAddresses: contents(0x87),
    uris: contents(0x86).map(String),
  };
}
