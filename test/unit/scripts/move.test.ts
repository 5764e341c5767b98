import { beforeEach, describe, expect, test } from "vitest";
import {
  PaperCluster,
  type PaperClusterState,
  PKI,
  STATE,
  THREE,
} from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const OTHERS = "https://192.168.1.84:2379,https://192.168.1.85:2379";
const OLD = "https://192.168.1.83:2380";
const NEW = "https://192.168.1.99:2380";
const environment = (address: string) => `PEER_NAME=etcd01\nPRIVATE_IP=${address}`;
const BEFORE = { ...RUNNING, ENVIRONMENT: environment("192.168.1.83") };
const AFTER = { ...RUNNING, ADDRESS: "192.168.1.99", ENVIRONMENT: environment("192.168.1.99") };
const FIVE = [4, 5].map((number) => ({
  id: `a${number}`,
  name: `etcd0${number}`,
  address: `192.168.1.${82 + number}`,
}));

describe.skipIf(reason !== undefined)(`move.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const apply = (
    word = "move 2026-11-22T10:20:30Z # here to there",
    change: Partial<typeof RUNNING> = {},
  ) => cluster.run("member", `apply "${word}"`, { ...AFTER, ...change });
  /** Certificates in use and those for the new address, as the step `install` leaves them. */
  const heldBack = () =>
    host.sh(`mkdir -p ${PKI}; cd ${PKI}; for name in server peer; do echo old >$name.pem; echo new >$name.pem.next; done
      echo first >${STATE}/issuer; echo second >${STATE}/issuer.next`);
  const leaves = () =>
    host.sh(
      `cd ${PKI}; grep . server.pem peer.pem *.pem.next ${STATE}/issuer* 2>/dev/null || true`,
    );
  const systemd = () => host.sh("grep -E '^(start|stop|restart)' /var/paper/systemctl || true");
  const peer = () => host.sh("awk -F ', ' '$1 == \"a1\" { print $4 }' /var/paper/members");
  const is = (state: Partial<PaperClusterState>) =>
    cluster.is({ members: THREE, leader: "a2", ...state });

  beforeEach(() => {
    runningMember(host, cluster, BEFORE);
    host.sh(`
      ip address add 192.168.1.99/32 dev lo 2>/dev/null || true
      printf 'etcd01 192.168.1.99\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >${STATE}/nodes`);
  });

  test("tells the others the new peer URL, then restarts the member there", () => {
    expect(apply()).toEqual({
      status: 0,
      stdout: "",
      stderr: `etcd01: member a1 moves from ${OLD} to ${NEW}\netcd01: restarting etcd: /etc/etcd.env changed\n`,
    });
    expect(cluster.changes()).toEqual([`${OTHERS}: member update a1 --peer-urls ${NEW}`]);
    expect(systemd()).toBe("restart --no-block etcd.service");
    expect(host.sh("cat /etc/etcd.env")).toBe(AFTER.ENVIRONMENT);
    expect(host.sh(`ls ${STATE}`)).not.toContain("moving");
  });

  test("takes the certificates of the new address when it restarts there, and not before", () => {
    heldBack();
    const before = leaves();
    is({ sick: ["192.168.1.84"] });
    expect(apply().status).toBe(1);
    expect(leaves()).toBe(before);
    is({});
    expect(apply().status).toBe(0);
    expect(leaves()).toBe(`server.pem:new\npeer.pem:new\n${STATE}/issuer:second`);
  });

  test("takes away what never ran at the new address, and gives way to a member that did", () => {
    const there = { id: "a9", name: "", address: "192.168.1.99" };
    is({ members: [...THREE, { ...there, learner: true, unstarted: true }] });
    expect(apply().stderr).toMatch(
      /^etcd01: member a9 at https:\/\/192\.168\.1\.99:2380, which never ran here, is removed\netcd01: member a1 moves/,
    );
    expect(cluster.changes()).toEqual([
      `${OTHERS}: member remove a9`,
      `${OTHERS}: member update a1 --peer-urls ${NEW}`,
    ]);
    runningMember(host, cluster, BEFORE);
    is({ members: [...THREE, { ...there, name: "etcd09" }] });
    expect(apply().stderr).toContain(
      "not moved, because etcd09, member a9, has the address 192.168.1.99",
    );
    expect(cluster.changes()).toEqual([]);
  });

  test("has nothing to do the second time", () => {
    apply();
    host.sh(": >/var/paper/systemctl; : >/var/paper/etcdctl");
    expect(apply("repair 2026-11-22T10:20:30Z")).toMatchObject({ status: 0, stderr: "" });
    expect(apply()).toMatchObject({ status: 0, stderr: "" });
    expect({ changes: cluster.changes(), systemd: systemd() }).toEqual({
      changes: [],
      systemd: "",
    });
  });

  test("is known by the environment when nobody looked", () => {
    expect(apply("uninspected 2026-11-22T10:20:30Z").status).toBe(0);
    expect(peer()).toBe(NEW);
  });

  test("hands the leadership over before anybody loses sight of the member", () => {
    is({ leader: "a1" });
    expect(apply().status).toBe(0);
    expect(cluster.changes()).toEqual([
      `${LOCAL}: move-leader a2`,
      `${OTHERS}: member update a1 --peer-urls ${NEW}`,
    ]);
  });

  test("finds a member whose process does not run, or answers nobody, by its address or name", () => {
    is({ sick: ["192.168.1.83"] });
    expect(apply()).toMatchObject({ status: 0 });
    expect(peer()).toBe(NEW);
    expect(systemd()).toBe("restart --no-block etcd.service");
    runningMember(host, cluster, BEFORE);
    host.sh("echo inactive >/var/paper/property-ActiveState");
    host.sh(": >/var/paper/systemctl");
    expect(apply()).toMatchObject({ status: 0 });
    expect(peer()).toBe(NEW);
    expect(systemd()).toBe("restart --no-block etcd.service");
  });

  test.each([
    ["before the others were told", ":"],
    ["before the restart", `etcdctl_as_client --endpoints x member update a1 --peer-urls ${NEW}`],
    ["with the files in place", "install_files"],
  ])("is finished when it was killed %s", (_, done) => {
    cluster.run("member", `: >$MOVING; ${done}`, AFTER);
    expect(apply("repair 2026-11-22T10:20:30Z")).toMatchObject({ status: 0 });
    expect(peer()).toBe(NEW);
    expect(systemd()).toBe("restart --no-block etcd.service");
    expect(host.sh(`ls ${STATE}`)).not.toContain("moving");
  });

  test.each([
    [
      "beside a member that is down",
      { sick: ["192.168.1.85"] },
      "not moved, because its restart would leave 1 healthy of 3 voters; start first: etcd03 (https://192.168.1.85:2380)",
    ],
    [
      "beside one that is down of five, though a quorum would be left",
      { members: [...THREE, ...FIVE], sick: ["192.168.1.87"] },
      "not moved, because its restart would leave 3 healthy of 5 voters; start first: etcd05 (https://192.168.1.87:2380)",
    ],
    [
      "without a quorum",
      { members: undefined },
      "not moved, because the cluster has no quorum; start the other members first",
    ],
  ])("is refused %s", (_, state, words) => {
    is(state);
    const { status, stderr } = apply();
    expect({ status, words: stderr.trim() }).toEqual({ status: 1, words: `etcd01: ${words}` });
    expect({ changes: cluster.changes(), systemd: systemd() }).toEqual({
      changes: [],
      systemd: "",
    });
  });

  test("that is cut off already may move beside another one that is down", () => {
    is({ members: [...THREE, ...FIVE], sick: ["192.168.1.83", "192.168.1.87"] });
    expect(apply()).toMatchObject({ status: 0 });
    expect(peer()).toBe(NEW);
  });

  test("is refused to an address that the host does not have", () => {
    expect(apply(undefined, { ADDRESS: "192.168.1.98" }).stderr).toBe(
      "etcd01: not moved, because none of its interfaces has the address 192.168.1.98; add it first\n",
    );
    expect(cluster.changes()).toEqual([]);
  });

  test("that etcd refuses says so and restarts nothing", () => {
    host.sh("echo member update >/var/paper/refuses");
    expect(apply().stderr).toContain(
      `etcd01: etcd refuses to move member a1 from ${OLD}; its reason is above: resolve that, and run pulumi up again\n`,
    );
    expect(systemd()).toBe("");
  });

  test("is taken back when etcd does not start there: the last good files have the old address", () => {
    heldBack();
    const before = leaves();
    // The second run finds what the first one has put back.
    for (const run of [1, 2]) {
      const { status, stderr } = apply(undefined, { UNIT_TEXT: "[Service] broken" });
      expect([run, status]).toEqual([run, 1]);
      expect(stderr).toContain("rolled back to the last working one");
      expect(peer()).toBe(OLD);
      expect(host.sh("cat /etc/etcd.env")).toBe(BEFORE.ENVIRONMENT);
      expect(leaves()).toBe(before);
    }
  });

  test("of a rebuilt host removes the member by its ID at the old address, then joins", () => {
    host.sh("rm -r /var/lib/etcd/member; echo inactive >/var/paper/property-ActiveState");
    is({ members: THREE, sick: ["192.168.1.83"] });
    expect(apply("join 2026-11-22T10:20:30Z").status).toBe(0);
    expect(cluster.changes()).toEqual([
      `${OTHERS}: member remove a1`,
      `${OTHERS}: member add etcd01 --learner --peer-urls ${NEW}`,
      `${OTHERS}: member promote f00d`,
    ]);
  });

  test("does not keep the member from leaving under the address it had", () => {
    expect(cluster.run("leave", "take_member_away", AFTER).stderr).toBe(
      "etcd01: member a1 left the cluster\n",
    );
  });
});
