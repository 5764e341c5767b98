import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const OTHERS = "https://192.168.1.84:2379,https://192.168.1.85:2379";
const FOUR = [...THREE, { id: "a4", name: "etcd04", address: "192.168.1.86" }];

describe.skipIf(reason !== undefined)(`drain.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const nodes = (...numbers: readonly number[]) =>
    numbers.map((number) => `etcd0${number} 192.168.1.${82 + number}`).join("\n");
  const VALUES = { ADDRESS: "192.168.1.83", TOKEN: "ours", NODES: nodes(2, 3), JOINED: "" };
  const run = (change: Partial<typeof VALUES> = {}) =>
    cluster.run("drain", "stop_serving() { echo stop >>/var/paper/etcdctl; }; drain", {
      ...VALUES,
      ...change,
    });
  const nothing = { status: 0, stdout: "", stderr: "" };

  beforeEach(() => {
    host.sh(`
      mkdir -p ${STATE}; touch ${STATE}/formed; echo ours >${STATE}/token
      echo active >/var/paper/property-ActiveState
      printf '${nodes(1, 2, 3).replaceAll("\n", "\\n")}\n' >${STATE}/nodes`);
    cluster.is({ members: THREE, leader: "a2" });
  });

  test("of a member that the configuration has no longer stops it, then removes it", () => {
    expect(run()).toEqual({ ...nothing, stderr: "etcd01: member a1 left the cluster\n" });
    expect(cluster.changes()).toEqual(["stop", `${OTHERS}: member remove a1`]);
    expect(host.sh(`cat ${STATE}/left`)).toBe("a1");
  });

  test("of the leader has one that stays lead first", () => {
    cluster.is({ members: FOUR, leader: "a1" });
    host.sh(`printf '${nodes(1, 2, 3, 4).replaceAll("\n", "\\n")}\n' >${STATE}/nodes`);
    expect(run({ NODES: nodes(3, 4) }).status).toBe(0);
    expect(cluster.changes()[0]).toBe(`${LOCAL}: move-leader a3`);
  });

  test.each([
    ["of a configured member", { NODES: nodes(1, 2, 3) }],
    [
      "of a configured name at another address",
      { NODES: "etcd01 192.168.1.96\netcd02 192.168.1.84" },
    ],
  ])("%s does nothing, whatever the program was told", (_, change) => {
    expect(run(change)).toEqual(nothing);
    expect(cluster.changes()).toEqual([]);
  });

  test("where etcd does not run leaves all to the gate", () => {
    host.sh("echo inactive >/var/paper/property-ActiveState");
    expect(run()).toEqual(nothing);
    expect(cluster.changes()).toEqual([]);
  });

  test.each([
    [
      "another stack's member",
      `echo theirs >${STATE}/token`,
      "has no member of this stack's cluster",
    ],
    ["no member", `rm ${STATE}/formed`, "has no member of this stack's cluster"],
    ["a member without a quorum", "rm /var/paper/members", "its member has no quorum"],
  ])("is refused on a host with %s", (_, change, words) => {
    host.sh(change);
    const { status, stderr } = run();
    expect(status).toBe(1);
    expect(stderr.trim()).toBe(`etcd01: ${words}`);
    expect(cluster.changes()).toEqual([]);
  });

  test("is refused when those that stay have no quorum, whoever else leaves", () => {
    cluster.is({ members: FOUR, leader: "a4", sick: ["192.168.1.84"] });
    expect(run().stderr).toBe(
      "etcd01: cannot leave: of the 2 voters that would stay only 1 are healthy; start the others first\n",
    );
    expect(cluster.changes()).toEqual([]);
  });

  test("counts a host that joined in this run, which lets nobody in that leaves", () => {
    cluster.is({ members: FOUR, leader: "a2", sick: ["192.168.1.86"] });
    const joined = { NODES: nodes(2, 3, 4), JOINED: "192.168.1.86" };
    expect(run(joined).status).toBe(0);
    expect(cluster.changes()[0]).toBe("stop");
  });
});
