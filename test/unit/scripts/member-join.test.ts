import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, type PaperMember, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";

const reason = whyNot();
const VALUES = {
  ...RUNNING,
  NODE: "etcd04",
  ADDRESS: "192.168.1.86",
  ENVIRONMENT: "PEER_NAME=etcd04",
};
const OTHERS = "https://192.168.1.83:2379,https://192.168.1.84:2379,https://192.168.1.85:2379";
const PEERS = [
  "etcd01=https://192.168.1.83:2380",
  "etcd02=https://192.168.1.84:2380",
  "etcd03=https://192.168.1.85:2380",
  "etcd04=https://192.168.1.86:2380",
].join(",");
const NONE =
  "etcd04: has no data, and the cluster has no quorum; refusing to bootstrap a second cluster. Start the other members first\n";

describe.skipIf(reason !== undefined)(
  `step member, first start${reason ? ` (${reason})` : ""}`,
  () => {
    const host = hostForEach();
    const cluster = new PaperCluster(host);
    const now = (secondsAgo: number) =>
      new Date(Date.now() - secondsAgo * 1000).toISOString().replace(/\.\d+Z$/, "Z");
    /** What the revision of the mode has to say, its values before its reason. */
    const start = (mode: string, secondsAgo = 30, rest = "") =>
      cluster.run(
        "member",
        `read_revision "${mode} ${now(secondsAgo)}${rest}"; first_start`,
        VALUES,
      );
    const firstStart = () => host.sh(`head -n 2 ${STATE}/first-start.env 2>/dev/null || true`);
    const started = () => host.sh("grep -c '^start' /var/paper/systemctl || true");
    const own: PaperMember = { id: "a4", name: "etcd04", address: "192.168.1.86" };

    beforeEach(() => {
      cluster.is({ members: THREE, leader: "a2" });
      const nodes = PEERS.replaceAll("=https://", " ")
        .replaceAll(":2380", "")
        .replaceAll(",", "\\n");
      host.sh(`
      mkdir -p ${STATE} /var/lib/etcd/member/snap
      printf '${nodes}\\n' >${STATE}/nodes
      cd /var/paper; echo 0 >property-NRestarts; echo inactive >property-ActiveState
      echo 'echo active >/var/paper/property-ActiveState' >on-start`);
    });

    test("of a newcomer joins as a learner, on an empty directory, and is promoted", () => {
      expect(start("join")).toEqual({
        status: 0,
        stdout: "",
        stderr: "etcd04: member f00d joined as a learner and was promoted\n",
      });
      expect(cluster.changes()).toEqual([
        `${OTHERS}: member add etcd04 --learner --peer-urls https://192.168.1.86:2380`,
        `${OTHERS}: member promote f00d`,
      ]);
      expect(firstStart()).toBe(
        `ETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER=${PEERS}`,
      );
      expect(host.sh("ls -A /var/lib/etcd")).toBe("");
    });

    test("whose answer to its addition got lost finds the member that was added, and adds no second one", () => {
      host.sh("touch /var/paper/lost");
      const { status, stderr } = cluster.run(
        "member",
        `retry() { patiently 5 "\${@:2}"; }; read_revision "join ${now(30)}"; first_start`,
        VALUES,
      );
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: "etcd04: member f00d joined as a learner and was promoted\n",
      });
      expect(cluster.changes().filter((call) => call.includes("promote"))).toEqual([
        `${OTHERS}: member promote f00d`,
      ]);
    });

    test("is refused, and starts nothing, where etcd's own users are on and do not know the program", () => {
      host.sh("touch /var/paper/users");
      const { status, stderr } = start("join");
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /^etcd04: nothing was changed, because etcd's authentication is enabled, and its user client, .* npm run etcdctl -- --user root user add client --no-password, and npm run etcdctl -- --user root user grant-role client root /,
      );
      expect([cluster.changes(), started()]).toEqual([[], "0"]);
    });

    test("finds its own half-added member and adds no second one", () => {
      const half = { ...own, learner: true, unstarted: true };
      cluster.is({ members: [...THREE, half] });
      expect(start("join").status).toBe(0);
      expect(cluster.changes()).toEqual([`${OTHERS}: member promote a4`]);
      expect(firstStart()).toContain(`ETCD_INITIAL_CLUSTER=${PEERS}`);
    });

    test("does not promote a half-added member that is a voter already", () => {
      cluster.is({ members: [...THREE, { ...own, unstarted: true }] });
      expect(start("join").status).toBe(0);
      expect(cluster.changes()).toEqual([]);
    });

    test("whose data went away before it was ready is begun afresh, not started again and again", () => {
      host.sh(`echo ETCD_INITIAL_CLUSTER_STATE=existing >${STATE}/first-start.env
        mkdir -p /var/lib/etcd/member/wal; echo activating >/var/paper/property-ActiveState`);
      const ruined = () =>
        cluster.run("member", "data_identity() { echo cafe a4; }; first_start_is_ruined", VALUES);
      host.journal(["connection refused"]);
      expect(ruined().status).toBe(1);
      host.journal(["panic: tocommit(95) is out of range [lastIndex(0)]. Was the raft log lost?"]);
      expect(ruined().status).toBe(0);
      host.sh(`touch ${STATE}/formed`);
      expect(ruined().status).toBe(1);
    });

    test("of a rebuilt host removes the old member by its ID before it joins", () => {
      cluster.is({ members: [...THREE, own] });
      const { status, stderr } = start("join");
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr:
          "etcd04: the host was rebuilt: its old member a4 is removed\n" +
          "etcd04: member f00d joined as a learner and was promoted\n",
      });
      expect(cluster.changes()).toEqual([
        `${OTHERS}: member remove a4`,
        `${OTHERS}: member add etcd04 --learner --peer-urls https://192.168.1.86:2380`,
        `${OTHERS}: member promote f00d`,
      ]);
    });

    test.each([
      [
        "add",
        "member add",
        "etcd04: etcd refuses to add this host as a learner; its reason is above: resolve that, and run pulumi up again\n",
      ],
      [
        "remove",
        "member remove",
        "etcd04: etcd refuses to remove the old member a4 of this host; its reason is above: resolve that, and run pulumi up again\n",
      ],
    ])("that etcd refuses to %s keeps the data and starts nothing", (_, refused, message) => {
      cluster.is({ members: refused === "member add" ? THREE : [...THREE, own] });
      host.sh(`echo ${refused} >/var/paper/refuses; echo old >/var/lib/etcd/member/snap/old`);
      const { status, stderr } = start("join");
      expect(status).toBe(1);
      expect(stderr).toContain(message);
      expect(started()).toBe("0");
      expect(host.sh("cat /var/lib/etcd/member/snap/old")).toBe("old");
    });

    describe("when another one is in the way", () => {
      const fifth: PaperMember = { id: "a5", name: "etcd05", address: "192.168.1.87" };
      const join = [
        `${OTHERS}: member add etcd04 --learner --peer-urls https://192.168.1.86:2380`,
        `${OTHERS}: member promote f00d`,
      ];
      const configured = () => host.sh(`echo etcd05 192.168.1.87 >>${STATE}/nodes`);

      test("that was rebuilt too removes the old members of both first", () => {
        const sick = ["192.168.1.86", "192.168.1.85"];
        cluster.is({ members: [...THREE, own], leader: "a2", sick });
        const { status, stderr } = start("join", 30, " rebuilt=etcd03,etcd09");
        expect({ status, stderr }).toEqual({
          status: 0,
          stderr:
            "etcd04: the host was rebuilt: its old member a4 is removed\n" +
            "etcd04: the host of etcd03 was rebuilt: its old member a3 is removed\n" +
            "etcd04: member f00d joined as a learner and was promoted\n",
        });
        expect(cluster.changes().map((call) => call.replace(/.*: member/, "member"))).toEqual([
          "member remove a4",
          "member remove a3",
          "member add etcd04 --learner --peer-urls https://192.168.1.86:2380",
          "member promote f00d",
        ]);
      });

      test("that was rebuilt and has joined again leaves it alone", () => {
        expect(start("join", 30, " rebuilt=etcd03").status).toBe(0);
        expect(cluster.changes()).toEqual(join);
      });

      test("that does not answer and was not rebuilt leaves it alone", () => {
        cluster.is({ members: THREE, leader: "a2", sick: ["192.168.1.85"] });
        expect(start("join", 30, " rebuilt=etcd02").status).toBe(0);
        expect(cluster.changes().filter((call) => call.includes("remove"))).toEqual([]);
      });

      test("as a learner that never started, removes that one", () => {
        cluster.is({ members: [...THREE, { ...fifth, learner: true, unstarted: true }] });
        const { status, stderr } = start("join");
        expect({ status, stderr }).toEqual({
          status: 0,
          stderr:
            "etcd04: the learner a5 at https://192.168.1.87:2380, left behind by an interrupted run, is removed\n" +
            "etcd04: member f00d joined as a learner and was promoted\n",
        });
        expect(cluster.changes()).toEqual([`${OTHERS}: member remove a5`, ...join]);
      });

      test("as a learner that runs, promotes it if the configuration has it", () => {
        configured();
        cluster.is({ members: [...THREE, { ...fifth, learner: true }] });
        expect(start("join").status).toBe(0);
        const others = `${OTHERS},https://192.168.1.87:2379`;
        expect(cluster.changes()).toEqual(
          [`${OTHERS}: member promote a5`, ...join].map((call) => call.replace(OTHERS, others)),
        );
      });

      test("as a learner that runs and that the configuration has no longer, removes it", () => {
        cluster.is({ members: [...THREE, { ...fifth, learner: true }] });
        expect(start("join").status).toBe(0);
        expect(cluster.changes()).toEqual([`${OTHERS}: member remove a5`, ...join]);
      });

      test("goes no further when etcd keeps it", () => {
        cluster.is({ members: [...THREE, { ...fifth, learner: true, unstarted: true }] });
        host.sh("echo member remove >/var/paper/refuses");
        expect(start("join").stderr).toContain(
          "etcd04: etcd refuses to remove member a5 at https://192.168.1.87:2380, which keeps this host from joining; its reason is above: resolve that, and run pulumi up again\n",
        );
        expect(started()).toBe("0");
      });
    });

    describe("when nobody answers", () => {
      beforeEach(() => cluster.is({}));

      test("and no cluster was seen this hour, forms one", () => {
        expect(start("bootstrap").status).toBe(0);
        expect(firstStart()).toBe(`ETCD_INITIAL_CLUSTER_STATE=new\nETCD_INITIAL_CLUSTER=${PEERS}`);
        expect(started()).toBe("1");
      });

      test.each([
        ["that was seen more than an hour ago", "bootstrap", 3601, ":"],
        ["of a cluster that was seen", "join", 30, ":"],
        ["of a repair", "repair", 30, ":"],
        ["on a host that was a member", "bootstrap", 30, `touch ${STATE}/formed`],
        [
          "on a host that was a member and was not looked at",
          "uninspected",
          30,
          `touch ${STATE}/formed`,
        ],
      ])("refuses a revision %s", (_, words, age, before) => {
        host.sh(`${before}; echo old >/var/lib/etcd/member/snap/old`);
        expect(start(words, age)).toMatchObject({
          status: 1,
          stdout: "",
          stderr: expect.stringMatching(new RegExp(`^\\n?${NONE}$`)),
        });
        expect(started()).toBe("0");
        expect(firstStart()).toBe("");
        expect(host.sh("cat /var/lib/etcd/member/snap/old")).toBe("old");
      });

      test("and nobody looked, forms one on a host that never was a member", () => {
        expect(start("uninspected").status).toBe(0);
        expect(firstStart()).toContain("ETCD_INITIAL_CLUSTER_STATE=new");
      });
    });

    test.each([
      ["nobody looked", "uninspected", 30, ":"],
      ["the inspection is older than an hour", "bootstrap", 3601, ":"],
      ["the host was a member", "bootstrap", 30, `touch ${STATE}/formed`],
    ])("joins the cluster that answers when %s", (_, words, age, before) => {
      host.sh(before);
      expect(start(words, age).status).toBe(0);
      expect(firstStart()).toContain("ETCD_INITIAL_CLUSTER_STATE=existing");
      expect(cluster.changes()).toHaveLength(2);
      expect(host.sh(`ls ${STATE}`)).not.toContain("formed");
    });

    describe("a promotion", () => {
      const promote = () => cluster.run("member", "promote https://192.168.1.83:2379 a4", VALUES);

      test("that another run was quicker with is as good", () => {
        cluster.is({ members: [...THREE, own] });
        expect(promote()).toEqual({
          status: 0,
          stdout: "",
          stderr: "etcd04: member a4 joined as a learner and was promoted\n",
        });
      });

      test("waits until the learner has nearly all, though etcd would take it before", () => {
        cluster.is({ members: [...THREE, { ...own, learner: true }], self: "a4" });
        host.sh(
          "cd /var/paper; echo 5000 >field-a1-RaftIndex; echo 4800 >field-a4-RaftAppliedIndex",
        );
        const call =
          "sleep() { echo waited; echo 4950 >/var/paper/field-a4-RaftAppliedIndex; }; promote https://192.168.1.83:2379 a4";
        expect(cluster.run("member", call, VALUES)).toMatchObject({
          status: 0,
          stdout: "waited\n",
        });
        expect(cluster.changes()).toHaveLength(1);
      });

      test("waits until the learner is in sync", () => {
        cluster.is({ members: [...THREE, { ...own, learner: true }] });
        host.sh("touch /var/paper/behind");
        const call = "sleep() { rm /var/paper/behind; }; promote https://192.168.1.83:2379 a4";
        expect(cluster.run("member", call, VALUES)).toEqual({
          status: 0,
          stdout: "",
          stderr: "etcd04: member a4 joined as a learner and was promoted\n",
        });
        expect(cluster.changes()).toHaveLength(2);
      });

      test("that etcd goes on refusing fails with its words", () => {
        host.sh("echo member promote >/var/paper/refuses");
        const call = "SECONDS=0; sleep() { SECONDS=$((SECONDS + 60)); }; promote x a4";
        expect(cluster.run("member", call, VALUES).stderr).toMatch(
          /^etcd04: learner a4 could not be promoted, and there has been no progress for 1\d\d s \(last: catching up .*\): Error: etcdserver: refused member promote\n$/,
        );
      });
    });
  },
);
