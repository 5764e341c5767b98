import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, type PaperMember, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const VALUES = {
  VERSION: "3.6.14",
  NODES: "etcd01 192.168.1.83\netcd02 192.168.1.84\netcd03 192.168.1.85",
  FIREWALL: "no",
  CLIENT_NETWORKS: "",
  MANAGE_HOSTS: "no",
  MARK: "etcd-cluster-0badcafe",
  WORK: "x",
};
const FOURTH: PaperMember = { id: "a4", name: "etcd04", address: "192.168.1.86" };
const VIEW = [
  "",
  "begin etcd-cluster-0badcafe",
  "cluster cafe",
  "version 3.6.14",
  "peer a1 etcd01 https://192.168.1.83:2380",
  "peer a2 etcd02 https://192.168.1.84:2380",
  "peer a3 etcd03 https://192.168.1.85:2380",
  "end etcd-cluster-0badcafe",
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

  test("keeps the host from then on", () => {
    cluster.is({});
    expect(apply().status).toBe(1);
    expect(host.sh(`cd ${STATE}; ls kept 2>/dev/null || true`)).toBe("");
    cluster.is({ members: THREE });
    expect(apply().status).toBe(0);
    expect(host.sh(`stat -c %a ${STATE}/kept`)).toBe("600");
  });

  test("ends the change of the list that the step `install` began", () => {
    host.sh(`touch ${STATE}/changing`);
    expect(apply()).toMatchObject({ status: 0 });
    expect(host.sh(`ls ${STATE}`)).not.toContain("changing");
  });

  describe("an etcd that does not get past the leader's snapshot", () => {
    const wait = (during: string) => {
      host.sh(`cd /var/paper; echo activating >property-ActiveState; : >systemctl
        mkdir -p /var/lib/etcd/member/snap
        echo 'echo active >/var/paper/property-ActiveState' >on-start`);
      return run(
        `READY_SECONDS=90; sleep() { ${during}; SECONDS=$((SECONDS + 9)); }; wait_until_ready`,
      );
    };

    test("is started again once", () => {
      expect(wait(": >$DATA/member/snap/0000000000000002-0000000000000009.snap")).toEqual({
        status: 0,
        stdout: "",
        stderr: "etcd01: restarting etcd: stuck publishing after receiving the leader's snapshot\n",
      });
    });

    test("is not when it got none", () => {
      expect(wait(":").stderr).toContain(
        "etcd01: etcd is not ready, and there has been no progress for 9",
      );
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
    expect(apply({ NODES: nodes }).stderr).toContain("the member list is not the configured one");
    expect(cluster.changes()).toEqual([]);
  });

  test("waits until the cluster speaks the series of its members, and ends the roll then", () => {
    host.sh(`echo 3.5 >/var/paper/cluster-version; touch ${STATE}/version-snapshot`);
    expect(apply().stderr).toMatch(
      /^etcd01: after \d s the cluster version is still 3\.5, not 3\.6\n$/,
    );
    host.sh(`echo 3.6 >/var/paper/cluster-version; ls ${STATE}/version-snapshot`);
    expect(apply()).toMatchObject({ status: 0, stderr: "" });
    expect(host.sh(`ls ${STATE}`)).not.toContain("version-snapshot");
  });

  test.each([
    ["that all members have gone through", "3.6.0", "the downgrade to 3.6 is complete"],
    ["that is left over from a change of mind", "3.5.0", "the downgrade in progress was cancelled"],
  ])("of the first member ends a downgrade %s, and says so", (_, target, words) => {
    host.sh(`echo ${target} >/var/paper/downgrading; mkdir -p /opt/etcd-on-pulumi/v3.6.14
      ln -s /var/paper/etcdctl-stub /opt/etcd-on-pulumi/v3.6.14/etcdctl`);
    expect(apply()).toMatchObject({ status: 0, stderr: `etcd01: ${words}\n` });
    cluster.is({ members: THREE, self: "a2" });
    host.sh("touch /var/paper/downgrading");
    expect(apply({ NODE: "etcd02" }).stderr).toContain("downgrade is still in progress");
    expect(cluster.changes()).toEqual([]);
  });

  test("keeps what etcd was told when it came out well, until this program starts it again", () => {
    const pid = (kept: string) => `${kept}; pid=$BASHPID; echo $pid >/var/paper/property-MainPID`;
    expect(run(`${pid(":")}; apply gate`)).toMatchObject({ status: 0 });
    expect(host.sh(`stat -c %a ${STATE}/process; head -n 1 ${STATE}/process`)).toBe("600\nbash");
    expect(run(`${pid(`echo mine >${STATE}/process`)}; apply gate`)).toMatchObject({ status: 0 });
    expect(host.sh(`cat ${STATE}/process`)).toBe("mine");
  });

  test("that fails because its own member has stopped meanwhile says so, and why", () => {
    host.journal(["panic: freelist: page 7 already freed"]);
    const stops =
      'compare() { :; }; alarms() { echo failed >/var/paper/property-ActiveState; return 1; }; retry() { shift; "$@"; };';
    expect(run(`${stops} apply gate`).stderr.split("\n").slice(1, 3)).toEqual([
      "etcd01: etcd was ready on this host and has stopped since (unit failed); find the reason and run pulumi up again; its last lines:",
      "panic: freelist: page 7 already freed",
    ]);
  });

  test("waits for a member that is not ready, and shows etcd's last words", () => {
    host.sh("echo activating >/var/paper/property-ActiveState");
    expect(apply().stderr).toBe(
      "etcd01: etcd is not ready, and there has been no progress for 0 s; its unit is activating:\nlast words of etcd\n",
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
    const takes = (NODE: string) => run("is_coordinator", { NODE }).status === 0;

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

  describe("status_agrees", () => {
    const one = (name: string, words: string, ...values: string[]) =>
      run(
        `status='${values.map((value) => `"${name}" : ${value}`).join("\n")}'; status_agrees ${name} "${words}"`,
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
    ["a2", "Version", "3.6.13", "the members disagree about the version: 3.6.13 3.6.14"],
  ])("member %s with another %s is refused", (id, field, value, message) => {
    host.sh(`printf '%s' ${value} >/var/paper/field-${id}-${field}`);
    const remedy = "check etcd and the network there, and run pulumi up again";
    const stderr = `etcd01: ${message}; ${remedy}\n`;
    expect(apply()).toMatchObject({ status: 1, stdout: "", stderr });
  });

  test("another version than asked for is refused, even when all have it", () => {
    expect(apply({ VERSION: "3.6.17" }).stderr).toBe("etcd01: runs etcd 3.6.14, expected 3.6.17\n");
  });

  test("data that differs without an alarm is refused, by the one that speaks for all", () => {
    host.sh("echo 78 >/var/paper/hash-a3");
    expect(apply().stderr).toContain(
      "to rebuild it from them, set etcd:nodes[].rebuild of etcd03 to a3",
    );
    cluster.is({ members: THREE, self: "a2" });
    expect(apply({ NODE: "etcd02" })).toMatchObject({ status: 0, stderr: "" });
  });

  test("an alarm of a member that has just left ends with it", () => {
    host.sh("echo 'memberID:255 alarm:CORRUPT' >/var/paper/alarms");
    expect(apply()).toMatchObject({
      status: 0,
      stderr: "etcd01: alarm disarmed: CORRUPT of member ff (it has left)\n",
    });
  });

  test("a member that accepts no writes is refused", () => {
    host.sh("echo 'lease grant' >/var/paper/refuses");
    expect(apply().stderr).toBe(
      "etcd01: its member does not accept writes: Error: etcdserver: refused lease grant; run pulumi up again, which clears an alarm whose cause is gone\n",
    );
  });

  test("an alarm is refused, and so is a learner", () => {
    host.sh("echo 'memberID:161 alarm:NOSPACE' >/var/paper/alarms");
    expect(apply().stderr).toBe(
      "etcd01: the alarm NOSPACE of etcd01 is still raised; run pulumi up again when all members are healthy and have the configured quota\n",
    );
    host.sh("echo 'memberID:162 alarm:CORRUPT' >/var/paper/alarms");
    expect(apply().stderr).toBe(
      "etcd01: the data of etcd02 differs from that of the others; to rebuild it from them, set etcd:nodes[].rebuild of etcd02 to a2 and run pulumi up again (docs/alarms.md)\n",
    );
    host.sh("rm /var/paper/alarms");
    cluster.is({ members: THREE.map((member) => ({ ...member, learner: member.id === "a2" })) });
    expect(apply().stderr).toBe(
      "etcd01: etcd02 is still a learner; run pulumi up again, which promotes it\n",
    );
  });

  test("a member that never started is named with its address", () => {
    cluster.is({ members: THREE.map((member) => ({ ...member, unstarted: member.id === "a2" })) });
    expect(apply().stderr).toBe(
      "etcd01: the member list is not the configured one, with every member started: etcd01 https://192.168.1.83:2380 started;- https://192.168.1.84:2380 unstarted;etcd03 https://192.168.1.85:2380 started\n",
    );
  });

  test("no quorum is said to be none", () => {
    cluster.is({});
    expect(apply()).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(
        /etcd01: the cluster has no quorum; start the members that are down, .+, and run pulumi up again\n$/,
      ),
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
      expect(stderr).toContain("the member list is not the configured one");
      expect(cluster.changes()).toEqual([]);
    });

    test("stays when what would be left has no quorum", () => {
      cluster.is({ members: [...THREE, FOURTH], sick: ["192.168.1.84", "192.168.1.85"] });
      expect(apply().stderr).toBe(
        "etcd01: removing etcd04 would leave 1 healthy of 3 voters, which is no quorum; refused. Start first: etcd02 etcd03\n",
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
