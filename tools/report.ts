/** What `npm run status` says: as one value, which --json prints, and as a table. */
import { X509Certificate } from "node:crypto";
import { printable } from "../components/hosts/printable";
import type { NotAsked } from "./hosts";
import { JOB_KINDS, type Jobs, jobWords, type LastGood } from "./jobs";
import type { Member, Seen, SeenMember } from "./members";
import type { StackOutputs } from "./stack";
import { renderTable } from "./table";
import { age, isoTime, mebibytes } from "./units";

/** From this much of the quota on a database is warned of, in percent. */
const NEARLY_FULL = 80;

/** Exit codes, in Nagios' sense: OK, WARNING, CRITICAL. */
export const EXIT = { healthy: 0, degraded: 1, "no quorum": 2 } as const;
export const UNKNOWN = EXIT["no quorum"];

/** Everything. Its keys, and what they say, are in docs/commands.md. */
export interface Report extends Jobs {
  readonly status: keyof typeof EXIT;
  /** Hexadecimal; null when neither the cluster nor the stack says. */
  readonly clusterId: string | null;
  readonly quorum: boolean;
  /** Name of the member that says that it leads, when exactly one does. */
  readonly leader: string | null;
  readonly members: readonly Member[];
  readonly clientCertificateEnd: string | null;
  readonly caCertificateEnd: string | null;
  /** Hosts whose jobs' results could not be read. */
  readonly notAsked: readonly NotAsked[];
  readonly warnings: readonly string[];
}

/** What the hosts' jobs have to say. */
export interface AskedJobs {
  readonly jobs: Jobs;
  readonly notAsked: readonly NotAsked[];
  readonly jobWarnings: readonly string[];
}

export interface Findings extends AskedJobs {
  readonly outputs: StackOutputs;
  readonly seen: Seen;
  /** Certificates that end within so many hours are warned of. */
  readonly warnHours: number;
  readonly now: Date;
}

export function makeReport(findings: Findings): Report {
  const { outputs, seen, jobs, notAsked } = findings;
  const leaders = seen.members.filter(({ role }) => role === "leader");
  const ends = {
    clientCertificateEnd: certificatesEnd(outputs.clientCertificate),
    caCertificateEnd: certificatesEnd(outputs.caCertificate),
  };
  const warnings = [
    ...clusterWarnings(findings),
    ...certificateWarnings(findings, ends),
    ...notAsked.map(
      ({ host, reason }) => `${host}: the results of its jobs are not known: ${reason}`,
    ),
    ...findings.jobWarnings,
  ].map((warning) => printable(warning, 1000));
  return {
    status: !seen.quorum ? "no quorum" : warnings.length > 0 ? "degraded" : "healthy",
    clusterId: clusterOf(seen.members) ?? (outputs.clusterId || null),
    quorum: seen.quorum,
    leader: leaders.length === 1 ? nameOf(leaders[0]) : null,
    members: seen.members.map(plainMember),
    ...ends,
    ...jobs,
    notAsked,
    warnings,
  };
}

function nameOf(member: Member | undefined): string {
  return member?.name ?? member?.id ?? "?";
}

/** Without what is no part of the answer. */
function plainMember({ cluster, leader, raised, unseen, ...member }: SeenMember): Member {
  return member;
}

/** Of the member that leads, or else of the first that says one. */
function clusterOf(members: readonly SeenMember[]): string | undefined {
  const leader = members.find(({ role }) => role === "leader");
  return leader?.cluster ?? members.find(({ cluster }) => cluster !== undefined)?.cluster;
}

function clusterWarnings({ outputs, seen: { members, quorum } }: Findings): readonly string[] {
  const leaders = members.filter(({ role }) => role === "leader").length;
  const raised = [...new Set(members.flatMap((member) => member.raised))];
  const about = members.flatMap((member) =>
    member.alarms.map((kind) => `${kind} of ${nameOf(member)}`),
  );
  const alarms = about.length > 0 ? [...new Set(about)] : raised;
  return [
    ...members.flatMap((member) => memberWarnings(member, outputs.clusterId)),
    ...alarms.map((alarm) => `alarm ${alarm}; see docs/alarms.md`),
    ...(quorum && leaders !== 1 ? [`${leaderWords(leaders)} among the members that answer`] : []),
  ];
}

function memberWarnings(member: SeenMember, clusterId: string): readonly string[] {
  const { reason, databaseBytes: size, quotaBytes: quota, cluster } = member;
  const name = nameOf(member);
  const nearlyFull = size !== null && quota !== null && size * 100 >= quota * NEARLY_FULL;
  return [
    ...(reason === null ? [] : [`${name}: ${reason}`]),
    ...(nearlyFull ? [`${name}: its database uses ${databaseWords(member)}`] : []),
    ...(cluster === undefined || clusterId === "" || cluster === clusterId
      ? []
      : [`${name}: is in cluster ${cluster}, and the stack's outputs name ${clusterId}`]),
  ];
}

function certificateWarnings(
  { seen, warnHours, now }: Findings,
  { clientCertificateEnd, caCertificateEnd }: Pick<Report, `${"client" | "ca"}CertificateEnd`>,
): readonly string[] {
  const all: readonly (readonly [string, string | null])[] = [
    ...seen.members.map(
      (member) => [`${nameOf(member)}: its server certificate`, member.certificateEnd] as const,
    ),
    ["the client certificate", clientCertificateEnd],
    ["the CA certificate", caCertificateEnd],
  ];
  return all.flatMap(([which, end]) => {
    const left = end === null ? Number.POSITIVE_INFINITY : Date.parse(end) - now.getTime();
    if (left >= warnHours * 3_600_000) {
      return [];
    }
    return left <= 0
      ? [`${which} expired on ${end}; run pulumi up`]
      : [`${which} expires on ${end}, in ${age(Math.floor(left / 1000))}`];
  });
}

/** The first end of the certificates in a file. */
function certificatesEnd(pem: string): string | null {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const ends = blocks.flatMap((block) => {
    try {
      return [new Date(new X509Certificate(block).validTo)];
    } catch {
      return [];
    }
  });
  const [first] = ends.sort((one, other) => one.getTime() - other.getTime());
  return first === undefined || Number.isNaN(first.getTime()) ? null : isoTime(first);
}

function leaderWords(leaders: number): string {
  return leaders === 1 ? "one leader" : leaders === 0 ? "no leader seen" : `${leaders} leaders`;
}

const HEADER = ["MEMBER", "ID", "ENDPOINT", "HEALTH", "ROLE", "VERSION", "DB", "CERTIFICATE"];

/** For people. */
export function renderReport(report: Report, seen: Seen): string {
  const { members, quorum, warnings } = report;
  const healthy = members.filter(({ health }) => health === "healthy").length;
  const leaders = members.filter(({ role }) => role === "leader").length;
  const jobs = JOB_KINDS.flatMap((kind) => {
    const good = report[kind]?.lastGood;
    // The others have nothing to show for as long as there is nothing to do.
    const isDue = kind === "backup" || kind === "drill";
    return good === undefined || (good === null && !isDue)
      ? []
      : [`${jobWords(kind)}: ${goodWords(good)}`];
  });
  return [
    renderTable([HEADER, ...seen.members.map(cells)]),
    "",
    `cluster ${report.clusterId ?? "?"}: ${healthy} of ${members.length} members healthy, ${leaderWords(leaders)}${quorum ? "" : ", no quorum"}`,
    ...jobs,
    ...warnings.map((words) => `warning: ${words}`),
  ].join("\n");
}

function cells(member: SeenMember): readonly string[] {
  const { certificateEnd, unseen } = member;
  return [
    member.name ?? "?",
    member.id ?? "?",
    member.endpoint ?? "?",
    healthWords(member),
    member.role ?? "?",
    member.version ?? "?",
    databaseWords(member),
    certificateEnd === null ? (unseen ?? "?") : `until ${certificateEnd.slice(0, 10)}`,
  ];
}

function healthWords({ health, raised }: SeenMember): string {
  switch (health) {
    case "alarm":
      return `ALARM ${raised.join(", ")}`;
    case "unhealthy":
      return "UNHEALTHY";
    default:
      return health;
  }
}

function databaseWords({ databaseBytes: size, quotaBytes: quota }: Member): string {
  if (size === null) {
    return "?";
  }
  return quota === null
    ? `${mebibytes(size)} MiB`
    : `${mebibytes(size)} of ${mebibytes(quota)} MiB`;
}

function goodWords(good: LastGood | null): string {
  if (good === null) {
    return "none yet";
  }
  const facts = [
    ...(good.revision === null ? [] : [`revision ${good.revision}`]),
    ...(good.bytes === null ? [] : [`${mebibytes(good.bytes)} MiB`]),
    ...(good.id === null ? [] : [good.id]),
  ];
  return [`${age(good.ageSeconds)} ago on ${good.host}`, ...facts].join(", ");
}
