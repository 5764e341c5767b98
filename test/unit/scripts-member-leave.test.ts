import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, PKI, STATE, THREE } from "../support/paper-cluster";
import { hostForEach, whyNot } from "../support/paper-host";
import { RUNNING } from "../support/paper-member";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const OTHERS = "https://192.168.1.84:2379,https://192.168.1.85:2379";

describe.skipIf(reason !== undefined)(`step member, leaving${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const remove = (change: Partial<typeof RUNNING> = {}) =>
    cluster.run("member", "remove", { ...RUNNING, ...change });
  const exists = (path: string) => host.sh(`[ -e ${path} ] && echo yes || echo no`) === "yes";
  const data = "/var/lib/etcd/member/wal";

  beforeEach(() => {
    host.sh(`
      mkdir -p ${data} ${STATE}/receipts ${PKI} /usr/local/bin; touch ${STATE}/formed ${STATE}/receipts/member
      printf 'etcd01 192.168.1.83\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >${STATE}/nodes
      printf '#!/bin/sh\\n' >/usr/local/bin/etcdutl; chmod 0755 /usr/local/bin/etcdutl`);
    cluster.is({ members: THREE, leader: "a2" });
  });

  test("goes by its ID through the others, then its data goes", () => {
    expect(remove()).toEqual({
      status: 0,
      stdout: "",
      stderr: "etcd01: member a1 left the cluster\n",
    });
    expect(cluster.changes()).toEqual([`${OTHERS}: member remove a1`]);
    expect([data, `${STATE}/formed`, `${STATE}/receipts/member`].map(exists)).toEqual([
      false,
      false,
      false,
    ]);
    expect(host.sh("grep -E '^(stop|--quiet disable)' /var/paper/systemctl")).toBe(
      "--quiet disable etcd.service\nstop etcd.service",
    );
  });

  test("hands the leadership over before it goes", () => {
    cluster.is({ members: THREE, leader: "a1" });
    expect(remove().status).toBe(0);
    expect(cluster.changes()).toEqual([`${LOCAL}: move-leader a2`, `${OTHERS}: member remove a1`]);
  });

  test.each([
    ["one of the two that stay is sick", THREE, ["192.168.1.85"], "2 voters", 1],
    ["both are", THREE, ["192.168.1.84", "192.168.1.85"], "2 voters", 0],
    ["the only other one is", THREE.slice(0, 2), ["192.168.1.84"], "1 voters", 0],
  ])("is refused when %s, and nothing is touched", (_, members, sick, voters, well) => {
    cluster.is({ members, sick });
    expect(remove().stderr).toBe(
      `etcd01: cannot leave: of the ${voters} that would stay only ${well} are healthy; bring the others back first\n`,
    );
    expect(cluster.changes()).toEqual([]);
    expect(exists(data)).toBe(true);
    expect(host.sh("grep -v ^show /var/paper/systemctl || true")).toBe("");
  });

  test("does not count learners among those that stay", () => {
    cluster.is({
      members: THREE.map((member) => ({ ...member, learner: member.id === "a3" })),
      sick: ["192.168.1.85"],
    });
    expect(remove().status).toBe(0);
  });

  test("goes through the others when its own etcd is down", () => {
    cluster.is({ members: THREE, leader: "a2", sick: ["192.168.1.83"] });
    const call = `members() { [ "$1" != "$LOCAL" ] || return 1; etcdctl_as_client --endpoints "$1" member list | awk -F ', ' '{ print $1, $3, $4, $6, "yes" }'; }; remove`;
    expect(cluster.run("member", call, RUNNING).status).toBe(0);
    expect(cluster.changes()).toEqual([`${OTHERS}: member remove a1`]);
  });

  test("is refused when no quorum answers, unless a person gives the cluster up on this host", () => {
    cluster.is({});
    expect(remove().stderr).toContain("etcd01: cannot leave: no quorum of the cluster answers");
    expect(exists(data)).toBe(true);
    host.sh(`touch ${STATE}/abandon`);
    expect(remove()).toEqual({ status: 0, stdout: "", stderr: "" });
    expect([data, `${STATE}/abandon`].map(exists)).toEqual([false, false]);
  });

  test("of a member that was taken out already only cleans up", () => {
    cluster.is({ members: THREE.slice(1), self: "a2", leader: "a2" });
    expect(remove()).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(cluster.changes()).toEqual([]);
    expect(exists(data)).toBe(false);
  });

  describe("of one that hears from nobody any more", () => {
    const starts = (id: string) => `{"msg":"starting local member","local-member-id":"${id}"}`;
    const sees = (id: string) =>
      `{"msg":"removed member","local-member-id":"a1","removed-remote-peer-id":"${id}"}`;
    const turnedAway = `{"msg":"server error","error":"the member has been permanently removed from the cluster"}`;

    test.each([
      ["saw its own removal", [starts("a1"), sees("a1")], 0],
      ["was turned away by the others", [starts("a1"), turnedAway, starts("a1")], 0],
      ["saw another one's removal", [starts("a1"), sees("a2")], 1],
      ["was removed in a life before this one", [starts("a0"), turnedAway, starts("a1")], 1],
      ["has said nothing", [], 1],
    ])("and %s: exit code is right", (_, lines, status) => {
      cluster.is({});
      host.journal(lines);
      expect(remove().status).toBe(status);
      expect(exists(data)).toBe(status === 1);
    });
  });

  test("of one that never was ready asks nobody", () => {
    host.sh(`rm ${STATE}/formed`);
    expect(remove()).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(cluster.calls()).toEqual([]);
    expect(exists(data)).toBe(false);
  });

  describe("the last member", () => {
    const last = () => host.sh("ls /var/backups/etcd 2>/dev/null || true");
    beforeEach(() => cluster.is({ members: THREE.slice(0, 1) }));

    test("leaves a snapshot that only root can read", () => {
      expect(remove().stderr).toMatch(/^etcd01: final snapshot: \/var\/backups\/etcd\/etcd01-ca/);
      expect(last()).toMatch(/^etcd01-cafe-\d{8}T\d{6}Z\.db$/);
      expect(host.sh("stat -c %a /var/backups/etcd /var/backups/etcd/*")).toBe("700\n600");
    });

    test("leaves none when told so", () => {
      expect(remove({ SNAPSHOT: "no" })).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(last()).toBe("");
    });

    test.each([
      ["cannot be made", "echo snapshot save >/var/paper/refuses", "the final snapshot failed"],
      [
        "does not verify",
        "printf '#!/bin/sh\\nexit 1\\n' >/usr/local/bin/etcdutl",
        "does not verify",
      ],
    ])("stays when its snapshot %s", (_, damage, words) => {
      host.sh(damage);
      const { status, stderr } = remove();
      expect(status).toBe(1);
      expect(stderr).toContain(words);
      expect(exists(data)).toBe(true);
    });
  });

  test("sweeps what a killed run was writing", () => {
    const stray = `${PKI}/ca.pem.new-abcdef /etc/etcd.env.new-abcdef /etc/systemd/system/etcd.service.new-abcdef`;
    host.sh(`touch ${stray}`);
    expect(remove().status).toBe(0);
    expect(host.sh(`ls ${stray} 2>/dev/null || true`)).toBe("");
  });
});
