import { beforeEach, describe, expect, test } from "vitest";
import { writeJournal } from "../../support/journal";
import { PaperCluster, PKI, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";
import { paperRestic, withRepository } from "../../support/paper-restic";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const OTHERS = "https://192.168.1.84:2379,https://192.168.1.85:2379";

describe.skipIf(reason !== undefined)(`depart.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const remove = (change: Partial<typeof RUNNING> = {}) =>
    cluster.run("leave", "take_member_away", { ...RUNNING, ...change });
  const exists = (path: string) => host.sh(`[ -e ${path} ] && echo yes || echo no`) === "yes";
  const data = "/var/lib/etcd/member/wal";

  beforeEach(() => {
    host.sh(`
      mkdir -p ${data} ${STATE}/receipts ${PKI} /usr/local/bin; touch ${STATE}/formed ${STATE}/receipts/member
      printf 'etcd01 192.168.1.83\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >${STATE}/nodes
      ln -sfn /var/paper/etcdutl-stub /usr/local/bin/etcdutl`);
    cluster.is({ members: THREE, leader: "a2" });
  });

  const stops = () => host.sh("grep -c '^stop etcd' /var/paper/systemctl || true");
  /** What is asked of etcd and of systemd, in order: stopped, the paper member answers nobody. */
  const inOrder = (call: string) =>
    cluster.run("leave", `stop_serving() { echo stop >>/var/paper/etcdctl; }; ${call}`, RUNNING);

  test("stops serving before it is removed, so that its clients see a closed connection", () => {
    expect(inOrder("leave").status).toBe(0);
    expect(cluster.changes()).toEqual(["stop", `${OTHERS}: member remove a1`]);
  });

  test("of two voters serves until it is removed, because both are needed for that", () => {
    cluster.is({ members: THREE.slice(0, 2), leader: "a2" });
    expect(inOrder("leave").status).toBe(0);
    expect(cluster.changes()).toEqual([`${OTHERS}: member remove a1`]);
  });

  test("serves on when nobody else can be asked for the removal, or when that is refused", () => {
    const call = "answers() { return 1; }; stop_serving";
    expect(cluster.run("leave", call, RUNNING).status).toBe(0);
    expect(stops()).toBe("0");
    host.sh("echo 'member remove' >/var/paper/refuses");
    expect(remove()).toMatchObject({
      status: 1,
      stderr:
        "Error: etcdserver: refused member remove\netcd01: etcd refuses to remove member a1; its reason is above: resolve that, and run pulumi up again\n",
    });
    expect(host.sh("tail -n 1 /var/paper/systemctl")).toBe("start --no-block etcd.service");
    expect(exists(data)).toBe(true);
  });

  test("that was killed before it had cleaned up asks nobody again", () => {
    host.sh(`echo a1 >${STATE}/left`);
    const call = (own: string) => `data_identity() { printf 'cafe ${own}'; }; leave`;
    cluster.is({});
    expect(cluster.run("leave", call("a1"), RUNNING)).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
    // One that has joined since is another member.
    expect(cluster.run("leave", call("a9"), RUNNING).stderr).toContain("cannot leave");
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
      "stop etcd.service\n--quiet disable --no-reload etcd.service\nstop etcd.service",
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
      `etcd01: cannot leave: of the ${voters} that would stay only ${well} are healthy; start the others first\n`,
    );
    expect(cluster.changes()).toEqual([]);
    expect(exists(data)).toBe(true);
    expect(host.sh("grep -v ^show /var/paper/systemctl || true")).toBe("");
  });

  test("takes out first who was to be started by the first run and never was, which would stay and not answer", () => {
    const never = THREE.map((member) => ({ ...member, unstarted: member.id === "a3" }));
    cluster.is({ members: never, leader: "a2", sick: ["192.168.1.85"] });
    expect(remove()).toEqual({
      status: 0,
      stdout: "",
      stderr:
        "etcd01: unstarted member a3 at https://192.168.1.85:2380 was removed from the cluster\netcd01: member a1 left the cluster\n",
    });
    expect(cluster.changes()).toEqual([
      `${LOCAL}: member remove a3`,
      "https://192.168.1.84:2379: member remove a1",
    ]);
  });

  test("leaves one alone that is no node's, and a learner", () => {
    const others = [
      { id: "a8", name: "", address: "192.168.1.88", unstarted: true },
      { id: "a3", name: "etcd03", address: "192.168.1.85", unstarted: true, learner: true },
    ];
    cluster.is({ members: [...THREE.slice(0, 2), ...others], leader: "a2" });
    expect(remove().stderr).toContain("cannot leave: of the 2 voters that would stay only 1");
    expect(cluster.changes()).toEqual([]);
  });

  test("is refused, and stops nothing, where etcd's own users are on and do not know the program", () => {
    host.sh("touch /var/paper/users");
    expect(remove().stderr).toContain(
      "etcd01: nothing was changed, because etcd's authentication is enabled",
    );
    expect([cluster.changes(), stops()]).toEqual([[], "0"]);
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
    const call = `eval "$(declare -f member_list | sed '1s/member_list/listed/')"
      member_list() { [ "$1" != "$LOCAL" ] || return 1; listed "$@"; }; remove`;
    expect(cluster.run("leave", call, RUNNING).status).toBe(0);
    expect(cluster.changes()).toEqual([`${OTHERS}: member remove a1`]);
  });

  test("is refused when no quorum answers, unless a person gives the cluster up on this host", () => {
    cluster.is({});
    expect(remove().stderr).toContain("etcd01: cannot leave: the cluster has no quorum");
    expect(exists(data)).toBe(true);
    host.sh(`touch ${STATE}/abandon`);
    expect(remove()).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(exists(data)).toBe(false);
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

    const seesPlain = (id: string) =>
      `2026-11-27T11:22:57Z\tinfo\tmembership/cluster.go:1\tremoved member\t{"local-member-id": "a1", "removed-remote-peer-id": "${id}"}`;
    const turnedAwayPlain = `2026-11-27T11:22:57Z\twarn\tetcdserver/server.go:1\tserver error\t{"error": "the member has been permanently removed from the cluster"}`;
    const READY = "Started etcd.service - etcd.";

    test.each([
      ["saw its own removal", [starts("a1"), sees("a1")], 0],
      ["was turned away by the others", [starts("a1"), turnedAway, starts("a1")], 0],
      ["saw another one's removal", [starts("a1"), sees("a2")], 1],
      ["was turned away, and logs in the other format", [turnedAwayPlain], 0],
      ["saw its own removal, and logs in the other format", [seesPlain("a1")], 0],
      ["saw another one's, and logs in the other format", [seesPlain("a2")], 1],
      ["was removed in a life before this one", [turnedAway, READY, starts("a1")], 1],
      ["has said nothing", [], 1],
    ])("and %s: exit code is right", (_, lines, status) => {
      cluster.is({});
      host.sh(writeJournal("cafe", "a1"));
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

    test("pushes it where there is a repository, and leaves all the same when it cannot", () => {
      paperRestic(host, [{ id: "0badcafe" }]);
      withRepository(host);
      expect(remove().stderr).toContain(
        "etcd01: snapshot 1a2b3c4d of it is in the repository s3:https://s3.example.org/etcd\n",
      );
      expect(host.sh("cat /var/paper/restic")).toContain("--tag why=final");
      host.sh(`mkdir -p ${data}; touch ${STATE}/formed; rm -f ${STATE}/left`);
      host.write("/var/paper/restic-fails", "Fatal: the bucket is full\n");
      const { status, stderr } = remove();
      expect(stderr).toContain(
        "etcd01: the snapshot was not pushed, and is on this host alone: repository s3:https://s3.example.org/etcd: the bucket is full\n",
      );
      expect(status).toBe(0);
      expect(exists(data)).toBe(false);
    });

    test("leaves none when told so", () => {
      expect(remove({ SNAPSHOT: "no" })).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(last()).toBe("");
    });

    test.each([
      ["cannot be made", "echo snapshot save >/var/paper/refuses", "the final snapshot failed"],
      [
        "does not verify",
        "rm /usr/local/bin/etcdutl; printf '#!/bin/sh\\nexit 1\\n' >/usr/local/bin/etcdutl; chmod 755 /usr/local/bin/etcdutl",
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
    const stray = `${PKI}/ca.pem.new-012345 /etc/etcd.env.new-012345 /etc/systemd/system/etcd.service.new-012345`;
    host.sh(`touch ${stray}`);
    expect(remove().status).toBe(0);
    expect(host.sh(`ls ${stray} 2>/dev/null || true`)).toBe("");
  });
});
