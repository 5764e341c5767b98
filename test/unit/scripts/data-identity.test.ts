import { beforeEach, describe, expect, test } from "vitest";
import { journal, writeJournal } from "../../support/journal";
import { PaperCluster, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
/** What the paper cluster's status says. */
const CLUSTER = "cafe";
const DO =
  "It was neither used nor deleted. Move it away (mv /var/lib/etcd/member /var/lib/etcd/member.foreign), and the next pulumi up rejoins this host";

describe.skipIf(reason !== undefined)(`data-identity.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const guard = () => cluster.run("member", "guard_data", RUNNING);
  const good = { status: 0, stdout: "", stderr: "" };
  const refused = (message: string) => ({ status: 1, stdout: "", stderr: `etcd01: ${message}\n` });
  const identity = (words: string) => host.sh(`echo '${words}' >${STATE}/identity`);
  const data = () =>
    host.sh("cd /var/lib; ls -d etcd/member/wal etcd.*/member/wal 2>/dev/null || true");

  describe("whose data it is", () => {
    const read = (segment: Buffer) => {
      host.sh(
        `mkdir -p /var/lib/etcd/member/wal; base64 -d <<<'${segment.toString("base64")}' >/var/lib/etcd/member/wal/0-0.wal`,
      );
      return cluster.run("member", "data_identity", RUNNING);
    };

    test.each([
      ["cdf818194e3a8c32", "8e9e05c52164694d", 0n],
      ["ffffffffffffffff", "8000000000000000", 0n],
      ["1", "7f", 0xffffffffn],
      ["80", "4000", 300n],
    ])("stands in its journal: %s %s", (id, member, checksum) => {
      expect(read(journal(id, member, checksum))).toEqual({ ...good, stdout: `${id} ${member}` });
    });

    test("is told by the newest segment", () => {
      host.sh(
        `${writeJournal("1", "2")}; cd /var/lib/etcd/member/wal; mv 0-0.wal 0000000000000000-0000000000000000.wal`,
      );
      host.sh(
        `${writeJournal("cafe", "a1")}; cd /var/lib/etcd/member/wal; mv 0-0.wal 000000000000000a-0000000000000000.wal; : >1.tmp`,
      );
      expect(cluster.run("member", "data_identity", RUNNING).stdout).toBe("cafe a1");
    });

    test.each([
      ["no journal", undefined],
      ["an empty one", Buffer.alloc(0)],
      ["one that was cut off", journal("cafe", "a1").subarray(0, 30)],
      ["zeros", Buffer.alloc(512)],
      ["something else", Buffer.alloc(512, "etcd")],
    ])("is not known from %s", (_, segment) => {
      expect(segment ? read(segment) : cluster.run("member", "data_identity", RUNNING)).toEqual(
        good,
      );
    });
  });

  describe("before anything is started,", () => {
    beforeEach(() => {
      runningMember(host, cluster, RUNNING);
      host.sh("echo inactive >/var/paper/property-ActiveState");
    });

    test("data of the host's own member passes", () => {
      host.sh(writeJournal(CLUSTER, "a1"));
      identity(`${CLUSTER} a1`);
      expect(guard()).toEqual(good);
      cluster.is({});
      expect(guard()).toEqual(good);
    });

    test("data of another cluster than the host's own member is refused, also when nobody answers", () => {
      host.sh(writeJournal("f0f0", "b7"));
      identity(`${CLUSTER} a1`);
      cluster.is({});
      expect(guard()).toEqual(
        refused(
          `has data in /var/lib/etcd of member b7 of cluster f0f0; its own member is a1 of cluster cafe. ${DO}. If it was restored by hand and is correct, remove ${STATE}/identity instead`,
        ),
      );
      expect(data()).toBe("etcd/member/wal");
    });

    test("so is a copied disk of another member, by the host's own and by the others' word", () => {
      host.sh(writeJournal(CLUSTER, "a2"));
      identity(`${CLUSTER} a1`);
      expect(guard().stderr).toContain("of member a2 of cluster cafe; its own member is a1");
      host.sh(`rm ${STATE}/identity`);
      expect(guard()).toEqual(
        refused(
          `has data in /var/lib/etcd of member a2, which is the member at https://192.168.1.84:2380; two members with one ID would corrupt the cluster. ${DO}`,
        ),
      );
      expect(data()).toBe("etcd/member/wal");
    });

    test("data of another cluster than the others is refused", () => {
      host.sh(writeJournal("f0f0", "a1"));
      expect(guard()).toEqual(
        refused(
          `has data in /var/lib/etcd of member a1 of cluster f0f0, but https://192.168.1.84:2379 is in cluster cafe, https://192.168.1.85:2379 is in cluster cafe. ${DO}`,
        ),
      );
      expect(data()).toBe("etcd/member/wal");
    });

    test("data that no start of this program made is refused", () => {
      host.sh(`${writeJournal(CLUSTER, "a1")}; rm ${STATE}/formed`);
      expect(guard()).toEqual(
        refused(
          `has data in /var/lib/etcd of member a1 of cluster cafe, which this program did not create. ${DO}`,
        ),
      );
    });

    test("data of a first start that is under way passes", () => {
      host.sh(`${writeJournal("f0f0", "b7")}; rm ${STATE}/formed; touch ${STATE}/first-start.env`);
      expect(guard()).toEqual(good);
    });

    test("a member that was removed meanwhile is put aside, with its data", () => {
      host.sh(writeJournal(CLUSTER, "a1"));
      identity(`${CLUSTER} a1`);
      cluster.is({ members: THREE.slice(1), leader: "a2" });
      const { status, stderr } = guard();
      expect(status).toBe(0);
      expect(stderr).toMatch(
        /^etcd01: member a1 was removed from the cluster while this host was down: the host rejoins\netcd01: the previous data was moved to \/var\/lib\/etcd\.removed-a1-\d{8}T\d{6}Z; delete it when no longer needed\n$/,
      );
      expect(data()).toMatch(/^etcd\.removed-a1-\d{8}T\d{6}Z\/member\/wal$/);
      expect(host.sh("stat -c %a /var/lib/etcd.removed-*")).toBe("700");
      expect(host.sh(`ls ${STATE}`)).not.toContain("identity");
    });

    test("is not put aside on the word of one host of two", () => {
      host.sh(writeJournal(CLUSTER, "a1"));
      identity(`${CLUSTER} a1`);
      cluster.is({ members: THREE.slice(1), leader: "a2", sick: ["192.168.1.85"] });
      expect(guard()).toEqual(
        refused(
          "member a1 is no longer in the member list, but only https://192.168.1.84:2379 reports this, and 2 hosts must. Nothing was started or moved aside; start the other members, or inspect etcd there",
        ),
      );
      expect(data()).toBe("etcd/member/wal");
      // Of a cluster that was of two members the other one's word has to be enough.
      host.sh(`printf 'https://192.168.1.8%s:2380\\n' 3 4 >${STATE}/members`);
      expect(guard().stderr).toContain("the host rejoins");
    });

    test("is put aside on the word of one when this host had taken the member out itself", () => {
      host.sh(`${writeJournal(CLUSTER, "a1")}; echo a1 >${STATE}/left`);
      identity(`${CLUSTER} a1`);
      cluster.is({ members: THREE.slice(1), leader: "a2", sick: ["192.168.1.85"] });
      expect(guard().stderr).toContain("the host rejoins");
      expect(data()).toMatch(/^etcd\.removed-a1-/);
      // Another one than that which left is another matter.
      host.sh(`rm -r /var/lib/etcd.*; ${writeJournal(CLUSTER, "a9")}`);
      identity(`${CLUSTER} a9`);
      expect(guard().stderr).toContain("2 hosts must");
    });

    test("is started while somebody of its own cluster knows it, whatever another one says", () => {
      host.sh(writeJournal(CLUSTER, "a1"));
      identity(`${CLUSTER} a1`);
      cluster.is({ members: THREE, leader: "a3" });
      host.sh("echo 61453 >/var/paper/field-a2-ClusterID");
      expect(guard()).toEqual(good);
    });

    test("and nobody is asked about a member that runs", () => {
      host.sh(`${writeJournal("f0f0", "b7")}; echo active >/var/paper/property-ActiveState`);
      expect(guard()).toEqual(good);
      expect(cluster.calls()).toEqual([]);
    });

    test("the step refuses before it touches any file", () => {
      host.sh(writeJournal("f0f0", "b7"));
      identity(`${CLUSTER} a1`);
      const before = host.sh("sha256sum /etc/etcd.env /etc/systemd/system/etcd.service");
      const changed = { ...RUNNING, ENVIRONMENT: "PEER_NAME=other", UNIT_TEXT: "[Unit]" };
      expect(cluster.run("member", "apply 'repair 2026-11-22T10:20:30Z'", changed).status).toBe(1);
      expect(host.sh("sha256sum /etc/etcd.env /etc/systemd/system/etcd.service")).toBe(before);
      expect(host.sh("grep -cE '^(start|restart)' /var/paper/systemctl || true")).toBe("0");
    });
  });

  test("the gate keeps the identity, and corrects it only to that of the cluster it saw", () => {
    host.sh(`mkdir -p ${STATE}; ${writeJournal(CLUSTER, "a1")}`);
    const keep = (seen: string) =>
      cluster.run("health", `keep_identity ${seen} "$(members "$LOCAL")"`);
    expect(keep("f0f0")).toEqual(good);
    expect(host.sh(`ls ${STATE}`)).toBe("");
    expect(keep(CLUSTER)).toEqual(good);
    expect(host.sh(`cat ${STATE}/identity; stat -c %a ${STATE}/identity`)).toBe("cafe a1\n600");
  });

  test("a database without a journal is put aside before a first start, an unfinished one's is not", () => {
    const empty = () => cluster.run("member", "empty_data", RUNNING).stderr;
    host.sh(`mkdir -p ${STATE} /var/lib/etcd/member/snap; echo old >/var/lib/etcd/member/snap/db`);
    expect(empty()).toContain("the previous data was moved to /var/lib/etcd.orphaned-");
    expect(host.sh("cat /var/lib/etcd.orphaned-*/member/snap/db; ls -A /var/lib/etcd")).toBe("old");
    host.sh(`mkdir -p /var/lib/etcd/member/snap; echo half >/var/lib/etcd/member/snap/db`);
    host.sh(`touch ${STATE}/first-start.env`);
    expect(empty()).toBe("");
    expect(host.sh("ls -d /var/lib/etcd.* | wc -l; ls -A /var/lib/etcd")).toBe("1");
  });
});
