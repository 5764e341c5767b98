import type { Architecture } from "../etcd/versions";
import type { OtherHosts } from "./connections";
import type { Naming } from "./wording";

/** One machine of the cluster. A lost node is gone for good: it is never dialled, only removed. */
export interface NodeConfig {
  /** Host name and member name: one lowercase DNS label, unique. */
  readonly name: string;
  /** IPv4 or IPv6 address, without brackets, unique. */
  readonly address: string;
  readonly lost: boolean;
  /** ID of the member, hexadecimal, that is given up: the node rejoins while it has that one. */
  readonly rebuild?: string;
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
  /** Server certificates are good for clients too, as the JSON gateway needs without a pair of its own. */
  readonly serverClientAuth: boolean;
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
  /** MiB free on the disk of /var/lib/etcd. */
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
  /** Digests that are pinned. */
  readonly sha256: Readonly<Partial<Record<Architecture, string>>>;
  /** Whether an architecture without a digest takes it from the SHA256SUMS beside the tarball; else it is refused. */
  readonly listedSums: boolean;
}

/** A cluster that has permanently lost its quorum is restored from one node. */
export interface RecoverConfig {
  /** Whose data it begins with. */
  readonly node: string;
  /** Instead of its data: a file on that node, or `latest` or an ID in the repository. */
  readonly snapshot?: string;
  /** ID of the cluster that the snapshot in the repository is of, hexadecimal, when it is neither `confirm` nor one given up before. */
  readonly snapshotCluster?: string;
  /** ID of the cluster that is given up, hexadecimal. */
  readonly confirm: string;
}

/** Snapshots that the hosts take by themselves. */
export interface BackupConfig {
  /** As OnCalendar= of systemd has it. */
  readonly schedule: string;
  /** What `restic forget` keeps of the repository. */
  readonly keep: {
    readonly hourly: number;
    readonly daily: number;
    readonly weekly: number;
    readonly monthly: number;
  };
  /** How many stay on a host. */
  readonly local: number;
  /** As restic writes it, without a password. */
  readonly repository?: string;
  /** Secret. */
  readonly password?: string;
  /** Variables for restic: secret. */
  readonly environment: Readonly<Record<string, string>>;
  /** PEM. */
  readonly caCertificate?: string;
  /** Of SSH: secret. */
  readonly privateKey?: string;
  /** `TYPE BASE64`. */
  readonly hostKey?: string;
  /** Whether anything is ever removed from the repository. */
  readonly prune: boolean;
  /** As OnCalendar= of systemd has it. */
  readonly drill?: string;
}

/** What the hosts do about a full or fragmented database by themselves. */
export interface MaintenanceConfig {
  readonly defrag?: {
    /** As OnCalendar= of systemd has it. */
    readonly schedule: string;
    readonly minimumBytes: number;
    /** Percent. */
    readonly fragmentation: number;
  };
  readonly noSpace: boolean;
}

/** The whole configuration, checked, with every default filled in. */
export interface ClusterConfig {
  readonly nodes: readonly NodeConfig[];
  readonly release: ReleaseConfig;
  /** Further etcd flags by name without dashes; the values are what stands behind the `=`. */
  readonly settings: Readonly<Record<string, string>>;
  readonly pki: PkiConfig;
  readonly host: HostConfig;
  /** Absent: no snapshots are scheduled. */
  readonly backup?: BackupConfig;
  /** Absent: none. */
  readonly maintenance?: MaintenanceConfig;
  readonly drift: boolean;
  readonly destroy: { readonly snapshot: boolean };
  readonly recover?: RecoverConfig;
  /** By node name; a lost node has none. */
  readonly connections: ReadonlyMap<string, Connection>;
  readonly others: OtherHosts;
  /**
   * By node name, the argument that nobody knows before an `up`, the first one where there are more. Such a node
   * cannot be inspected: its address, or what it is logged in to with, only stands for what will be there. Empty
   * in an `up`, and for a stack's configuration.
   */
  readonly unknown: ReadonlyMap<string, string>;
  /** Things that are allowed and that the operator should know of. */
  readonly warnings: readonly string[];
  readonly naming: Naming;
}

/** How a machine on the way to a node is reached and logged in to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** The text of the key file: secret. */
  readonly privateKey?: string;
  /** Absolute path of the file that `privateKey` was read from. */
  readonly privateKeyFile?: string;
  /** Of the key, which is encrypted then: secret. */
  readonly privateKeyPassphrase?: string;
  /** Secret. */
  readonly password?: string;
  /** Socket of a running SSH agent. */
  readonly agentSocket?: string;
  /** Public host key as `TYPE BASE64`; absent only when the configuration says so in words. */
  readonly hostKey?: string;
}

/** Everything needed to run commands on one node. */
export interface Connection extends Endpoint {
  /** Commands must go through sudo. */
  readonly sudo: boolean;
  /** Secret; absent where sudo asks for none. */
  readonly sudoPassword?: string;
  readonly bastion?: Endpoint;
}

/** Name of the CA of a cluster whose `pki.rotate` was never set; no `pki.rotate` can be it. */
export const FIRST_CA = "-";
