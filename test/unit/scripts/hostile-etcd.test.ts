import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { ScriptName } from "../../../components/scripts/bundle";
import { writeJournal } from "../../support/journal";
import { PaperCluster } from "../../support/paper-cluster";
import { hostForEach, type Outcome, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const PLANTER = readFileSync(join(__dirname, "..", "..", "support", "planter.sh"), "utf8");
const WAL = "/var/lib/etcd/member/wal";
const SNAP = "/var/lib/etcd/member/snap";
const AS_ETCD = "setpriv --reuid etcd --regid etcd --clear-groups";

/** Bash of the etcd user that puts something in the place of a file. */
const THINGS: readonly (readonly [string, (path: string) => string])[] = [
  ["a pipe", (path) => `mkfifo ${path}`],
  ["a link to /dev/zero", (path) => `ln -s /dev/zero ${path}`],
  ["a link to root's file", (path) => `ln -s /etc/PLANTED ${path}`],
  ["a directory", (path) => `mkdir ${path}`],
];

describe.skipIf(reason !== undefined)(`the etcd user${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const UP = { ...RUNNING, VERSION: "3.7.2", PREDECESSORS: "3.6.0" };
  const good = { status: 0, stdout: "", stderr: "" };

  /** Runs a line within seconds, and root's own file stays as it was. */
  const run = (script: ScriptName, call: string, values = RUNNING): Outcome => {
    const start = Date.now();
    const outcome = cluster.run(script, call, values);
    expect(Date.now() - start).toBeLessThan(45_000);
    expect(host.sh("stat -c '%a %U:%G %s' /etc/PLANTED; ls /etc/PLANTED.d")).toBe(
      "600 root:root 7",
    );
    return outcome;
  };

  beforeEach(() => {
    runningMember(host, cluster, RUNNING);
    host.sh(`(umask 077; echo secret >/etc/PLANTED); mkdir -m 0777 /etc/PLANTED.d
      ${writeJournal("cafe", "a1")}
      mkdir -p ${SNAP}; echo old >${SNAP}/db; chown -R etcd:etcd /var/lib/etcd`);
  });

  describe.each(THINGS)("who plants %s", (_, plant) => {
    const planted = (path: string) => host.sh(`rm -rf ${path}; ${AS_ETCD} ${plant(path)}`);

    test("beside the journal makes nobody wait, read or remember another one", () => {
      planted(`${WAL}/ffffffffffffffff-ffffffffffffffff.wal`);
      expect(run("member", "data_identity").stdout).toBe("cafe a1");
      expect(run("member", "! has_old_entries", UP)).toEqual(good);
      host.sh(`echo /0/members/ >>${WAL}/0-0.wal`);
      expect(run("member", "has_old_entries", UP)).toEqual(good);
    });

    test("beside the snapshots of raft makes nobody believe in one", () => {
      planted(`${SNAP}/ffffffffffffffff-0000000000000fff.snap`);
      expect(run("member", "snapshot_index").stdout).toBe("0");
    });

    test("for the database keeps nobody's look waiting", () => {
      host.sh(`rm -f /usr/local/bin/etcdutl; printf '#!/bin/sh\\nexec head -c 1000000000 "$3"\\n' >/usr/local/bin/etcdutl
        chmod 755 /usr/local/bin/etcdutl`);
      planted(`${SNAP}/db`);
      expect(run("probe", "active=inactive; stopped_data").stdout).toBe("");
    });

    test("for the database of a copy makes no backup of it", () => {
      host.sh(
        `printf 'rm -f /var/lib/etcd.replay/member/snap/db; ${AS_ETCD} ${plant("/var/lib/etcd.replay/member/snap/db")}' >/var/paper/on-replay`,
      );
      const { status, stderr } = run("member", "replay $BACKUPS/recovery-cafe.db");
      expect(status).toBe(1);
      expect(stderr).toBe(
        "etcd01: /var/lib/etcd.replay/member/snap/db is not a database; the data in /var/lib/etcd is unchanged\n",
      );
      expect(host.sh("ls /var/backups/etcd")).toBe("");
    });

    test("as a log of a copy has nothing written to it", () => {
      planted("/var/lib/etcd/member/log");
      planted("/var/lib/etcd/log");
      host.sh(`echo '${AS_ETCD} ${plant("/var/lib/etcd.replay/log")}' >/var/paper/on-replay`);
      expect(run("member", "replay $BACKUPS/recovery-cafe.db")).toEqual(good);
      expect(host.sh("cat /var/backups/etcd/recovery-cafe.db")).toBe("old");
    });

    test("in the data has nothing given to it, and stays", () => {
      planted("/var/lib/etcd/member/x");
      host.sh(`chown root:root /var/lib/etcd ${SNAP}/db; chmod 755 /var/lib/etcd`);
      expect(run("member", "install_files")).toEqual(good);
      expect(host.sh(`stat -c '%a %U' /var/lib/etcd; stat -c %U ${SNAP}/db`)).toBe(
        "700 etcd\netcd",
      );
    });
  });

  test("who has a second name for somebody's file is not given it", () => {
    host.sh(`echo root >/var/paper/FILE; ln /var/paper/FILE ${SNAP}/x
      echo other >${WAL}/y; chown daemon ${WAL}/y`);
    const words = (path: string, owner: string) =>
      `has ${path} (of ${owner}), which is not the etcd user's; if it belongs there, give it to that user (chown -h etcd:etcd PATH)`;
    const refused = run("member", "install_files").stderr;
    expect([words(`${SNAP}/x`, "root"), words(`${WAL}/y`, "daemon")]).toContain(
      refused.replace("etcd01: ", "").trim(),
    );
    host.sh(`rm ${WAL}/y`);
    expect(run("member", "install_files").stderr).toBe(`etcd01: ${words(`${SNAP}/x`, "root")}\n`);
    expect(run("probe", "foreign_data").stdout).toBe(`${words(`${SNAP}/x`, "root")}\n`);
    expect(host.sh("stat -c %U /var/paper/FILE")).toBe("root");
  });

  test("gets no descriptor of the step's along, so it cannot give the lock free", () => {
    const call = "exec {lock}<>/run/x; as_etcd ls -l /proc/self/fd";
    const { stdout, stderr } = run("probe", call);
    expect(stderr).toBe("");
    expect(stdout).toContain("/dev/null");
    const open = [...stdout.matchAll(/ (\d+) -> (.*)$/gm)];
    const errors = open.find(([, descriptor]) => descriptor === "2")?.[2];
    expect(open.filter(([, , file]) => file === errors || file === "/run/x")).toHaveLength(1);
  });

  test("who is slow, or takes much, is cut off", () => {
    expect(run("member", "AS_ETCD_SECONDS=1 as_etcd sleep 30").status).toBe(124);
    const { status } = run(
      "member",
      "as_etcd bash -c 'x=$(head -c 2000000000 /dev/zero | tr \"\\0\" x)' 2>/dev/null",
    );
    expect(status).not.toBe(0);
  });

  test("who keeps swapping all of that while the steps are at work gets nothing by it", () => {
    host.write("/var/paper/planter.sh", PLANTER);
    host.sh("chmod 755 /var/paper /var/paper/planter.sh; echo true >/var/paper/on-replay");
    const call = `${AS_ETCD} bash /var/paper/planter.sh etcd/log etcd/x etcd/member/x etcd/member/wal/x.wal etcd/member/wal/f-f.wal \\
        etcd/member/snap/1-00000000000000ff.snap etcd.replay/log etcd.replay/x etcd.restored/x >/dev/null 2>&1 &
      planter=$!
      for ((turn = 0; turn < 4; turn++)); do
        data_identity; has_old_entries || true; snapshot_index >/dev/null; install_files; (replay $BACKUPS/recovery-cafe.db)
      done
      kill $planter; wait $planter 2>/dev/null || true`;
    const { stderr } = run("member", call, UP);
    // A copy may find something gone that was there.
    expect(stderr.replaceAll(/^(cp: .*|etcd01: the data in .*)\n/gm, "")).toBe("");
    const others = host.sh("find /etc /var/lib /run -xdev -user etcd -not -path '/var/lib/etcd*'");
    expect(others).toBe("");
  });
});
