import { createPrivateKey } from "node:crypto";
import { opensshKey } from "./openssh";
import { decodePem } from "./pem";

/** A private key in a format that SSH libraries read: PKCS#8 becomes OpenSSH's own. */
export function loadPrivateKey(key: string): string {
  const block = decodePem(key);
  if (block?.type !== "PRIVATE KEY") return key;
  return opensshKey(createPrivateKey(key))?.privateKey ?? key;
}
