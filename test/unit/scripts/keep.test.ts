import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, PKI, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, TREE, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const KEPT = `${STATE}/kept`;
const RELEASED = `${STATE}/released`;
const VALUES = {
  ...RUNNING,
  NODES: "etcd01 192.168.1.83\netcd02 192.168.1.84\netcd03 192.168.1.85",
  FIREWALL: "yes",
  MANAGE_HOSTS: "yes",
  CLIENT_NETWORKS: "",
  UPGRADE: "no",
  DOWNLOAD_URL: "file:///nowhere",
  SHA256_AMD64: "",
  SHA256_ARM64: "",
  PKI,
};
/** What each step's removal takes away, beside other things. */
const OWN = {
  host: "/etc/etcd-firewall.nft",
  binaries: "/opt/etcd-on-pulumi",
  files: `${PKI}/server.pem`,
  member: "/var/lib/etcd",
} as const;
const STEPS = ["host", "binaries", "files", "member"] as const;

describe.skipIf(reason !== undefined)(`keep.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const run = (script: (typeof STEPS)[number] | "health" | "probe", call: string) =>
    cluster.run(script, call, VALUES);
  const exists = (path: string) => host.sh(`[ -e ${path} ] && echo yes || echo no`) === "yes";
  /** Everything that a removal could touch. */
  const all = () =>
    `${host.sh(TREE)}\n${host.sh("nft list ruleset; grep -v ^show /var/paper/systemctl || true")}`;
  /** While the up of somebody is at work on the host. */
  const held = (call: string) =>
    `(echo 'alice@laptop' >$LOCK; exec 7<>$LOCK; flock 7; exec sleep 30) >/dev/null 2>&1 & holder=$!
    until lock_is_held; do sleep 0.05; done
    code=0; (${call}) || code=$?
    kill $holder; exit $code`;
  const good = { status: 0, stdout: "", stderr: "" };

  /** A host with all that the steps bring, and a member that is one of three. */
  beforeEach(() => {
    runningMember(host, cluster, VALUES);
    run("host", "ensure_user; hosts_block; firewall ''");
    host.sh(`
      mkdir -p ${STATE}/receipts ${PKI}; touch ${STATE}/receipts/{host,binaries,files,member} ${PKI}/{server,peer,client}.pem
      printf '%s\\n' ${PKI}/{server,peer,client}.pem /etc/etcd.env >${STATE}/made-files
      printf '#!/bin/sh\\n' >/usr/local/bin/etcdutl; chmod 0755 /usr/local/bin/etcdutl
      sed -i '1i # Managed by etcd on Pulumi' /etc/systemd/system/etcd.service; : >/var/paper/systemctl`);
  });

  describe.each(STEPS)("the delete of step %s", (step) => {
    test("of a node that stays removes nothing, and says so", () => {
      host.sh(`touch ${KEPT}`);
      const before = all();
      expect(run(step, held("delete"))).toEqual({
        ...good,
        stderr: "etcd01: nothing was removed, because the node stays in the configuration\n",
      });
      expect(all()).toEqual(before);
      expect(cluster.changes()).toEqual([]);
    });

    test("of which nobody knows why it comes fails, removes nothing and says what would help", () => {
      host.sh(`touch ${KEPT}`);
      const before = all();
      expect(run(step, "delete")).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(
          /^etcd01: nothing was removed: etcd01-health must be deleted first,.* remove the file \/var\/lib\/etcd-on-pulumi\/kept on this host and repeat\n$/,
        ),
      });
      expect(all()).toEqual(before);
      expect(cluster.changes()).toEqual([]);
    });

    test("removes what the gate's delete has released", () => {
      host.sh(`touch ${KEPT}`);
      // A repeated destroy has nothing to release any more.
      expect(run("health", "delete; delete")).toEqual(good);
      expect([exists(KEPT), exists(RELEASED)]).toEqual([false, true]);
      if (step !== "member") {
        run("member", "remove");
      }
      expect(exists(OWN[step])).toBe(true);
      expect(run(step, "delete").status).toBe(0);
      expect(exists(OWN[step])).toBe(false);
    });

    test("is refused while somebody else's up is at work on a released host", () => {
      host.sh(`touch ${RELEASED}`);
      const before = all();
      expect(run(step, held("delete"))).toMatchObject({
        status: 1,
        stderr:
          "etcd01: not touched: this host is locked by alice@laptop; wait until that run is done\n",
      });
      expect(all()).toEqual(before);
    });

    test("finds a release taken back by the create of any step but the gate's", () => {
      host.sh(`touch ${RELEASED}`);
      run(
        step,
        "preflight_findings() { :; }; upgrade() { exit 1; }; UPGRADE=yes; apply 'repair 2026-11-22T10:20:30Z'",
      );
      expect([exists(KEPT), exists(RELEASED)]).toEqual([true, false]);
    });
  });

  describe("of a member that its own step cannot remove", () => {
    beforeEach(() => {
      host.sh(`touch ${RELEASED}`);
    });

    test.each([
      ["files", `${PKI}/server.pem`],
      ["binaries", "/opt/etcd-on-pulumi"],
    ] as const)("the delete of %s leaves what the member needs", (step, path) => {
      expect(run(step, "delete")).toEqual(good);
      expect(exists(path)).toBe(true);
    });

    test("the host's delete, the last, lets it leave and removes everything", () => {
      const { status, stderr } = run("host", "delete");
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: "etcd01: member a1 left the cluster\n",
      });
      expect(cluster.changes().at(-1)).toContain("member remove a1");
      expect([...Object.values(OWN), STATE, "/etc/etcd.env"].map(exists)).not.toContain(true);
    });

    test("the host's delete removes nothing when the cluster does not let it go", () => {
      cluster.is({ members: THREE, leader: "a2", sick: ["192.168.1.84", "192.168.1.85"] });
      const before = all();
      expect(run("host", "delete").stderr).toContain("etcd01: cannot leave: of the 2 voters");
      expect(all()).toEqual(before);
    });

    test("the last one leaves its snapshot all the same", () => {
      cluster.is({ members: THREE.slice(0, 1) });
      expect(run("host", "unset SNAPSHOT; delete").stderr).toContain("etcd01: final snapshot: ");
    });
  });

  test("a host whose gate never saw a member in order can be cleaned without it", () => {
    host.sh(`rm ${STATE}/formed`);
    expect(run("host", "delete")).toEqual(good);
    expect([...Object.values(OWN), STATE].map(exists)).not.toContain(true);
    expect(cluster.changes()).toEqual([]);
  });

  describe("a step that a killed run began, of which the state knows nothing, is undone by the host's delete:", () => {
    const leftovers = () =>
      [...Object.values(OWN), STATE, "/etc/etcd.env", "/etc/systemd/system/etcd.service"].filter(
        exists,
      );

    test("certificates and a release without a receipt", () => {
      run("member", "remove");
      host.sh(`rm -f ${STATE}/receipts/{files,binaries}`);
      expect(leftovers()).toEqual(expect.arrayContaining([OWN.binaries, OWN.files]));
      expect(run("host", "delete")).toEqual(good);
      expect(leftovers()).toEqual([]);
    });

    test("what the member's step has claimed and begun to write", () => {
      run("member", "remove");
      const unit = "/etc/systemd/system/etcd.service";
      host.sh(`rm -f ${unit}; printf '%s\\n' ${PKI}/ca.pem /etc/etcd.env ${unit} >>${STATE}/made-files
        mkdir -p ${PKI}; touch ${PKI}/ca.pem; printf 'ETCD_NAME=etcd01\\n' >/etc/etcd.env`);
      expect(run("host", "delete")).toEqual(good);
      expect(leftovers()).toEqual([]);
      expect(exists(`${PKI}/ca.pem`)).toBe(false);
    });
  });

  describe("an up that has locked the host", () => {
    const look = (words: string) =>
      run("probe", `SILENCE_SECONDS=1; keep_lock < <(printf '%s' '${words}')`);

    test("takes the release back when it says that the node stays", () => {
      host.sh(`touch ${RELEASED}`);
      expect(look("\nkeep\n\n")).toEqual(good);
      expect([exists(KEPT), exists(RELEASED)]).toEqual([true, false]);
    });

    test("leaves it when it only looks: it may be another stack's", () => {
      host.sh(`touch ${RELEASED}`);
      look("\n\n");
      expect([exists(KEPT), exists(RELEASED)]).toEqual([false, true]);
    });

    test("leaves a host without a member free to be cleaned", () => {
      host.sh(`touch ${RELEASED}; rm ${STATE}/formed`);
      look("keep\n");
      expect([exists(KEPT), exists(RELEASED)]).toEqual([false, false]);
    });
  });
});
