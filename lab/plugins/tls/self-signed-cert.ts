import { bridged } from "../shared/bridged";
import { isProps, type Props, text, texts } from "../shared/values";
import { certificateAttributes, makeCertificate, renewal } from "./certificate";
import { type AltNames, addressBytes } from "./extensions";
import { algorithmOf, parsePrivateKey, publicKeyInfo } from "./keys";
import { emptyName, nameFrom } from "./name";

/** The properties that say for whom a certificate or a request is. */
export const subjectAttributes = {
  dnsNames: { from: "input", replace: "always", raw: "list" },
  ipAddresses: { from: "input", replace: "always", raw: "list" },
  subject: { from: "input", replace: "always", raw: "subject" },
  uris: { from: "input", replace: "always", raw: "list" },
  privateKeyPem: { from: "input", required: true, replace: "pem", secret: true },
  keyAlgorithm: { from: "output" },
} as const;

export function requestedName(inputs: Props): Buffer {
  return isProps(inputs.subject) ? nameFrom(inputs.subject) : emptyName;
}

export function requestedAltNames(inputs: Props): AltNames {
  return {
    dnsNames: texts(inputs, "dnsNames"),
    ipAddresses: texts(inputs, "ipAddresses").map(addressBytes),
    uris: texts(inputs, "uris"),
  };
}

/** The key in `privateKeyPem`, or in another property of that kind. */
export function inputKey(inputs: Props, property: string, what: string) {
  try {
    return parsePrivateKey(text(inputs, property) ?? "");
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Failed to parse ${what}: ${detail}`, { cause });
  }
}

/** `tls:index/selfSignedCert:SelfSignedCert`. */
export const selfSignedCert = bridged({
  attributes: {
    ...certificateAttributes,
    ...subjectAttributes,
    setAuthorityKeyId: { from: "default", default: false, replace: "always" },
  },
  ...renewal,
  async make(inputs) {
    const key = inputKey(inputs, "privateKeyPem", "private key PEM");
    const made = makeCertificate(
      inputs,
      {
        name: requestedName(inputs),
        publicKeyInfo: publicKeyInfo(key),
        names: requestedAltNames(inputs),
      },
      { key },
    );
    return { id: made.id, outputs: { ...made.outputs, keyAlgorithm: algorithmOf(key) } };
  },
});
