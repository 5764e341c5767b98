import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, type PaperMember, STATE, THREE } from "../support/paper-cluster";
import { hostForEach, whyNot } from "../support/paper-host";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const VALUES = {
  VERSION: "3.6.16",
  NODES: "etcd01 192.168.1.83\netcd02 192.168.1.84\netcd03 192.168.1.85",
  FIREWALL: "no",
  CLIENT_NETWORKS: "",
  MANAGE_HOSTS: "no",
  WORK: "x",
};
const FOURTH: PaperMember = { id: "a4", name: "etcd04", address: "192.168.1.86" };
const VIEW = [
  "cluster cafe",
  "version 3.6.16",
  "peer a1 etcd01 https://192.168.1.83:2380",
  "peer a2 etcd02 https://192.168.1.84:2380",
  "peer a3 etcd03 https://192.168.1.85:2380",
  "",
].join("\n");

describe.skipIf(reason !== undefined)(`step health${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const run = (call: string, change: Readonly<Record<string, string>> = {}) =>
    cluster.run("health", call, { ...VALUES, ...change });
  const apply = (change: Readonly<Record<string, string>> = {}) => run("apply gate", change);
  beforeEach(() => {
    host.sh("cd /var/paper; echo active >property-ActiveState; echo 0 >property-NRestarts");
    host.sh(`mkdir -p ${STATE}; echo etcd01 192.168.1.83 >${STATE}/nodes`);
    cluster.is({ members: THREE });
  });

  test("prints how this member sees the cluster, and nothing else", () => {
    expect(apply()).toEqual({ status: 0, stdout: VIEW, stderr: "" });
    expect(cluster.changes()).toEqual([]);
  });

  test("ends the change of the list that the host step began", () => {
    host.sh(`touch ${STATE}/changing`);
    expect(apply()).toMatchObject({ status: 0 });
    expect(host.sh(`ls ${STATE}`)).not.toContain("changing");
  });

  describe("an etcd that asks in vain to be published, again and again", () => {
    const line = `{"msg":"failed to publish local member to cluster through raft","error":"etcdserver: too many requests"}`;
    const wait = (lines: number) => {
      host.sh(`cd /var/paper; echo activating >property-ActiveState; : >systemctl
        echo 'echo active >/var/paper/property-ActiveState' >on-start`);
      host.journal(Array<string>(lines).fill(line));
      return run("sleep() { SECONDS=$((SECONDS + 9)); }; wait_until_ready 90");
    };

    test("is started again once", () => {
      expect(wait(10)).toEqual({
        status: 0,
        stdout: "",
        stderr: "etcd01: restarting etcd, which does not get past the leader's snapshot\n",
      });
    });

    test("is not when it says other things too", () => {
      expect(wait(9).stderr).toContain("etcd01: etcd is not ready after 90 s (unit activating)");
      expect(host.sh("cat /var/paper/systemctl")).not.toContain("restart");
    });
  });

  describe("the door behind a member that has left", () => {
    const dropIn = "/etc/systemd/system/etcd.service.d/addresses.conf";
    const open = `mkdir -p ${"$"}{FIREWALL_DROP_IN%/*}; printf 'IPAddressAllow=192.168.1.%s\n' 83 84 85 86 >$FIREWALL_DROP_IN;
      mkdir -p $STATE/receipts; echo revision 1 >$STATE/receipts/host;
      firewall() { echo "closed after $asked questions" >&2; }; host_receipt() { :; }; asked=0;
      answers() { [ "$1" != https://192.168.1.86:2379 ] && exit 1; asked=$((asked + 1)); [ "$asked" -le "$patience" ]; };`;
    const close = (call: string) => run(`${open} ${call}`, { FIREWALL: "yes" });

    test("is closed when its etcd has ended", () => {
      expect(close("patience=0; narrow_firewall").stderr).toBe("closed after 1 questions\n");
      expect(close("patience=3; narrow_firewall").stderr).toBe("closed after 4 questions\n");
    });

    test("is not held open for one that does not end", () => {
      const late = "sleep() { SECONDS=$((SECONDS + 4)); };";
      expect(close(`${late} patience=99; narrow_firewall`).stderr).toBe(
        "closed after 4 questions\n",
      );
    });

    test("is not touched when nobody has left", () => {
      expect(close(`patience=0; sed -i /86/d ${dropIn}; narrow_firewall`)).toMatchObject({
        status: 0,
        stderr: "",
      });
    });
  });

  test("never takes out a member that has not arrived at its new address", () => {
    const nodes = VALUES.NODES.replace("192.168.1.85", "192.168.1.99");
    expect(apply({ NODES: nodes }).stderr).toContain("the members are not the configured ones");
    expect(cluster.changes()).toEqual([]);
  });

  test("waits until the cluster speaks the series of its members, and ends the roll then", () => {
    host.sh(`echo 3.5 >/var/paper/cluster-version; touch ${STATE}/version-snapshot`);
    expect(apply().stderr).toBe("etcd01: after 0 s the cluster still speaks 3.5, not 3.6\n");
    host.sh(`echo 3.6 >/var/paper/cluster-version; ls ${STATE}/version-snapshot`);
    expect(apply()).toMatchObject({ status: 0, stderr: "" });
    expect(host.sh(`ls ${STATE}`)).not.toContain("version-snapshot");
  });

  test("of the first member ends a downgrade that all members have gone through", () => {
    host.sh(`touch /var/paper/downgrading; mkdir -p /opt/etcd-on-pulumi/v3.6.16
      ln -s /var/paper/etcdctl-stub /opt/etcd-on-pulumi/v3.6.16/etcdctl`);
    expect(apply()).toMatchObject({
      status: 0,
      stderr: "etcd01: the downgrade under way is cancelled\n",
    });
    cluster.is({ members: THREE, self: "a2" });
    host.sh("touch /var/paper/downgrading");
    expect(apply({ NODE: "etcd02" }).stderr).toContain("downgrade is still under way");
    expect(cluster.changes()).toEqual([]);
  });

  test("keeps what etcd was told when it came out well, until this program starts it again", () => {
    const pid = (kept: string) => `${kept}; pid=$BASHPID; echo $pid >/var/paper/property-MainPID`;
    expect(run(`${pid(":")}; apply gate`)).toMatchObject({ status: 0 });
    expect(host.sh(`stat -c %a ${STATE}/process; head -n 1 ${STATE}/process`)).toBe("600\nbash");
    expect(run(`${pid(`echo mine >${STATE}/process`)}; apply gate`)).toMatchObject({ status: 0 });
    expect(host.sh(`cat ${STATE}/process`)).toBe("mine");
  });

  test("waits for a member that is not ready, and shows etcd's last words", () => {
    host.sh("echo activating >/var/paper/property-ActiveState");
    expect(apply().stderr).toBe(
      "etcd01: etcd is not ready after 0 s (unit activating); its last lines:\nlast words of etcd\n",
    );
  });

  describe("as_configured", () => {
    const judged = (members: readonly PaperMember[], nodes: string) => {
      cluster.is({ members });
      return run('as_configured "$(members "$LOCAL")"', { NODES: nodes }).status === 0;
    };
    const six = { id: "b1", name: "six", address: "2001:db8::6" };

    test.each([
      ["the same in another order", THREE, "x 192.168.1.85\ny 192.168.1.83\nz 192.168.1.84", true],
      ["IPv6", [six], "six 2001:db8::6", true],
      ["one missing", THREE.slice(1), VALUES.NODES, false],
      ["one too many", [...THREE, FOURTH], VALUES.NODES, false],
      ["another address", [...THREE.slice(1), FOURTH], VALUES.NODES, false],
    ])("%s", (_, members, nodes, right) => {
      expect(judged(members, nodes)).toBe(right);
    });
  });

  describe("in the chair", () => {
    const takes = (NODE: string) => run("in_the_chair", { NODE }).status === 0;

    test("is the configured member with the lowest ID, and no other", () => {
      expect(["etcd01", "etcd02", "etcd03"].map(takes)).toEqual([true, false, false]);
    });

    test("is the next one when the first is sick", () => {
      cluster.is({ members: THREE, sick: ["192.168.1.83"] });
      expect(["etcd02", "etcd03"].map(takes)).toEqual([true, false]);
    });

    test("is never a member that is to leave", () => {
      cluster.is({ members: [{ id: "00", name: "etcd00", address: "192.168.1.80" }, ...THREE] });
      expect(["etcd00", "etcd01", "etcd02"].map(takes)).toEqual([false, true, false]);
    });
  });

  describe("one", () => {
    const one = (name: string, words: string, ...values: string[]) =>
      run(
        `status='${values.map((value) => `"${name}" : ${value}`).join("\n")}'; one ${name} "${words}"`,
      );

    test("is content with one value, however many say it", () => {
      expect(one("Leader", "leader", "7", "7", "7")).toEqual({ status: 0, stdout: "", stderr: "" });
    });

    test("names the values when there are two, and refuses none", () => {
      expect(one("Leader", "leader", "7", "8", "7")).toMatchObject({
        status: 1,
        stdout: "the members disagree about the leader: 7 8\n",
      });
      expect(one("Other", "leader").status).toBe(1);
      expect(one("Leader", "leader", "0", "0").status).toBe(1);
    });
  });

  test("waits for a member that is told who leads a moment later", () => {
    host.sh("printf 0 >/var/paper/field-a3-Leader");
    const { status, stderr } = run(
      'retry() { patiently "$@"; }; sleep() { rm -f /var/paper/field-a3-Leader; }; apply gate',
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  test.each([
    ["a2", "ClusterID", "48879", "the members disagree about the cluster ID: 48879 51966"],
    ["a3", "Leader", "0", "the members disagree about the leader: 0 161"],
    ["a2", "Version", "3.6.15", "the members disagree about the version: 3.6.15 3.6.16"],
  ])("member %s with another %s is refused", (id, field, value, message) => {
    host.sh(`printf '%s' ${value} >/var/paper/field-${id}-${field}`);
    expect(apply()).toMatchObject({ status: 1, stdout: "", stderr: `etcd01: ${message}\n` });
  });

  test("another version than asked for is refused, even when all have it", () => {
    expect(apply({ VERSION: "3.6.17" }).stderr).toBe("etcd01: runs etcd 3.6.16, expected 3.6.17\n");
  });

  test("an alarm is refused, and so is a learner", () => {
    host.sh("echo 'memberID:161 alarm:NOSPACE' >/var/paper/alarms");
    expect(apply().stderr).toContain("the cluster has an alarm: memberID:161 alarm:NOSPACE;");
    host.sh("rm /var/paper/alarms");
    cluster.is({ members: THREE.map((member) => ({ ...member, learner: member.id === "a2" })) });
    expect(apply().stderr).toBe("etcd01: etcd02 is still a learner\n");
  });

  test("a member that never started is named with its address", () => {
    cluster.is({ members: THREE.map((member) => ({ ...member, unstarted: member.id === "a2" })) });
    expect(apply().stderr).toBe(
      "etcd01: the members are not the configured ones, all of them started: etcd01 https://192.168.1.83:2380 started;- https://192.168.1.84:2380 never started;etcd03 https://192.168.1.85:2380 started\n",
    );
  });

  test("no quorum is said to be none", () => {
    cluster.is({});
    expect(apply()).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(/etcd01: no quorum of the cluster answers\n$/),
    });
  });

  describe("a member that the configuration has no longer", () => {
    test("is taken out by the one in the chair, whose view has it no more", () => {
      cluster.is({ members: [...THREE, FOURTH], leader: "a4" });
      expect(apply()).toMatchObject({ status: 0, stdout: VIEW });
      expect(cluster.changes()).toEqual([
        "https://192.168.1.86:2379: move-leader a1",
        `${LOCAL}: member remove a4`,
      ]);
    });

    test("is left to the one in the chair by the others", () => {
      cluster.is({ members: [...THREE, FOURTH], self: "a2" });
      const { status, stderr } = apply({ NODE: "etcd02" });
      expect(status).toBe(1);
      expect(stderr).toContain("the members are not the configured ones");
      expect(cluster.changes()).toEqual([]);
    });

    test("stays when what would be left has no quorum", () => {
      cluster.is({ members: [...THREE, FOURTH], sick: ["192.168.1.84", "192.168.1.85"] });
      expect(apply().stderr).toBe(
        "etcd01: removing etcd04 would leave 1 healthy of 3 voters, no quorum; refused. Bring back: etcd02 etcd03\n",
      );
      expect(cluster.changes()).toEqual([]);
    });
  });

  test("closes the firewall behind those that left, and the host's receipt is true again", () => {
    const values = { FIREWALL: "yes", CLIENT_NETWORKS: "10.0.0.0/8" };
    host.sh(`mkdir -p ${STATE}/receipts; echo 'revision host before' >${STATE}/receipts/host`);
    run("firewall 192.168.1.86", values);
    expect(host.sh("nft list table inet etcd")).toContain("192.168.1.86");
    cluster.is({ members: THREE, sick: ["192.168.1.86"] });
    expect(apply(values)).toMatchObject({ status: 0, stdout: VIEW });
    expect(host.sh("nft list table inet etcd")).not.toContain("192.168.1.86");
    expect(host.sh(`head -n 1 ${STATE}/receipts/host`)).toBe("revision host before");
    expect(host.run("probe", ["differences", `${STATE}/receipts/host`]).stdout).toBe("");
  });

  test("keeps the firewall open when it does not come that far", () => {
    const values = { FIREWALL: "yes", CLIENT_NETWORKS: "" };
    run("firewall 192.168.1.86", values);
    cluster.is({ members: [...THREE, FOURTH], self: "a2" });
    expect(apply({ ...values, NODE: "etcd02" }).status).toBe(1);
    expect(host.sh("nft list table inet etcd")).toContain("192.168.1.86");
  });
});
