import type { SubjectConfig } from "./config";
import type { LiveMember } from "./membership";
import type { StepName } from "./step";

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
  readonly nobodys: boolean;
}

/** What a step's receipt on the host says and where the host differs from it. */
export interface Receipt {
  readonly revision: string;
  /** In words, one each. */
  readonly drift: readonly string[];
}

export interface Finding {
  readonly text: string;
  /** Name of the neighbour that it is about, if any. */
  readonly about?: string;
}

/** A certificate that lies on a host. */
export interface HostCertificate {
  /** File name without its directory. */
  readonly file: string;
  readonly end: Date;
  /** Of `ca.pem`: the CA that it is the certificate of. */
  readonly authority?: Authority;
}

export interface VersionSnapshot {
  readonly from: string;
  readonly to: string;
  /** On the host. */
  readonly path: string;
}

/** What one look at a host showed. */
export type Look =
  | {
      readonly seen: true;
      /** Whose up is at work there. */
      readonly held?: string;
      /** A member on this host was ready in a cluster once. */
      readonly formed: boolean;
      readonly findings: readonly Finding[];
      readonly receipts: ReadonlyMap<StepName, Receipt>;
      /** What is wrong with the unit and the running member, in words. */
      readonly unit: readonly string[];
      /** The etcd release that its member runs. */
      readonly version?: string;
      /** The release that a start of etcd would run; on a host with a member. */
      readonly installed?: string;
      /** Of the cluster that its member was made for. */
      readonly token?: string;
      /** What the last run of its member's step was to bring about, as `memberDigest` has it. */
      readonly wanted?: string;
      /** The alarms of the cluster, as etcd prints them. */
      readonly alarm?: string;
      /** The series that the cluster is on its way down to, as the leader's host knows it. */
      readonly downgrade?: string;
      /** A roll to another release is under way, and this host has a snapshot from before it. */
      readonly snapshot?: VersionSnapshot;
      /** Its member leads the cluster. */
      readonly leader: boolean;
      /** There is no data of etcd. */
      readonly empty: boolean;
      /** Whose data it is. */
      readonly data?: Identity;
      /** Whose it was when the gate saw this host's member last. */
      readonly identity?: Identity;
      /** Peer URLs of the members as the gate saw them last. */
      readonly known: readonly string[];
      /** ID of the cluster that was given up for the one of this host's member. */
      readonly recovered?: string;
      /** ID of the cluster from whose data here a recovery was begun. */
      readonly recovering?: string;
      /** How far its member's data goes; at least, when it does not run. */
      readonly revision?: number;
      /** The snapshot that a recovery is to begin with. */
      readonly offered?: { readonly taken: Date; readonly revision?: number };
      /**
       * The live member list: of the leader's host, and of every other one too when the configured
       * nodes are not those of the last run. Empty when no quorum answers.
       */
      readonly members: readonly LiveMember[];
      /** Addresses of the nodes of the last run, when a member was ever ready here. */
      readonly nodes: readonly string[];
      readonly certificates: readonly HostCertificate[];
      /** Names of the CAs that its running member certainly trusts (see rotation.ts). */
      readonly trusts?: readonly string[];
      /** Name of the CA that signed the certificates on its disk. */
      readonly issuer?: string;
    }
  | {
      readonly seen: false;
      /** The host key was not the expected one: never merely a warning. */
      readonly distrusted: boolean;
      readonly reason: string;
    };

/**
 * Whether a cluster exists by what lies on the hosts: a member was ready once, or is that of a
 * recovery, whose cluster it is from the first moment.
 */
export function clusterExists(looks: ReadonlyMap<string, Look>): boolean {
  return [...looks.values()].some(
    (look) => look.seen && (look.formed || look.recovered !== undefined),
  );
}
