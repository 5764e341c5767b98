import { homedir } from "node:os";
import { join } from "node:path";
import { plain, quote } from "../../components/scripts/bundle";
import { ARCH } from "./artifacts";
import { Lab } from "./lab";
import { PKI, STATE } from "./paper-cluster";
import { type Outcome, type PaperHost, paperHost } from "./paper-host";

const CACHE =
  process.env.LAB_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "etcd-on-pulumi");
export const RELEASES = join(CACHE, `releases-${ARCH}`);

/** The restic of another Debian can be tried in place of this machine's. */
export const RESTIC_PROGRAM = process.env.TEST_RESTIC ?? "/usr/bin/restic";

/** What no output and no process's arguments may have in them. */
export const CANARY = "canary-swordfish";

/** As $STATE/jobs/values has them. */
export const JOB_VALUES = {
  ...{ NODE: "etcd01", ADDRESS: "127.0.0.1", PKI, TOKEN: "etcd-cluster-0badcafe" },
  ...{ VERSION: "3.6.14", BACKUP_LOCAL: "3", BACKUP_KEEP: "24 7 4 12", BACKUP_PRUNE: "yes" },
  ...{ REPOSITORY: "/var/repository", REPOSITORY_PASSWORD: `${CANARY}-password` },
  ...{ REPOSITORY_ENVIRONMENT: `AWS_SECRET_ACCESS_KEY=${CANARY}-key`, REPOSITORY_CA: "" },
  ...{ REPOSITORY_KEY: "", REPOSITORY_HOST_KEY: "" },
};

/** For bash on the host: restic as an operator has it. */
export const RESTIC = `env RESTIC_PASSWORD=${JOB_VALUES.REPOSITORY_PASSWORD} RESTIC_REPOSITORY=${JOB_VALUES.REPOSITORY} TZ=UTC restic`;

/** What somebody else pushes from standard input, with tags like ours. */
export const theirs = (cluster: string): string =>
  `${RESTIC} backup --stdin --stdin-filename etcd.db --quiet --host other --tag cluster=${cluster} --tag revision=6 --tag release=3.6.14 --tag node=etcd09 --tag hash=abc --tag size=100`;

type Values = Readonly<Record<string, string>>;

export async function startCluster(host: PaperHost, version: string, count: number): Promise<void> {
  await new Lab("test").release(version);
  host.sh(`ln -sfn ${RESTIC_PROGRAM} /usr/local/bin/restic`);
  host.sh(`bash ${join(__dirname, "real-cluster.sh")} ${RELEASES} ${version} ${count} >&2`);
  host.write("/var/job.sh", `${plain("backup")}\nrun_job "$@"\n`);
}

/** Writes the values of the jobs. */
export function configure(host: PaperHost, values: Values = {}): void {
  const text = Object.entries({ ...JOB_VALUES, ...values })
    .map(([name, value]) => `${name}=${quote(value)}\n`)
    .join("");
  host.write(`${STATE}/jobs/values`, text);
  host.sh(`chmod 0600 ${STATE}/jobs/values; echo 3600 >${STATE}/jobs/etcd-backup.interval`);
}

/** Puts the job where `bash -p /var/job-now.sh CALL` runs it. */
export function prepareJob(host: PaperHost, prelude = ""): void {
  host.write("/var/job-now.sh", `${plain("backup")}\n${prelude}\nrun_job "$@"\n`);
}

/** Runs the job "backup" as its timer does, after some lines of bash that the script then has in front of its call. */
export function job(host: PaperHost, call: string, prelude = ""): Outcome {
  prepareJob(host, prelude);
  return host.run("backup", ["eval", `exec setsid --wait bash -p /var/job-now.sh ${call}`]);
}

export const BACKUPS = "/var/backups/etcd";

/** What a test of the job looks at on a host with a cluster. */
export class BackupHost {
  constructor(readonly host: PaperHost) {}

  /** As if no backup had ever been made here. */
  clean(): void {
    this.host.sh(`rm -rf /var/repository /var/cache/etcd-on-pulumi ${BACKUPS} ${STATE}/jobs/* ${STATE}/results /usr/local/sbin/restic
      mkdir -p ${BACKUPS}`);
    configure(this.host);
  }

  /** Keeps the repository as it is for `filled`. */
  keep(): void {
    this.host.sh(`cp -a /var/repository /var/template; cp ${STATE}/results/repository /var/known`);
  }

  /** The repository as it was kept. */
  filled(): void {
    this.host.sh(
      `cp -a /var/template /var/repository; mkdir -p ${STATE}/results; cp /var/known ${STATE}/results/repository`,
    );
  }

  run(call = "run", prelude = ""): Outcome {
    return withoutSecrets(job(this.host, call, prelude));
  }

  result(name = "backup"): string {
    return this.host.sh(`cat ${STATE}/results/${name} 2>/dev/null || true`);
  }

  files(): string[] {
    return this.host.sh(`ls ${BACKUPS}`).split("\n").filter(Boolean);
  }

  inRepository(): { readonly tags?: readonly string[]; readonly short_id: string }[] {
    return JSON.parse(this.host.sh(`${RESTIC} snapshots --json`));
  }

  locks(): string {
    return this.host.sh("ls /var/repository/locks");
  }
}

/** Of the member, on the host. */
export const SNAPSHOT = "/var/backups/etcd/one.db";

/** What a test of the repository looks at, on a host with a cluster of one. */
export class RepositoryHost {
  /** ID of the cluster. */
  cluster = "";
  /** Of the snapshot in the repository that `filled` puts there. */
  id = "";
  #host: PaperHost | undefined;

  get host(): PaperHost {
    if (this.#host === undefined) {
      throw new Error("not started");
    }
    return this.#host;
  }

  async start(): Promise<void> {
    this.#host = await paperHost();
    await startCluster(this.host, "3.6.14", 1);
    this.host.sh(`ctl snapshot save ${SNAPSHOT} >/dev/null 2>&1`);
    this.cluster = this.host.sh(
      `printf %x "$(ctl endpoint status --write-out json | sed 's/.*"cluster_id":\\([0-9]*\\).*/\\1/')"`,
    );
    this.clean();
    this.id = this.push();
    this.host.sh(`cp -a /var/repository /var/template; cp ${STATE}/results/repository /var/known`);
  }

  close(): void {
    this.#host?.close();
  }

  clean(): void {
    this.host.sh(`rm -rf /var/repository /var/cache/etcd-on-pulumi ${STATE}/jobs/* ${STATE}/results ${STATE}/recovered /usr/local/sbin/restic
      rm -f /var/backups/etcd/*.part /var/backups/etcd/restored-*`);
    configure(this.host);
  }

  /** The repository with one snapshot, as it was made before all tests. */
  readonly filled = (): void => {
    this.host.sh(
      `cp -a /var/template /var/repository; mkdir -p ${STATE}/results; cp /var/known ${STATE}/results/repository`,
    );
  };

  /** Runs bash with what the jobs and steps have at hand, and the values of the jobs. */
  readonly call = (code: string, values: Values = {}): Outcome => {
    configure(this.host, values);
    this.host.write(
      "/var/call.sh",
      `${plain("backup")}\n${plain("member")}\n. ${STATE}/jobs/values\nASK_SECONDS=20\n${code}\n`,
    );
    return withoutSecrets(this.host.run("member", ["eval", "exec bash -p /var/call.sh"]));
  };

  readonly push = (): string =>
    this.call(
      `open_repository ${this.cluster} && push_snapshot ${SNAPSHOT} ${this.cluster} 3.6.14 scheduled`,
    ).stdout.trim();

  readonly locks = (): string => this.host.sh("ls /var/repository/locks");
}

function withoutSecrets(outcome: Outcome): Outcome {
  if (`${outcome.stdout}${outcome.stderr}`.includes(CANARY)) {
    throw new Error(`a secret is in the output: ${outcome.stdout}${outcome.stderr}`);
  }
  return outcome;
}
