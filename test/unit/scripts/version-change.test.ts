import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, STATE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";
import { paperRestic, withRepository } from "../../support/paper-restic";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const BACKUPS = "/var/backups/etcd";

describe.skipIf(reason !== undefined)(
  `step member, another release${reason ? ` (${reason})` : ""}`,
  () => {
    const host = hostForEach();
    const cluster = new PaperCluster(host);
    const apply = (change: Partial<typeof RUNNING>, revision = "repair 2026-11-22T10:20:30Z") =>
      cluster.run("member", `SETTLE_SECONDS=3; apply "${revision}"`, { ...RUNNING, ...change });
    const restarts = () => host.sh("grep -c '^restart' /var/paper/systemctl || true");
    const snapshots = () => host.sh(`ls ${BACKUPS} 2>/dev/null || true`).split("\n");
    const release = () => host.sh("readlink /usr/local/bin/etcd");
    /** What the other members run. */
    const others = (a2: string, a3: string) =>
      host.sh(`echo ${a2} >/var/paper/field-a2-Version; echo ${a3} >/var/paper/field-a3-Version`);
    /** All members run it, and the cluster speaks its series. */
    const all = (version: string) => {
      runningMember(host, cluster, { ...RUNNING, VERSION: version });
      others(version, version);
      host.sh(`
      echo ${version} >/var/paper/field-a1-Version
      echo ${version.slice(0, 3)} | tee /var/paper/cluster-version >/var/paper/storage-version`);
    };
    const UP = { VERSION: "3.7.2", PREDECESSORS: "3.6.11\n3.7.0" };

    beforeEach(() => {
      all("3.6.14");
    });

    test("of the same series takes a snapshot, restarts, and says so", () => {
      const { status, stderr } = apply({ VERSION: "3.6.17" });
      expect(status).toBe(0);
      const file = `${BACKUPS}/etcd01-cafe-\\d{8}T\\d{6}Z-before-3\\.6\\.17-from-3\\.6\\.14\\.db`;
      expect(stderr).toMatch(
        new RegExp(
          `^etcd01: snapshot before version 3\\.6\\.14 to 3\\.6\\.17: ${file}\netcd01: restarting etcd: version 3\\.6\\.14 to 3\\.6\\.17\n$`,
        ),
      );
      expect(host.sh(`stat -c %a ${BACKUPS} ${BACKUPS}/*`)).toBe("700\n600");
      expect(host.sh(`cat ${STATE}/version-snapshot`)).toMatch(
        new RegExp(`^3.6.14 3.6.17 ${file}$`),
      );
      expect(restarts()).toBe("1");
    });

    describe("where there is a repository", () => {
      test("pushes its snapshot there too", () => {
        paperRestic(host, [{ id: "0badcafe" }]);
        withRepository(host);
        const { status, stderr } = apply({ VERSION: "3.6.17" });
        expect(stderr).toContain(
          "etcd01: snapshot 1a2b3c4d of it is in the repository s3:https://s3.example.org/etcd\n",
        );
        expect(status).toBe(0);
        const [file] = snapshots();
        expect(host.sh(`cmp /var/paper/pushed ${BACKUPS}/${file}`)).toBe("");
        expect(host.sh("cat /var/paper/restic")).toMatch(
          /--tag cluster=cafe --tag revision=7 --tag release=3\.6\.14 --tag node=etcd01 --tag hash=deadbeef --tag size=41 --tag why=before-3\.6\.17$/m,
        );
      });

      test("goes on without it when it cannot be pushed", () => {
        paperRestic(host, []);
        withRepository(host);
        host.write("/var/paper/restic-fails", "Fatal: the bucket is full\n");
        const { status, stderr } = apply({ VERSION: "3.6.17" });
        expect(stderr).toContain(
          "etcd01: the snapshot was not pushed, and is on this host alone: repository s3:https://s3.example.org/etcd: the bucket is full\n",
        );
        expect(status).toBe(0);
        expect(release()).toBe("/opt/etcd-on-pulumi/v3.6.17/etcd");
        expect(snapshots()).toHaveLength(1);
      });
    });

    test("takes no snapshot when another member has it already, unless nobody has one", () => {
      others("3.6.17", "3.6.14");
      expect(apply({ VERSION: "3.6.17" }).stderr).toBe(
        "etcd01: restarting etcd: version 3.6.14 to 3.6.17\n",
      );
      expect(snapshots()).toEqual([""]);
      all("3.6.14");
      others("3.6.17", "3.6.14");
      expect(apply({ VERSION: "3.6.17" }, "snapshot-first 2026-11-22T10:20:30Z").status).toBe(0);
      expect(snapshots()).toHaveLength(1);
    });

    test.each([
      [
        "cannot be made",
        "echo snapshot save >/var/paper/refuses",
        "Error: etcdserver: refused snapshot save",
      ],
      [
        "does not verify",
        "rm /usr/local/bin/etcdutl; printf '#!/bin/sh\\necho bad hash; exit 1\\n' >/usr/local/bin/etcdutl; chmod 755 /usr/local/bin/etcdutl",
        "does not verify: bad hash",
      ],
    ])("is refused when the snapshot %s", (_, damage, words) => {
      host.sh(damage);
      const { status, stderr } = apply({ VERSION: "3.6.17" });
      expect(status).toBe(1);
      expect(stderr).toContain(
        "not restarted, because the snapshot before the change to 3.6.17 failed: ",
      );
      expect(stderr).toContain(words);
      expect([restarts(), release()]).toEqual(["0", "/opt/etcd-on-pulumi/v3.6.14/etcd"]);
    });

    test("keeps the newest five snapshots of its kind and every other", () => {
      const old = [1, 2, 3, 4, 5].map(
        (day) => `etcd01-cafe-2026010${day}T000000Z-before-3.6.14-from-3.6.13.db`,
      );
      host.sh(
        `mkdir -p ${BACKUPS}; cd ${BACKUPS}; touch ${old.join(" ")} etcd01-cafe-20250101T000000Z.db`,
      );
      expect(apply({ VERSION: "3.6.17" }).status).toBe(0);
      const left = snapshots();
      expect(left).toHaveLength(6);
      expect(left).not.toContain(old[0]);
      expect(left).toEqual(
        expect.arrayContaining([...old.slice(1), "etcd01-cafe-20250101T000000Z.db"]),
      );
    });

    test("that cannot follow the running one is refused on the host as well", () => {
      const { stderr } = apply({ ...UP, PREDECESSORS: "3.6.17\n3.7.0" });
      expect(stderr).toBe(
        "etcd01: runs etcd 3.6.14, which 3.7.2 cannot follow: it follows only 3.6.17 3.7.0 and later patches of these\n",
      );
      expect(restarts()).toBe("0");
    });

    test("a series up waits until the cluster speaks the series that runs", () => {
      host.sh("echo 3.5 >/var/paper/cluster-version");
      expect(apply(UP).stderr).toContain("after 3 s the cluster version is still 3.5, not 3.6");
      expect(restarts()).toBe("0");
      host.sh("echo 3.6 >/var/paper/cluster-version");
      expect(apply(UP).status).toBe(0);
      expect(release()).toBe("/opt/etcd-on-pulumi/v3.7.2/etcd");
    });

    test("a series up cancels a downgrade under way", () => {
      others("3.7.2", "3.7.2");
      host.sh("touch /var/paper/downgrading");
      expect(apply(UP).stderr).toContain("etcd01: the downgrade in progress was cancelled\n");
      expect(cluster.changes()).toEqual([`${LOCAL}: downgrade cancel`]);
    });

    describe("a series up with entries in the log that the new release cannot read", () => {
      const OVERRIDE = "/run/systemd/system/etcd.service.d/snapshot-count.conf";
      const unit =
        "[Service]\nExecStart=/usr/local/bin/etcd \\\n  --name=x \\\n  --last=y\nUser=etcd";
      /** On a start with the override, raft's snapshot goes up to this entry. */
      const snapshotUpTo = (index: string) =>
        host.sh(`
        mkdir -p /var/lib/etcd/member/snap
        printf 'x\\022\\003PUT\\032\\n/0/version' >/var/lib/etcd/member/wal/0-0.wal
        touch /var/lib/etcd/member/snap/0000000000000001-0000000000000002.snap
        printf '%s\\n' 'if [ -e ${OVERRIDE} ]; then cp ${OVERRIDE} /var/paper/override;' \
          'touch /var/lib/etcd/member/snap/0000000000000002-${index}.snap; fi' >>/var/paper/on-start`);

      test("puts them behind a snapshot of raft first, by one more restart", () => {
        runningMember(host, cluster, { ...RUNNING, UNIT_TEXT: unit });
        snapshotUpTo("0000000000000009");
        const { status, stderr } = apply({ ...UP, UNIT_TEXT: unit });
        expect(status).toBe(0);
        expect(stderr.split("\n").slice(1)).toEqual([
          "etcd01: restarting etcd 3.6.14 first: forcing a raft snapshot so that 3.7.2 need not replay v2 entries written by 3.5",
          "etcd01: restarting etcd: version 3.6.14 to 3.7.2",
          "",
        ]);
        expect(restarts()).toBe("2");
        expect(host.sh("cat /var/paper/override")).toBe(
          "[Service]\nExecStart=\nExecStart=/usr/local/bin/etcd \\\n  --name=x \\\n  --last=y --snapshot-count=1",
        );
        expect(host.sh(`ls ${OVERRIDE} 2>&1 || true`)).toContain("No such file");
      });

      test("is refused when etcd takes no such snapshot", () => {
        snapshotUpTo("0000000000000008");
        expect(apply(UP).stderr).toContain(
          "etcd01: not restarted with 3.7.2, because etcd 3.6.14 has taken no raft snapshot for 3 s although it runs with --snapshot-count=1",
        );
        expect(release()).toBe("/opt/etcd-on-pulumi/v3.6.14/etcd");
      });

      test("needs nothing when the log has none, or within a series", () => {
        host.sh("echo /1/version >/var/lib/etcd/member/wal/0-0.wal");
        expect(apply(UP).status).toBe(0);
        expect(restarts()).toBe("1");
      });
    });

    describe("a series down", () => {
      beforeEach(() => {
        all("3.7.2");
        host.sh("echo 3.6 >/var/paper/downgradable");
      });

      test("is asked for once, and follows when the data is in the older format", () => {
        const { status, stderr } = apply({});
        expect(status).toBe(0);
        expect(stderr.split("\n").slice(1)).toEqual([
          "etcd01: downgrade of the cluster from 3.7 to 3.6 enabled",
          "etcd01: restarting etcd: version 3.7.2 to 3.6.14",
          "",
        ]);
        expect(cluster.changes().slice(1)).toEqual([`${LOCAL}: downgrade enable 3.6`]);
      });

      test("goes on where it was enabled already", () => {
        host.sh(
          "cd /var/paper; touch downgrading; echo 3.6 | tee cluster-version >storage-version",
        );
        expect(apply({}).status).toBe(0);
        expect(cluster.changes().filter((call) => call.includes("downgrade"))).toEqual([]);
      });

      test("needs no consent where a member runs it: an upgrade stopped half way", () => {
        others("3.6.14", "3.6.14");
        host.sh("cd /var/paper; rm downgradable; echo 3.6 | tee cluster-version >storage-version");
        expect(apply({}).stderr).toBe("etcd01: restarting etcd: version 3.7.2 to 3.6.14\n");
      });

      test("is refused with etcd's words when it does not agree", () => {
        host.sh("echo downgrade enable >/var/paper/refuses");
        expect(apply({}).stderr).toContain(
          "not restarted, because etcd does not allow the downgrade to 3.6: Error: etcdserver: refused downgrade enable",
        );
        expect(restarts()).toBe("0");
      });

      test("is not begun while the data stays in the newer format", () => {
        host.sh("cd /var/paper; touch downgrading; echo 3.6 >cluster-version");
        expect(apply({}).stderr).toContain(
          "not restarted, because for 3 s the cluster version has been 3.6 and the storage version here 3.7, not 3.6; set etcd:version back to 3.7.2 to cancel the downgrade",
        );
        expect(restarts()).toBe("0");
      });

      test("of a stopped member starts it as it was first", () => {
        host.sh("echo inactive >/var/paper/property-ActiveState");
        expect(apply({}).status).toBe(0);
        expect(host.sh("grep -E '^(start|restart)' /var/paper/systemctl").split("\n")).toEqual([
          "start --no-block etcd.service",
          "restart --no-block etcd.service",
        ]);
      });
    });
  },
);
