import { X509Certificate } from "node:crypto";
import { bridged } from "../shared/bridged";
import { type Props, text } from "../shared/values";
import { extensionRequest } from "./cert-request";
import { certificateAttributes, makeCertificate, renewal, type Subject } from "./certificate";
import { children, oid, read } from "./der";
import { type AltNames, extensionOid, findExtension, readAltNames } from "./extensions";
import { algorithmOf } from "./keys";
import { copyName } from "./name";
import { decodePem } from "./pem";
import { inputKey } from "./self-signed-cert";

function pemBytes(inputs: Props, property: string, type: string): Buffer {
  const block = decodePem(text(inputs, property) ?? "");
  if (!block) throw new Error(`failed to decode PEM of expected type "${type}" from bytes`);
  if (block.type !== type) {
    throw new Error(`invalid PEM type - expected "${type}", got "${block.type}"`);
  }
  return block.bytes;
}

/** Puts what was being done before the reason why it failed. */
function doing<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${what}: ${detail}`, { cause });
  }
}

function readRequest(bytes: Buffer): Subject {
  const [content] = children(bytes);
  const [, name, info, attributes] = content ? read(content.content) : [];
  if (!name || !info) throw new Error("failed to parse certificate request: it is incomplete");
  let names: AltNames = { dnsNames: [], ipAddresses: [], uris: [] };
  for (const attribute of attributes ? read(attributes.content) : []) {
    const [type, values] = read(attribute.content);
    if (!type?.raw.equals(oid(extensionRequest)) || !values) continue;
    const [extensions] = read(values.content);
    const found = extensions && findExtension(extensions.content, extensionOid.subjectAltName);
    if (found) names = readAltNames(found);
  }
  return { name: copyName(name.content), publicKeyInfo: info.raw, names };
}

/** The CA of a PEM block's bytes, as a signer of others. */
export function readAuthority(bytes: Buffer) {
  const certificate = new X509Certificate(bytes);
  const [content] = children(bytes);
  const fields = content ? read(content.content) : [];
  // Version, serial number, algorithm, issuer, validity, subject: the version is always there,
  // as a certificate that signs others has extensions.
  const name = fields[5];
  if (!name) throw new Error("failed to parse certificate: it has no subject");
  const wrapper = fields.find((field) => field.tag === 0xa3);
  const [extensions] = wrapper ? read(wrapper.content) : [];
  const found = extensions && findExtension(extensions.content, extensionOid.subjectKeyId);
  return {
    isCa: certificate.ca,
    parent: {
      name: name.raw,
      keyId: found ? read(found)[0]?.content : undefined,
      publicKey: certificate.publicKey,
    },
  };
}

/** `tls:index/locallySignedCert:LocallySignedCert`. */
export const locallySignedCert = bridged({
  attributes: {
    ...certificateAttributes,
    caCertPem: { from: "input", required: true, replace: "pem" },
    caPrivateKeyPem: { from: "input", required: true, replace: "pem", secret: true },
    certRequestPem: { from: "input", required: true, replace: "pem" },
    caKeyAlgorithm: { from: "output" },
  },
  ...renewal,
  async make(inputs, context) {
    const subject = doing("Failed to parse certificate request PEM", () =>
      readRequest(pemBytes(inputs, "certRequestPem", "CERTIFICATE REQUEST")),
    );
    const key = inputKey(inputs, "caPrivateKeyPem", "CA private key PEM");
    const { isCa, parent } = doing("Failed to parse CA certificate PEM", () =>
      readAuthority(pemBytes(inputs, "caCertPem", "CERTIFICATE")),
    );
    if (!isCa) {
      context.log(
        "warning",
        "Certificate provided as Authority does not appear to be a valid Certificate Authority. " +
          "The resulting certificate might fail certificate validation.: " +
          "Potentially Invalid Certificate Authority",
      );
    }
    const made = makeCertificate(inputs, subject, { key, parent });
    return { id: made.id, outputs: { ...made.outputs, caKeyAlgorithm: algorithmOf(key) } };
  },
});
