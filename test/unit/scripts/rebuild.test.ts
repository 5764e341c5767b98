/** A member that the configuration gives up, on a paper host. */
import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, type PaperClusterState, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const OTHERS = "https://192.168.1.84:2379,https://192.168.1.85:2379";

describe.skipIf(reason !== undefined)(`a rebuild${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const rebuild = (id: string, then = "") =>
    cluster.run(
      "member",
      `data_identity() { if [ -d $DATA/member/wal ]; then echo cafe a1; fi; }; read_revision 'rebuild 2026-11-22T10:20:30Z member=${id}'; rebuild; ${then}`,
      RUNNING,
    );
  const data = () => host.sh("ls -d /var/lib/etcd*/member | sed 's/-[0-9TZ]*\\//-TIME\\//'");
  const are = (state: PaperClusterState) => cluster.is({ leader: "a2", ...state });
  beforeEach(() => {
    are({ members: THREE });
    host.sh(`mkdir -p ${STATE} /var/lib/etcd/member/wal; touch ${STATE}/formed
      printf 'etcd01 192.168.1.83\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >${STATE}/nodes
      cd /var/paper; echo 0 >property-NRestarts; echo active >property-ActiveState
      echo 'echo active >/var/paper/property-ActiveState' >on-start`);
  });

  test("removes the member through the others, puts its data aside, and the host joins", () => {
    expect(rebuild("a1", "first_start")).toMatchObject({
      status: 0,
      stdout: "",
      stderr: expect.stringMatching(
        /^etcd01: member a1 was removed, as etcd:nodes\[\]\.rebuild asks\netcd01: the previous data was moved to \/var\/lib\/etcd\.rebuilt-a1-\d+T\d+Z; delete it when no longer needed\netcd01: member f00d joined as a learner and was promoted\n$/,
      ),
    });
    expect(cluster.changes()).toEqual([
      `${OTHERS}: member remove a1`,
      `${OTHERS}: member add etcd01 --learner --peer-urls https://192.168.1.83:2380`,
      `${OTHERS}: member promote f00d`,
    ]);
    expect(data()).toContain("/var/lib/etcd.rebuilt-a1-TIME/member");
  });

  test("hands the lead over first", () => {
    are({ members: THREE, leader: "a1" });
    expect(rebuild("a1").stderr).toContain("etcd01: leadership transferred to etcd02\n");
    expect(cluster.changes()).toEqual([`${LOCAL}: move-leader a2`, `${OTHERS}: member remove a1`]);
  });

  test("of a member that does not run, because it ends at every start, is the same", () => {
    are({ members: THREE, sick: ["192.168.1.83"] });
    expect(rebuild("a1")).toMatchObject({ status: 0 });
    expect(cluster.changes()).toEqual([`${OTHERS}: member remove a1`]);
  });

  test("does nothing when the host has another member by now, or no data", () => {
    expect(rebuild("a9")).toEqual({ status: 0, stdout: "", stderr: "" });
    host.sh("rm -r /var/lib/etcd/member");
    expect(rebuild("a1")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(cluster.changes()).toEqual([]);
  });

  test("leaves the data of a member that a killed run has removed to those that have left", () => {
    are({ members: THREE.slice(1) });
    expect(rebuild("a1")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(data()).toBe("/var/lib/etcd/member");
  });

  test.each<[string, PaperClusterState, string]>([
    [
      "another member does not answer",
      { members: THREE, sick: ["192.168.1.85"] },
      "removing etcd01 would leave 1 healthy of 2 voters, which is no quorum; refused. Start first: etcd03",
    ],
    [
      "one of four others does not answer",
      {
        members: [...THREE, { id: "a4", name: "etcd04", address: "192.168.1.86" }],
        sick: ["192.168.1.86"],
      },
      "member a1 was not rebuilt, because another member is unhealthy: etcd04 (https://192.168.1.86:2380); start it first",
    ],
    [
      "no quorum answers",
      {},
      "member a1 was not rebuilt, because the cluster has no quorum without this host",
    ],
    [
      "it is the only one",
      { members: THREE.slice(0, 1), sick: ["192.168.1.84", "192.168.1.85"] },
      "member a1 was not rebuilt, because the cluster has no quorum without this host",
    ],
  ])("is refused while %s, and nothing is stopped or moved", (_, state, words) => {
    are(state);
    const { status, stderr } = rebuild("a1");
    expect(status).not.toBe(0);
    expect(stderr).toContain(`etcd01: ${words}`);
    expect(cluster.changes()).toEqual([]);
    expect(data()).toBe("/var/lib/etcd/member");
    expect(host.sh("grep stop /var/paper/systemctl || true")).toBe("");
  });

  describe("of another member", () => {
    const UNIT_TEXT = "ExecStart=/usr/local/bin/etcd \\\n  --name=x \\\n  --feature-gates=A=true";
    const start = (version: string) => {
      host.sh(`cd /var/paper; echo activating >property-ActiveState
        echo 'cat /run/systemd/system/etcd.service.d/unchecked.conf >/var/paper/drop-in
          echo active >/var/paper/property-ActiveState' >on-start; getent passwd etcd >/dev/null || useradd --system --user-group etcd`);
      const values = { ...RUNNING, VERSION: version, UNIT_TEXT };
      return cluster.run(
        "member",
        "read_revision 'start-unchecked 2026-11-22T10:20:30Z # a2'; start_again",
        values,
      );
    };

    test.each([
      ["3.5.35", "--experimental-initial-corrupt-check=false"],
      ["3.7.2", "--feature-gates=InitialCorruptCheck=false"],
    ])(
      "starts %s once without its check, which would not let it start beside that one",
      (version, flag) => {
        expect(start(version)).toMatchObject({
          status: 0,
          stderr:
            "etcd01: starting etcd without its initial corruption check, because a member with other data is about to be rebuilt\n",
        });
        expect(host.sh("cat /var/paper/drop-in")).toBe(
          `[Service]\nExecStart=\n${UNIT_TEXT} ${flag}`,
        );
        expect(host.sh("ls /run/systemd/system/etcd.service.d 2>/dev/null || echo gone")).toBe(
          "gone",
        );
      },
    );

    test("lets nobody join while a corrupt member leads", () => {
      host.sh("echo 'memberID:162 alarm:CORRUPT' >/var/paper/alarms");
      cluster.run(
        "member",
        `transfer_from_corrupt_leader ${OTHERS} "$(members ${OTHERS})"`,
        RUNNING,
      );
      expect(cluster.changes()).toEqual(["https://192.168.1.84:2379: move-leader a1"]);
      are({ members: THREE, leader: "a3" });
      cluster.run(
        "member",
        `transfer_from_corrupt_leader ${OTHERS} "$(members ${OTHERS})"`,
        RUNNING,
      );
      expect(cluster.changes()).toEqual([]);
    });
  });

  describe("is what helps", () => {
    const unusable = () =>
      cluster.run("member", "data_identity() { echo cafe a1; }; unusable_data", RUNNING).stdout;
    const STACK = Array.from({ length: 40 }, (_, line) => `goroutine ${line} [running]:`);

    test.each([
      [
        "a disk that was put back to an old copy",
        "panic: tocommit(164) is out of range [lastIndex(17)]. Was the raft log corrupted, truncated, or lost?",
      ],
      ["a damaged journal", '{"level":"fatal","error":"walpb: crc mismatch"}'],
      ["a damaged database", "panic: freepages: failed to get all reachable pages (page 5)"],
    ])("with %s, whose reason stands before the stack", (_, line) => {
      host.journal([line, ...STACK]);
      expect(unusable()).toContain("etcd exits at startup because of its data: ");
      expect(unusable()).toContain(
        "To rebuild etcd01 from the others, set etcd:nodes[].rebuild of this node to a1 and run pulumi up again",
      );
      host.sh("cd /var/paper; echo activating >property-ActiveState");
      expect(
        cluster.run(
          "member",
          "data_identity() { echo cafe a1; }; SECONDS=0; (wait_until_ready 0)",
          RUNNING,
        ).stderr,
      ).toContain("etcd:nodes[].rebuild of this node to a1");
    });

    test("with data that differs only perhaps: another member's may be wrong", () => {
      host.journal(['{"error":"a1 found data inconsistency with peers"}']);
      expect(unusable()).toContain("Either this member or another one is wrong");
    });

    test("with nothing else, nor with what an etcd got over that has served since", () => {
      host.journal(["panic: listen tcp 127.0.0.1:2379: bind: address already in use", ...STACK]);
      expect(unusable()).toBe("");
      host.journal(["walpb: crc mismatch", "Started etcd.service - etcd.", "bye"]);
      expect(unusable()).toBe("");
    });
  });
});
