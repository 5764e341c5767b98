/** The job "backup" as a timer runs it: real etcd and real restic, on a paper host. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { STATE } from "../../support/paper-cluster";
import { type PaperHost, paperHost, whyNot } from "../../support/paper-host";
import {
  BACKUPS,
  BackupHost,
  CANARY,
  configure,
  RESTIC,
  startCluster,
  theirs,
} from "../../support/real-cluster";

const reason = whyNot();
const GOOD = String.raw`ok \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \d+ 6 \d+ [0-9a-f]+ `;
/** The timer has started it so many seconds ago, and its hosts do not wait for each other. */
const byTimer = (ago: number) =>
  `elapsed_just_now() { echo "$(($(date +%s) - ${ago}))"; }; offset_of() { echo 0; }`;

describe.skipIf(reason !== undefined)(`backup.sh${reason ? ` (${reason})` : ""}`, () => {
  let host: PaperHost;
  let backup: BackupHost;
  const run = (call?: string, prelude?: string) => backup.run(call, prelude);
  const result = (name?: string) => backup.result(name);
  const files = () => backup.files();
  const inRepository = () => backup.inRepository();
  const locks = () => backup.locks();

  /** What a run says that finds a snapshot of etcd02 in the repository, so many seconds old, with that changed by sed. */
  const listed = (ago: number, prelude: string, change = "") => {
    const line = `00000000 $(date -u -d '-${ago} seconds' +%Y-%m-%dT%H:%M:%SZ) 6 100 $cluster 3.6.14 abc etcd02 $TOKEN`;
    const opened = `open_repository() { local cluster=$1; echo "${line}" | sed '${change}'; }`;
    return run(
      "run",
      `${prelude}; ${opened}; push_snapshot() { echo 0badcafe; }; forget_old() { true; }`,
    ).stderr;
  };

  describe("on the leader of three", () => {
    beforeAll(async () => {
      host = await paperHost();
      await startCluster(host, "3.6.14", 3);
      backup = new BackupHost(host);
    }, 30 * 60_000);
    afterAll(() => host?.close());
    beforeEach(() => {
      backup.clean();
    });

    test("takes a snapshot that another member vouches for, and pushes it", () => {
      host.sh(`cat >/usr/local/sbin/watch-arguments <<'END'
#!/bin/bash
while [ ! -e /var/enough ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; done | grep -a '${CANARY.replace("-", "[-]")}' >/var/seen
END
        rm -f /var/enough; bash /usr/local/sbin/watch-arguments >/dev/null 2>&1 </dev/null & true`);
      const { status, stderr } = run();
      host.sh("touch /var/enough; sleep 0.3");
      expect(stderr).toMatch(
        new RegExp(
          `^etcd01: made the repository /var/repository\netcd01: backup: ${GOOD}[0-9a-f]{8}\n$`,
        ),
      );
      expect(status).toBe(0);
      expect(host.sh("cat /var/seen")).toBe("");
      expect(result()).toMatch(new RegExp(`^${GOOD}[0-9a-f]{8}$`));
      expect(result("backup.good")).toBe(result());
      const [file = "", ...more] = files();
      expect(more).toEqual([]);
      expect(file).toMatch(/^scheduled-etcd01-\d{8}T\d{6}Z\.db$/);
      expect(
        host.sh(`stat -c %a ${BACKUPS}/${file}; etcdutl snapshot status ${BACKUPS}/${file}`),
      ).toMatch(/^600\n[0-9a-f]+, 6, /);
      const [pushed] = inRepository();
      expect(pushed?.tags).toEqual(expect.arrayContaining(["why=scheduled", "node=etcd01"]));
      expect(result()).toContain(` ${pushed?.short_id}`);
      expect(locks()).toBe("");
      backup.keep();
    });

    test("does nothing on a host that does not lead, and leaves no result", () => {
      const { status, stderr } = run(
        "run",
        "status_field() { case $2 in Leader) echo a2 ;; *) echo a1 ;; esac; }",
      );
      expect(stderr).toMatch(
        /^etcd01: nothing to do: the member a2 leads, and this host's is a1\netcd01: the repository \/var\/repository is not seen from here: .+\n$/,
      );
      expect(status).toBe(0);
      expect([files(), result()]).toEqual([[], ""]);
      expect(host.sh(`ls ${STATE}/results/repository 2>/dev/null || true`)).toBe("");
      backup.filled();
      host.sh(`rm ${STATE}/results/repository`);
      run("run", "is_leader() { return 1; }");
      expect(host.sh(`cat ${STATE}/results/repository`)).toMatch(/^[0-9a-f]{64} [0-9a-f]{64}$/);
    });

    test("leaves no result on a host that does not lead, however long an up takes there", () => {
      const { status } = run(
        "run",
        "JOB_WAITS_FOR_UP=0; work_of_others() { echo 'the pulumi up by alice'; }; is_leader() { return 1; }",
      );
      expect(status).toBe(0);
      expect(result()).toBe("");
    });

    test("waits for an up before it looks who leads", () => {
      const { stderr } = run(
        "run",
        `JOB_PAUSE=0.1; work_of_others() { if [ ! -e /var/led ]; then touch /var/led; echo 'the pulumi up by alice'; else return 1; fi; }
         is_leader() { [ -e /var/led ] && info leads; }`,
      );
      host.sh("rm /var/led");
      expect(stderr).toMatch(
        /^etcd01: waiting up to 30 minutes for the pulumi up by alice\netcd01: leads\n/,
      );
      expect(result()).toMatch(new RegExp(`^${GOOD}`));
    });

    test("does nothing when the host that led before has pushed a snapshot since it was due", () => {
      backup.filled();
      host.sh(
        `id=$(${RESTIC} snapshots --json | sed 's/.*"short_id":"\\([0-9a-f]*\\)".*/\\1/'); ${RESTIC} tag --quiet --remove node=etcd01 --add node=etcd02 "$id"`,
      );
      const { status, stderr } = run("run", byTimer(60));
      expect(stderr).toMatch(
        /^etcd01: nothing to do: etcd02 pushed the snapshot [0-9a-f]{8} since this job was due\n$/,
      );
      expect(status).toBe(0);
      expect([files(), result()]).toEqual([[], ""]);
      // At the next time it is this host's turn.
      expect(run("run", byTimer(-3600)).stderr).toMatch(new RegExp(`^etcd01: backup: ${GOOD}`));
    });

    test.each([
      ["of another cluster", "s/ [0-9a-f]* 3.6.14 / f0 3.6.14 /"],
      ["from later than now", "s/ 20[0-9]*-/ 2030-/"],
      ["of its own", "s/ etcd02 / etcd01 /"],
    ])("takes one when what was pushed last is %s", (_, change) => {
      const pushed = (change: string) => listed(0, byTimer(60), change);
      expect(pushed("")).toContain("nothing to do");
      expect(pushed(change)).toMatch(new RegExp(`^etcd01: backup: ${GOOD}0badcafe`));
    });

    test("takes one when what was pushed last was due the time before", () => {
      expect(listed(58, byTimer(0))).toContain("nothing to do");
      host.sh(`echo 60 >${STATE}/jobs/etcd-backup.interval`);
      expect(listed(58, byTimer(0))).toMatch(new RegExp(`^etcd01: backup: ${GOOD}0badcafe`));
      expect(listed(10, byTimer(10))).toContain("nothing to do");
    });

    test("is taken all the same when somebody asks for it", () => {
      backup.filled();
      expect(run().stderr).toMatch(new RegExp(`^etcd01: backup: ${GOOD}`));
    });

    test.each<[string, string, string | RegExp]>([
      [
        "whose data is not that of another member",
        "hash_when_there() { echo '1 -1'; }",
        /^the snapshot does not count as a backup and was deleted: its hash at revision 6 is \d+, and that of etcd0[23] is 1: the members' data differs; npm run etcdctl -- endpoint hashkv --cluster shows where$/,
      ],
      [
        "that cannot be compared, three times",
        "COMPARE_PAUSE=0; hash_when_there() { echo again >>/var/turns; echo '1 5'; }",
        /^the snapshot does not count as a backup and was deleted: it is compacted at revision -1, and etcd0[23] at 5$/,
      ],
      [
        "that nobody answers for",
        "COMPARE_PAUSE=0; hash_when_there() { return 1; }",
        "the snapshot does not count as a backup and was deleted: no other member could be asked for its hash at revision 6",
      ],
      [
        "that does not verify",
        `etcdctl_as_client() { case $* in *"snapshot save"*) ctl snapshot save "\${*: -1}" >/dev/null 2>&1; truncate -s -1 "\${*: -1}" ;; *) ctl "$@" ;; esac; }`,
        /^the snapshot failed: \/var\/backups\/etcd\/scheduled-etcd01-\S+\.db\.part does not verify: its digest is not that of its content$/,
      ],
      [
        "for which the disk has no room",
        "df() { printf 'x\n1000000000 100010000 /mnt\n'; }",
        "no snapshot was taken, because /mnt, the disk of /var/backups/etcd, has 95 MiB free, and a snapshot of 0 MiB and its copy would leave less than 10 % of it; free some space, enlarge the disk, or set etcd:backup.local to a smaller number",
      ],
    ])("does not count one %s", (what, prelude, words) => {
      configure(host, { REPOSITORY: "" });
      host.sh("rm -f /var/turns");
      const { status } = run("run", prelude);
      expect(status).toBe(1);
      const [, said] = /^failed \S+ \d+ - - - - # (.*)$/.exec(result()) ?? [];
      if (typeof words === "string") {
        expect(said).toBe(words);
      } else {
        expect(said).toMatch(words);
      }
      expect(files().filter((file) => file.endsWith(".db"))).toEqual([]);
      if (what.includes("three times")) {
        expect(host.sh("cat /var/turns")).toBe("again\nagain\nagain");
      }
      expect(run().status).toBe(0);
      expect(files()).toEqual([expect.stringMatching(/^scheduled-etcd01-\w+\.db$/)]);
    });

    test("leaves nothing of one that fills the disk half way, and says so", () => {
      configure(host, { REPOSITORY: "" });
      host.sh(`mount -t tmpfs -o size=16k none ${BACKUPS}`);
      const { status } = run("run", "df() { printf 'x\n1000000000 900000000 /mnt\n'; }");
      const left = host.sh(`ls -A ${BACKUPS}; umount ${BACKUPS}`);
      expect(status).toBe(1);
      expect(result()).toMatch(/ # the snapshot failed: .*no space left on device/);
      expect(left).toBe("");
    });

    test("is taken all the same by a host whose member leads no more when it is its turn", () => {
      const led = "is_leader() { if [ -e /var/led ]; then return 1; fi; touch /var/led; }";
      expect(run("run", led).stderr).toMatch(new RegExp(`etcd01: backup: ${GOOD}`));
      host.sh("rm /var/led");
    });

    test("takes another one when the members were just being compacted", () => {
      configure(host, { REPOSITORY: "" });
      expect(
        run(
          "run",
          `COMPARE_PAUSE=0; hash_when_there() { if [ -e /var/once ]; then hash_at "$@"; else touch /var/once; echo '1 5'; fi; }`,
        ),
      ).toMatchObject({ status: 0 });
      expect(result()).toMatch(new RegExp(`^${GOOD}${BACKUPS}/scheduled-etcd01-\\w+\\.db$`));
    });

    test("keeps its newest files and removes no others, whatever they are called", () => {
      configure(host, { REPOSITORY: "", BACKUP_LOCAL: "2" });
      const others = [
        ...["etcd01-cafe-20261101T000000Z.db", "scheduled-etcd01-20261101T000000Z.db.bak"],
        ...["scheduled-etcd01-mine.db", "scheduled-etcd02-20261101T000000Z.db"],
        ...[
          "restored-cafe.db",
          "restored-cafe-0badcafe.db.bak",
          "scheduled-etcd011-20261101T000000Z.db",
        ],
      ];
      host.sh(`cd ${BACKUPS}; touch ${others.join(" ")} restored-cafe-0badcafe.db
        touch scheduled-etcd01-2026110{1,2,3,4}T000000Z.db scheduled-etcd01-20261105T000000Z.db.part
        ln -s /etc/hosts scheduled-etcd01-20261001T000000Z.db`);
      expect(run()).toMatchObject({ status: 0 });
      expect(files()).toEqual(
        expect.arrayContaining([
          ...others,
          ...["scheduled-etcd01-20261104T000000Z.db", "scheduled-etcd01-20261001T000000Z.db"],
        ]),
      );
      expect(files()).toHaveLength(others.length + 3);
      expect(files()).not.toContain("restored-cafe-0badcafe.db");
    });

    test("keeps the file, and says why, when it cannot be pushed", () => {
      host.sh(`${RESTIC} init >/dev/null; echo x | ${theirs("f0")}`);
      configure(host, { BACKUP_LOCAL: "0" });
      expect(run().status).toBe(0);
      expect(result()).toMatch(
        new RegExp(
          `^failed \\S+ \\d+ 6 \\d+ [0-9a-f]+ ${BACKUPS}/scheduled-etcd01-\\w+\\.db # not pushed to the repository /var/repository: it has 1 snapshots, and none of cluster [0-9a-f]+: nothing was written there; set etcd:backup\\.repository to a place of its own$`,
        ),
      );
      expect(result("backup.good")).toBe("");
      expect(files()).toHaveLength(1);
      expect(inRepository()).toHaveLength(1);
      // Nor is anything removed from there.
      expect(run("check").status).toBe(1);
      expect(result("backup-check")).toMatch(
        / # the repository \/var\/repository was not checked: it has 1 snapshots, and none of cluster /,
      );
    });

    test("keeps what the policy says, and the last snapshot of a cluster", () => {
      backup.filled();
      configure(host, { BACKUP_KEEP: "1 0 0 0", BACKUP_LOCAL: "0" });
      const soon = "KEEP_WITHIN=0h";
      const [first] = inRepository();
      host.sh(`${RESTIC} tag --quiet --remove why=scheduled --add why=final ${first?.short_id}`);
      expect([run("run", soon).status, run("run", soon).status]).toEqual([0, 0]);
      expect(files()).toEqual([]);
      const tags = inRepository().map((one) => one.tags?.find((tag) => tag.startsWith("why=")));
      expect(tags.sort()).toEqual(["why=final", "why=scheduled"]);
      // Of the last two hours all stay.
      run();
      expect(inRepository()).toHaveLength(3);
      // Nothing is removed with prune: false.
      configure(host, { BACKUP_KEEP: "1 0 0 0", BACKUP_LOCAL: "0", BACKUP_PRUNE: "no" });
      run("run", soon);
      expect(inRepository()).toHaveLength(4);
    });

    test("removes none while others are from later: it could be the one that was just pushed", () => {
      backup.filled();
      configure(host, { BACKUP_KEEP: "1 0 0 0", BACKUP_LOCAL: "0" });
      run("run", "KEEP_WITHIN=0h; stat() { echo 1893456000; }");
      expect(run("run", "KEEP_WITHIN=0h").status).toBe(0);
      expect(result()).toMatch(
        new RegExp(
          `^${GOOD}[0-9a-f]{8} # old snapshots are not removed from the repository /var/repository: snapshot [0-9a-f]{8} of 2030-01-01T00:00:00Z is from later than this one of \\S+; check the clocks of the hosts$`,
        ),
      );
      expect(inRepository()).toHaveLength(2);
    });

    test("keeps the file that it has just taken, and one that could not be pushed, also when the clock was ahead", () => {
      configure(host, { REPOSITORY: "", BACKUP_LOCAL: "2" });
      const later = [
        "scheduled-etcd01-20300101T000000Z.db",
        "scheduled-etcd01-20300102T000000Z.db",
      ];
      host.sh(`cd ${BACKUPS}; touch ${later.join(" ")}`);
      run();
      const [, file = ""] = / (\S+)$/.exec(result()) ?? [];
      expect(files().sort()).toEqual([file.slice(BACKUPS.length + 1), later[1]]);
      host.sh(`rm ${BACKUPS}/*`);
      configure(host, { REPOSITORY: "/proc/nowhere", BACKUP_LOCAL: "0" });
      run();
      const kept = files();
      expect(kept).toHaveLength(1);
      run("run", "COMPARE_PAUSE=0; hash_when_there() { return 1; }");
      expect(files()).toEqual(kept);
    });

    test("is good when only the old ones cannot be removed, and says so", () => {
      backup.filled();
      expect(run("run", "forget_old() { echo '403 Forbidden'; return 1; }").status).toBe(0);
      expect(result()).toMatch(
        new RegExp(
          `^${GOOD}[0-9a-f]{8} # old snapshots are not removed from the repository /var/repository: 403 Forbidden$`,
        ),
      );
    });

    test("at the same time on two hosts ends well", () => {
      backup.filled();
      configure(host, { BACKUP_PRUNE: "no" });
      host.sh(`rm ${STATE}/jobs/etcd-backup.interval; sed -i '$d' /var/job.sh; echo 'JOB=/run/other.job RESULTS=/var/others; NODE=etcd02; run_job "$@"' >>/var/job.sh
        (bash -p /var/job.sh run >/var/other-words 2>&1 </dev/null; echo $? >/var/other-status) & true`);
      const { status } = run();
      expect(status).toBe(0);
      host.sh(
        "for turn in {1..200}; do if [ -e /var/other-status ]; then break; fi; sleep 0.1; done",
      );
      expect(host.sh("cat /var/other-status")).toBe("0");
      expect(host.sh(`${RESTIC} check 2>&1 | tail -n 1`)).toBe("no errors were found");
      expect(inRepository()).toHaveLength(3);
      expect(locks()).toBe("");
    });

    describe("check", () => {
      /** Each week reads another part of the data: here the one with the largest file. */
      const week = `pack=$(find /var/repository/data -type f -printf '%s %f\\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
        week=$((16#\${pack:0:2} % 4)); date() { if [ "$*" = +%s ]; then echo $((604800 * week)); else command date "$@"; fi; }`;

      test("prunes and reads the repository", () => {
        backup.filled();
        expect(run("check", week)).toMatchObject({ status: 0 });
        expect(result("backup-check")).toMatch(/^ok \S+ \d+ - - - -$/);
        expect(locks()).toBe("");
      });

      test("finds a flipped bit, and names where", () => {
        backup.filled();
        host.sh(`pack=$(find /var/repository/data -type f -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
          chmod u+w $pack; printf X | dd of=$pack bs=1 seek=300 conv=notrunc status=none`);
        expect(run("check", week).status).toBe(1);
        expect(result("backup-check")).toMatch(
          /^failed \S+ \d+ - - - - # the repository \/var\/repository has errors, or cannot be checked: .*[Pp]ack .*[0-9a-f]{8}/,
        );
        expect(locks()).toBe("");
      });
    });
  });

  describe("of a member alone", () => {
    test.each(["3.5.35", "3.7.2"])(
      "with etcd %s takes one that it vouches for itself",
      async (version) => {
        host = await paperHost();
        await startCluster(host, version, 1);
        backup = new BackupHost(host);
        configure(host, { REPOSITORY: "", VERSION: version });
        expect(run()).toMatchObject({ status: 0 });
        expect(result()).toMatch(new RegExp(`^${GOOD}${BACKUPS}/`));
        if (version !== "3.5.35") {
          expect(run("run", "hash_at() { echo '1 -1'; }").status).toBe(1);
          expect(result()).toContain("and that of this member is 1");
        }
        host.close();
      },
      60_000,
    );
  });
});
