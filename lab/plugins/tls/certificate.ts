import { createPublicKey, type KeyObject, randomBytes } from "node:crypto";
import type { Attributes, Bridged } from "../shared/bridged";
import { flag, number, type Props, text, texts, unknown } from "../shared/values";
import { hoursAfter, now } from "./clock";
import { bitString, element, integer, sequence, time } from "./der";
import {
  type AltNames,
  authorityKeyId,
  basicConstraints,
  subjectAltName,
  subjectKeyId,
  usageExtensions,
} from "./extensions";
import { keyId, signature, signatureAlgorithm } from "./keys";
import { emptyName } from "./name";
import { encodePem } from "./pem";
import { atLeast, knownUses } from "./rules";

/** The properties that both kinds of certificates have. */
export const certificateAttributes: Attributes = {
  allowedUses: {
    from: "input",
    required: true,
    replace: "always",
    raw: "list",
    refuse: knownUses,
  },
  earlyRenewalHours: { from: "default", default: 0, refuse: atLeast("early_renewal_hours", 0) },
  isCaCertificate: { from: "default", default: false, replace: "always" },
  maxPathLength: { from: "derived", replace: "always", refuse: atLeast("max_path_length", -1) },
  setSubjectKeyId: { from: "default", default: false, replace: "always" },
  validityPeriodHours: {
    from: "input",
    required: true,
    replace: "always",
    refuse: atLeast("validity_period_hours", 0),
  },
  readyForRenewal: { from: "output", default: false },
  certPem: { from: "output" },
  validityStartTime: { from: "output" },
  validityEndTime: { from: "output" },
};

function due(state: Props): boolean {
  const end = text(state, "validityEndTime");
  if (end === undefined || end === unknown) return false;
  const early = number(state, "earlyRenewalHours") ?? 0;
  return hoursAfter(new Date(end), -early) <= now();
}

/** When a certificate is to be made anew: a refresh notices it, and so does the next diff. */
export const renewal: Pick<Bridged, "plan" | "refresh"> = {
  plan(planned, exists) {
    if (exists && due(planned)) {
      return {
        planned: { ...planned, readyForRenewal: unknown },
        replaces: ["readyForRenewal"],
      };
    }
    const validity = number(planned, "validityPeriodHours");
    const early = number(planned, "earlyRenewalHours") ?? 0;
    const always = validity !== undefined && (validity === 0 || early >= validity);
    return { planned: always ? { ...planned, readyForRenewal: true } : planned, replaces: [] };
  },
  refresh: (state) => (due(state) ? { ...state, readyForRenewal: true } : state),
};

/** What a certificate is made for. */
export interface Subject {
  readonly name: Buffer;
  readonly publicKeyInfo: Buffer;
  readonly names: AltNames;
}

/** Who signs it; a self-signed certificate has no parent. */
export interface Signer {
  readonly key: KeyObject;
  readonly parent?: {
    readonly name: Buffer;
    readonly keyId: Buffer | undefined;
    readonly publicKey: KeyObject;
  };
}

/** Makes a version 3 certificate with the fields and extensions of the official plugin, in its
 * order. Throws the official plugin's errors. */
export function makeCertificate(inputs: Props, subject: Subject, signer: Signer) {
  const isCa = flag(inputs, "isCaCertificate") ?? false;
  const maxPathLength = number(inputs, "maxPathLength") ?? 0;
  const withoutName = subject.name.equals(emptyName);
  if (isCa && withoutName) {
    throw new Error(
      "Invalid Certificate Subject: Must contain at least one Distinguished Name when creating " +
        "Certificate Authority (CA)",
    );
  }
  if (!isCa && maxPathLength > 0) {
    throw new Error(
      "Failed to create certificate: x509: only CAs are allowed to specify MaxPathLen",
    );
  }
  const { key, parent } = signer;
  if (parent && !createPublicKey(key).equals(parent.publicKey)) {
    throw new Error(
      "Failed to create certificate: x509: provided PrivateKey doesn't match parent's PublicKey",
    );
  }
  const ownKeyId =
    isCa || flag(inputs, "setSubjectKeyId") ? keyId(subject.publicKeyInfo) : undefined;
  let issuerKeyId: Buffer | undefined;
  if (parent && !parent.name.equals(subject.name)) issuerKeyId = parent.keyId;
  if (!parent && flag(inputs, "setAuthorityKeyId")) {
    if (!ownKeyId) {
      throw new Error(
        "Invalid Certificate Authority: Could not determine Authority Key Identifier",
      );
    }
    issuerKeyId = ownKeyId;
  }

  const serial = randomBytes(16);
  const start = now();
  const end = hoursAfter(start, number(inputs, "validityPeriodHours") ?? 0);
  const algorithm = signatureAlgorithm(key);
  const content = sequence(
    element(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    algorithm,
    parent?.name ?? subject.name,
    sequence(time(start), time(end)),
    subject.name,
    subject.publicKeyInfo,
    element(
      0xa3,
      sequence(
        ...usageExtensions(texts(inputs, "allowedUses")),
        basicConstraints(isCa, maxPathLength),
        ...(ownKeyId ? [subjectKeyId(ownKeyId)] : []),
        ...(issuerKeyId ? [authorityKeyId(issuerKeyId)] : []),
        ...subjectAltName(subject.names, withoutName),
      ),
    ),
  );
  const certificate = sequence(content, algorithm, bitString(signature(key, content)));
  return {
    id: BigInt(`0x${serial.toString("hex")}`).toString(),
    outputs: {
      certPem: encodePem("CERTIFICATE", certificate),
      validityStartTime: start.toISOString(),
      validityEndTime: end.toISOString(),
    },
  };
}
