/** What becomes of what lies in etcd's data directory, whoever put it there. */
import { beforeEach, describe, expect, test } from "vitest";
import { writeJournal } from "../../support/journal";
import { HOST, PaperCluster, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const DATA = "/var/lib/etcd";
const SEGMENT = "0000000000000000-0000000000000000";
/** As etcd 3.5 to 3.7 leaves them. */
const MADE = [
  `wal/${SEGMENT}.wal.broken`,
  "wal/0.tmp",
  "wal.tmp/.touch",
  "wal.broken.20261127.063000.123456/0000000000000001-0000000000000002.wal",
  "snap/db",
  "snap/db.tmp.1234567",
  "snap/tmp1234567",
  `snap/${SEGMENT}.snap`,
  `snap/${SEGMENT}.snap.broken`,
  "snap/0000000000000007.snap.db",
  ".touch",
];

describe.skipIf(reason !== undefined)(`the data directory${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const member = (call: string) => cluster.run("member", call, RUNNING);
  const leave = (before = "") => cluster.run("leave", `${before} take_member_away`, RUNNING);
  const good = { status: 0, stdout: "", stderr: "" };
  const files = (path = DATA) =>
    host.sh(`cd ${path} 2>/dev/null && find . ! -type d | sort | cut -c 3- || true`).split("\n");
  const findings = () =>
    host
      .run("probe", ["probe"], { ...HOST, MARK: "0badcafe", VERSION: RUNNING.VERSION })
      .stdout.split("\n")
      .flatMap((line) => (/^finding .*\/var\/lib\/etcd/.test(line) ? [line.slice(8)] : []));

  /** Things of others around and beside what etcd made. */
  const OTHERS = ["backup/x.db", "default/member/wal/x", "lost+found/f", "member.foreign/snap/db"];
  const beside = () =>
    host.sh(
      `mkdir -p ${DATA}; cd ${DATA}; ${OTHERS.map((path) => `mkdir -p ${path.replace(/[^/]*$/, "")}; echo theirs >${path}`).join("; ")}`,
    );
  const etcdMade = () =>
    host.sh(
      `cd ${DATA}/member; ${MADE.map((path) => `mkdir -p ${`./${path}`.replace(/[^/]*$/, "")}; echo etcd >${path}`).join("; ")}; chown -R etcd:etcd ${DATA}`,
    );
  const ownDisk = (fill = "true") =>
    host.sh(`mkdir -p ${DATA} /var/disk; ${fill}; mount --bind /var/disk ${DATA}`);

  beforeEach(() => {
    runningMember(host, cluster, RUNNING);
    host.sh(`ln -sfn /var/paper/etcdutl-stub /usr/local/bin/etcdutl
      echo inactive >/var/paper/property-ActiveState`);
    cluster.is({ members: THREE, leader: "a2" });
  });

  describe("with things of others in it", () => {
    beforeEach(beside);

    test.each([
      ["a first start", "touch /var/lib/etcd-on-pulumi/first-start.env; rm -f $FORMED; empty_data"],
      ["a join", "rm -r $DATA/member; read_revision 'join 2026-11-22T10:20:30Z'; first_start"],
      ["the end of its member", undefined],
    ])("keeps them over %s", (_, call) => {
      etcdMade();
      host.sh(writeJournal("cafe", "a1"));
      host.sh("echo 'echo active >/var/paper/property-ActiveState' >/var/paper/on-start");
      expect((call === undefined ? leave() : member(call)).status).toBe(0);
      expect(files()).toEqual(OTHERS);
    });

    test("deletes what etcd made, by all names that etcd gives, and nothing that is not of these", () => {
      etcdMade();
      host.sh(writeJournal("cafe", "a1"));
      host.sh(`mkdir ${DATA}/member/notes; echo mine >${DATA}/member/notes/x; echo mine >${DATA}/member/snap/db.bak
        ln -s /etc/passwd ${DATA}/member/snap/${SEGMENT}.snap.db`);
      const { status, stderr } = leave();
      expect(status).toBe(0);
      expect(stderr).toContain("has something that etcd did not create: ");
      const [, aside = ""] =
        /the previous data was moved to (\/var\/lib\/etcd\.others-\S+);/.exec(stderr) ?? [];
      expect(files(aside)).toEqual([
        "member/notes/x",
        "member/snap/0000000000000000-0000000000000000.snap.db",
        "member/snap/db.bak",
      ]);
      expect(files()).toEqual(OTHERS);
      expect(host.sh("grep -c root /etc/passwd")).not.toBe("0");
    });

    test("names in the preflight what lies in member/ and is none of etcd's", () => {
      etcdMade();
      host.sh(`mkdir -p ${STATE}/receipts; touch ${STATE}/receipts/host ${STATE}/receipts/member`);
      expect(findings()).toEqual([]);
      host.sh(`echo x >"${DATA}/member/$(printf 'dump\\033[2J.db')"`);
      expect(findings()).toEqual([
        `has ${DATA}/member/dump?[2J.db, which etcd did not create; move it out of ${DATA}/member`,
      ]);
    });
  });

  describe("whose member is left", () => {
    const removed = () => {
      const { status, stderr } = leave();
      expect(status).toBe(0);
      return stderr;
    };
    const LEFT = `etcd01: the data in ${DATA}/member is left unchanged, because it does not belong to this host's own member\n`;

    beforeEach(() => {
      host.sh(writeJournal("cafe", "a1"));
      etcdMade();
    });

    test("goes when it is that member's own", () => {
      host.sh(`echo 'cafe a1' >${STATE}/identity`);
      expect(removed()).not.toContain("left unchanged");
      expect(host.sh(`ls -d ${DATA}* `)).toBe(STATE);
    });

    test.each([
      ["of another member than its own", `echo 'cafe a9' >${STATE}/identity`],
      ["of another cluster than the one that answers", writeJournal("f0f0", "a1")],
      ["without a journal", `rm ${DATA}/member/wal/*.wal`],
      ["that no start of this program made", `rm ${STATE}/formed`],
    ])("stays when it is %s, which is said", (_, change) => {
      host.sh(change);
      const before = files();
      expect(removed()).toContain(LEFT);
      expect(files()).toEqual(before);
    });

    test("goes when a first start never came to its end", () => {
      host.sh(`rm ${STATE}/formed; touch ${STATE}/first-start.env`);
      expect(removed()).toBe("");
      expect(host.sh(`ls -d ${DATA}*`)).toBe(STATE);
    });

    test("goes in the next run after one that was killed in the middle of it", () => {
      host.sh(`echo 'cafe a1' >${STATE}/identity`);
      const dying =
        'eval "$(declare -f below_member | sed \'1s/.*/dying ()/\')"; below_member() { dying "$@"; case $* in *-delete) exit 9 ;; esac; };';
      expect(leave(dying).status).toBe(9);
      expect(files().filter((path) => path.includes("wal"))).not.toEqual([]);
      expect(removed()).not.toContain("left unchanged");
      expect(host.sh(`ls -d ${DATA}*`)).toBe(STATE);
    });
  });

  describe("on a disk of its own", () => {
    test("the mount point stays when its member leaves, which ends well, twice", () => {
      ownDisk("mkdir -p /var/disk/lost+found; chmod 0700 /var/disk/lost+found");
      host.sh(writeJournal("cafe", "a1"));
      etcdMade();
      expect(leave()).toEqual({ ...good, stderr: "etcd01: member a1 left the cluster\n" });
      expect(leave().status).toBe(0);
      expect(host.sh(`mountpoint ${DATA}; ls -A ${DATA}`)).toBe(
        `${DATA} is a mountpoint\nlost+found`,
      );
    });

    test("it has the owner and the mode of before when its member has left", () => {
      const owner = () => host.sh(`stat -c '%U:%G %a' ${DATA}`);
      ownDisk("chown daemon:users /var/disk; chmod 0751 /var/disk");
      host.sh(`rm ${STATE}/found-data`);
      // Also when a run was killed in between, and when its member has run for long.
      for (let run = 0; run < 3; run++) {
        expect(member("own_data").status).toBe(0);
        expect(owner()).toBe("etcd:etcd 700");
      }
      host.sh(writeJournal("cafe", "a1"));
      etcdMade();
      expect(leave().status).toBe(0);
      expect(owner()).toBe("daemon:users 751");
      // Another one's is not what was there before.
      expect(host.sh(`ls ${STATE}/found-data 2>/dev/null || echo none`)).toBe("none");
    });

    test("it is root's, and nobody else's to read, where nobody knows of before", () => {
      ownDisk("chmod 0751 /var/disk");
      host.sh(
        `mkdir -p ${STATE}/receipts; touch ${STATE}/receipts/member ${STATE}/made-user; rm -f ${STATE}/found-data`,
      );
      expect(member("own_data").status).toBe(0);
      host.sh(writeJournal("cafe", "a1"));
      etcdMade();
      expect(leave().status).toBe(0);
      expect(host.sh(`stat -c '%U:%G %a' ${DATA}`)).toBe("root:root 700");
    });

    test("what is put aside stays on it, and is left alone by the next member", () => {
      ownDisk();
      host.sh(writeJournal("cafe", "a1"));
      etcdMade();
      cluster.is({ members: THREE.slice(1), leader: "a2" });
      const { stderr } = member("guard_data");
      expect(stderr).toMatch(
        /was moved to \/var\/lib\/etcd\/aside\.removed-a1-\d{8}T\d{6}Z; delete it when no longer needed\n$/,
      );
      expect(host.sh(`ls ${DATA}; stat -c '%U %a' ${DATA}`)).toMatch(
        /^aside\.removed-a1-\S+\netcd 700$/,
      );
      host.sh(`mkdir -p ${DATA}/member/wal; touch ${STATE}/first-start.env`);
      expect([member("empty_data").status, leave().status]).toEqual([0, 0]);
      expect(
        host.sh(`cat ${DATA}/aside.removed-*/member/snap/db; ls /var/lib | grep '^etcd'`),
      ).toBe("etcd\netcd\netcd-on-pulumi");
    });

    test("the free space is that of this disk, and what is already there is no concern", () => {
      host.sh(`mkdir -p ${DATA}; mount -t tmpfs -o size=2m small ${DATA}; rm -r ${STATE}`);
      const { stdout } = host.run("host", ["preflight_findings"], { ...HOST, MINIMUM_DISK: "3" });
      expect(stdout).toContain(`has 2 MiB free under ${DATA}; etcd:host.minimumDisk asks for 3\n`);
    });

    test("the remedy for data of others works there, and what it makes is left alone", () => {
      ownDisk("mkdir -p /var/disk/member/wal; echo theirs >/var/disk/member/wal/x");
      host.sh(`rm -r ${STATE}`);
      const [finding = ""] = findings();
      expect(finding).toBe(
        `has data of another etcd in ${DATA}/member; move it away first (mv ${DATA}/member ${DATA}/member.foreign)`,
      );
      host.sh(/\((mv [^)]*)\)/.exec(finding)?.[1] ?? "false");
      expect(findings()).toEqual([]);
      host.sh(`mkdir ${STATE}; mkdir -p ${DATA}/member/wal; touch ${STATE}/first-start.env`);
      expect([member("empty_data"), leave()]).toEqual([good, good]);
      expect(host.sh(`cat ${DATA}/member.foreign/wal/x`)).toBe("theirs");
    });

    test("a disk at member itself is a finding, and is never put aside", () => {
      host.sh(
        `mkdir -p ${DATA}/member; mount -t tmpfs small ${DATA}/member; echo x >${DATA}/member/x`,
      );
      const words = `has a mount point at ${DATA}/member`;
      expect(member("set_aside removed-a1").stderr).toContain(words);
      host.sh(`rm -r ${STATE}`);
      expect(findings()).toEqual([`${words}; mount that disk at ${DATA} instead`]);
      expect(host.sh(`cat ${DATA}/member/x`)).toBe("x");
    });
  });

  describe("that is a symbolic link", () => {
    beforeEach(() => {
      host.sh(`rm -rf ${DATA}; mkdir -p /var/srv-data/member/snap; echo theirs >/var/srv-data/member/snap/db
        chown -R etcd:etcd /var/srv-data; ln -s /var/srv-data ${DATA}`);
    });

    test("is a finding with the remedy, on a host of ours too", () => {
      const finding = `always has a symbolic link at ${DATA}, which systemd does not accept as a state directory; remove the link and mount the disk there instead (mount --bind /var/srv-data ${DATA}, and the same in /etc/fstab)`;
      host.sh(`mkdir -p ${STATE}/receipts; touch ${STATE}/receipts/host`);
      expect(findings()).toEqual([finding]);
      host.sh(`rm -r ${STATE}`);
      expect(findings()).toContain(finding);
    });

    test.each([
      "apply 'repair 2026-11-22T10:20:30Z'",
      "empty_data",
      "set_aside removed-a1",
      "delete_data",
      "take_member_away",
    ])("is not followed by: %s", (call) => {
      const before = host.sh("cd /var/srv-data; find . -printf '%p %u %m %T@\\n' | sort");
      const leaves = call === "take_member_away";
      const { status, stderr } = leaves ? leave() : member(call);
      expect(stderr).toContain(`etcd01: has a symbolic link at ${DATA}, `);
      expect(status).toBe(leaves ? 0 : 1);
      expect(host.sh("cd /var/srv-data; find . -printf '%p %u %m %T@\\n' | sort")).toBe(before);
    });
  });

  test("with a link for member/, which its user may plant, is not followed either", () => {
    host.sh(`rm -rf ${DATA}/member; mkdir -p /var/victim/snap; echo victim >/var/victim/snap/db
      chown -R etcd:etcd /var/victim ${DATA}; ln -s /var/victim ${DATA}/member; touch ${STATE}/first-start.env`);
    for (const call of ["empty_data", "set_aside x", "delete_data", "take_member_away"]) {
      expect((call === "take_member_away" ? leave() : member(call)).stderr).toContain(
        `has a symbolic link at ${DATA}/member, which is not followed`,
      );
      expect(host.sh("cat /var/victim/snap/db")).toBe("victim");
    }
  });

  test("leads to nothing outside while its user keeps swapping member/ for a link", () => {
    host.sh(`mkdir -p /var/victim/snap; echo victim >/var/victim/snap/db; chown -R etcd:etcd /var/victim
      cat >/var/hostile <<'END'
d=${DATA}
while [ ! -e /run/stop ]; do
  mkdir -p $d/member/snap $d/away; echo made >$d/member/snap/db
  ln -s /var/victim/snap $d/link; mv -T $d/member/snap $d/s; mv -T $d/link $d/member/snap; rm -rf $d/s $d/member/snap
  ln -s /var/victim $d/link; rm -rf $d/away; mv -T $d/member $d/away; mv -T $d/link $d/member; rm -f $d/member
done 2>/dev/null
END
      chmod 0644 /var/hostile; touch ${STATE}/first-start.env
      setpriv --reuid etcd --regid etcd --clear-groups bash /var/hostile >/dev/null 2>&1 </dev/null &`);
    const ready = "mkdir -p $DATA; chown etcd:etcd $DATA";
    member(
      `for turn in 1 2 3; do for call in delete_data 'set_aside x' empty_data; do ${ready}; ($call) || true; done; done`,
    );
    leave();
    expect(host.sh("cat /var/victim/snap/db")).toBe("victim");
    // Whoever is careless there is led astray.
    member(
      `${ready}; until [ ! -e /var/victim/snap/db ] || [ $SECONDS -ge 20 ]; do rm -f $DATA/member/snap/db; done`,
    );
    host.sh("touch /run/stop");
    expect(host.sh("[ -e /var/victim/snap/db ] || echo gone")).toBe("gone");
  });

  test("is cleared by nobody but its own user: what that one cannot delete, root is not led to", () => {
    etcdMade();
    host.sh(`mkdir /var/victim; chmod 0755 /var/victim; echo victim >/var/victim/db; rm -r ${DATA}/member/snap
      mount --bind /var/victim ${DATA}/member/wal.tmp; touch ${STATE}/first-start.env; echo root >${DATA}/member/wal/1.tmp`);
    host.sh(
      `printf '#!/bin/sh\\nid -u >>/var/paper/finders\\nexec /usr/bin/find "$@"\\n' >/usr/local/sbin/find; chmod 0755 /usr/local/sbin/find; chmod 0777 /var/paper`,
    );
    member("delete_data");
    expect(host.sh("sort -u /var/paper/finders")).toBe(host.sh("id -u etcd"));
    expect(host.sh("cat /var/victim/db")).toBe("victim");
  });
});
