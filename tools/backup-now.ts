/** One snapshot more, by the same job that takes them on schedule. */
import type { ClusterConfig } from "../components/config";
import { askBackups } from "../components/hosts/backups";
import type { JobResult } from "../components/hosts/host-state";
import { printable } from "../components/hosts/printable";
import { notAskedOf, reasonsOf } from "./hosts";
import { isoTime, mebibytes } from "./units";

/** As `npm run backups -- now --json` has it. */
export interface NewBackup {
  readonly host: string;
  readonly time: string;
  readonly revision: number | null;
  readonly bytes: number | null;
  readonly id: string | null;
  /** What is to be said of it all the same. */
  readonly remark: string | null;
}

/**
 * Starts the job on all hosts, of which the leader's takes the snapshot, and waits until it has ended.
 *
 * @throws Error when there is no new snapshot, with the reason.
 */
export async function backUpNow(config: ClusterConfig): Promise<NewBackup> {
  const hosts = await askBackups(config, "now");
  const answered = [...hosts].flatMap(([host, said]) =>
    "reason" in said ? [] : [{ host, ...said }],
  );
  const notAsked = notAskedOf(hosts);
  if (answered.length === 0) {
    throw new Error(`no host could be asked: ${reasonsOf(notAsked)}`);
  }
  if (answered.every(({ timer }) => !timer)) {
    throw new Error("no host that could be asked has etcd-backup.service yet; run pulumi up");
  }
  // Where the leader changes meanwhile, there may be two.
  const [last] = answered
    .flatMap(({ host, job }) => (job === undefined ? [] : [{ host, job }]))
    .sort((one, other) => other.job.time.getTime() - one.job.time.getTime());
  if (last?.job.outcome === "ok") {
    return newBackup(last.host, last.job);
  }
  const reasons = [
    ...(last === undefined ? [] : [`${last.host}: ${last.job.reason ?? "no reason was given"}`]),
    ...answered.flatMap(({ host, timer, idle, broken }) => {
      const words = timer ? (broken ?? idle) : "has no etcd-backup.service yet; run pulumi up";
      return words === undefined ? [] : [`${host}: ${words}`];
    }),
    ...(notAsked.length === 0 ? [] : [reasonsOf(notAsked)]),
  ];
  const what = last === undefined ? "no host took a snapshot" : "the backup failed";
  throw new Error(printable(`${what}: ${reasons.join("; ")}`, 2000));
}

function newBackup(host: string, job: JobResult): NewBackup {
  return {
    ...{ host, time: isoTime(job.time) },
    revision: job.revision ?? null,
    bytes: job.size ?? null,
    id: job.id ?? null,
    remark: job.reason === undefined ? null : printable(job.reason),
  };
}

/** For people. */
export function renderResult({ host, revision, bytes, id, remark }: NewBackup): string {
  const facts = [
    ...(revision === null ? [] : [`revision ${revision}`]),
    ...(bytes === null ? [] : [`${mebibytes(bytes)} MiB`]),
    ...(id === null ? [] : [id]),
  ];
  return [
    `${host}: new backup: ${facts.join(", ")}`,
    ...(remark === null ? [] : [`warning: ${remark}`]),
  ].join("\n");
}
