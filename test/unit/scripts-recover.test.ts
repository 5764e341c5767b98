import { beforeEach, describe, expect, test } from "vitest";
import { writeJournal } from "../support/journal";
import { PaperCluster, STATE, THREE } from "../support/paper-cluster";
import { hostForEach, whyNot } from "../support/paper-host";
import { RUNNING, runningMember } from "../support/paper-member";

const reason = whyNot();
const RELEASE = "/opt/etcd-on-pulumi/v3.6.16";

/** etcdutl that restores by copying, and etcd that is healthy in whatever network it is started. */
const TOOLS = `
cat >${RELEASE}/etcdutl <<'END'
#!/bin/bash
printf '%s\\n' "$*" >>/var/paper/etcdutl
[ ! -e /var/paper/unreadable ] || { echo 'Error: snapshot file integrity check failed'; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in restore) file=$2 ;; --data-dir) directory=$2 ;; esac
  shift
done
mkdir -p "$directory/member/snap" "$directory/member/wal"
cp "$file" "$directory/member/snap/db"
END
cat >${RELEASE}/etcd <<'END'
#!/bin/bash
printf '%s\\n' "$*" >/var/lib/etcd.replay/words
echo 'words of etcd'
[ ! -e /var/paper/broken ] || exit 1
echo replayed >/var/lib/etcd.replay/member/snap/db
exec ${process.execPath} -e 'require("http").createServer((_, answer) => answer.end("{\\"health\\":\\"true\\"}")).listen(2379, "127.0.0.1")'
END
chmod +x ${RELEASE}/etcdutl ${RELEASE}/etcd`;

describe.skipIf(reason !== undefined)(`recover.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const recover = (words: string) =>
    cluster.run("member", `recover "recover ${words}, 2026-11-22T10:20:30Z"`, RUNNING);
  const mark = () => host.sh(`cat ${STATE}/recovered 2>/dev/null || true`);
  const old = () => host.sh("cat /var/lib/etcd/member/snap/db");
  const starts = () => host.sh("grep -cE '^(start|restart) ' /var/paper/systemctl || true");
  const KEPT = "the data of before is kept in /var/lib/etcd\\.before-recovery-\\S+; .*";

  beforeEach(() => {
    runningMember(host, cluster, RUNNING);
    host.sh(`rm ${RELEASE}/etcdutl; ${TOOLS}
      ${writeJournal("cafe", "a1")}
      mkdir -p /var/lib/etcd/member/snap; echo old >/var/lib/etcd/member/snap/db
      echo 'cafe a1' >${STATE}/identity; echo snapshot >/var/s.db`);
    cluster.is({});
  });

  describe("the first host", () => {
    test("begins anew with a snapshot, under another token, and keeps what it had", () => {
      const { status, stderr } = recover("first cafe /var/s.db");
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: expect.stringMatching(
          `^etcd01: ${KEPT}\netcd01: a new cluster begins with /var/s\\.db, instead of cluster cafe\n$`,
        ),
      });
      expect(host.sh("cat /var/paper/etcdutl")).toBe(
        "snapshot restore /var/s.db --data-dir /var/lib/etcd.restored --name etcd01 " +
          "--initial-cluster etcd01=https://192.168.1.83:2380 " +
          "--initial-advertise-peer-urls https://192.168.1.83:2380 " +
          "--initial-cluster-token etcd-cluster-0badcafe-cafe " +
          "--bump-revision 1000000000 --mark-compacted",
      );
      expect(old()).toBe("snapshot");
      expect(host.sh("cat /var/lib/etcd.before-recovery-*/member/snap/db /var/s.db")).toBe(
        "old\nsnapshot",
      );
      expect(mark()).toBe("cafe");
      expect(host.sh(`ls ${STATE}`)).not.toMatch(/^identity$/m);
      expect(host.sh("ls /var/lib")).not.toContain("etcd.restored");
      expect(host.sh("stat -c %U /var/lib/etcd/member/snap/db")).toBe("etcd");
    });

    test("without one goes through its own journal first, on a copy and alone", () => {
      host.sh("cp -a /var/lib/etcd /var/before");
      const { status, stderr } = recover("first cafe");
      expect(stderr).toMatch(new RegExp(`^etcd01: ${KEPT}\n`));
      expect(status).toBe(0);
      expect(host.sh("cat /var/paper/etcdutl")).toContain(
        "snapshot restore /var/backups/etcd/recovery-cafe.db --skip-hash-check --data-dir",
      );
      expect(old()).toBe("replayed");
      expect(host.sh("diff -r /var/before /var/lib/etcd.before-recovery-*")).toBe("");
      expect(host.sh("stat -c %a /var/backups/etcd/recovery-cafe.db")).toBe("600");
      expect(host.sh("ls /var/lib")).not.toContain("etcd.replay");
    });

    test("does it once: the same words find it done", () => {
      recover("first cafe /var/s.db");
      host.sh(": >/var/paper/systemctl; rm /var/paper/etcdutl");
      expect(recover("first cafe /var/s.db")).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(host.sh("cat /var/paper/systemctl; ls /var/paper")).not.toContain("etcdutl");
    });

    test.each([
      [
        "the snapshot cannot be restored",
        "unreadable",
        "first cafe /var/s.db",
        "etcdutl cannot restore /var/s.db: Error: snapshot file integrity check failed; the data in /var/lib/etcd is as it was\n",
      ],
      [
        "the journal cannot be gone through",
        "broken",
        "first cafe",
        "etcd cannot go through the journal of this host's member; the data in /var/lib/etcd is as it was; its words:\nwords of etcd\n",
      ],
    ])("keeps its data when %s, and says why", (_, what, words, message) => {
      host.sh(`touch /var/paper/${what}`);
      expect(recover(words)).toEqual({ status: 1, stdout: "", stderr: `etcd01: ${message}` });
      expect(old()).toBe("old");
      expect(mark()).toBe("");
      expect(starts()).toBe("0");
    });

    test("does nothing while a quorum answers, whatever the program saw", () => {
      cluster.is({ members: THREE, leader: "a2" });
      expect(recover("first cafe /var/s.db").stderr).toBe(
        "etcd01: a quorum of the cluster answers at https://127.0.0.1:2379, so there is nothing to recover; take etcd:recover out of the configuration\n",
      );
      expect(old()).toBe("old");
      expect(host.sh("grep -cE '^(stop|start|restart)' /var/paper/systemctl || true")).toBe("0");
    });

    test("that never got ready is waited for by a later run, because the others join it", () => {
      host.sh(`rm ${STATE}/formed
        echo failed >/var/paper/property-ActiveState; echo true >/var/paper/on-start`);
      cluster.is({ members: [] });
      const again = () =>
        cluster.run("member", "READY_SECONDS=1; start_again 'join, now'", RUNNING);
      // In a first start members wait for each other.
      expect(again()).toMatchObject({ status: 0 });
      host.sh(`echo cafe >${STATE}/recovered`);
      expect(again().stderr).toMatch(/^etcd01: etcd is not ready after 1 s \(unit failed\)/);
      host.sh("echo 'echo active >/var/paper/property-ActiveState' >/var/paper/on-start");
      expect(again()).toMatchObject({ status: 0 });
    });

    test("that was killed between its renames begins with the file that it made", () => {
      host.sh(`mkdir -p /var/backups/etcd; echo made >/var/backups/etcd/recovery-cafe.db
        rm -r /var/lib/etcd/member; mkdir -p /var/lib/etcd.restored/member/half`);
      expect(recover("first cafe")).toMatchObject({ status: 0 });
      expect(old()).toBe("made");
    });
  });

  describe("another host", () => {
    const recovered = () => {
      cluster.is({ members: THREE.slice(1), leader: "a2" });
      // The status of the paper cluster is of cafe, so the one that was given up had another ID.
      host.sh(`${writeJournal("f0", "b1")}; echo 'f0 b1' >${STATE}/identity`);
    };

    test("puts its old data aside and joins the new cluster", () => {
      recovered();
      host.sh("echo 'echo active >/var/paper/property-ActiveState' >/var/paper/on-start");
      const { status, stderr } = recover("join f0");
      expect(stderr).toMatch(
        new RegExp(`^etcd01: ${KEPT}\netcd01: member f00d joined as a learner and was promoted\n$`),
      );
      expect(status).toBe(0);
      expect(mark()).toBe("f0");
      expect(host.sh("cat /var/lib/etcd.before-recovery-*/member/snap/db; ls /var/lib/etcd")).toBe(
        "old",
      );
    });

    test("keeps everything as it is while nobody of the new one answers", () => {
      const words =
        "etcd01: the recovered cluster does not answer; run the up again when its first member runs\n";
      expect(recover("join cafe").stderr).toBe(words);
      cluster.is({ members: THREE, leader: "a2" });
      expect(recover("join cafe").stderr).toBe(words);
      expect(old()).toBe("old");
      expect(mark()).toBe("");
    });

    test("that is a member of the new one already stays what it is", () => {
      recovered();
      host.sh(writeJournal("cafe", "a1"));
      expect(recover("join f0")).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(old()).toBe("old");
      expect(mark()).toBe("f0");
    });
  });
});
