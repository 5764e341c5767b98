import { bridged } from "../shared/bridged";
import { bitString, element, integer, oid, sequence, set } from "./der";
import { subjectAltName } from "./extensions";
import { algorithmOf, contentId, publicKeyInfo, signature, signatureAlgorithm } from "./keys";
import { encodePem } from "./pem";
import { inputKey, requestedAltNames, requestedName, subjectAttributes } from "./self-signed-cert";

/** PKCS #9 extensionRequest. */
export const extensionRequest = "1.2.840.113549.1.9.14";

/** `tls:index/certRequest:CertRequest`. */
export const certRequest = bridged({
  attributes: { ...subjectAttributes, certRequestPem: { from: "output" } },
  async make(inputs) {
    const key = inputKey(inputs, "privateKeyPem", "private key PEM");
    const names = subjectAltName(requestedAltNames(inputs), false);
    const attributes = names.map((name) => sequence(oid(extensionRequest), set(sequence(name))));
    const content = sequence(
      integer(Buffer.from([0])),
      requestedName(inputs),
      publicKeyInfo(key),
      element(0xa0, ...attributes),
    );
    const request = sequence(content, signatureAlgorithm(key), bitString(signature(key, content)));
    return {
      id: contentId(request),
      outputs: {
        certRequestPem: encodePem("CERTIFICATE REQUEST", request),
        keyAlgorithm: algorithmOf(key),
      },
    };
  },
});
