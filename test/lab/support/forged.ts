/** Certificates that a cluster's CA, or somebody else, could have signed. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { makeCertificate, type Signer } from "../../../lab/plugins/tls/certificate";
import { addressBytes } from "../../../lab/plugins/tls/extensions";
import { publicKeyInfo } from "../../../lab/plugins/tls/keys";
import { readAuthority } from "../../../lab/plugins/tls/locally-signed-cert";
import { nameFrom } from "../../../lab/plugins/tls/name";
import { decodePem, encodePem } from "../../../lab/plugins/tls/pem";

export interface Pair {
  /** PEM; with those of its issuers behind it where the other side cannot know them. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
}

export interface Wish {
  readonly commonName: string;
  /** Names beside it in the subject. @default none */
  readonly subject?: Readonly<Record<string, string>>;
  /** As the tls provider spells them. */
  readonly uses: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Begin of validity in hours from now. @default one hour ago */
  readonly begins?: number;
  /** @default 24 */
  readonly hours?: number;
  readonly isCa?: boolean;
}

const DAY = 24;

const der = (pem: string) => decodePem(pem)?.bytes ?? Buffer.alloc(0);

/** @param issuer who signs; undefined for a certificate that signs itself. */
export function forge(wish: Wish, issuer?: Pair): Pair {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const signer: Signer =
    issuer === undefined
      ? { key: privateKey }
      : {
          key: createPrivateKey(issuer.key),
          parent: readAuthority(der(issuer.certificate)).parent,
        };
  return {
    certificate: sign(wish, privateKey, signer),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** The stand-in's clock is moved for this one certificate. */
function sign(wish: Wish, key: KeyObject, signer: Signer): string {
  const { LAB_NOW: before = "" } = process.env;
  process.env.LAB_NOW = new Date(Date.now() + (wish.begins ?? -1) * 3_600_000).toISOString();
  try {
    return makeCertificate(
      {
        allowedUses: [...wish.uses],
        validityPeriodHours: wish.hours ?? DAY,
        isCaCertificate: wish.isCa ?? false,
      },
      {
        name: nameFrom({ commonName: wish.commonName, ...wish.subject }),
        publicKeyInfo: publicKeyInfo(key),
        names: {
          dnsNames: wish.dnsNames ?? [],
          ipAddresses: (wish.ipAddresses ?? []).map(addressBytes),
          uris: [],
        },
      },
      signer,
    ).outputs.certPem;
  } finally {
    process.env.LAB_NOW = before;
  }
}

/** The pair with another last byte of its signature. */
export function corrupted(pair: Pair): Pair {
  const bytes = Buffer.from(der(pair.certificate));
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) ^ 1;
  return { ...pair, certificate: encodePem("CERTIFICATE", bytes) };
}

/** The pair, and its issuer's certificate shown with it. */
export function through(pair: Pair, issuer: Pair): Pair {
  return { ...pair, certificate: pair.certificate + issuer.certificate };
}
