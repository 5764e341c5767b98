/** Alarms and differing data on a paper cluster: what a member's step does about them, and what the gate refuses. */
import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, type PaperClusterState, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const client = (number: number) => `https://192.168.1.${82 + number}:2379`;
const QUOTA = 16 * 2 ** 20;
const VALUES = {
  ...RUNNING,
  UNIT_TEXT: `ExecStart=/usr/local/bin/etcd \\\n  --quota-backend-bytes=${QUOTA} \\\n  --name=x`,
};
const REMEDY = "Raise etcd:settings.quota-backend-bytes and run pulumi up again";
const [NOSPACE, CORRUPT, CORRUPT_GONE] = [
  "memberID:161 alarm:NOSPACE ",
  "memberID:162 alarm:CORRUPT ",
  "memberID:255 alarm:CORRUPT",
];
const FULL = [
  `${LOCAL}: compaction --physical 7`,
  `${client(1)}: defrag`,
  `${client(3)}: defrag`,
  `${client(2)}: defrag`,
  `${LOCAL}: alarm disarm`,
];

describe.skipIf(reason !== undefined)(`alarms${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const run = (call: string, values: Readonly<Record<string, string>> = {}) =>
    cluster.run("member", call, { ...VALUES, ...values });
  const raised = (...alarms: string[]) =>
    host.sh(`printf '%s\\n' ${alarms.map((one) => `'${one}'`).join(" ")} >/var/paper/alarms`);
  const are = (state: PaperClusterState, quotas: readonly number[] = [QUOTA, QUOTA, QUOTA]) => {
    cluster.is(state);
    quotas.forEach((quota, index) => {
      host.sh(`echo ${quota} >/var/paper/field-a${index + 1}-DBSizeQuota`);
    });
  };
  beforeEach(() => {
    host.sh(`mkdir -p ${STATE}; touch ${STATE}/formed
      printf 'etcd01 192.168.1.83\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >${STATE}/nodes; rm -f /var/paper/{needed,alarms,hash-*}`);
    are({ members: THREE, leader: "a2" });
  });

  test("are read as every release prints them", () => {
    const { stdout } = run(
      "alarms_in '[memberID:18346649942272580935 alarm:NOSPACE  memberID:162  alarm:CORRUPT alarm:CORRUPT ]'",
    );
    expect(stdout).toBe("NOSPACE fe9c64eaf3991d47\nCORRUPT a2\nCORRUPT 0\n");
    expect(run("alarms_in '[]'").stdout).toBe("");
  });

  test("are no silence", () => {
    are({ members: THREE, leader: "a2", sick: ["192.168.1.85"] });
    raised(NOSPACE);
    expect(run(`healthy ${LOCAL} && healthy ${client(2)}`).status).toBe(0);
    expect(run(`healthy ${client(3)}`).status).not.toBe(0);
    expect(run(`sick_others ${LOCAL} a1`).stdout).toBe("etcd03 (https://192.168.1.85:2380)\n");
    expect(cluster.run("probe", "live_members yes").stdout).toBe(
      [
        "member etcd01 https://192.168.1.83:2380 false yes a1",
        "member etcd02 https://192.168.1.84:2380 false yes a2",
        "member etcd03 https://192.168.1.85:2380 false no a3",
        "",
      ].join("\n"),
    );
  });

  describe("NOSPACE", () => {
    test("ends after one compaction and a defragmentation of all, the leader last", () => {
      raised(NOSPACE);
      expect(run("settle_alarms")).toEqual({
        status: 0,
        stdout: "",
        stderr:
          "etcd01: making space: compacting, then defragmenting every member\n" +
          "etcd01: alarm disarmed: NOSPACE of etcd01\n",
      });
      expect(cluster.changes()).toEqual(FULL);
    });

    test("is gone on with where a run was killed: it has compacted already", () => {
      raised(NOSPACE);
      host.sh("echo compaction >/var/paper/refuses");
      expect(run("settle_alarms").stderr).toContain("cannot compact the database: Error:");
      host.sh("rm /var/paper/refuses");
      const compacted = `etcdctl_as_client() {
        case "$*" in *compaction*) echo "Error: mvcc: required revision has been compacted" >&2; return 1 ;; esac
        /usr/local/bin/etcdctl "$@"; };`;
      expect(run(`${compacted} settle_alarms`)).toMatchObject({ status: 0 });
      expect(cluster.changes().slice(-4)).toEqual(FULL.slice(-4));
    });

    test("stays where the data does not fit, with both numbers and what would help", () => {
      raised(NOSPACE);
      host.sh(`echo ${17 * 2 ** 20} >/var/paper/needed`);
      const { status, stderr } = run("settle_alarms");
      expect(status).not.toBe(0);
      expect(stderr).toContain(
        "etcd01: after compacting and defragmenting every member, the data uses 17.0 MiB of the 16.0 MiB quota, so the alarm NOSPACE stays raised. " +
          REMEDY,
      );
      expect(cluster.changes()).not.toContain(`${LOCAL}: alarm disarm`);
    });

    test("ends where the data just fits, and that is no success", () => {
      raised(NOSPACE);
      host.sh(`echo ${15 * 2 ** 20} >/var/paper/needed`);
      const { status, stderr } = run("settle_alarms");
      expect(status).not.toBe(0);
      expect(stderr).toContain(
        `the data uses 15.0 MiB of the 16.0 MiB quota, so the next writes raise the alarm NOSPACE again. ${REMEDY}`,
      );
      expect(cluster.changes()).toContain(`${LOCAL}: alarm disarm`);
    });

    test("waits until all members have got the configured quota", () => {
      are({ members: THREE, leader: "a2" }, [QUOTA, QUOTA, QUOTA / 2]);
      raised(NOSPACE);
      expect(run("settle_alarms")).toMatchObject({
        status: 0,
        stderr:
          "etcd01: the alarm NOSPACE is handled once etcd03 also runs with a quota of 16.0 MiB\n",
      });
      expect(cluster.changes()).toEqual([]);
    });

    test("does not wait for one that is to leave", () => {
      are({ members: THREE, leader: "a2" }, [QUOTA, QUOTA, QUOTA / 2]);
      host.sh(`sed -i /etcd03/d ${STATE}/nodes`);
      raised(NOSPACE);
      expect(run("settle_alarms")).toMatchObject({ status: 0 });
      expect(cluster.changes()).toEqual(FULL);
    });

    test("without a quota in the settings counts with etcd's own", () => {
      raised(NOSPACE);
      are({ members: THREE, leader: "a2" }, [2 ** 31, 2 ** 31, 2 ** 31]);
      expect(run("settle_alarms", { UNIT_TEXT: "[Service]" })).toMatchObject({ status: 0 });
      expect(cluster.changes()).toEqual(FULL);
    });

    test("ends for those that answer, and the other one is named", () => {
      are({ members: THREE, leader: "a2", sick: ["192.168.1.85"] });
      raised(NOSPACE);
      const { status, stderr } = run("settle_alarms");
      expect(status).toBe(0);
      expect(stderr).toContain(
        "etcd03 is unhealthy, so its database was not defragmented; it may raise NOSPACE again",
      );
      expect(cluster.changes()).toEqual(FULL.filter((call) => !call.startsWith(client(3))));
    });

    test("stays when a member cannot be defragmented, and says which and why", () => {
      raised(NOSPACE);
      host.sh("echo defrag >/var/paper/refuses");
      const { status, stderr } = run("settle_alarms");
      expect(status).not.toBe(0);
      expect(stderr).toContain(
        "cannot defragment the database of etcd01, which needs as much free disk space as it has data: Error: etcdserver: refused defrag",
      );
      expect(cluster.changes()).not.toContain(`${LOCAL}: alarm disarm`);
    });
  });

  describe("CORRUPT", () => {
    test("of a member stays, and so does any other: etcdctl takes back all or none", () => {
      raised(NOSPACE, CORRUPT);
      expect(run("settle_alarms")).toMatchObject({
        status: 0,
        stderr: "etcd01: alarm still raised: CORRUPT of etcd02, NOSPACE of etcd01\n",
      });
      expect(cluster.changes()).toEqual([]);
    });

    test("of a member that has left is taken back", () => {
      raised(CORRUPT_GONE);
      expect(run("settle_alarms").stderr).toBe(
        "etcd01: alarm disarmed: CORRUPT of member ff (it has left)\n",
      );
      expect(cluster.changes()).toEqual([`${LOCAL}: alarm disarm`]);
    });

    test("of a member that has left goes first, because etcd compacts nothing meanwhile", () => {
      raised(CORRUPT_GONE, NOSPACE);
      expect(run("settle_alarms")).toMatchObject({ status: 0 });
      expect(cluster.changes()).toEqual([FULL.at(-1), ...FULL.slice(0, 4)]);
    });

    test("of a member is one, though etcd may raise it of nobody beside it", () => {
      raised(CORRUPT, "alarm:CORRUPT");
      expect(run('live_corrupt "$(alarms $LOCAL)" "$(members $LOCAL)"').stdout).toBe("a2\n");
    });

    test("of nobody knows whom is taken back when all have the same data, and only then", () => {
      raised("alarm:CORRUPT");
      host.sh("echo 78 >/var/paper/hash-a2");
      expect(run("settle_alarms").stderr).toBe("etcd01: alarm still raised: CORRUPT\n");
      host.sh("rm /var/paper/hash-a2");
      expect(run("settle_alarms").stderr).toBe("etcd01: alarm disarmed: CORRUPT\n");
    });
  });

  describe("the data of the members", () => {
    const list = "$(members $LOCAL)";
    const differing = () => run(`differing "${list}"`);

    test("is compared at the last revision that all of them have", () => {
      host.sh("echo 5 >/var/paper/field-a3-Revision");
      expect(differing()).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(cluster.calls().filter((call) => call.includes("hashkv"))).toEqual(
        [1, 2, 3].map((number) => `${client(number)}: endpoint hashkv --rev 5`),
      );
    });

    test("shows who differs from most, after a second look", () => {
      host.sh("echo 78 >/var/paper/hash-a2");
      expect(differing().stdout).toBe("a2 etcd02\n");
      expect(cluster.calls().filter((call) => call.includes("hashkv"))).toHaveLength(6);
    });

    test("shows that nobody can tell when there is no most of them", () => {
      cluster.is({ members: THREE.slice(0, 2), leader: "a2" });
      host.sh("echo 78 >/var/paper/hash-a2");
      expect(differing().stdout).toBe("0 -\n");
    });

    test("is not compared from different compactions on, nor when one does not answer", () => {
      host.sh("echo 78 >/var/paper/hash-a2; echo 4 >/var/paper/compacted-a2");
      expect(differing()).toMatchObject({ status: 1, stdout: "" });
      host.sh("rm /var/paper/compacted-a2");
      cluster.is({ members: THREE, leader: "a2", sick: ["192.168.1.85"] });
      expect(differing()).toMatchObject({ status: 1, stdout: "" });
    });
  });

  describe("the look", () => {
    const look = (call: string) => cluster.run("probe", call).stdout;

    test("tells each alarm by kind and member, and the rest of what the cluster reports", () => {
      expect(look(`reported '[${NOSPACE} ${CORRUPT}etcdserver: no leader]'`)).toBe(
        "alarm CORRUPT a2\nalarm NOSPACE a1\nunit the cluster reports etcdserver: no leader\n",
      );
      expect(look("reported '[]'")).toBe("");
    });

    test("finds whom CORRUPT is about that names nobody", () => {
      host.sh("echo 78 >/var/paper/hash-a3");
      expect(look("reported '[alarm:CORRUPT ]'")).toBe("alarm CORRUPT a3\n");
      host.sh("rm /var/paper/hash-a3");
      expect(look("reported '[alarm:CORRUPT ]'")).toBe("alarm CORRUPT 0\n");
    });

    test("finds a data disk that is nearly full, and what takes the room", () => {
      const disk = (free: number) => `df() { printf 'x\\n/dev/vdb 1 1 ${free} 1%% /data\\n'; };
        du() { case $* in *snap) echo '300 x' ;; *) echo '128 x' ;; esac | tr ' ' '\\t'; };
        mkdir -p $DATA/member; disk_findings`;
      expect(look(disk(301))).toBe("");
      const words =
        "on /data, the disk of /var/lib/etcd, where etcd's database and snapshots take 300 MiB and its WAL 128 MiB: when the disk is full etcd stops and cannot be defragmented; free some space or enlarge the disk\n";
      expect(look(disk(299))).toBe(`has 299 MiB free ${words}`);
      expect(look(disk(0))).toBe(`has 0 MiB free ${words}`);
    });

    test("says nothing of the disk of a host without data", () => {
      expect(look("df() { printf 'x\\nx 1 1 1 1%% /\\n'; }; disk_findings")).toBe("");
    });
  });
});
