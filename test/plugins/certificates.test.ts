import { describe, expect, it } from "vitest";
import { type Props, plainProps, unknown } from "../../lab/plugins/shared/values";
import { call } from "./support/calls";
import { byContent, differences } from "./support/compare";
import { certificateSerial, certificateText, requestText, verify } from "./support/openssl";
import { PluginProcess } from "./support/plugin-process";
import { pem, props, recordedCertificate, urn, useTlsPlugin } from "./support/tls-fixture";

const tls = useTlsPlugin();

const subject = {
  country: "ES",
  province: "Madrid",
  locality: "Alcalá",
  streetAddresses: ["Calle Mayor 1", "2º"],
  postalCode: "28801",
  organization: "etcd & co",
  organizationalUnit: "ops",
  commonName: "etcd01",
  serialNumber: "7",
  emailAddress: "ops@example.org",
};

describe("certificates", () => {
  it.each([
    [{ algorithm: "RSA" }, "sha256WithRSAEncryption"],
    [{ algorithm: "ECDSA", ecdsaCurve: "P256" }, "ecdsa-with-SHA256"],
    [{ algorithm: "ECDSA", ecdsaCurve: "P384" }, "ecdsa-with-SHA384"],
    [{ algorithm: "ECDSA", ecdsaCurve: "P521" }, "ecdsa-with-SHA512"],
    [{ algorithm: "ED25519" }, "ED25519"],
  ])("of an authority with %j verify", async (algorithm, signature) => {
    const ca = await tls.authority(algorithm, { setAuthorityKeyId: true });
    const { certificate } = await tls.leaf(
      ca,
      {
        subject: { commonName: "leaf" },
        dnsNames: ["leaf"],
        ipAddresses: ["::1", "2001:db8::ff00:42:8329", "10.0.0.1"],
        uris: ["https://leaf/x"],
      },
      { setSubjectKeyId: true },
    );
    const text = certificateText(pem(certificate, "certPem"));
    expect(text).toContain(`Signature Algorithm: ${signature}\n`);
    expect(text).toContain(
      "DNS:leaf, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:FF00:42:8329, " +
        "IP Address:10.0.0.1, URI:https://leaf/x",
    );
    expect(text).toContain("valid for 36000 s");
    expect(certificate.id).toBe(certificateSerial(pem(certificate, "certPem")));
    const [leafFile, caFile] = [
      tls.file("leaf.pem", certificate.certPem),
      tls.file("ca.pem", ca.certificate.certPem),
    ];
    expect(verify(leafFile, caFile)).toBe(`${leafFile}: OK\n`);
  });

  it("have their names in the official order, and lose the email address of the request", async () => {
    const ca = await tls.authority({ algorithm: "ED25519" }, { subject });
    const { request, certificate } = await tls.leaf(ca, { subject });
    const shown = (text: string, label: string) =>
      new RegExp(`${label}: (.*)`).exec(text)?.[1]?.replace(/[A-Z0-9]+STRING:/g, "");
    const common =
      "C=ES, ST=Madrid, L=Alcalá, street=Calle Mayor 1+street=2º, postalCode=28801, " +
      "O=etcd & co, OU=ops, CN=etcd01, serialNumber=7";
    const reversed = (text: string | undefined) =>
      text
        ?.replace(/\\C3\\A1/g, "á")
        .replace(/\\C2\\BA/g, "º")
        .split(/,\s?/)
        .reverse()
        .join(", ");
    expect(reversed(shown(requestText(pem(request, "certRequestPem")), "Subject"))).toBe(
      `${common}, emailAddress=ops@example.org`,
    );
    const text = certificateText(pem(certificate, "certPem"));
    expect(reversed(shown(text, "Subject"))).toBe(common);
    expect(reversed(shown(text, "Issuer"))).toBe(`${common}, emailAddress=ops@example.org`);
  });

  it("name what is wrong with what they are made from", async () => {
    const ca = await tls.authority({ algorithm: "ED25519" });
    const other = await tls.authority({ algorithm: "ED25519" });
    const { inputs } = await tls.leaf(ca, {});
    const make = (more: Props) => tls.create("certificate", { ...inputs, ...more });
    await expect(make({ caPrivateKeyPem: pem(other.key, "privateKeyPem") })).rejects.toThrow(
      "desc = Failed to create certificate: x509: provided PrivateKey doesn't match parent's " +
        "PublicKey",
    );
    await expect(make({ caPrivateKeyPem: "canary" })).rejects.toThrow(
      /desc = Failed to parse CA private key PEM: failed to decode PEM block: .* undecoded 6$/,
    );
    await expect(make({ certRequestPem: pem(ca.certificate, "certPem") })).rejects.toThrow(
      'Failed to parse certificate request PEM: invalid PEM type - expected "CERTIFICATE ' +
        'REQUEST", got "CERTIFICATE"',
    );
    await expect(make({ maxPathLength: 1 })).rejects.toThrow(
      "x509: only CAs are allowed to specify MaxPathLen",
    );
    await expect(tls.authority({ algorithm: "ED25519" }, { subject: {} })).rejects.toThrow(
      "Must contain at least one Distinguished Name",
    );
    const address = { ipAddresses: ["1.2.3"], privateKeyPem: pem(ca.key, "privateKeyPem") };
    await expect(tls.create("request", address)).rejects.toThrow(
      'Invalid IP address: Failed to parse "1.2.3"',
    );
  });

  it("preview what is known, the rest unknown", async () => {
    const properties = {
      allowedUses: ["server_auth"],
      caCertPem: unknown,
      caPrivateKeyPem: unknown,
      certRequestPem: unknown,
      validityPeriodHours: 5,
    };
    const answer = await call(tls.plugin, "Create", {
      urn: urn("certificate"),
      properties,
      preview: true,
    });
    expect(plainProps(props(answer.properties))).toEqual({
      ...properties,
      caKeyAlgorithm: unknown,
      certPem: unknown,
      earlyRenewalHours: 0,
      id: unknown,
      isCaCertificate: false,
      maxPathLength: unknown,
      readyForRenewal: false,
      setSubjectKeyId: false,
      validityEndTime: unknown,
      validityStartTime: unknown,
    });
  });
});

describe("renewal", () => {
  it("is found due by a refresh and by the next diff once the window is open", async () => {
    const { inputs, state } = recordedCertificate();
    const at = async (moment: string) => {
      const later = await PluginProcess.start(tls.directory, "tls", { LAB_NOW: moment });
      const common = { urn: urn("certificate"), id: "1" };
      const read = await call(later, "Read", { ...common, inputs, properties: state });
      const diff = { ...common, olds: plainProps(state), oldInputs: inputs, news: inputs };
      const { diffs, replaces } = await call(later, "Diff", diff);
      const earlier = { ...inputs, earlyRenewalHours: 1 };
      const edited = await call(later, "Diff", { ...diff, news: earlier });
      const updated = await call(later, "Update", { ...diff, news: earlier });
      await later.stop();
      return {
        ready: props(read.properties).readyForRenewal,
        diffs,
        replaces,
        edited: edited.diffs,
        hours: props(updated.properties).earlyRenewalHours,
      };
    };
    const calm = { edited: ["earlyRenewalHours"], hours: 1 };
    // It ends 2031-11-21 at 18:09:13, and its window opens 720 hours before.
    expect(await at("2031-10-22T18:09:13Z")).toEqual({
      ...calm,
      ready: false,
      diffs: [],
      replaces: [],
    });
    expect(await at("2031-10-22T18:09:14Z")).toEqual({
      ...calm,
      ready: true,
      diffs: ["readyForRenewal"],
      replaces: ["readyForRenewal"],
    });
  });
});

describe("the comparison of certificates notices", () => {
  const changes: Props[] = [
    { allowedUses: ["digital_signature", "key_encipherment", "server_auth"] },
    { allowedUses: ["key_encipherment", "server_auth", "client_auth"] },
    { allowedUses: ["digital_signature", "key_encipherment", "client_auth", "server_auth"] },
    { setSubjectKeyId: false },
    { validityPeriodHours: 43801 },
    { isCaCertificate: true },
  ];

  it.each(changes)("%j", async (change) => {
    const { inputs, state } = recordedCertificate();
    const certificate = async (properties: Props) => {
      const answer = await call(tls.plugin, "Create", { urn: urn("certificate"), properties });
      return props(answer.properties).certPem;
    };
    const compare = async (properties: Props) =>
      differences(state.certPem, await certificate(properties), byContent, "certPem");
    expect(await compare({ ...inputs, ...change })).toHaveLength(1);
    expect(await compare(inputs)).toEqual([]);
  });
});
