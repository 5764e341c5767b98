import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import type { NodeConfig, PkiConfig, SubjectConfig } from "./config";

/** The article's three profiles (ca-config.json), as the tls provider spells the usages. */
const PROFILES = {
  client: ["digital_signature", "key_encipherment", "client_auth"],
  server: ["digital_signature", "key_encipherment", "server_auth", "client_auth"],
  peer: ["digital_signature", "key_encipherment", "server_auth", "client_auth"],
} as const;

export interface CertificateAuthorityArgs {
  readonly pki: PkiConfig;
}

/** The cluster's own CA: RSA-2048, common name `etcd` (article, ca-csr.json). */
export class CertificateAuthority extends pulumi.ComponentResource {
  /** PEM. */
  readonly certificate: pulumi.Output<string>;
  /** PEM, secret. Never leaves the state. */
  readonly privateKey: pulumi.Output<string>;

  constructor(
    name: string,
    args: CertificateAuthorityArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("etcd:pki:CertificateAuthority", name, {}, opts);
    const key = new tls.PrivateKey(
      `${name}-key`,
      { algorithm: "RSA", rsaBits: 2048 },
      { parent: this },
    );
    const certificate = new tls.SelfSignedCert(
      `${name}-certificate`,
      {
        privateKeyPem: key.privateKeyPem,
        subject: { commonName: "etcd", ...args.pki.subject },
        isCaCertificate: true,
        setSubjectKeyId: true,
        validityPeriodHours: args.pki.caValidityHours,
        // With the same key: what it signed before stays valid.
        earlyRenewalHours: args.pki.renewalHours,
        allowedUses: ["cert_signing", "crl_signing"],
      },
      { parent: this },
    );
    this.certificate = certificate.certPem;
    this.privateKey = key.privateKeyPem;
    this.registerOutputs({ certificate: this.certificate });
  }
}

export interface CertificateArgs {
  readonly authority: CertificateAuthority;
  readonly pki: PkiConfig;
  readonly profile: keyof typeof PROFILES;
  readonly commonName: string;
  /** Names beside the common name in the subject. */
  readonly subject?: SubjectConfig;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** A leaf: ECDSA P-256 key, request and certificate of one of the article's profiles. */
export class Certificate extends pulumi.ComponentResource {
  /** PEM. */
  readonly certificate: pulumi.Output<string>;
  /** PEM, secret. */
  readonly privateKey: pulumi.Output<string>;
  /** End of validity, RFC 3339. */
  readonly expires: pulumi.Output<string>;

  constructor(name: string, args: CertificateArgs, opts?: pulumi.ComponentResourceOptions) {
    super("etcd:pki:Certificate", name, {}, opts);
    const key = new tls.PrivateKey(
      `${name}-key`,
      { algorithm: "ECDSA", ecdsaCurve: "P256" },
      { parent: this },
    );
    const request = new tls.CertRequest(
      `${name}-request`,
      {
        privateKeyPem: key.privateKeyPem,
        subject: { commonName: args.commonName, ...args.subject },
        dnsNames: args.dnsNames === undefined ? undefined : [...args.dnsNames],
        ipAddresses: args.ipAddresses === undefined ? undefined : [...args.ipAddresses],
      },
      { parent: this },
    );
    const certificate = new tls.LocallySignedCert(
      `${name}-certificate`,
      {
        certRequestPem: request.certRequestPem,
        caPrivateKeyPem: args.authority.privateKey,
        caCertPem: args.authority.certificate,
        setSubjectKeyId: true,
        validityPeriodHours: args.pki.validityHours,
        earlyRenewalHours: args.pki.renewalHours,
        allowedUses: [...PROFILES[args.profile]],
      },
      { parent: this },
    );
    this.certificate = certificate.certPem;
    this.privateKey = key.privateKeyPem;
    this.expires = certificate.validityEndTime;
    this.registerOutputs({ certificate: this.certificate, expires: this.expires });
  }
}

/** The certificate that people and programs use as clients (article, client.json). */
export function clientCertificate(
  authority: CertificateAuthority,
  pki: PkiConfig,
  opts: pulumi.ComponentResourceOptions,
): Certificate {
  return new Certificate(
    "client",
    { authority, pki, profile: "client", commonName: "client" },
    opts,
  );
}

/** A node's server or peer certificate, with the article's subject (config-etcdXX.json). */
export function nodeCertificate(
  node: NodeConfig,
  profile: "server" | "peer",
  authority: CertificateAuthority,
  pki: PkiConfig,
  opts: pulumi.ComponentResourceOptions,
): Certificate {
  const { country, province, locality } = pki.subject;
  return new Certificate(
    `${node.name}-${profile}`,
    {
      authority,
      pki,
      profile,
      commonName: node.name,
      subject: { country, province, locality },
      // etcdctl and etcd's own gateway dial the loopback (etcd docs, «Transport security model»).
      dnsNames: [node.name, `${node.name}.local`, "localhost"],
      ipAddresses: [node.address, "127.0.0.1"],
    },
    opts,
  );
}
