import { isReceiptName, JOB_NAMES, type ReceiptName } from "../scripts/steps";
import { cut, type Rule } from "./answer-grammar";
import type { InspectedHost, Receipt } from "./host-state";
import {
  type Asked,
  clockFindings,
  readAlarm,
  readCertificate,
  readDatabase,
  readFinding,
  readGoodJob,
  readIdentity,
  readJob,
  readMember,
  readRuns,
  readSnapshot,
  readSnapshotFile,
  readSnapshotRemote,
} from "./probe-fields";

/** A host's state while its answer is read. */
export type Draft = { -readonly [Field in keyof InspectedHost]: InspectedHost[Field] } & {
  receipts: Map<ReceiptName, Receipt>;
};

export interface ProbeWord extends Rule {
  readonly read: (host: Draft, rest: string, asked: Asked) => void;
}

const FLAG = { form: "" };
const PROSE = { form: "TEXT", prose: 400 };

type Reader = ProbeWord["read"];
/** Fields of a host's state whose values are of one type. */
type FieldOf<Value> = {
  [Field in keyof Draft]-?: Value extends Draft[Field] ? Field : never;
}[keyof Draft];

/** The whole line. */
function text(field: FieldOf<string>): Reader {
  return (host, rest) => {
    host[field] = rest;
  };
}

/** One line more of a list. */
function texts(field: FieldOf<readonly string[]>): Reader {
  return (host, rest) => {
    host[field] = [...(host[field] ?? []), rest];
  };
}

function flag(field: FieldOf<boolean>): Reader {
  return (host) => {
    host[field] = true;
  };
}

function value<Field extends keyof Draft>(
  field: Field,
  read: (rest: string) => Draft[Field],
): Reader {
  return (host, rest) => {
    host[field] = read(rest);
  };
}

/**
 * The words of an inspection (scripts/steps/probe.sh). Each is the name of the field of a host's state that it is read into, in the
 * singular where it may come more than once; `clock` and `drift` go into another word's
 * field, and `job-good` into `goodJobs`.
 */
const WORDS = {
  clock: {
    says: "The host's clock.",
    ...{ form: "MILLISECONDS", required: true },
    read: (host, rest, asked) => {
      host.findings = [...host.findings, ...clockFindings(Number(rest), asked)];
    },
  },
  "locked-by": {
    says: "Another `pulumi up` has locked the host: whose.",
    ...PROSE,
    read: text("lockedBy"),
  },
  unfinished: {
    says: "What still runs there: steps of a run that has ended, or a job that did not end while it was waited for; whose.",
    ...PROSE,
    read: text("unfinished"),
  },
  script: {
    says: "A script of a step or a job that is on the host, and whole; in an `up`.",
    ...{ form: "SCRIPT", most: 50 },
    read: texts("scripts"),
  },
  program: {
    says: "The release of this program that the last `up` here was of.",
    form: "VERSION",
    read: text("program"),
  },
  finding: {
    says: "The preflight refuses this. Behind `always` it stops every run, behind `change` those that change the host, behind `note` none; `unreachable NAME:` says which neighbour it is about.",
    ...{ ...PROSE, most: 20 },
    read: (host, rest) => {
      host.findings = [...host.findings, readFinding(rest)];
    },
  },
  warning: {
    says: "To be shown, and no reason to stop.",
    ...{ ...PROSE, most: 5 },
    read: texts("warnings"),
  },
  foreign: {
    says: "A member in the live list whose name or URLs the program cannot handle.",
    ...{ ...PROSE, most: 50 },
    read: texts("foreign"),
  },
  bootstrapped: {
    says: "A member on this host was ready in a cluster once.",
    ...FLAG,
    read: flag("bootstrapped"),
  },
  empty: {
    says: "There is no data of etcd.",
    ...FLAG,
    read: flag("empty"),
  },
  data: {
    says: "Whose data lies there; `unmanaged` when no start by this program made it, `left` when this host has taken the member out of the cluster.",
    form: "CLUSTER MEMBER [unmanaged|left]",
    read: value("data", readIdentity),
  },
  identity: {
    says: "Whose data it was when the gate saw the member last.",
    form: "CLUSTER MEMBER",
    read: value("identity", readIdentity),
  },
  "peer-urls-seen": {
    says: "Peer URLs of a member as the gate saw them last.",
    ...{ form: "PEER_URLS", most: 50 },
    read: texts("peerUrlsSeen"),
  },
  recovered: {
    says: "The cluster that was given up for the one of this host's member.",
    form: "CLUSTER",
    read: text("recovered"),
  },
  recovering: {
    says: "A cluster from whose data here a recovery was begun; the last one counts.",
    ...{ form: "CLUSTER", most: 20 },
    read: text("recovering"),
  },
  "snapshot-file": {
    says: "When the file that `recover.snapshot` names was taken, and up to which revision it goes.",
    form: "SECONDS REVISION|-",
    read: value("snapshotFile", readSnapshotFile),
  },
  "snapshot-remote": {
    says: "The snapshot in the repository that `recover.snapshot` names: when it was taken, how far it goes, its size, cluster and release. Not there on a host without restic.",
    form: "SNAPSHOT TIME REVISION BYTES CLUSTER VERSION",
    read: value("snapshotRemote", readSnapshotRemote),
  },
  "snapshot-unread": {
    says: "Why the host cannot tell of that snapshot, although it has restic.",
    ...PROSE,
    read: text("snapshotUnread"),
  },
  revision: {
    says: "How far the member's data goes; at least, when it does not run.",
    form: "REVISION",
    read: value("revision", Number),
  },
  unit: {
    says: "What is wrong with the unit or with the running etcd.",
    ...{ ...PROSE, most: 200 },
    read: texts("unit"),
  },
  version: {
    says: "The release that the member runs.",
    form: "VERSION",
    read: text("version"),
  },
  installed: {
    says: "The release that a start of etcd would run.",
    form: "VERSION",
    read: text("installed"),
  },
  runs: {
    says: "What the running etcd says of itself: cluster, member, and who leads (`0` for nobody).",
    form: "CLUSTER MEMBER LEADER",
    read: value("runs", readRuns),
  },
  leader: {
    says: "The member leads.",
    ...FLAG,
    read: flag("leader"),
  },
  member: {
    says: "A member of the live list: whether it is a learner, and whether it is healthy.",
    ...{ form: "NAME PEER_URLS true|false yes|no MEMBER", most: 50 },
    read: (host, rest) => {
      host.members = [...host.members, readMember(rest)];
    },
  },
  node: {
    says: "A node of the last run.",
    ...{ form: "NAME ADDRESS", most: 50 },
    read: (host, rest) => {
      host.nodes = [...host.nodes, cut(rest)[1]];
    },
  },
  token: {
    says: "`initial-cluster-token` of the cluster that the member was made for.",
    form: "NAME",
    read: text("token"),
  },
  "desired-digest": {
    says: "What the last run of the member's step was to bring about.",
    form: "DIGEST",
    read: text("desiredDigest"),
  },
  alarm: {
    says: "An alarm of the cluster, and the member that it is about (`0` when nobody can tell).",
    ...{ form: "KIND MEMBER", most: 50 },
    read: (host, rest) => {
      host.alarms = [...(host.alarms ?? []), readAlarm(rest)];
    },
  },
  database: {
    says: "Size and quota of the member's database.",
    form: "BYTES QUOTA",
    read: value("database", readDatabase),
  },
  downgrade: {
    says: "The series that the cluster is on its way down to.",
    form: "SERIES",
    read: text("downgrade"),
  },
  snapshot: {
    says: "A version change is under way, and this host has a snapshot from before it: from, to, file.",
    form: "VERSION VERSION PATH",
    read: value("snapshot", readSnapshot),
  },
  job: {
    says: "What a job of the host's timers did last: the end of its last run, what that was about, the longest gap in its schedule in seconds, why it failed.",
    ...{
      form: "JOB ok|failed TIME REVISION|- BYTES|- RESULT SECONDS|- [TEXT]",
      most: JOB_NAMES.length,
      prose: 2000,
    },
    read: (host, rest) => {
      host.jobs = [...(host.jobs ?? []), readJob(rest)];
    },
  },
  "job-good": {
    says: "What it did last that came out well.",
    ...{ form: "JOB TIME REVISION|- BYTES|- RESULT", most: JOB_NAMES.length },
    read: (host, rest) => {
      host.goodJobs = [...(host.goodJobs ?? []), readGoodJob(rest)];
    },
  },
  certificate: {
    says: "A certificate on the host; a bundle has several. One that is none is drift, which the receipt shows.",
    ...{ form: "FILE BASE64", most: 40 },
    read: (host, rest) => {
      host.certificates = [...host.certificates, ...readCertificate(rest)];
    },
  },
  operator: {
    says: "Where the inspection's session comes from, when fewer client networks are to be let in.",
    form: "IP",
    read: text("operator"),
  },
  client: {
    says: "Who is connected to the client port, when this run may shut somebody out.",
    ...{ form: "IP", most: 50 },
    read: texts("clients"),
  },
  trusts: {
    says: "The CAs that the running member certainly trusts.",
    form: "CAS",
    read: (host, rest) => {
      host.trusts = rest.split(" ").filter((name) => name !== "");
    },
  },
  issuer: {
    says: "The CA that signed the certificates on the host.",
    form: "CA",
    read: text("issuer"),
  },
  receipt: {
    says: "A receipt, of a part of the step `install` or of the member's, and the revision in it.",
    // As long as a step's revision may be: one that came back cut would be another one.
    ...{ form: "RECEIPT [TEXT]", most: 5, prose: 2000 },
    read: (host, rest) => {
      const [name, revision] = cut(rest);
      if (isReceiptName(name)) {
        host.receipts.set(name, { revision, drift: [] });
      }
    },
  },
  drift: {
    says: "A difference from a receipt, which comes before it.",
    ...{ form: "RECEIPT TEXT", most: 200, prose: 500 },
    read: (host, rest) => {
      const [name, words] = cut(rest);
      const receipt = isReceiptName(name) ? host.receipts.get(name) : undefined;
      if (isReceiptName(name) && receipt !== undefined) {
        host.receipts.set(name, { ...receipt, drift: [...receipt.drift, words] });
      }
    },
  },
} as const satisfies Readonly<Record<string, ProbeWord>>;

export const PROBE_WORDS: Readonly<Record<keyof typeof WORDS, ProbeWord>> = WORDS;
