import { bridged } from "../shared/bridged";
import { number, text } from "../shared/values";
import { algorithms, contentId, curves, generateKey, publicKeyInfo } from "./keys";
import { opensshKey, publicPem } from "./openssh";
import { oneOf } from "./rules";

const privateTypes = { rsa: "pkcs1", ec: "sec1" } as const;

/** `tls:index/privateKey:PrivateKey`. */
export const privateKey = bridged({
  schemaVersion: 1,
  volatile: true,
  attributes: {
    algorithm: {
      from: "input",
      required: true,
      replace: "always",
      refuse: oneOf("algorithm", algorithms),
    },
    ecdsaCurve: {
      from: "default",
      default: "P224",
      replace: "always",
      refuse: oneOf("ecdsa_curve", Object.keys(curves)),
    },
    rsaBits: { from: "default", default: 2048, replace: "always" },
    privateKeyOpenssh: { from: "output", secret: true },
    privateKeyPem: { from: "output", secret: true },
    privateKeyPemPkcs8: { from: "output", secret: true },
    publicKeyFingerprintMd5: { from: "output" },
    publicKeyFingerprintSha256: { from: "output" },
    publicKeyOpenssh: { from: "output" },
    publicKeyPem: { from: "output" },
  },
  async make(inputs) {
    const key = await generateKey(
      text(inputs, "algorithm") ?? "",
      number(inputs, "rsaBits") ?? 0,
      text(inputs, "ecdsaCurve") ?? "",
    );
    const pkcs8 = key.export({ type: "pkcs8", format: "pem" }).toString();
    const kind = key.asymmetricKeyType;
    const own =
      kind === "rsa" || kind === "ec"
        ? key.export({ type: privateTypes[kind], format: "pem" }).toString()
        : pkcs8;
    const openssh = opensshKey(key);
    return {
      id: contentId(publicKeyInfo(key)),
      outputs: {
        privateKeyOpenssh: openssh?.privateKey ?? "",
        privateKeyPem: own,
        privateKeyPemPkcs8: pkcs8,
        publicKeyFingerprintMd5: openssh?.fingerprintMd5 ?? "",
        publicKeyFingerprintSha256: openssh?.fingerprintSha256 ?? "",
        publicKeyOpenssh: openssh?.publicKey ?? "",
        publicKeyPem: publicPem(key),
      },
    };
  },
});
