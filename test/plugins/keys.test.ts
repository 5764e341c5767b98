import { describe, expect, it } from "vitest";
import { call } from "./support/calls";
import { pem, run, urn, useTlsPlugin } from "./support/tls-fixture";

const tls = useTlsPlugin();

describe("private keys", () => {
  it.each([
    [{ algorithm: "RSA" }, "RSA PRIVATE KEY", "ssh-rsa"],
    [{ algorithm: "RSA", rsaBits: 3072 }, "RSA PRIVATE KEY", "ssh-rsa"],
    [{ algorithm: "ECDSA", ecdsaCurve: "P256" }, "EC PRIVATE KEY", "ecdsa-sha2-nistp256"],
    [{ algorithm: "ECDSA", ecdsaCurve: "P384" }, "EC PRIVATE KEY", "ecdsa-sha2-nistp384"],
    [{ algorithm: "ECDSA", ecdsaCurve: "P521" }, "EC PRIVATE KEY", "ecdsa-sha2-nistp521"],
    [{ algorithm: "ED25519" }, "PRIVATE KEY", "ssh-ed25519"],
  ])("%j has each form, and OpenSSL and OpenSSH agree on them", async (inputs, header, type) => {
    const key = await tls.create("key", inputs);
    expect(key.privateKeyPem?.split("\n")[0]).toBe(`-----BEGIN ${header}-----`);
    expect(key.privateKeyPemPkcs8?.split("\n")[0]).toBe("-----BEGIN PRIVATE KEY-----");
    for (const form of ["privateKeyPem", "privateKeyPemPkcs8"]) {
      const path = tls.file(`${form}.pem`, key[form]);
      expect(run("openssl", "pkey", "-in", path, "-pubout")).toBe(key.publicKeyPem);
    }
    const openssh = tls.file("openssh", key.privateKeyOpenssh);
    const [name, blob] = pem(key, "publicKeyOpenssh").trim().split(" ");
    expect(name).toBe(type);
    expect(run("ssh-keygen", "-y", "-f", openssh).trim().split(" ")[1]).toBe(blob);
    const fingerprint = (hash: string) => run("ssh-keygen", "-l", "-E", hash, "-f", openssh);
    expect(fingerprint("sha256").split(" ")[1]).toBe(key.publicKeyFingerprintSha256);
    expect(fingerprint("md5").split(" ")[1]).toBe(`MD5:${key.publicKeyFingerprintMd5}`);
  });

  it("on P224 has no OpenSSH form", async () => {
    const key = await tls.create("key", { algorithm: "ECDSA" });
    expect(run("openssl", "pkey", "-in", tls.file("p224", key.privateKeyPem), "-pubout")).toBe(
      key.publicKeyPem,
    );
    expect(key).toMatchObject({ ecdsaCurve: "P224", privateKeyOpenssh: "", publicKeyOpenssh: "" });
  });

  it("are refused with an unknown algorithm or curve", async () => {
    const news = { algorithm: "DSA", ecdsaCurve: "P255" };
    const { failures } = await call(tls.plugin, "Check", { urn: urn("key"), news });
    expect(failures).toEqual([
      {
        property: "algorithm",
        reason: 'Attribute algorithm value must be one of: ["RSA" "ECDSA" "ED25519"], got: "DSA"',
      },
      {
        property: "ecdsaCurve",
        reason:
          'Attribute ecdsa_curve value must be one of: ["P224" "P256" "P384" "P521"], got: "P255"',
      },
    ]);
  });
});
