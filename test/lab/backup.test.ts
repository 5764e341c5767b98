/** Backups to a real S3 server and a real SFTP server: taken, warned of, restored onto bare hosts, drilled, and left alone in the end. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { freshStack } from "./support/fresh";
import {
  type Repository,
  type RepositoryKind,
  restic,
  startRepository,
} from "./support/repository";
import {
  eventually,
  hosts,
  on,
  onAll,
  printed,
  refuse,
  succeed,
  type Values,
} from "./support/stack";

const stack = freshStack("backup");
const { lab } = stack;
const STATE = "/var/lib/etcd-on-pulumi";
let repository: Repository;

/** The stack's configuration, with the credentials as secrets. */
async function configure(values: Values = {}, backup: Values = {}): Promise<void> {
  const { repository: place, caCertificate, hostKey, ...secrets } = repository.config;
  stack.configure({
    ...values,
    backup: {
      ...{ schedule: "hourly", repository: place, ...backup },
      ...(caCertificate === undefined ? {} : { caCertificate }),
      ...(hostKey === undefined ? {} : { hostKey }),
    },
  });
  await stack.secret("backup.password", secrets.password);
  if (secrets.privateKey !== undefined) {
    // A text that begins with dashes is an option to the CLI.
    const set = 'printf %s "$KEY" | pulumi config set --secret --path etcd:backup.privateKey';
    const more = '--stack "$1" --config-file "$2"';
    const env = { KEY: secrets.privateKey };
    await succeed(
      stack.run(["bash", "-c", `${set} ${more}`, "-", stack.name, stack.configFile], { env }),
    );
  }
  for (const [name, word] of Object.entries(secrets.environment ?? {})) {
    await stack.secret(`backup.environment.${name}`, word);
  }
}

async function leader(): Promise<string> {
  const found = await onAll(
    lab,
    'cd /etc/kubernetes/pki/etcd && etcdctl --cacert ca.pem --cert client.pem --key client-key.pem endpoint status -w fields | awk \'/"MemberID"/ { id = $3 } /"Leader"/ { leader = $3 } END { print id == leader }\'',
  );
  return hosts[found.indexOf("1")] ?? "";
}

/** Starts a job on all hosts at once, as their timers do, and waits for its end. */
async function runJob(name: string): Promise<void> {
  await onAll(lab, `systemctl start etcd-${name}.service || true`);
}

/** Last result of a job, of all hosts. */
async function results(name: string): Promise<readonly string[]> {
  return (await onAll(lab, `cat ${STATE}/results/${name} 2>/dev/null || true`)).filter(
    (line) => line !== "",
  );
}

const newest = async (name: string) =>
  [...(await results(name))].sort((a, b) =>
    (a.split(" ")[1] ?? "") < (b.split(" ")[1] ?? "") ? 1 : -1,
  )[0] ?? "";

const snapshots = z.array(z.object({ short_id: z.string(), tags: z.array(z.string()) }));

/** What restic says of the repository, from a host that has it. */
async function inRepository(): Promise<z.output<typeof snapshots>> {
  const asked = restic(lab, hosts[0] ?? "", repository.config, [
    "snapshots",
    "--no-lock",
    "--json",
  ]);
  return snapshots.parse(JSON.parse((await succeed(asked)).stdout));
}

const put = (key: string, value: string) => succeed(stack.etcdctl(["put", key, value]));
const get = async (key: string) =>
  (await succeed(stack.etcdctl(["get", "--print-value-only", key]))).stdout.trim();

async function wipeAll(): Promise<void> {
  await Promise.all(hosts.map((host) => lab.wipe(host)));
}

/** Of a cluster that was recovered on hosts of which nothing was left. */
async function recoverFrom(snapshot: string): Promise<void> {
  const { clusterId } = await stack.outputs();
  await wipeAll();
  await configure({ recover: { node: "etcd01", snapshot, confirm: clusterId } });
  const preview = printed(await succeed(stack.preview()));
  expect(preview).toMatch(new RegExp(`snapshot [0-9a-f]{8} .*revision \\d+.*cluster ${clusterId}`));
  const begun = Date.now();
  await succeed(stack.up());
  expect(Date.now() - begun).toBeLessThan(60_000);
  await configure();
  await succeed(stack.previewNothing());
}

async function begin(kind: RepositoryKind): Promise<void> {
  repository = await startRepository(lab, kind);
  await configure();
  await succeed(stack.up());
  await eventually("the first backup, soon after the up", async () =>
    (await newest("backup")).startsWith("ok "),
  );
}

describe("to an S3 server", () => {
  beforeAll(() => begin("versitygw"));

  test("each host has the timers, and one host's backup counts for all", async () => {
    expect(
      await onAll(lab, "systemctl is-active etcd-backup.timer etcd-backup-check.timer | uniq"),
    ).toEqual(hosts.map(() => "active"));
    await put("before", "first");
    const before = (await inRepository()).length;
    await runJob("backup");
    expect(await inRepository()).toHaveLength(before + 1);
    const last = (await inRepository()).at(-1);
    const { clusterId, version } = await stack.outputs();
    expect(last?.tags).toEqual(
      expect.arrayContaining([`cluster=${clusterId}`, `release=${version}`]),
    );
  });

  test("a preview is quiet while all is well", async () => {
    const preview = printed(await succeed(stack.previewNothing()));
    expect(preview).not.toMatch(/warning:.*(backup|repository)/);
  });

  test("no secret of the repository is in the state in clear, printed, or in an argument", async () => {
    const words = [
      repository.config.password,
      ...Object.values(repository.config.environment ?? {}),
    ];
    const state = await stack.exportState();
    const preview = printed(await succeed(stack.preview({ args: ["--diff"] })));
    const journal = (await onAll(lab, "journalctl --output cat --unit 'etcd-backup*'")).join("\n");
    for (const word of words) {
      expect(state).not.toContain(word);
      expect(preview).not.toContain(word);
      expect(journal).not.toContain(word);
    }
    expect(
      await onAll(lab, `stat -c %a:%U ${STATE}/jobs ${STATE}/jobs/values | paste -sd ' '`),
    ).toEqual(hosts.map(() => "700:root 600:root"));
  });

  test("a server that is away is in the result, in the journal and in the next preview, with its reason", async () => {
    await repository.stop();
    const host = await leader();
    await runJob("backup");
    expect(await newest("backup")).toMatch(/^failed .* # not pushed to the repository s3:/);
    expect(
      await on(lab, host, "journalctl --output cat --unit etcd-backup.service -n 20"),
    ).toContain("not pushed to the repository");
    expect(printed(await succeed(stack.preview()))).toMatch(
      new RegExp(
        `warning: backup: failed on ${host} .* ago: not pushed to the repository s3:.*; the last good one is`,
      ),
    );
    await repository.start();
    await runJob("backup");
    expect(await newest("backup")).toMatch(/^ok /);
    expect(printed(await succeed(stack.preview()))).not.toMatch(/warning: backup/);
  });

  test("one that is killed in the middle is followed by a good one, and leaves no lock and no file", async () => {
    await onAll(
      lab,
      "systemctl start --no-block etcd-backup.service; sleep 0.7; systemctl kill --signal KILL etcd-backup.service || true",
    );
    await eventually("they have ended", async () =>
      (await onAll(lab, "systemctl is-active etcd-backup.service || true")).every((words) =>
        /inactive|failed/.test(words),
      ),
    );
    await runJob("backup");
    expect(await newest("backup")).toMatch(/^ok /);
    expect(repository.files("locks")).toEqual([]);
    expect(await onAll(lab, "ls /var/backups/etcd | grep part || true")).toEqual(["", "", ""]);
  });

  test("a drill restores the newest snapshot on one host that does not lead", async () => {
    // The restored data has etcd's authentication enabled, and so has its member.
    for (const words of [
      ...["user add root --new-user-password=x", "user grant-role root root"],
      ...["user add client --no-password", "user grant-role client root", "auth enable"],
    ]) {
      await succeed(stack.etcdctl(words.split(" ")));
    }
    await runJob("backup");
    expect(await newest("backup")).toMatch(/^ok /);
    await configure({}, { drill: "weekly" });
    await succeed(stack.up());
    await runJob("drill");
    await succeed(stack.etcdctl(["auth", "disable"]));
    expect(await results("drill")).toEqual([expect.stringMatching(/^ok /)]);
    expect(await on(lab, await leader(), `ls ${STATE}/results`)).not.toContain("drill");
    expect(
      await onAll(
        lab,
        `ls -d ${STATE}/drill 2>&1 || true; systemctl list-units --no-legend 'etcd-drill-member*'`,
      ),
    ).toEqual(hosts.map(() => expect.stringContaining("No such file")));
  });

  test("all hosts are wiped: one edit brings the cluster back from the newest snapshot", async () => {
    await put("kept", "in the repository");
    await runJob("backup");
    expect(await newest("backup")).toMatch(/^ok /);
    await put("lost", "after the backup");
    await recoverFrom("latest");
    expect(await get("kept")).toBe("in the repository");
    expect(await get("lost")).toBe("");
    await runJob("backup");
    expect(await newest("backup")).toMatch(/^ok /);
  });

  test("a pack with a flipped bit is found by the check, which names it and deletes nothing", async () => {
    const before = repository.files("snapshots");
    const pack = repository.flipBit();
    const name = pack.split("/").at(-1)?.slice(0, 8) ?? "";
    await onAll(lab, `sed -i 's/^CHECK_PARTS=4$/CHECK_PARTS=1/' ${STATE}/jobs/backup.sh`);
    await runJob("backup-check");
    expect(await newest("backup-check")).toMatch(new RegExp(`^failed .* # .*${name}`));
    expect(printed(await succeed(stack.preview()))).toMatch(
      /warning: check of the repository: failed on/,
    );
    expect(repository.files("snapshots")).toEqual(before);
    repository.flipBit(pack);
  });

  test("destroy takes timers, scripts and credentials away, and leaves the repository alone", async () => {
    const before = (await repository.files("snapshots")).length;
    await onAll(lab, `touch -d '1 hour ago' ${STATE}/configured 2>/dev/null || true`);
    const words = printed(await succeed(stack.destroy()));
    expect(words).toMatch(/the snapshots in the repository s3:\S+ are left there/);
    expect(
      await onAll(
        lab,
        "ls -d /etc/systemd/system/etcd-* /etc/systemd/system/*.wants/etcd-* /var/lib/etcd-on-pulumi /var/cache/etcd-on-pulumi 2>/dev/null || true",
      ),
    ).toEqual(["", "", ""]);
    // The final one was pushed beside.
    expect(repository.files("snapshots")).toHaveLength(before + 1);
  });

  afterAll(() => repository.stop());
});

describe("to an SFTP server", () => {
  beforeAll(() => begin("sftp"));

  test("a wrong password is said in restic's words", async () => {
    await stack.secret("backup.password", "another one");
    await succeed(stack.up());
    await runJob("backup");
    expect(await newest("backup")).toMatch(/^failed .*wrong password/);
    await configure();
    await succeed(stack.up());
  });

  test("all hosts are wiped: one edit brings the cluster back from a snapshot by its ID", async () => {
    await put("kept", "in the repository");
    await runJob("backup");
    const { short_id: id = "" } = (await inRepository()).at(-1) ?? {};
    await recoverFrom(id);
    expect(await get("kept")).toBe("in the repository");
  });

  test("a snapshot that is not there is refused before anything is touched", async () => {
    const { clusterId } = await stack.outputs();
    await wipeAll();
    await configure({
      recover: { node: "etcd01", snapshot: "0123456789abcdef", confirm: clusterId },
    });
    expect(await refuse(stack.up())).toContain("0123456789abcdef");
    expect(await onAll(lab, `ls -d ${STATE} 2>/dev/null || true`)).toEqual(["", "", ""]);
  });
});
