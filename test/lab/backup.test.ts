/** Backups to a real S3 server and a real SFTP server: taken, warned of, restored onto bare hosts, drilled, and left alone in the end. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BackedUp, STATE } from "./support/backed-up";
import { leaderOf } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { hosts, on, onAll, printed, refuse, succeed } from "./support/stack";

const stack = freshStack("backup");
const { lab } = stack;
/** Seconds for a restore onto bare hosts, beside another lab; alone it takes 60 at most (restores.test.ts). */
const RESTORED = 120;
let cluster: BackedUp;

describe("to an S3 server", () => {
  beforeAll(async () => {
    cluster = await BackedUp.begin(stack, "versitygw");
  });

  test("each host has the timers, and one host's backup counts for all", async () => {
    expect(
      await onAll(lab, "systemctl is-active etcd-backup.timer etcd-backup-check.timer | uniq"),
    ).toEqual(hosts.map(() => "active"));
    await cluster.put("before", "first");
    const before = (await cluster.snapshots()).length;
    await cluster.runJob("backup");
    expect(await cluster.snapshots()).toHaveLength(before + 1);
    const last = (await cluster.snapshots()).at(-1);
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
      cluster.repository.config.password,
      ...Object.values(cluster.repository.config.environment ?? {}),
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
    await cluster.repository.stop();
    const host = await leaderOf(lab);
    await cluster.runJob("backup");
    expect(await cluster.newest("backup")).toMatch(/^failed .* # not pushed to the repository s3:/);
    expect(
      await on(lab, host, "journalctl --output cat --unit etcd-backup.service -n 20"),
    ).toContain("not pushed to the repository");
    expect(printed(await succeed(stack.preview()))).toMatch(
      new RegExp(
        `warning: backup: failed on ${host} .* ago: not pushed to the repository s3:.*; the last good one is`,
      ),
    );
    await cluster.repository.start();
    await cluster.backUp();
    expect(printed(await succeed(stack.preview()))).not.toMatch(/warning: backup/);
  });

  test("one that is killed in the middle is followed by a good one, and leaves no lock and no file", async () => {
    await onAll(
      lab,
      "systemctl start --no-block etcd-backup.service; sleep 0.7; systemctl kill --signal KILL etcd-backup.service || true",
    );
    await cluster.jobsEnded("backup");
    await cluster.backUp();
    await cluster.expectClean();
  });

  test("a drill restores the newest snapshot on one host that does not lead", async () => {
    // The restored data has etcd's authentication enabled, and so has its member.
    for (const words of [
      ...["user add root --new-user-password=x", "user grant-role root root"],
      ...["user add client --no-password", "user grant-role client root", "auth enable"],
    ]) {
      await succeed(stack.etcdctl(words.split(" ")));
    }
    await cluster.backUp();
    await cluster.configure({}, { drill: "weekly" });
    await succeed(stack.up());
    await cluster.runJob("drill");
    await succeed(stack.etcdctl(["auth", "disable"]));
    expect(await cluster.results("drill")).toEqual([expect.stringMatching(/^ok /)]);
    expect(await on(lab, await leaderOf(lab), `ls ${STATE}/results`)).not.toContain("drill");
    expect(
      await onAll(
        lab,
        `ls -d ${STATE}/drill 2>&1 || true; systemctl list-units --no-legend 'etcd-drill-member*'`,
      ),
    ).toEqual(hosts.map(() => expect.stringContaining("No such file")));
  });

  test("all hosts are wiped: one edit brings the cluster back from the newest snapshot", async () => {
    await cluster.put("kept", "in the repository");
    await cluster.backUp();
    await cluster.put("lost", "after the backup");
    expect(await cluster.recoverFrom("latest")).toBeLessThan(RESTORED);
    expect(await cluster.get("kept")).toBe("in the repository");
    expect(await cluster.get("lost")).toBe("");
    await cluster.backUp();
  });

  test("a pack with a flipped bit is found by the check, which names it and deletes nothing", async () => {
    const before = cluster.repository.files("snapshots");
    const pack = cluster.repository.flipBit();
    const name = pack.split("/").at(-1)?.slice(0, 8) ?? "";
    await onAll(lab, `sed -i 's/^CHECK_PARTS=4$/CHECK_PARTS=1/' ${STATE}/jobs/backup.sh`);
    await cluster.runJob("backup-check");
    expect(await cluster.newest("backup-check")).toMatch(new RegExp(`^failed .* # .*${name}`));
    expect(printed(await succeed(stack.preview()))).toMatch(
      /warning: check of the repository: failed on/,
    );
    expect(cluster.repository.files("snapshots")).toEqual(before);
    cluster.repository.flipBit(pack);
  });

  test("destroy takes timers, scripts and credentials away, and leaves the repository alone", async () => {
    const before = (await cluster.repository.files("snapshots")).length;
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
    expect(cluster.repository.files("snapshots")).toHaveLength(before + 1);
  });

  afterAll(() => cluster.repository.stop());
});

describe("to an SFTP server", () => {
  beforeAll(async () => {
    cluster = await BackedUp.begin(stack, "sftp");
  });

  test("a wrong password is said in restic's words", async () => {
    await stack.secret("backup.password", "another one");
    await succeed(stack.up());
    await cluster.runJob("backup");
    expect(await cluster.newest("backup")).toMatch(/^failed .*wrong password/);
    await cluster.configure();
    await succeed(stack.up());
  });

  test("all hosts are wiped: one edit brings the cluster back from a snapshot by its ID", async () => {
    await cluster.put("kept", "in the repository");
    await cluster.runJob("backup");
    const { short_id: id = "" } = (await cluster.snapshots()).at(-1) ?? {};
    expect(await cluster.recoverFrom(id)).toBeLessThan(RESTORED);
    expect(await cluster.get("kept")).toBe("in the repository");
  });

  test("a snapshot that is not there is refused before anything is touched", async () => {
    const { clusterId } = await stack.outputs();
    await cluster.wipeAll();
    await cluster.configure({
      recover: { node: "etcd01", snapshot: "0123456789abcdef", confirm: clusterId },
    });
    expect(await refuse(stack.up())).toContain("0123456789abcdef");
    expect(await onAll(lab, `ls -d ${STATE} 2>/dev/null || true`)).toEqual(["", "", ""]);
  });
});
