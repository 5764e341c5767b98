// Written by "npm run docs" from components/config/schema.ts.
import type * as pulumi from "@pulumi/pulumi";

/** Arguments of an `EtcdCluster`. */
export interface EtcdClusterArgs {
  /** The machines, in the order they are worked on. */
  nodes: EtcdNodeArgs[];
  /**
   * etcd release: 3.5.21 or a later 3.5 (earlier ones can bring back removed members and strand learners), any 3.6, any 3.7. kubeadm 1.37 asks for 3.5.24 or later.
   *
   * @default "3.6.14"
   */
  version?: string;
  /**
   * Where releases are downloaded from; a mirror has the same paths below it.
   *
   * @default "https://github.com/etcd-io/etcd/releases/download"
   */
  downloadUrl?: string;
  /** Digests of the tarballs. Not given: the program's own table, else, from the project's own downloads alone, SHA256SUMS. */
  sha256?: DigestArgs;
  /**
   * Trust the SHA256SUMS of downloadUrl for a digest that is neither given nor known.
   *
   * @default false
   */
  trustMirrorChecksums?: boolean;
  /**
   * Additional etcd flags, by their names without the dashes.
   *
   * @default {}
   */
  settings?: Record<string, string>;
  /** How the nodes are reached. */
  ssh?: SshArgs;
  /** Subject, validity and directory of the certificates, rotation of the CA. */
  pki?: PkiArgs;
  /** What is managed on a node, and what a node must have. */
  host?: HostArgs;
  /** Scheduled snapshots, kept on the hosts and in a repository of restic. Not given: none are taken. */
  backup?: BackupArgs;
  /** Defragmentation and healing of NOSPACE by the hosts themselves. Not given: neither. */
  maintenance?: MaintenanceArgs;
  /**
   * Inspect every node before each preview and up, and revert manual changes.
   *
   * @default true
   */
  drift?: boolean;
  /** What `pulumi destroy` leaves behind. */
  destroy?: DestroyArgs;
  /** Disaster recovery; rebuilds a cluster that lost its quorum from one node's data, or from a snapshot. */
  recover?: RecoverArgs;
}

/** One machine of the cluster. */
export interface EtcdNodeArgs {
  /** Host name and member name: one lowercase label, unique. */
  name: string;
  /** IPv4 or IPv6 address that the other nodes reach it at, unique. */
  address: pulumi.Input<string>;
  /**
   * The host is permanently lost: it is never contacted, and its member is removed.
   *
   * @default false
   */
  lost?: boolean;
  /** ID of its member, whose data is unusable: the member is removed, its data moved aside, and the node rejoins. No effect once the node has another member; see docs/alarms.md. */
  rebuild?: string;
  /** Overrides of the key `ssh` for this node. */
  ssh?: NodeSshArgs;
}

/** How one node is reached, where it differs from the others. */
export interface NodeSshArgs {
  /** Address or name to connect to over SSH, instead of `address`: for hosts with a separate management network. */
  host?: pulumi.Input<string>;
  /** Login name on this node, instead of `ssh.user`. */
  user?: string;
  /** TCP port of sshd on this node, instead of `ssh.port`. */
  port?: number;
  /** File of the private key for this node, instead of the one in `ssh`. */
  privateKeyFile?: string;
  /** Text of the private key for this node, in place of a file. Secret. */
  privateKey?: pulumi.Input<string>;
  /** Public host key of this node, as `TYPE BASE64`. */
  hostKey?: pulumi.Input<string>;
}

/** SHA-256 digests of the release's tarballs, in hexadecimal. */
export interface DigestArgs {
  /** Digest of the tarball for amd64. */
  amd64?: string;
  /** Digest of the tarball for arm64. */
  arm64?: string;
}

/** How the nodes are reached. */
export interface SshArgs {
  /**
   * Login name on the nodes.
   *
   * @default "root"
   */
  user?: string;
  /**
   * TCP port of sshd on the nodes.
   *
   * @default 22
   */
  port?: number;
  /** File of the private key. Not given, and no `privateKey` or `password` either: `~/.ssh/id_ed25519`, then `~/.ssh/id_rsa`, then the agent. */
  privateKeyFile?: string;
  /** Text of the private key, in place of a file. Secret. */
  privateKey?: pulumi.Input<string>;
  /** Passphrase of the private keys that have one. Secret. */
  privateKeyPassphrase?: pulumi.Input<string>;
  /** Password of the login, where no key is taken; on the bastion too. Secret. */
  password?: pulumi.Input<string>;
  /**
   * Use the agent at `SSH_AUTH_SOCK`: keys with a passphrase, certificates.
   *
   * @default false
   */
  agent?: boolean;
  /**
   * File that host keys are looked up in when they are not in `hostKeys`.
   *
   * @default "~/.ssh/known_hosts"
   */
  knownHostsFile?: string;
  /**
   * Public host keys as `TYPE BASE64`, by node name or address.
   *
   * @default {}
   */
  hostKeys?: Record<string, pulumi.Input<string>>;
  /** Run commands through sudo; not given: true for every user but root. */
  sudo?: boolean;
  /** Password for sudo; not given: none. Secret. */
  sudoPassword?: pulumi.Input<string>;
  /** Machine that all connections go through. */
  bastion?: BastionArgs;
  /**
   * Also connect to nodes whose host key is unknown. A man in the middle can then read every private key.
   *
   * @default false
   */
  insecureIgnoreHostKeys?: boolean;
}

/** A machine that connections go through. */
export interface BastionArgs {
  /** Address or name of the machine to go through. */
  host: pulumi.Input<string>;
  /**
   * TCP port of its sshd.
   *
   * @default 22
   */
  port?: number;
  /** Login name there; `ssh.user` when not given. */
  user?: string;
  /** File of the private key for it; the one of the nodes when not given. */
  privateKeyFile?: string;
  /** Text of the private key for it, in place of a file. Secret. */
  privateKey?: pulumi.Input<string>;
  /** Its public host key; else looked up as for a node. */
  hostKey?: pulumi.Input<string>;
}

/** The certificates; every length of time is in hours. */
export interface PkiArgs {
  /**
   * Directory of the certificates and keys on every node.
   *
   * @default "/etc/kubernetes/pki/etcd"
   */
  directory?: string;
  /** Subject of the CA, whose CN is `etcd`. The nodes' certificates take C, ST and L. */
  subject?: SubjectArgs;
  /**
   * Validity of the CA certificate, in hours.
   *
   * @default 43800
   */
  caValidityHours?: number;
  /**
   * Validity of the client, server and peer certificates, in hours.
   *
   * @default 43800
   */
  validityHours?: number;
  /**
   * An up renews a certificate when less than this is left of it; its key stays.
   *
   * @default 720
   */
  renewalHours?: number;
  /**
   * A preview warns of every certificate that has less than this left.
   *
   * @default 1440
   */
  warnHours?: number;
  /**
   * False: server certificates cannot be used as client certificates, and etcd's JSON gateway gets a certificate of its own. See docs/security.md.
   *
   * @default true
   */
  serverClientAuth?: boolean;
  /** Name of the CA, any that was not used before: a change starts a rotation to a new CA. See docs/certificates.md. */
  rotate?: string;
}

/** Subject of the CA. */
export interface SubjectArgs {
  /** C, two letters. */
  country?: string;
  /** ST. */
  province?: string;
  /** L. */
  locality?: string;
  /** O, on the CA only. */
  organization?: string;
  /** OU, on the CA only. */
  organizationalUnit?: string;
}

/** What is managed on a node, and what a node must have. */
export interface HostArgs {
  /**
   * Upgrade all Debian packages before the first step.
   *
   * @default false
   */
  upgrade?: boolean;
  /**
   * Keep a block in /etc/hosts with all nodes; false when DNS knows them.
   *
   * @default true
   */
  manageHosts?: boolean;
  /**
   * Manage an nftables table: 2380 for members, 2379 and the port of `listen-metrics-urls` for members and clients.
   *
   * @default true
   */
  firewall?: boolean;
  /**
   * Networks that may reach port 2379 and the port of `listen-metrics-urls`, when `firewall` is true.
   *
   * @default ["0.0.0.0/0","::/0"]
   */
  clientNetworks?: string[];
  /**
   * MiB of memory a node must have; a machine sold with 2 GB shows a little less.
   *
   * @default 1900
   */
  minimumMemory?: number;
  /**
   * MiB that must be free on the disk of /var/lib/etcd before the first start.
   *
   * @default 1024
   */
  minimumDisk?: number;
  /**
   * Seconds that a node's clock may differ from the operator's.
   *
   * @default 2
   */
  maximumClockSkew?: number;
}

/** Snapshots that the hosts take by themselves. */
export interface BackupArgs {
  /**
   * When a snapshot is taken, as OnCalendar= of systemd has it; in the hosts' time zone.
   *
   * @default "hourly"
   */
  schedule?: string;
  /** Which snapshots stay in the repository, as `restic forget` counts them; at least one is above 0. */
  keep?: KeepArgs;
  /**
   * How many scheduled snapshots stay in /var/backups/etcd of a host; at least 1 without a repository.
   *
   * @default 3
   */
  local?: number;
  /** Repository of restic that snapshots are pushed to, as restic writes it: `s3:https://HOST/BUCKET`, `sftp:USER@HOST:/PATH`, `rest:https://HOST:8000/NAME`, an absolute path on the hosts. Not given: they stay on the hosts. */
  repository?: pulumi.Input<string>;
  /** Password of the repository, without which nobody can read it. Secret. */
  password?: pulumi.Input<string>;
  /**
   * Variables for restic, by name: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`. Secret.
   *
   * @default {}
   */
  environment?: Record<string, pulumi.Input<string>>;
  /** Text of the CA certificate of the repository's server, in PEM, where the hosts do not know it. */
  caCertificate?: pulumi.Input<string>;
  /** Text of the SSH private key for a repository with `sftp:`. Secret. */
  privateKey?: pulumi.Input<string>;
  /** Public host key of that server, as `TYPE BASE64`; required with `privateKey`. */
  hostKey?: pulumi.Input<string>;
  /**
   * False: nothing is ever removed from the repository, for credentials that can only append.
   *
   * @default true
   */
  prune?: boolean;
  /** When a restore is tried, as OnCalendar= of systemd has it; needs a repository. */
  drill?: string;
}

/** Which snapshots stay in the repository. */
export interface KeepArgs {
  /**
   * Of how many hours the last snapshot stays.
   *
   * @default 24
   */
  hourly?: number;
  /**
   * Of how many days the last snapshot stays.
   *
   * @default 7
   */
  daily?: number;
  /**
   * Of how many weeks the last snapshot stays.
   *
   * @default 4
   */
  weekly?: number;
  /**
   * Of how many months the last snapshot stays.
   *
   * @default 12
   */
  monthly?: number;
}

/** What the hosts do about their databases by themselves. */
export interface MaintenanceArgs {
  /** When a member is defragmented, one at a time, the leader last. Not given: never. */
  defrag?: DefragArgs;
  /**
   * A NOSPACE alarm is healed without an operator: old revisions are compacted, the members defragmented, the alarm disarmed.
   *
   * @default true
   */
  noSpace?: boolean;
}

/** When a member is defragmented. */
export interface DefragArgs {
  /**
   * When the members are looked at, as OnCalendar= of systemd has it; in the hosts' time zone.
   *
   * @default "*:0/10"
   */
  schedule?: string;
  /**
   * A member with a smaller database file is left alone.
   *
   * @default 104857600
   */
  minimumBytes?: number;
  /**
   * Percent of its database file that must be free for a member to be defragmented.
   *
   * @default 45
   */
  fragmentation?: number;
}

/** What a destroy leaves behind. */
export interface DestroyArgs {
  /**
   * Leave a last verified snapshot on the last host when the cluster is destroyed.
   *
   * @default true
   */
  snapshot?: boolean;
}

/** Recovery of a cluster that has permanently lost its quorum. */
export interface RecoverArgs {
  /** Name of the node that the cluster is recovered from: from its own data, or from `snapshot`. */
  node?: string;
  /** What to begin with instead of the node's own data: a file on that node, as `etcdctl snapshot save` writes it, or from `backup.repository` its `latest` snapshot or one by its ID. */
  snapshot?: string;
  /** ID of the cluster that the snapshot in the repository is of, when it is another one than `confirm` and none that this stack gave up before. */
  snapshotCluster?: string;
  /** ID of the cluster that is discarded. A recovery happens once for each; see docs/recovery.md. */
  confirm?: string;
}
