import type { Connection } from "../connection";
import type { Architecture } from "../versions";

/** One machine of the cluster. A lost node is gone for good: it is never dialled, only removed. */
export interface NodeConfig {
  /** Host name and member name: one lowercase DNS label, unique. */
  readonly name: string;
  /** IPv4 or IPv6 address, without brackets, unique. */
  readonly address: string;
  readonly lost: boolean;
}

/** Names in the CA's subject; the nodes' certificates take country, province and locality. */
export interface SubjectConfig {
  readonly country?: string;
  readonly province?: string;
  readonly locality?: string;
  readonly organization?: string;
  readonly organizationalUnit?: string;
}

/** Certificates: every length of time is in hours. */
export interface PkiConfig {
  /** Absolute directory of the certificates on the hosts, without a trailing slash. */
  readonly directory: string;
  readonly subject: SubjectConfig;
  readonly caValidityHours: number;
  readonly validityHours: number;
  /** Certificates are renewed when less than this is left. */
  readonly renewalHours: number;
  /** Previews warn when less than this is left. */
  readonly warnHours: number;
  /** Name of the CA after a rotation; a change of it starts one. */
  readonly rotate?: string;
}

/** What the program may change on a host and what it asks of one. */
export interface HostConfig {
  readonly upgrade: boolean;
  readonly manageHosts: boolean;
  readonly firewall: boolean;
  /** Networks in CIDR form that may reach the client port. */
  readonly clientNetworks: readonly string[];
  /** MiB of memory. */
  readonly minimumMemory: number;
  /** MiB free under /var/lib. */
  readonly minimumDisk: number;
  /** Seconds between a host's clock and the operator's. */
  readonly maximumClockSkew: number;
}

/** Which etcd release is installed and from where. */
export interface ReleaseConfig {
  /** Without the leading `v`. */
  readonly version: string;
  /** Base URL without a trailing slash; the tarball is at `/vVERSION/etcd-vVERSION-linux-ARCH.tar.gz`. */
  readonly downloadUrl: string;
  /** Digests that are pinned; an architecture without one takes it from the mirror's SHA256SUMS. */
  readonly sha256: Readonly<Partial<Record<Architecture, string>>>;
}

/** A cluster that has lost its quorum for good begins anew. */
export interface RecoverConfig {
  /** Whose data it begins with. */
  readonly node: string;
  /** A file on that node, instead of its data. */
  readonly snapshot?: string;
  /** ID of the cluster that is given up, hexadecimal. */
  readonly confirm: string;
}

/** The whole configuration, checked, with every default filled in. */
export interface ClusterConfig {
  readonly nodes: readonly NodeConfig[];
  readonly release: ReleaseConfig;
  /** Further etcd flags by name without dashes; the values are what stands behind the `=`. */
  readonly settings: Readonly<Record<string, string>>;
  readonly pki: PkiConfig;
  readonly host: HostConfig;
  readonly drift: boolean;
  readonly destroy: { readonly snapshot: boolean };
  readonly recover?: RecoverConfig;
  /** By node name; a lost node has none. */
  readonly connections: ReadonlyMap<string, Connection>;
  /** Things that are allowed and that the operator should know of. */
  readonly warnings: readonly string[];
}
