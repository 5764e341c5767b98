import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, PKI, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, TREE, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const KEPT = `${STATE}/kept`;
const CONFIGURED = `${STATE}/configured`;
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
/** Something of each part that is removed. */
const OWN = {
  host: "/etc/etcd-firewall.nft",
  binaries: "/opt/etcd-on-pulumi",
  files: `${PKI}/server.pem`,
  member: "/var/lib/etcd",
} as const;

describe.skipIf(reason !== undefined)(`keep.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const run = (script: "host" | "leave" | "probe", call: string) =>
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
      ln -sfn /var/paper/etcdutl-stub /usr/local/bin/etcdutl
      sed -i '1i # Managed by etcd on Pulumi' /etc/systemd/system/etcd.service; : >/var/paper/systemctl`);
  });

  const REMOVED = Object.values(OWN);

  test("the delete of a node that stays removes nothing, and says so", () => {
    host.sh(`touch ${KEPT}`);
    const before = all();
    expect(run("leave", held(`cp $LOCK ${CONFIGURED}; delete`))).toEqual({
      ...good,
      status: 1,
      stderr:
        "etcd01: nothing was removed, because the node stays in the configuration. This step cannot be replaced: run pulumi up again without --replace, after pulumi state untaint if it is tainted, and with the provider that it had. In a destroy: without --run-program\n",
    });
    host.sh(`rm ${CONFIGURED}`);
    expect(all()).toEqual(before);
    expect(cluster.changes()).toEqual([]);
  });

  test.each([
    ["whose configuration is not known yet", ""],
    ["while an earlier one was interrupted", `echo 'bob@desk' >${CONFIGURED};`],
  ])("is refused while somebody else's up is at work there, %s", (_, prelude) => {
    host.sh(`touch ${KEPT}`);
    const before = all();
    expect(run("leave", held(`${prelude} delete`))).toMatchObject({
      status: 1,
      stderr:
        "etcd01: not touched: this host is locked by alice@laptop; wait until that run is done\n",
    });
    host.sh(`rm -f ${CONFIGURED}`);
    expect(all()).toEqual(before);
  });

  describe("after an up that did not come to its end the delete", () => {
    const interrupted = (ago: string) =>
      host.sh(`echo 'alice@laptop (stack prod)' >${CONFIGURED}; touch -d '${ago}' ${CONFIGURED}`);

    test("is refused for a while, with the seconds that are left: it may be that up's own", () => {
      host.sh(`touch ${KEPT}`);
      interrupted("-20 seconds");
      const before = all();
      const { status, stderr } = run("leave", "delete");
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /^etcd01: nothing was removed: the pulumi up by alice@laptop \(stack prod\) has this node in its configuration and was interrupted 2\d s ago; one of its steps may still be on its way to this host\. Repeat in 1[56]\d s\n$/,
      );
      expect(all()).toEqual(before);
      expect(cluster.changes()).toEqual([]);
    });

    test.each([
      ["later", "-181 seconds"],
      ["when the clock was set back", "+20 minutes"],
    ])("removes everything %s", (_, ago) => {
      host.sh(`touch ${KEPT}`);
      interrupted(ago);
      expect(run("leave", "delete").status).toBe(0);
      expect(REMOVED.map(exists)).not.toContain(true);
    });

    test("removes everything at once where the gate never saw a member in order", () => {
      interrupted("-1 second");
      expect(run("leave", "delete").status).toBe(0);
      expect(REMOVED.map(exists)).not.toContain(true);
    });
  });

  test("is refused where the member is another stack's by now", () => {
    host.sh(`echo etcd-cluster-other >${STATE}/token`);
    const before = all();
    expect(run("leave", "delete")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(
        "etcd01: nothing was removed: this host has a member of the cluster with the token etcd-cluster-other, and this stack's is ",
      ),
    });
    expect(all()).toEqual(before);
  });

  test("is refused where another node of this stack has the host by now", () => {
    host.sh("printf '# Managed by etcd on Pulumi\\nPEER_NAME=etcd04\\n' >/etc/etcd.env");
    const before = all();
    expect(run("leave", "delete")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(
        "etcd01: nothing was removed: this host is the node etcd04 now. Nothing of etcd01 is left here;",
      ),
    });
    expect(all()).toEqual(before);
  });

  test("the delete lets the member leave and removes everything, also twice", () => {
    host.sh(`touch ${KEPT}`);
    expect(run("leave", "delete")).toEqual({
      ...good,
      stderr: "etcd01: member a1 left the cluster\n",
    });
    expect(cluster.changes().at(-1)).toContain("member remove a1");
    expect([...REMOVED, STATE, "/etc/etcd.env"].map(exists)).not.toContain(true);
    expect(run("leave", "delete")).toEqual(good);
  });

  test("the delete removes nothing when the cluster does not let the member go", () => {
    cluster.is({ members: THREE, leader: "a2", sick: ["192.168.1.84", "192.168.1.85"] });
    const before = all();
    expect(run("leave", "delete").stderr).toContain("etcd01: cannot leave: of the 2 voters");
    expect(all()).toEqual(before);
  });

  test("the last one leaves a snapshot, also where nobody says whether", () => {
    cluster.is({ members: THREE.slice(0, 1) });
    expect(run("leave", "unset SNAPSHOT; delete").stderr).toContain("etcd01: final snapshot: ");
  });

  test("a host whose gate never saw a member in order can be cleaned without it", () => {
    host.sh(`rm ${STATE}/formed`);
    expect(run("leave", "delete")).toEqual(good);
    expect([...Object.values(OWN), STATE].map(exists)).not.toContain(true);
    expect(cluster.changes()).toEqual([]);
  });

  describe("what a killed run began, of which the state knows nothing, is undone:", () => {
    const leftovers = () =>
      [...REMOVED, STATE, "/etc/etcd.env", "/etc/systemd/system/etcd.service"].filter(exists);

    test("certificates and a release without a receipt", () => {
      run("leave", "take_member_away");
      host.sh(`rm -f ${STATE}/receipts/{files,binaries}`);
      expect(leftovers()).toEqual(expect.arrayContaining([OWN.binaries, OWN.files]));
      expect(run("leave", "delete")).toEqual(good);
      expect(leftovers()).toEqual([]);
    });

    test("what the member's step has claimed and begun to write", () => {
      run("leave", "take_member_away");
      const unit = "/etc/systemd/system/etcd.service";
      host.sh(`rm -f ${unit} ${STATE}/receipts/member; printf '%s\\n' ${PKI}/ca.pem /etc/etcd.env ${unit} >>${STATE}/made-files
        mkdir -p ${PKI}; touch ${PKI}/ca.pem; printf 'ETCD_NAME=etcd01\\n' >/etc/etcd.env`);
      expect(run("leave", "delete")).toEqual(good);
      expect(leftovers()).toEqual([]);
      expect(exists(`${PKI}/ca.pem`)).toBe(false);
    });
  });

  describe("an up that has locked the host", () => {
    const hears = (words: string) =>
      run(
        "probe",
        `HOLDER='alice@laptop'; take_lock; SILENCE_SECONDS=1; keep_lock < <(printf '%s' '${words}')`,
      );

    test("leaves its words there when it says that the node stays, and ends without a word", () => {
      expect(hears("\nkeep 0.1.0\n\n")).toEqual(good);
      expect(host.sh(`cat ${CONFIGURED}`)).toBe("alice@laptop");
    });

    test("leaves nothing when it says that it has come to its end", () => {
      expect(hears("keep 0.1.0\n\ndone\n")).toEqual(good);
      expect(exists(CONFIGURED)).toBe(false);
    });

    test("leaves nothing when it only looks: it may be another stack's", () => {
      hears("\n\n");
      expect(exists(CONFIGURED)).toBe(false);
    });

    test("says that it lives: the time is that of its last word", () => {
      run(
        "probe",
        `HOLDER='alice@laptop'; take_lock; SIGN_OF_LIFE_SECONDS=1; SILENCE_SECONDS=3
        keep_lock < <(printf 'keep 0.1.0\\n'; command sleep 0.2; touch -d '-1 hour' ${CONFIGURED}; command sleep 1.2; printf '\\n'; command sleep 0.3; stat -c %Y ${CONFIGURED} >/var/paper/seen)`,
      );
      const seen = Number(host.sh("cat /var/paper/seen"));
      expect(Number(host.sh("date +%s")) - seen).toBeLessThan(60);
    });

    test("leaves no trace of itself on a host that has nothing of this program", () => {
      host.sh(`rm -rf ${STATE}`);
      expect(hears("keep 0.1.0\n")).toEqual(good);
      expect(exists(STATE)).toBe(false);
    });
  });
});
