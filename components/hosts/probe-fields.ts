/** The values of an answer's lines. */
import { X509Certificate } from "node:crypto";
import { FIRST_CA } from "../config/types";
import type { LiveMember } from "../etcd/members";
import { cut } from "./answer-grammar";
import type {
  Alarm,
  Authority,
  Database,
  Finding,
  HostCertificate,
  Identity,
  InspectedHost,
  JobResult,
  SnapshotRemote,
  VersionSnapshot,
} from "./host-state";
import { printable } from "./printable";

/** This machine's clock when it asked and when the answer began, in milliseconds since the epoch; the host's is to lie between. */
export interface Asked {
  readonly started: number;
  readonly ended: number;
  /** Seconds. */
  readonly maximumClockSkew: number;
}

export const SUBJECT_FIELDS = {
  country: "C",
  province: "ST",
  locality: "L",
  organization: "O",
  organizationalUnit: "OU",
} as const;

/** What a certificate's subject says when it is one of this program's CAs. */
export function authorityOf(subject: Readonly<Record<string, unknown>>): Authority | undefined {
  if (subject.CN !== "etcd") {
    return undefined;
  }
  const { serialNumber } = subject;
  const names = Object.entries(SUBJECT_FIELDS).flatMap(([key, short]) => {
    const value = subject[short];
    return typeof value === "string" ? [[key, printable(value)]] : [];
  });
  return {
    name: typeof serialNumber === "string" ? printable(serialNumber) : FIRST_CA,
    subject: Object.fromEntries(names),
  };
}

/** `CLUSTER MEMBER [unmanaged]` */
export function readIdentity(rest: string): Identity {
  const [cluster = "", member = "", note] = rest.split(" ");
  const left = note === "left" ? ({ left: true } as const) : {};
  return { cluster, member, unmanaged: note === "unmanaged", ...left };
}

/** `CLUSTER MEMBER LEADER` */
export function readRuns(rest: string): NonNullable<InspectedHost["runs"]> {
  const [cluster = "", member = "", leader = "0"] = rest.split(" ");
  return { cluster, member, ...(leader === "0" ? {} : { leader }) };
}

/** `KIND MEMBER` */
export function readAlarm(rest: string): Alarm {
  const [kind, member] = cut(rest);
  return { kind, member };
}

/** `BYTES QUOTA` */
export function readDatabase(rest: string): Database {
  const [size, quota] = cut(rest);
  return { size: Number(size), quota: Number(quota) };
}

/** `FROM TO PATH` */
export function readSnapshot(rest: string): VersionSnapshot {
  const [from = "", to = "", path = ""] = rest.split(" ");
  return { from, to, path };
}

/** `SECONDS REVISION|-` */
export function readSnapshotFile(rest: string): NonNullable<InspectedHost["snapshotFile"]> {
  const [seconds, revision] = cut(rest);
  return {
    taken: new Date(Number(seconds) * 1000),
    ...(revision === "-" ? {} : { revision: Number(revision) }),
  };
}

/** `JOB ok|failed TIME REVISION|- BYTES|- RESULT SECONDS|- [TEXT]` */
export function readJob(rest: string): JobResult {
  const [name = "", outcome, time = "", revision, size, id, interval, ...reason] = rest.split(" ");
  const known = (word: string | undefined): word is string => word !== undefined && word !== "-";
  return {
    ...{ name, outcome: outcome === "ok" ? "ok" : "failed", time: new Date(time) },
    ...(known(revision) ? { revision: Number(revision) } : {}),
    ...(known(size) ? { size: Number(size) } : {}),
    ...(known(id) ? { id } : {}),
    ...(known(interval) ? { interval: Number(interval) } : {}),
    ...(reason.length > 0 ? { reason: reason.join(" ") } : {}),
  };
}

/** `JOB TIME REVISION|- BYTES|- RESULT` */
export function readGoodJob(rest: string): JobResult {
  const [name, run] = cut(rest);
  return readJob(`${name} ok ${run}`);
}

/** `SNAPSHOT TIME REVISION BYTES CLUSTER VERSION` */
export function readSnapshotRemote(rest: string): SnapshotRemote {
  const [id = "", time = "", revision, size, cluster = "", release = ""] = rest.split(" ");
  return {
    ...{ id, taken: new Date(time), revision: Number(revision), size: Number(size) },
    ...{ cluster, release },
  };
}

export function clockFindings(
  remote: number,
  { started, ended, maximumClockSkew }: Asked,
): readonly Finding[] {
  const behind = (started - remote) / 1000;
  const ahead = (remote - ended) / 1000;
  const skew = Math.max(behind, ahead);
  if (skew <= maximumClockSkew) {
    return [];
  }
  const direction = behind > ahead ? "behind" : "ahead of";
  return [
    {
      text: `its clock is ${skew.toFixed(1)} s ${direction} this machine's; etcd:host.maximumClockSkew allows ${maximumClockSkew}: set up time synchronisation`,
    },
  ];
}

/** First words of a finding (scripts/lib/preflight.sh). */
const STOPS = { always: "every run", change: "changes", note: "nothing" } as const;

export function readFinding(line: string): Finding {
  const [, word, about, text = line] =
    /^(?:(always|change|note) )?(?:unreachable (\S+): )?(.*)$/.exec(line) ?? [];
  return {
    text,
    ...(about === undefined ? {} : { about }),
    ...(word === "always" || word === "change" || word === "note" ? { stops: STOPS[word] } : {}),
  };
}

/** `NAME PEER_URLS LEARNER HEALTHY MEMBER` */
export function readMember(text: string): LiveMember {
  const [name = "", peerUrls = "", learner, healthy, id] = text.split(" ");
  return {
    name: name === "-" ? "" : name,
    peerUrls,
    learner: learner === "true",
    healthy: healthy === "yes",
    ...(id === undefined ? {} : { id }),
  };
}

/** `FILE BASE64` */
export function readCertificate(line: string): HostCertificate[] {
  const [file, base64] = cut(line);
  try {
    const certificate = new X509Certificate(Buffer.from(base64, "base64"));
    const authority =
      file === "ca.pem" ? authorityOf({ ...certificate.toLegacyObject().subject }) : undefined;
    const end = new Date(certificate.validTo);
    if (Number.isNaN(end.getTime())) {
      return [];
    }
    return [
      {
        file,
        end,
        ...(authority === undefined
          ? {}
          : {
              authority,
              publicKey: certificate.publicKey.export({ type: "spki", format: "pem" }).toString(),
            }),
      },
    ];
  } catch {
    return [];
  }
}
