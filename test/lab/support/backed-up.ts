/** A cluster whose hosts push its snapshots to a repository in the lab. */
import { expect } from "vitest";
import { z } from "zod";
import { type Repository, type RepositoryKind, restic, startRepository } from "./repository";
import { eventually, hosts, onAll, printed, type Stack, succeed, type Values } from "./stack";

/** Its timers do not elapse: the tests start the jobs. */
const NEVER = "*-01-01 04:00";

export const STATE = "/var/lib/etcd-on-pulumi";

const SNAPSHOTS = z.array(
  z.object({ short_id: z.string(), time: z.string(), tags: z.array(z.string()) }),
);

export class BackedUp {
  private constructor(
    private readonly stack: Stack,
    readonly repository: Repository,
    private readonly values: Values,
    private readonly names: readonly string[],
  ) {}

  /**
   * Brings the cluster about, with a new repository and the first backup in it.
   *
   * @param values of the configuration that stay.
   * @param names of the hosts.
   */
  static async begin(
    stack: Stack,
    kind: RepositoryKind,
    values: Values = {},
    names = hosts,
  ): Promise<BackedUp> {
    const one = new BackedUp(stack, await startRepository(stack.lab, kind), values, names);
    await one.configure();
    await succeed(stack.up());
    const before = await one.newest("backup");
    if (before !== "" && !(await one.busy("backup"))) {
      await one.backUp();
    }
    await eventually("the first backup, soon after the up", async () =>
      (await one.newest("backup")).startsWith("ok "),
    );
    return one;
  }

  /** The stack's configuration, with the credentials as secrets. */
  async configure(values: Values = {}, backup: Values = {}): Promise<void> {
    const { repository, caCertificate, hostKey, ...secrets } = this.repository.config;
    this.stack.configure({
      ...{ ...this.values, ...values },
      backup: {
        ...{ schedule: NEVER, repository, ...backup },
        ...(caCertificate === undefined ? {} : { caCertificate }),
        ...(hostKey === undefined ? {} : { hostKey }),
      },
    });
    const { password, privateKey, environment = {} } = secrets;
    await this.stack.secret("backup.password", password);
    if (privateKey !== undefined) {
      await this.stack.secret("backup.privateKey", privateKey);
    }
    for (const [name, word] of Object.entries(environment)) {
      await this.stack.secret(`backup.environment.${name}`, word);
    }
  }

  /** Starts a job on all hosts at once, as their timers do, and waits for its end. */
  async runJob(name: string): Promise<void> {
    await onAll(this.stack.lab, `systemctl start etcd-${name}.service || true`, this.names);
  }

  /** Last result of a job, of all hosts. */
  async results(name: string): Promise<readonly string[]> {
    const show = `cat ${STATE}/results/${name} 2>/dev/null || true`;
    return (await onAll(this.stack.lab, show, this.names)).filter((line) => line !== "");
  }

  /** The one that is from the latest run; empty when there is none. */
  async newest(name: string): Promise<string> {
    const time = (line: string) => line.split(" ")[1] ?? "";
    const sorted = [...(await this.results(name))].sort((a, b) => (time(a) < time(b) ? 1 : -1));
    return sorted[0] ?? "";
  }

  /** A backup, which must come out well. */
  async backUp(): Promise<void> {
    // One that an up has begun may be of a moment ago.
    await this.jobsEnded("backup");
    await this.runJob("backup");
    expect(await this.newest("backup")).toMatch(/^ok /);
  }

  /** What restic says of the repository, from a host that has it. */
  async snapshots(): Promise<z.output<typeof SNAPSHOTS>> {
    const asked = restic(this.stack.lab, hosts[0] ?? "", this.repository.config, [
      ...["snapshots", "--no-lock", "--json"],
    ]);
    return SNAPSHOTS.parse(JSON.parse((await succeed(asked)).stdout));
  }

  async put(key: string, value: string): Promise<void> {
    await succeed(this.stack.etcdctl(["put", key, value]));
  }

  async get(key: string): Promise<string> {
    return (await succeed(this.stack.etcdctl(["get", "--print-value-only", key]))).stdout.trim();
  }

  async wipeAll(): Promise<void> {
    await Promise.all(this.names.map((host) => this.stack.lab.wipe(host)));
  }

  /**
   * Recovers the cluster on hosts of which nothing was left.
   *
   * @param snapshot as `recover.snapshot` has it.
   * @returns seconds that the `up` took, which ends when all members serve.
   */
  async recoverFrom(snapshot: string): Promise<number> {
    const { clusterId } = await this.stack.outputs();
    await this.wipeAll();
    await this.configure({ recover: { node: "etcd01", snapshot, confirm: clusterId } });
    const preview = printed(await succeed(this.stack.preview()));
    expect(preview).toMatch(
      new RegExp(`snapshot [0-9a-f]{8} .*revision \\d+.*cluster ${clusterId}`),
    );
    const begun = Date.now();
    await succeed(this.stack.up());
    const seconds = (Date.now() - begun) / 1000;
    await this.configure();
    await succeed(this.stack.previewNothing());
    return seconds;
  }

  /** Whether a host runs the job. */
  async busy(name: string): Promise<boolean> {
    const state = `systemctl is-active etcd-${name}.service || true`;
    const states = await onAll(this.stack.lab, state, this.names);
    return states.some((words) => !/^(inactive|failed)$/.test(words));
  }

  /** Waits until no host runs the job any more. */
  async jobsEnded(name: string): Promise<void> {
    await eventually("the jobs have ended", async () => !(await this.busy(name)));
  }

  /** Nothing of a run that was killed is left: no lock in the repository, no unfinished file on a host. */
  async expectClean(): Promise<void> {
    expect(this.repository.files("locks")).toEqual([]);
    const unfinished = "ls /var/backups/etcd | grep part || true";
    expect((await onAll(this.stack.lab, unfinished, this.names)).join("")).toBe("");
  }
}
