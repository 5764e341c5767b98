/** The snapshots in the repository and on the hosts. */
import type { ClusterConfig } from "../components/config";
import { askBackups, type HostBackups, type RepositorySnapshot } from "../components/hosts/backups";
import { printable } from "../components/hosts/printable";
import { type NotAsked, notAskedOf, reasonsOf } from "./hosts";
import { renderTable } from "./table";
import { age, isoTime, mebibytes, secondsSince } from "./units";

/** A snapshot in the repository, as `npm run backups -- --json` has it; null for what it does not say. */
export interface ListedSnapshot {
  readonly id: string;
  readonly time: string | null;
  readonly ageSeconds: number | null;
  readonly revision: number | null;
  readonly bytes: number | null;
  readonly cluster: string | null;
  readonly release: string | null;
  readonly node: string | null;
  /** The hosts of this stack made it. */
  readonly ours: boolean;
}

export interface ListedFile {
  readonly host: string;
  readonly path: string;
  readonly time: string;
  readonly ageSeconds: number;
  readonly bytes: number;
}

export interface ListedRepository {
  /** Without credentials; null when no host has its values yet. */
  readonly name: string | null;
  /** Through which it was asked. */
  readonly host: string | null;
  /** Why its snapshots are not known. */
  readonly error: string | null;
  /** The newest first. */
  readonly snapshots: readonly ListedSnapshot[];
  /** So many more are older. */
  readonly older: number;
}

/** Everything. Its keys, and what they say, are in docs/commands.md. */
export interface BackupList {
  /** Null when none is configured. */
  readonly repository: ListedRepository | null;
  /** The newest first. */
  readonly files: readonly ListedFile[];
  /** Hosts whose files are not known. */
  readonly notAsked: readonly NotAsked[];
}

/** @throws Error when no host can be asked. */
export async function listBackups(config: ClusterConfig): Promise<BackupList> {
  const hosts = await askBackups(config, "files");
  const answered = [...hosts].flatMap(([host, said]) =>
    "reason" in said ? [] : [{ host, ...said }],
  );
  const notAsked = notAskedOf(hosts);
  if (answered.length === 0) {
    throw new Error(`no host could be asked: ${reasonsOf(notAsked)}`);
  }
  const having = answered.filter(({ repository }) => repository !== undefined);
  const repository =
    config.backup?.repository === undefined
      ? null
      : await askRepository(
          config,
          having.map(({ host }) => host),
        );
  const now = new Date();
  const files = answered.flatMap(({ host, files: own }) =>
    own.map(({ path, time, bytes }) => {
      const written = isoTime(time);
      return { host, path, time: written, ageSeconds: secondsSince(written, now), bytes };
    }),
  );
  return {
    repository,
    files: files.sort((one, other) => one.ageSeconds - other.ageSeconds),
    notAsked,
  };
}

/** Through the first host that can. */
async function askRepository(
  config: ClusterConfig,
  hosts: readonly string[],
): Promise<ListedRepository> {
  let failed: ListedRepository | undefined;
  for (const host of hosts) {
    const said = (await askBackups(config, "repository", [host])).get(host);
    const error = said === undefined ? "is lost" : "reason" in said ? said.reason : said.refused;
    if (said !== undefined && !("reason" in said) && said.refused === undefined) {
      return found(host, said, new Date());
    }
    const name = said === undefined || "reason" in said ? null : (said.repository ?? null);
    failed ??= { name, host, error: printable(error ?? ""), snapshots: [], older: 0 };
  }
  const error = "no host that could be asked knows the repository yet; run pulumi up";
  return failed ?? { name: null, host: null, error, snapshots: [], older: 0 };
}

function found(
  host: string,
  { repository, snapshots, olderSnapshots }: HostBackups,
  now: Date,
): ListedRepository {
  return {
    ...{ name: repository ?? null, host, error: null },
    snapshots: snapshots.map((snapshot) => listed(snapshot, now)).reverse(),
    older: olderSnapshots,
  };
}

function listed(snapshot: RepositorySnapshot, now: Date): ListedSnapshot {
  const { id, time = null, ours } = snapshot;
  return {
    ...{ id, time, ageSeconds: time === null ? null : secondsSince(time, now) },
    revision: snapshot.revision ?? null,
    bytes: snapshot.bytes ?? null,
    cluster: snapshot.cluster ?? null,
    release: snapshot.release ?? null,
    node: snapshot.node ?? null,
    ours,
  };
}

const HEADER = [
  ...["WHERE", "SNAPSHOT", "TIME", "AGE", "REVISION", "SIZE", "RELEASE", "NODE", "CLUSTER"],
];

/** For people. */
export function renderList({ repository, files, notAsked }: BackupList): string {
  const rows = [
    ...(repository?.snapshots ?? []).map((one) => [
      ...["repository", one.id, one.time ?? "-"],
      one.ageSeconds === null ? "-" : age(one.ageSeconds),
      String(one.revision ?? "-"),
      sizeOf(one.bytes),
      one.release ?? "-",
      one.node ?? "-",
      `${one.cluster ?? "-"}${one.ours ? "" : " (of another stack)"}`,
    ]),
    ...files.map(({ host, path, time, ageSeconds, bytes }) => [
      ...[host, path, time, age(ageSeconds), "-", sizeOf(bytes), "-", "-", "-"],
    ]),
  ];
  return [
    rows.length === 0 ? "no snapshots" : renderTable([HEADER, ...rows]),
    ...(repository === null ? [] : repositoryLines(repository)),
    ...notAsked.map(({ host, reason }) => `warning: ${host}: its files are not known: ${reason}`),
  ].join("\n");
}

function sizeOf(bytes: number | null): string {
  return bytes === null ? "-" : `${mebibytes(bytes)} MiB`;
}

function repositoryLines({ name, host, error, snapshots, older }: ListedRepository): string[] {
  const what = `the repository${name === null ? "" : ` ${name}`}`;
  if (error !== null) {
    const through = host === null ? "" : `, asked through ${host},`;
    return ["", `warning: the snapshots in ${what}${through} are not known: ${error}`];
  }
  return [
    "",
    `${what}, asked through ${host}, has ${snapshots.length + older} snapshots${older === 0 ? "" : `, of which the newest ${snapshots.length} are shown`}`,
  ];
}
