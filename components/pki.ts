import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import type { NodeConfig, PkiConfig, SubjectConfig } from "./config";
import { FIRST_CA } from "./config/types";
import { unknownOutput } from "./outputs";
import type { Rotation } from "./plan/ca-rotation";
import { PEER_HOSTNAME } from "./scripts/unit";

/** Key usages by profile, as the tls provider spells them. */
const PROFILES = {
  client: ["digital_signature", "key_encipherment", "client_auth"],
  server: ["digital_signature", "key_encipherment", "server_auth", "client_auth"],
  serverOnly: ["digital_signature", "key_encipherment", "server_auth"],
  peer: ["digital_signature", "key_encipherment", "server_auth", "client_auth"],
} as const;

export interface CertificateAuthorityArgs {
  readonly pki: PkiConfig;
  /** The rotation that made it, or `FIRST`. */
  readonly rotation: string;
}

/**
 * The cluster's own CA: RSA-2048, common name `etcd`. One that came by a
 * rotation also has its name as serial number in its subject, so that no two have the same.
 */
export class CertificateAuthority extends pulumi.ComponentResource {
  /** PEM. */
  readonly certificate: pulumi.Output<string>;
  /** PEM. */
  readonly publicKey: pulumi.Output<string>;
  /** PEM, secret. Never leaves the state. */
  readonly privateKey: pulumi.Output<string>;
  /** Depends on all else of it. */
  readonly resource: pulumi.Resource;

  readonly rotation: string;

  /** @param cluster its name, in front of all names. */
  constructor(
    cluster: string,
    args: CertificateAuthorityArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const rotated = args.rotation !== FIRST_CA;
    const name = rotated ? `${cluster}-ca-${args.rotation}` : `${cluster}-ca`;
    super("etcd-on-pulumi:pki:CertificateAuthority", name, {}, opts);
    this.rotation = args.rotation;
    const key = new tls.PrivateKey(
      `${name}-key`,
      { algorithm: "RSA", rsaBits: 2048 },
      { parent: this },
    );
    const certificate = new tls.SelfSignedCert(
      `${name}-certificate`,
      {
        privateKeyPem: key.privateKeyPem,
        subject: {
          commonName: "etcd",
          ...args.pki.subject,
          ...(rotated ? { serialNumber: args.rotation } : {}),
        },
        isCaCertificate: true,
        setSubjectKeyId: true,
        validityPeriodHours: args.pki.caValidityHours,
        // With the same key: what it signed before stays valid.
        earlyRenewalHours: args.pki.renewalHours,
        allowedUses: ["cert_signing", "crl_signing"],
      },
      // A CA keeps its subject for life (plan/ca-subject.ts); the one that a rotation makes gets the new one.
      { parent: this, ignoreChanges: ["subject"] },
    );
    this.certificate = certificate.certPem;
    this.publicKey = key.publicKeyPem;
    this.privateKey = key.privateKeyPem;
    this.resource = certificate;
    // The state has what there is of it in its children.
    this.registerOutputs({});
  }
}

/** The CA that signs, and all that are trusted. */
export interface Trust {
  readonly signer: CertificateAuthority;
  /** Names of the trusted CAs, in the order of the bundle. */
  readonly names: readonly string[];
  /** PEM of all of them. */
  readonly bundle: pulumi.Output<string>;
  readonly all: readonly CertificateAuthority[];
}

/**
 * The CAs that a run has to do with. The order of the bundle does not change with the signer.
 *
 * @param configured the CA that the configuration asks for; in every phase of a rotation it is one
 *   of them.
 */
export function trust(
  cluster: string,
  rotation: Rotation,
  configured: CertificateAuthority,
  pki: PkiConfig,
  opts: pulumi.ComponentResourceOptions,
): Trust {
  const authority = (name: string) =>
    name === configured.rotation
      ? configured
      : new CertificateAuthority(cluster, { pki, rotation: name }, opts);
  const signer = authority(rotation.signer);
  const all = [signer, ...rotation.beside.map(authority)].sort((a, b) =>
    a.rotation < b.rotation ? -1 : 1,
  );
  return {
    signer,
    all,
    names: all.map(({ rotation: name }) => name),
    bundle: pulumi.all(all.map(({ certificate }) => certificate)).apply((each) => each.join("")),
  };
}

export interface CertificateArgs {
  readonly authority: CertificateAuthority;
  readonly pki: PkiConfig;
  readonly profile: keyof typeof PROFILES;
  readonly commonName: string;
  /** Names beside the common name in the subject. */
  readonly subject?: SubjectConfig;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly pulumi.Input<string>[];
}

/** A leaf: ECDSA P-256 key, request and certificate of one of these profiles. */
export class Certificate extends pulumi.ComponentResource {
  /** PEM. */
  readonly certificate: pulumi.Output<string>;
  /** PEM, SEC 1, secret. */
  readonly privateKey: pulumi.Output<string>;
  /** The same in PKCS#8, which clients on the JVM ask for and all others read too. */
  readonly privateKeyPkcs8: pulumi.Output<string>;
  /** Depends on all else of it. */
  readonly resource: pulumi.Resource;

  constructor(name: string, args: CertificateArgs, opts?: pulumi.ComponentResourceOptions) {
    super("etcd-on-pulumi:pki:Certificate", name, {}, opts);
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
    this.privateKeyPkcs8 = key.privateKeyPemPkcs8;
    this.resource = certificate;
    this.registerOutputs({});
  }
}

/** The certificate that people and programs use as clients. */
export function clientCertificate(
  cluster: string,
  authority: CertificateAuthority,
  pki: PkiConfig,
  opts: pulumi.ComponentResourceOptions,
): Certificate {
  return new Certificate(
    `${cluster}-client`,
    { authority, pki, profile: "client", commonName: "client" },
    opts,
  );
}

/**
 * The pair with which a node's JSON gateway dials its own member, where server.pem cannot.
 *
 * @param name of the node's resources.
 */
export function gatewayCertificate(
  name: string,
  authority: CertificateAuthority,
  pki: PkiConfig,
  opts: pulumi.ComponentResourceOptions,
): Certificate {
  return new Certificate(
    `${name}-gateway`,
    { authority, pki, profile: "client", commonName: "gateway" },
    opts,
  );
}

/**
 * A node's server or peer certificate.
 *
 * @param name of the node's resources.
 * @param known whether its address is.
 */
export function nodeCertificate(
  name: string,
  node: NodeConfig,
  kind: "server" | "peer",
  authority: CertificateAuthority,
  pki: PkiConfig,
  known: boolean,
  opts: pulumi.ComponentResourceOptions,
): Certificate {
  const { country, province, locality } = pki.subject;
  return new Certificate(
    `${name}-${kind}`,
    {
      authority,
      pki,
      profile: kind === "server" && !pki.serverClientAuth ? "serverOnly" : kind,
      commonName: node.name,
      subject: { country, province, locality },
      // etcdctl and etcd's own gateway dial the loopback (etcd docs, "Transport security model").
      dnsNames: [
        ...[node.name, `${node.name}.local`, "localhost"],
        ...(kind === "peer" ? [PEER_HOSTNAME] : []),
      ],
      ipAddresses: [known ? node.address : unknownOutput<string>(), "127.0.0.1"],
    },
    opts,
  );
}
