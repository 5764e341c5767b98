/** The snapshots that the hosts and their repository have, and one more. */
import type { ClusterConfig } from "../config";
import type { Line, Rule } from "./answer-grammar";
import { ask, askAll } from "./ask";
import type { JobResult } from "./host-state";
import { readJob } from "./probe-fields";
import { PROBE_WORDS } from "./probe-words";
import type { Failure } from "./ssh-errors";

/** A snapshot in a file of a host. */
export interface SnapshotFile {
  readonly path: string;
  readonly time: Date;
  readonly bytes: number;
}

/** A snapshot in the repository; nothing is known of one that somebody else made. */
export interface RepositorySnapshot {
  readonly id: string;
  /** In UTC, to the second. */
  readonly time?: string;
  readonly revision?: number;
  readonly bytes?: number;
  readonly cluster?: string;
  readonly release?: string;
  readonly node?: string;
  /** This stack's hosts made it. */
  readonly ours: boolean;
}

/** What a host says. */
export interface HostBackups {
  /** It has the job. */
  readonly timer: boolean;
  /** Name of the repository, without credentials. */
  readonly repository?: string;
  readonly files: readonly SnapshotFile[];
  readonly olderFiles: number;
  readonly snapshots: readonly RepositorySnapshot[];
  readonly olderSnapshots: number;
  /** Why the repository's snapshots are not known. */
  readonly refused?: string;
  /** Result of the job, if it has left a new one. */
  readonly job?: JobResult;
  /** What it said when it left none. */
  readonly idle?: string;
  /** Likewise, when systemd says that it failed. */
  readonly broken?: string;
}

type Draft = { -readonly [Field in keyof HostBackups]: HostBackups[Field] };

/** What is asked, and how many seconds a host has for its answer. */
const QUESTIONS = {
  files: 30,
  repository: 120,
  // As long as systemd gives the job (lib/jobs.sh), and a little more.
  now: 4 * 3600 + 300,
} as const;

export type BackupQuestion = keyof typeof QUESTIONS;

interface Word extends Rule {
  readonly read: (host: Draft, rest: string) => void;
}

const PROSE = { form: "TEXT", prose: 400 };

/** The words of the answers (scripts/steps/backups.sh). */
const WORDS = {
  timer: {
    says: "The host has the job `backup`.",
    form: "",
    read: (host) => {
      host.timer = true;
    },
  },
  repository: {
    says: "The repository's name, without credentials.",
    ...PROSE,
    read: (host, rest) => {
      host.repository = rest;
    },
  },
  file: {
    says: "A snapshot in a file: when it was written last, and its size.",
    ...{ form: "SECONDS BYTES PATH", most: 100 },
    read: (host, rest) => {
      const [seconds, bytes, path = ""] = rest.split(" ");
      const time = new Date(Number(seconds) * 1000);
      host.files = [...host.files, { path, time, bytes: Number(bytes) }];
    },
  },
  "older-files": {
    says: "So many more, which are older.",
    form: "COUNT",
    read: (host, rest) => {
      host.olderFiles = Number(rest);
    },
  },
  snapshot: {
    says: "A snapshot in the repository, the oldest first; `yes` when this stack's hosts made it.",
    ...{ form: "SNAPSHOT TIME|- REVISION|- BYTES|- CLUSTER|- VERSION|- NAME yes|no", most: 2000 },
    read: (host, rest) => {
      host.snapshots = [...host.snapshots, readSnapshot(rest)];
    },
  },
  "older-snapshots": {
    says: "So many more, which are older.",
    form: "COUNT",
    read: (host, rest) => {
      host.olderSnapshots = Number(rest);
    },
  },
  refused: {
    says: "Why the repository's snapshots cannot be listed.",
    ...PROSE,
    read: (host, rest) => {
      host.refused = rest;
    },
  },
  job: {
    ...PROBE_WORDS.job,
    says: "The result of the job that was started.",
    most: 1,
    read: (host, rest) => {
      host.job = readJob(rest);
    },
  },
  idle: {
    says: "The job that was started has left no result, because there was nothing for it to do: its last words.",
    ...PROSE,
    read: (host, rest) => {
      host.idle = rest;
    },
  },
  broken: {
    says: "Likewise, because it was ended: the last words of it, or of systemctl.",
    ...PROSE,
    read: (host, rest) => {
      host.broken = rest;
    },
  },
} as const satisfies Readonly<Record<string, Word>>;

export const BACKUP_WORDS: Readonly<Record<keyof typeof WORDS, Word>> = WORDS;

/** `SNAPSHOT TIME|- REVISION|- BYTES|- CLUSTER|- VERSION|- NAME|- yes|no` */
function readSnapshot(rest: string): RepositorySnapshot {
  const [id = "", ...facts] = rest.split(" ");
  const [time, revision, bytes, cluster, release, node, ours] = facts.map((fact) =>
    fact === "-" ? undefined : fact,
  );
  return {
    id,
    ...(time === undefined ? {} : { time }),
    ...(revision === undefined ? {} : { revision: Number(revision) }),
    ...(bytes === undefined ? {} : { bytes: Number(bytes) }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(release === undefined ? {} : { release }),
    ...(node === undefined ? {} : { node }),
    ours: ours === "yes",
  };
}

/** What the lines of an answer say. Exported for the tests. */
export function readBackups(lines: readonly Line<keyof typeof WORDS>[]): HostBackups {
  const host: Draft = {
    ...{ timer: false, files: [], olderFiles: 0, snapshots: [], olderSnapshots: 0 },
  };
  for (const { word, rest } of lines) {
    BACKUP_WORDS[word].read(host, rest);
  }
  return host;
}

/** Asks these hosts at once, by node name. Never fails. */
export function askBackups(
  { connections }: Pick<ClusterConfig, "connections">,
  question: BackupQuestion,
  names: readonly string[] = [...connections.keys()],
): Promise<ReadonlyMap<string, HostBackups | Failure>> {
  return askAll(connections, names, async (name, connection) => {
    const lines = await ask(name, connection, {
      script: "backups",
      words: question,
      grammar: BACKUP_WORDS,
      seconds: QUESTIONS[question],
      // An operator waits, who can ask again.
      patience: { pauses: [1] },
    });
    return "reason" in lines ? lines : readBackups(lines);
  });
}
