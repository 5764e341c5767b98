import { X509Certificate } from "node:crypto";
import { type Authority, authorityOf } from "./authority";
import { type Identity, readIdentity } from "./identity";
import type { LiveMember } from "./membership";
import { type Answer, run } from "./session";
import { assemble, quote } from "./shell";
import type { Connection, Endpoint } from "./ssh";
import type { StepName } from "./survey";

/** A host that has not accepted the connection by then is given up. */
const CONNECT_SECONDS = 5;

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

export interface ProbeTarget {
  readonly connection: Connection;
  /** Values of the probe's script. */
  readonly values: Readonly<Record<string, string>>;
}

/**
 * Looks at all hosts at once, one read-only SSH session each. Never fails: a host that cannot be
 * looked at is reported as such.
 *
 * @param maximumClockSkew seconds.
 * @param holder who is at work, for an up: the hosts are locked until this program ends.
 */
export async function lookAtHosts(
  targets: ReadonlyMap<string, ProbeTarget>,
  maximumClockSkew: number,
  holder?: string,
): Promise<ReadonlyMap<string, Look>> {
  return new Map(
    await Promise.all(
      [...targets].map(
        async ([name, target]): Promise<[string, Look]> => [
          name,
          await lookAt(target, maximumClockSkew, holder),
        ],
      ),
    ),
  );
}

async function lookAt(
  target: ProbeTarget,
  maximumClockSkew: number,
  holder?: string,
): Promise<Look> {
  const { connection } = target;
  const shell = connection.sudo ? "sudo -n bash -s -- probe" : "bash -s -- probe";
  const started = Date.now();
  const answer = await run(
    "ssh",
    [...sshOptions(connection), "-T", destination(connection), shell],
    holder === undefined
      ? assemble("probe", target.values)
      : `${assemble("probe", { ...target.values, HOLDER: holder })}keep_lock\n`,
    holder !== undefined,
  );
  if (answer.code !== 0) {
    return {
      seen: false,
      distrusted: answer.stderr.includes("Host key verification failed"),
      reason: explain(connection, answer),
    };
  }
  return read(answer.stdout, { started, ended: answer.firstByte }, maximumClockSkew);
}

/** Turns the probe's lines into a look. Exported for its tests. */
export function read(
  output: string,
  local: { readonly started: number; readonly ended: number },
  maximumClockSkew: number,
): Look {
  const findings: Finding[] = [];
  const receipts = new Map<StepName, { revision: string; drift: string[] }>();
  const unit: string[] = [];
  let formed = false;
  let leader = false;
  const told = new Map<string, string>();
  let empty = false;
  const members: LiveMember[] = [];
  const nodes: string[] = [];
  const known: string[] = [];
  const certificates: HostCertificate[] = [];
  let trusts: readonly string[] | undefined;
  let issuer: string | undefined;
  for (const line of output.split("\n")) {
    const [word, rest] = cut(line);
    if (word === "formed") {
      formed = true;
    } else if (word === "leader") {
      leader = true;
    } else if (TOLD_ONCE.has(word)) {
      told.set(word, rest);
    } else if (word === "empty") {
      empty = true;
    } else if (word === "member") {
      const [name = "", peerUrls = "", learner, healthy, id] = rest.split(" ");
      members.push({
        name: name === "-" ? "" : name,
        peerUrls,
        learner: learner === "true",
        healthy: healthy === "yes",
        ...(id === undefined ? {} : { id }),
      });
    } else if (word === "node") {
      nodes.push(cut(rest)[1]);
    } else if (word === "known") {
      known.push(rest);
    } else if (word === "certificate") {
      certificates.push(...readCertificate(rest));
    } else if (word === "trust") {
      trusts = rest.split(" ").filter((name) => name !== "");
    } else if (word === "issuer") {
      issuer = rest;
    } else if (word === "clock") {
      findings.push(...clockFindings(Number(rest), local, maximumClockSkew));
    } else if (word === "finding") {
      const about = /^unreachable (\S+): (.*)$/.exec(rest);
      findings.push(
        about?.[1] === undefined || about[2] === undefined
          ? { text: rest }
          : { text: about[2], about: about[1] },
      );
    } else if (word === "receipt" || word === "drift") {
      const [step, text] = cut(rest);
      if (isStep(step)) {
        if (word === "receipt") {
          receipts.set(step, { revision: text, drift: [] });
        } else {
          receipts.get(step)?.drift.push(text);
        }
      }
    } else if (word === "unit") {
      unit.push(rest);
    }
  }
  return {
    seen: true,
    formed,
    findings,
    receipts,
    unit,
    ...details(told),
    leader,
    empty,
    members,
    nodes,
    known,
    certificates,
    ...(trusts === undefined ? {} : { trusts }),
    ...(issuer === undefined ? {} : { issuer }),
  };
}

/** Words whose rest a look has as it was told. */
const AS_TOLD = [
  ...(["version", "installed", "wanted", "token", "alarm", "downgrade"] as const),
  ...(["recovered", "recovering", "held"] as const),
];
const TOLD_ONCE = new Set<string>([
  ...AS_TOLD,
  ...["snapshot", "data", "identity", "offered", "revision"],
]);

function details(told: ReadonlyMap<string, string>) {
  const asTold: Partial<Record<(typeof AS_TOLD)[number], string>> = Object.fromEntries(
    AS_TOLD.flatMap((word) => {
      const rest = told.get(word);
      return rest === undefined ? [] : [[word, rest]];
    }),
  );
  const [from, to, path] = told.get("snapshot")?.split(" ") ?? [];
  const data = readIdentity(told.get("data"));
  const identity = readIdentity(told.get("identity"));
  const revision = told.get("revision");
  const [taken, upTo] = told.get("offered")?.split(" ") ?? [];
  return {
    ...asTold,
    ...(revision === undefined ? {} : { revision: Number(revision) }),
    ...(taken === undefined
      ? {}
      : {
          offered: {
            taken: new Date(Number(taken) * 1000),
            ...(upTo === undefined || upTo === "-" ? {} : { revision: Number(upTo) }),
          },
        }),
    ...(data === undefined ? {} : { data }),
    ...(identity === undefined ? {} : { identity }),
    ...(from === undefined || to === undefined || path === undefined
      ? {}
      : { snapshot: { from, to, path } }),
  };
}

/** A file that holds no certificate is drift, which the files' receipt shows. */
function readCertificate(line: string): HostCertificate[] {
  const [file, base64] = cut(line);
  try {
    const certificate = new X509Certificate(Buffer.from(base64, "base64"));
    const authority =
      file === "ca.pem" ? authorityOf({ ...certificate.toLegacyObject().subject }) : undefined;
    return [
      {
        file,
        end: new Date(certificate.validTo),
        ...(authority === undefined ? {} : { authority }),
      },
    ];
  } catch {
    return [];
  }
}

function clockFindings(
  remote: number,
  local: { readonly started: number; readonly ended: number },
  maximum: number,
): Finding[] {
  const behind = (local.started - remote) / 1000;
  const ahead = (remote - local.ended) / 1000;
  const skew = Math.max(behind, ahead);
  if (skew <= maximum) {
    return [];
  }
  const direction = behind > ahead ? "behind" : "ahead of";
  return [
    {
      text: `its clock is ${skew.toFixed(1)} s ${direction} this machine's; etcd:host.maximumClockSkew allows ${maximum}: set up time synchronisation`,
    },
  ];
}

function isStep(word: string): word is StepName {
  return ["host", "binaries", "files", "member"].includes(word);
}

function cut(line: string): [string, string] {
  const space = line.indexOf(" ");
  return space === -1 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
}

/** Options of the OpenSSH client for one endpoint; nothing is read from the user's own files. */
export function sshOptions(connection: Endpoint & { readonly bastion?: Endpoint }): string[] {
  const options = [
    "-F",
    "/dev/null",
    "-p",
    String(connection.port),
    "-o",
    "BatchMode=yes",
    "-o",
    `ConnectTimeout=${CONNECT_SECONDS}`,
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "GlobalKnownHostsFile=/dev/null",
    "-o",
    "UpdateHostKeys=no",
  ];
  if (connection.hostKey === undefined) {
    options.push("-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR");
  } else {
    options.push("-o", "StrictHostKeyChecking=yes");
    options.push("-o", `KnownHostsCommand=/bin/echo %H ${connection.hostKey}`);
    options.push("-o", `HostKeyAlgorithms=${algorithms(connection.hostKey)}`);
  }
  if (connection.privateKeyFile === undefined) {
    options.push("-o", `IdentityAgent=${fileName(connection.agentSocket ?? "none")}`);
  } else {
    options.push("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none");
    options.push("-o", `IdentityFile=${fileName(connection.privateKeyFile)}`);
  }
  if (connection.bastion !== undefined) {
    const bastion = connection.bastion;
    // The outer ssh expands % once in the whole line: what is meant for the inner one is doubled.
    const inner = sshOptions(bastion).map((word) => word.replaceAll("%", "%%"));
    const words = ["ssh", ...inner, "-W", "[%h]:%p", destination(bastion)].map(quote);
    options.push("-o", `ProxyCommand=${words.join(" ")}`);
  }
  return options;
}

/** A path as ssh_config(5) takes it: in quotes, and with nothing to expand. */
function fileName(path: string): string {
  return `"${path.replace(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}

function algorithms(hostKey: string): string {
  const type = hostKey.split(" ")[0] ?? hostKey;
  return type === "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : type;
}

function destination(endpoint: Endpoint): string {
  return `${endpoint.user}@${endpoint.host}`;
}

function explain(connection: Connection, answer: Answer): string {
  const said = answer.stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const where = `${connection.user}@${connection.host}:${connection.port}`;
  if (answer.stderr.includes("Host key verification failed")) {
    const which =
      connection.bastion === undefined
        ? where
        : `${where}, or of the bastion ${connection.bastion.host}:${connection.bastion.port},`;
    return `the host key of ${which} is not the expected one, so nothing was sent; if the host was really rebuilt, put its new key into the known_hosts file or etcd:ssh.hostKeys`;
  }
  return `no SSH session as ${where}: ${said.at(-1) ?? "no answer in time"}`;
}
