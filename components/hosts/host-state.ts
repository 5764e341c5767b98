import type { SubjectConfig } from "../config";
import type { LiveMember } from "../etcd/members";
import type { ReceiptName } from "../scripts/steps";

/** The names in a CA's subject, under the keys that the configuration has for them. */
export interface Authority {
  /** The `pki.rotate` that made it, or `FIRST`. */
  readonly name: string;
  readonly subject: SubjectConfig;
}

/** A member of etcd is known by these two IDs, never by a name or an address. Hexadecimal. */
export interface Identity {
  readonly cluster: string;
  readonly member: string;
  /** No start by this program made the data. */
  readonly unmanaged: boolean;
  /** The host has taken the member out of the cluster itself, and its data was to go. */
  readonly left?: true;
}

/** What a step's receipt on the host says and where the host differs from it. */
export interface Receipt {
  readonly revision: string;
  /** In words, one each. */
  readonly drift: readonly string[];
}

/** What etcd raises until somebody takes it back: `NOSPACE`, `CORRUPT`. */
export interface Alarm {
  readonly kind: string;
  /** ID of the member that it is about, hexadecimal; `0` when nobody can tell. */
  readonly member: string;
}

/** Bytes. At the quota etcd raises `NOSPACE`. */
export interface Database {
  readonly size: number;
  readonly quota: number;
}

export interface Finding {
  readonly text: string;
  /** Name of the neighbour that it is about, if any. */
  readonly about?: string;
  /**
   * What it forbids: every run, one that has something to do on the host, or none. Without it, only
   * the first run on a host.
   */
  readonly stops?: "every run" | "changes" | "nothing";
}

/** A certificate that lies on a host. */
export interface HostCertificate {
  /** File name without its directory. */
  readonly file: string;
  readonly end: Date;
  /** Of `ca.pem`: the CA that it is the certificate of. */
  readonly authority?: Authority;
  /** Of `ca.pem`: PEM. */
  readonly publicKey?: string;
}

export interface VersionSnapshot {
  readonly from: string;
  readonly to: string;
  /** On the host. */
  readonly path: string;
}

/** How a job that the host runs by itself came out. */
export interface JobResult {
  /** `backup`, `backup-check`, `drill`, `maintenance` */
  readonly name: string;
  readonly outcome: "ok" | "failed";
  readonly time: Date;
  readonly revision?: number;
  /** Bytes. */
  readonly size?: number;
  /** Short ID of the snapshot in the repository, or the path of the file on the host. */
  readonly id?: string;
  /** Seconds: the longest gap between the next few times that its schedule elapses. */
  readonly interval?: number;
  readonly reason?: string;
}

/** A snapshot in the repository. */
export interface SnapshotRemote {
  /** As restic shows it. */
  readonly id: string;
  readonly taken: Date;
  readonly revision: number;
  /** Bytes. */
  readonly size: number;
  /** ID of the cluster that it is of. */
  readonly cluster: string;
  /** Of the member that it was taken from. */
  readonly release: string;
}

/** What one inspection of a host showed. */
export type HostState =
  | {
      readonly inspected: true;
      /** Whose up is at work there. */
      readonly lockedBy?: string;
      /** What is still at work there, in words: steps of a run that has ended, or a job. */
      readonly unfinished?: string;
      /** The release of this program that the last up here was of. */
      readonly program?: string;
      /** Names of the steps' and the jobs' scripts that it has, in an up. @default none */
      readonly scripts?: readonly string[];
      /** A member on this host was ready in a cluster once. */
      readonly bootstrapped: boolean;
      readonly findings: readonly Finding[];
      /** About members in the live list whose name or URLs are none that this program can handle. @default none */
      readonly foreign?: readonly string[];
      /** Things to know that forbid nothing. @default none */
      readonly warnings?: readonly string[];
      /** Where the inspection's session comes from, when fewer client networks are to be let in. */
      readonly operator?: string;
      /** Addresses of who is connected to its client port, when this run may shut somebody out. @default none */
      readonly clients?: readonly string[];
      readonly receipts: ReadonlyMap<ReceiptName, Receipt>;
      /** What is wrong with the unit and the running member, in words. */
      readonly unit: readonly string[];
      /** The etcd release that its member runs. */
      readonly version?: string;
      /** The release that a start of etcd would run; on a host with a member. */
      readonly installed?: string;
      /** Of the cluster that its member was made for. */
      readonly token?: string;
      /** What the last run of its member's step was to bring about, as `memberDigest` has it. */
      readonly desiredDigest?: string;
      /** The alarms of the cluster, as its member knows them. */
      readonly alarms?: readonly Alarm[];
      /** Its member's database file. */
      readonly database?: Database;
      /** The series that the cluster is on its way down to, as the leader's host knows it. */
      readonly downgrade?: string;
      /** A roll to another release is under way, and this host has a snapshot from before it. */
      readonly snapshot?: VersionSnapshot;
      /** What its running etcd says of itself: a member in a cluster, and who leads it, if anybody does. */
      readonly runs?: {
        readonly cluster: string;
        readonly member: string;
        readonly leader?: string;
      };
      /** Its member leads the cluster. */
      readonly leader: boolean;
      /** There is no data of etcd. */
      readonly empty: boolean;
      /** Whose data it is. */
      readonly data?: Identity;
      /** Whose it was when the gate saw this host's member last. */
      readonly identity?: Identity;
      /** Peer URLs of the members as the gate saw them last. */
      readonly peerUrlsSeen: readonly string[];
      /** ID of the cluster that was given up for the one of this host's member. */
      readonly recovered?: string;
      /** ID of the cluster from whose data here a recovery was begun. */
      readonly recovering?: string;
      /** How far its member's data goes; at least, when it does not run. */
      readonly revision?: number;
      /** The snapshot that a recovery is to begin with. */
      readonly snapshotFile?: { readonly taken: Date; readonly revision?: number };
      /** Likewise, in the repository; where the host cannot look yet there is none. */
      readonly snapshotRemote?: SnapshotRemote;
      /** Why the repository does not show it. */
      readonly snapshotUnread?: string;
      /** The last result of each of its jobs, and the last good one. @default none */
      readonly jobs?: readonly JobResult[];
      readonly goodJobs?: readonly JobResult[];
      /**
       * The live member list as its running member reads it through the leader; who of it is healthy is
       * asked by the leader's host, and by every other one too when the configured nodes are not those of
       * the last run. Empty when no quorum answers.
       */
      readonly members: readonly LiveMember[];
      /** Addresses of the nodes of the last run, when a member was ever ready here. */
      readonly nodes: readonly string[];
      readonly certificates: readonly HostCertificate[];
      /** Names of the CAs that its running member certainly trusts (see plan/ca-rotation.ts). */
      readonly trusts?: readonly string[];
      /** Name of the CA that signed the certificates on its disk. */
      readonly issuer?: string;
    }
  | {
      readonly inspected: false;
      /** Somebody was there, and could not be inspected: never merely a warning. */
      readonly answered: boolean;
      readonly reason: string;
    };

export type InspectedHost = Extract<HostState, { inspected: true }>;

/**
 * Whether a cluster exists by what lies on the hosts: a member was ready once, or is that of a
 * recovery, whose cluster it is from the first moment.
 */
export function clusterExists(hosts: ReadonlyMap<string, HostState>): boolean {
  return [...hosts.values()].some(
    (host) => host.inspected && (host.bootstrapped || host.recovered !== undefined),
  );
}
