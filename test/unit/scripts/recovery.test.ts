import { beforeEach, describe, expect, test } from "vitest";
import { renderUnit } from "../../../components/scripts/unit";
import { cluster as clusterConfig } from "../../support/fixtures";
import { writeJournal } from "../../support/journal";
import { PaperCluster, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";
import { paperRestic, withRepository } from "../../support/paper-restic";

const reason = whyNot();
const RELEASE = "/opt/etcd-on-pulumi/v3.6.14";

/** etcdutl that restores by copying, and etcd that writes into the copy it is given, as the user that its unit names. */
const TOOLS = `
cat >${RELEASE}/etcdutl <<'END'
#!/bin/bash
printf '%s\\n' "$*" >>/var/paper/etcdutl
case "$1 $2" in 'snapshot status') exec /var/paper/etcdutl-stub "$@" ;; esac
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
[ ! -e /var/paper/broken ] || exit 1
echo replayed >/var/lib/etcd.replay/member/snap/db
END
cat >/var/paper/on-replay <<'END'
unit=/run/systemd/system/etcd-replay.service
cp $unit /var/paper/replay-unit
setpriv --reuid "$(sed -n 's/^User=//p' $unit)" --clear-groups $(sed -n 's/^ExecStart=//p' $unit) || { echo 'words of etcd' >/var/paper/journal; exit 1; }
END
chmod +x ${RELEASE}/etcdutl ${RELEASE}/etcd`;

describe.skipIf(reason !== undefined)(`recovery.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const recover = (revision: string) =>
    cluster.run("member", `read_revision "${revision}"; recover`, RUNNING);
  const RECOVER = "recover 2026-11-22T10:20:30Z cluster=cafe";
  const JOIN = "join-recovered 2026-11-22T10:20:30Z cluster=";
  const mark = () => host.sh(`cat ${STATE}/recovered 2>/dev/null || true`);
  const old = () => host.sh("cat /var/lib/etcd/member/snap/db");
  const starts = () =>
    host.sh("grep -cE '^(start|restart) .*etcd.service' /var/paper/systemctl || true");
  const KEPT = "the previous data was moved to /var/lib/etcd\\.before-recovery-\\S+; .*";

  beforeEach(() => {
    runningMember(host, cluster, RUNNING);
    host.sh(`rm ${RELEASE}/etcdutl; ${TOOLS}
      ${writeJournal("cafe", "a1")}
      mkdir -p /var/lib/etcd/member/snap; echo old >/var/lib/etcd/member/snap/db; chown -R etcd:etcd /var/lib/etcd
      echo 'cafe a1' >${STATE}/identity; echo snapshot >/var/s.db`);
    cluster.is({});
  });

  describe("the first host", () => {
    test("begins anew with a snapshot, under another token, and keeps what it had", () => {
      const { status, stderr } = recover(`${RECOVER} snapshot=/var/s.db`);
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: expect.stringMatching(
          `^etcd01: ${KEPT}\netcd01: new cluster bootstrapped from /var/s\\.db, replacing cluster cafe\n$`,
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

    describe("with a snapshot of the repository", () => {
      const fetched = (snapshot: string, of = "cafe,beef") =>
        recover(`${RECOVER} snapshot=${snapshot} of=${of}`);
      const kept = () => {
        expect(old()).toBe("old");
        expect(mark()).toBe("");
        expect(starts()).toBe("0");
        expect(host.sh("ls /var/backups/etcd 2>/dev/null || true")).toBe("");
        expect(host.sh("grep -cE '^stop .*etcd.service' /var/paper/systemctl || true")).toBe("0");
      };

      beforeEach(() => {
        paperRestic(host, [
          { id: "00000001", time: "2026-11-19T08:00:00Z", cluster: "beef" },
          { id: "00000002" },
          { id: "00000003", time: "2026-11-21T08:00:00Z", cluster: "f0" },
          { id: "00000004", release: "3.5.21" },
          { id: "00000005", time: "2026-11-20T09:00:00Z", hash: "abc" },
        ]);
        withRepository(host);
      });

      test.each([
        ["the latest of the clusters that it may be of", "latest", "00000005", "cafe"],
        ["one by its ID", "0000000100", "00000001", "beef"],
      ])("begins anew with %s", (_, snapshot, id, cluster) => {
        host.sh("sed -i 's/hash=abc/hash=deadbeef/; s/3.5.21/3.6.20/' /var/paper/snapshots");
        const { status, stderr } = fetched(snapshot);
        const file = `/var/backups/etcd/restored-${cluster}-${id}.db`;
        expect(stderr).toContain(
          `etcd01: new cluster bootstrapped from ${file}, replacing cluster cafe\n`,
        );
        expect(status).toBe(0);
        expect(host.sh(`head -n 1 ${file}; stat -c %a ${file}`)).toBe("snapshot\n600");
        expect(host.sh("cat /var/paper/etcdutl")).toContain(`snapshot restore ${file} --data-dir`);
        expect(mark()).toBe("cafe");
      });

      test.each([
        [
          "of another cluster",
          "00000003",
          "s3:https://s3.example.org/etcd: snapshot 00000003 is of cluster f0, not of cafe or beef; set etcd:recover.snapshotCluster to f0 if that is the one",
        ],
        [
          "of another minor version",
          "00000004",
          "it is of etcd 3.5.21, and etcd:version is 3.6.14: recover with that minor version, and change it afterwards",
        ],
        [
          "that is not what it is said to be",
          "00000005",
          "s3:https://s3.example.org/etcd: snapshot 00000005 is not what was pushed: revision, hash and size are 7 deadbeef 41, and its tags say 7 abc 41",
        ],
        [
          "that is not there",
          "0badcafe",
          "s3:https://s3.example.org/etcd: it has no snapshot 0badcafe",
        ],
      ])("refuses one %s, and everything stays as it was", (_, snapshot, words) => {
        expect(fetched(snapshot)).toEqual({
          ...{ status: 1, stdout: "" },
          stderr: `etcd01: not recovered, because the snapshot ${snapshot} cannot be had from the repository: ${words}; the data in /var/lib/etcd is unchanged\n`,
        });
        kept();
      });

      test.each([
        ["no snapshot of them is there", "true", "f1,f2", "it has no snapshot of cluster f1 or f2"],
        [
          "it does not answer",
          "echo 'Fatal: dial tcp: no route to host' >/var/paper/restic-fails",
          "cafe",
          "dial tcp: no route to host",
        ],
      ])("refuses when %s", (_, setup, of, words) => {
        host.sh(setup);
        expect(fetched("latest", of).stderr).toContain(
          `the snapshot latest cannot be had from the repository: s3:https://s3.example.org/etcd: ${words}; `,
        );
        kept();
      });

      test("refuses where the host knows of no repository", () => {
        host.sh(`rm -r ${STATE}/jobs`);
        expect(fetched("latest").stderr).toContain("from the repository: this host knows none; ");
        kept();
      });
    });

    test("without one goes through its own journal first, on a copy and alone", () => {
      host.sh("cp -a /var/lib/etcd /var/before");
      const { status, stderr } = recover(RECOVER);
      expect(stderr).toMatch(new RegExp(`^etcd01: ${KEPT}\n`));
      expect(status).toBe(0);
      expect(host.sh("cat /var/paper/etcdutl")).toContain(
        "snapshot restore /var/backups/etcd/recovery-cafe.db --skip-hash-check --data-dir",
      );
      expect(old()).toBe("replayed");
      expect(host.sh("diff -r /var/before /var/lib/etcd.before-recovery-*")).toBe("");
      expect(host.sh("stat -c %a /var/backups/etcd/recovery-cafe.db")).toBe("600");
      expect(host.sh("ls /var/lib /run/systemd/system")).not.toContain("replay");
      expect(host.sh("grep -E 'daemon-reload|replay' /var/paper/systemctl | grep -v show")).toBe(
        [
          ...["stop etcd-replay.service", "daemon-reload", "start --no-block etcd-replay.service"],
          ...["stop etcd-replay.service", "reset-failed etcd-replay.service", "daemon-reload"],
        ].join("\n"),
      );
    });

    test("does that in the sandbox of etcd's own unit, with no network", () => {
      const unit = renderUnit(clusterConfig(undefined));
      const { stderr } = cluster.run("member", `read_revision "${RECOVER}"; recover`, {
        ...RUNNING,
        UNIT_TEXT: unit,
      });
      expect(stderr).toContain("new cluster bootstrapped from");
      const made = host.sh("cat /var/paper/replay-unit").split("\n");
      const [, sandbox = ""] = unit.split("UMask=0077\n");
      const lines = sandbox.split("\n[Install]")[0]?.trim().split("\n") ?? [];
      expect(lines.length).toBeGreaterThan(25);
      expect(made).toEqual(expect.arrayContaining([...lines, "User=etcd", "PrivateNetwork=yes"]));
      const names = made.map((line) => line.split("=")[0] ?? "");
      for (const once of ["Type", "User", "ExecStart", "ReadWritePaths", "UMask"]) {
        expect(
          names.filter((name) => name === once),
          once,
        ).toHaveLength(1);
      }
      expect(names).not.toContain("Restart");
      expect(names).not.toContain("EnvironmentFile");
    });

    test("on a disk of its own does all of it there, where it keeps what it had", () => {
      host.sh(`mkdir /var/disk; cp -a /var/lib/etcd/. /var/disk; chown -R etcd:etcd /var/disk
        mount --bind /var/disk /var/lib/etcd; cp -a /var/lib/etcd /var/before
        sed -i s,/var/lib/etcd.replay,/var/lib/etcd/aside.replay, ${RELEASE}/etcd`);
      const { status, stderr } = recover(RECOVER);
      expect(stderr).toMatch(
        /^etcd01: the previous data was moved to \/var\/lib\/etcd\/aside\.before-recovery-\S+; /,
      );
      expect(status).toBe(0);
      expect(host.sh("cat /var/paper/etcdutl")).toContain(
        "--data-dir /var/lib/etcd/aside.restored ",
      );
      expect(old()).toBe("replayed");
      expect(host.sh("diff -r /var/before /var/lib/etcd/aside.before-recovery-*")).toBe("");
      expect(host.sh("ls /var/lib | grep ^etcd; ls /var/lib/etcd | cut -d - -f 1")).toBe(
        "etcd\netcd-on-pulumi\naside.before\nmember",
      );
      expect(host.sh("stat -c %U:%a /var/lib/etcd /var/lib/etcd/member/snap/db")).toMatch(
        /^etcd:700\netcd:/,
      );
    });

    test("does it once: the same words find it done", () => {
      recover(`${RECOVER} snapshot=/var/s.db`);
      host.sh(": >/var/paper/systemctl; rm /var/paper/etcdutl");
      expect(recover(`${RECOVER} snapshot=/var/s.db`)).toEqual({
        status: 0,
        stdout: "",
        stderr: "",
      });
      expect(host.sh("cat /var/paper/systemctl; ls /var/paper")).not.toMatch(/^etcdutl$/m);
    });

    test.each([
      [
        "the snapshot cannot be restored",
        "unreadable",
        `${RECOVER} snapshot=/var/s.db`,
        "etcdutl cannot restore /var/s.db: Error: snapshot file integrity check failed; the data in /var/lib/etcd is unchanged\n",
      ],
      [
        "the journal cannot be gone through",
        "broken",
        RECOVER,
        "etcd cannot replay the WAL of this host's member; the data in /var/lib/etcd is unchanged. On a copy of it: etcd is not ready, and there has been no progress for 0 s; its unit is failed:\nwords of etcd\n",
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
      expect(recover(`${RECOVER} snapshot=/var/s.db`).stderr).toBe(
        "etcd01: the cluster has a quorum (asked at https://127.0.0.1:2379), so there is nothing to recover; remove etcd:recover from the configuration\n",
      );
      expect(old()).toBe("old");
      expect(host.sh("grep -cE '^(stop|start|restart)' /var/paper/systemctl || true")).toBe("0");
    });

    test("that never got ready is waited for by a later run, because the others join it", () => {
      host.sh(`rm ${STATE}/formed
        echo failed >/var/paper/property-ActiveState; echo true >/var/paper/on-start`);
      cluster.is({ members: [] });
      const again = () =>
        cluster.run(
          "member",
          "READY_SECONDS=1; read_revision 'join 2026-11-22T10:20:30Z'; start_again",
          RUNNING,
        );
      // In a first start members wait for each other.
      expect(again()).toMatchObject({ status: 0 });
      host.sh(`echo cafe >${STATE}/recovered`);
      expect(again().stderr).toMatch(
        /^etcd01: etcd is not ready, and there has been no progress for 1 s; its unit is failed/,
      );
      host.sh("echo 'echo active >/var/paper/property-ActiveState' >/var/paper/on-start");
      expect(again()).toMatchObject({ status: 0 });
    });

    test("that was killed between its renames begins with the file that it made", () => {
      host.sh(`mkdir -p /var/backups/etcd; echo made >/var/backups/etcd/recovery-cafe.db
        rm -r /var/lib/etcd/member; mkdir -p /var/lib/etcd.restored/member/half`);
      expect(recover(RECOVER)).toMatchObject({ status: 0 });
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
      const { status, stderr } = recover(`${JOIN}f0`);
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
        "etcd01: the recovered cluster is unavailable; run pulumi up again once its first member is running\n";
      expect(recover(`${JOIN}cafe`).stderr).toBe(words);
      // Of the old one, and none of it in a quorum.
      cluster.is({ members: THREE, leader: "0" });
      expect(recover(`${JOIN}cafe`).stderr).toBe(words);
      expect(old()).toBe("old");
      expect(mark()).toBe("");
    });

    test.each([
      ["here", [], "https://127.0.0.1:2379"],
      ["elsewhere", ["192.168.1.83"], "https://192.168.1.85:2379"],
    ])("stays what it is while the old one has a quorum %s, whoever says what", (_, sick, at) => {
      // etcd02 says that it is of another one by now.
      cluster.is({ members: THREE, leader: "a3", sick });
      host.sh("cd /var/paper; echo 61453 >field-a2-ClusterID; echo 127.0.0.1 >/dev/null");
      const down = sick.length === 0 ? "" : `answers() { [ "$1" != https://127.0.0.1:2379 ]; }; `;
      const { status, stderr } = cluster.run(
        "member",
        `${down}read_revision "${JOIN}cafe"; recover`,
        RUNNING,
      );
      expect(stderr).toContain(
        `etcd01: cluster cafe has a quorum (asked at ${at}), so it is not discarded, and nothing was changed here.`,
      );
      expect(status).toBe(1);
      expect([old(), mark(), starts()]).toEqual(["old", "", "0"]);
    });

    test("joins nobody while the others are of different clusters", () => {
      recovered();
      host.sh("cd /var/paper; echo 61453 >field-a2-ClusterID");
      expect(recover(`${JOIN}f0`).stderr).toBe(
        "etcd01: not joined: https://192.168.1.84:2379 is in cluster f00d, and https://192.168.1.85:2379 in cluster cafe; one of them is not the recovered cluster. Inspect etcd there\n",
      );
      expect([old(), mark(), starts()]).toEqual(["old", "", "0"]);
    });

    test("that is a member of the new one already stays what it is", () => {
      recovered();
      host.sh(writeJournal("cafe", "a1"));
      expect(recover(`${JOIN}f0`)).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(old()).toBe("old");
      expect(mark()).toBe("f0");
    });
  });
});
