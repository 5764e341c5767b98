import { beforeEach, describe, expect, test } from "vitest";
import { CANARY, privateKey } from "../../support/fixtures";
import { hostForEach, TREE, whyNot } from "../../support/paper-host";

const reason = whyNot();
const PKI = "/etc/kubernetes/pki/etcd";
const REVISION = "create 2026-11-22T10:20:30Z";

const FILES = {
  ADDRESS: "192.168.1.83",
  PKI,
  ISSUER: "-",
  CLIENT_PEM: "certificate client",
  CLIENT_KEY: privateKey("client").trimEnd(),
  SERVER_PEM: "certificate server",
  SERVER_KEY: privateKey("server").trimEnd(),
  PEER_PEM: "certificate peer",
  PEER_KEY: privateKey("peer").trimEnd(),
  GATEWAY_PEM: "",
  GATEWAY_KEY: "",
};

describe.skipIf(reason !== undefined)(`step files${reason ? ` (skipped: ${reason})` : ""}`, () => {
  const host = hostForEach();

  const good = { status: 0, stdout: "", stderr: "" };
  const state = (path: string) => `/var/lib/etcd-on-pulumi/${path}`;

  const apply = (change: Partial<typeof FILES> = {}) =>
    host.run("files", ["apply", REVISION], { ...FILES, ...change });
  const remove = () => host.run("leave", ["remove_leaves"], FILES);
  beforeEach(() => {
    host.sh("getent passwd etcd >/dev/null || useradd --system --user-group etcd");
  });

  test("lays down the article's files with tight owners and modes, and prints nothing", () => {
    expect(apply()).toEqual(good);
    expect(host.sh(`cd ${PKI}; stat -c '%a %U:%G %n' . *`).split("\n")).toEqual([
      "750 root:etcd .",
      "600 root:root client-key.pem",
      "644 root:root client.pem",
      "600 etcd:etcd peer-key.pem",
      "644 root:root peer.pem",
      "600 etcd:etcd server-key.pem",
      "644 root:root server.pem",
    ]);
    expect(host.sh(`cat ${PKI}/peer-key.pem`)).toBe(FILES.PEER_KEY);
    expect(host.sh("cat /var/paper/systemctl")).toBe("");
  });

  test("leaves a receipt that the probe finds to be true", () => {
    apply();
    expect(host.sh(`head -n 1 ${state("receipts/files")}`)).toBe(`revision ${REVISION}`);
    const { stdout } = host.run("probe", ["differences", state("receipts/files")]);
    expect(stdout).toBe("");
    expect(host.sh(`grep -c . ${state("receipts/files")}`)).toBe("9");
    expect(host.sh(`cat ${state("receipts/files")}`)).not.toContain(CANARY);
  });

  test("run again changes nothing, not even a time", () => {
    apply();
    const times = `stat -c '%n %i %y' ${PKI}/*`;
    const before = host.sh(times);
    expect(apply()).toEqual(good);
    expect(host.sh(times)).toBe(before);
  });

  test("with one new certificate replaces that file alone", () => {
    apply();
    const inodes = () => host.sh(`stat -c '%n %i' ${PKI}/*`).split("\n");
    const before = inodes();
    apply({ SERVER_PEM: "renewed" });
    expect(inodes().filter((line) => !before.includes(line))).toHaveLength(1);
    expect(host.sh(`cat ${PKI}/server.pem`)).toBe("renewed");
  });

  test("say whose certificates they are only when all of them are", () => {
    apply();
    expect(host.sh(`cat ${state("issuer")}`)).toBe("-");
    const dying = `install_file() { case $3 in */peer.pem) exit 9 ;; esac; cat >/dev/null; }; apply "${REVISION}"`;
    expect(host.run("files", ["eval", dying], { ...FILES, ISSUER: "2027" }).status).toBe(9);
    expect(host.sh(`cat ${state("issuer")}`)).toBe("-");
    expect(apply({ ISSUER: "2027" })).toEqual(good);
    expect(host.sh(`cat ${state("issuer")}`)).toBe("2027");
  });

  test("repairs what was changed by hand", () => {
    apply();
    host.sh(
      `chmod 666 ${PKI}/server-key.pem; rm ${PKI}/client.pem; echo x >>${PKI}/peer.pem; chmod 777 ${PKI}`,
    );
    expect(apply()).toEqual(good);
    expect(host.run("probe", ["differences", state("receipts/files")]).stdout).toBe("");
    expect(host.sh(`stat -c %a ${PKI} ${PKI}/server-key.pem`)).toBe("750\n600");
  });

  test("removed leaves the host as it was", () => {
    const before = host.sh(TREE);
    apply();
    expect(host.sh(TREE)).not.toBe(before);
    expect(remove()).toEqual(good);
    host.sh(`rm -df ${state("receipts")} ${state("")}`);
    expect(host.sh(TREE)).toBe(before);
  });

  test("removed leaves directories and files of others", () => {
    host.sh("mkdir -p /etc/kubernetes/pki; echo theirs >/etc/kubernetes/pki/apiserver.crt");
    apply();
    remove();
    expect(host.sh("find /etc/kubernetes")).toBe(
      "/etc/kubernetes\n/etc/kubernetes/pki\n/etc/kubernetes/pki/apiserver.crt",
    );
    apply();
    host.sh(`echo theirs >${PKI}/backup.txt`);
    remove();
    expect(host.sh(`ls -A ${PKI}`)).toBe("backup.txt");
  });

  test("leave no stray key behind after a run that was killed", () => {
    apply();
    const stray = ["client-key", "server-key", "peer-key"].map(
      (name) => `${PKI}/${name}.pem.new-012345`,
    );
    const leave = () => host.sh(`echo half a key | tee ${stray.join(" ")} >/dev/null`);
    const left = () => host.sh(`cd ${PKI} 2>/dev/null && ls -A | grep new || true`);
    leave();
    expect(left().split("\n")).toHaveLength(3);
    apply();
    expect(left()).toBe("");
    leave();
    remove();
    expect(host.sh("ls -d /etc/kubernetes 2>/dev/null || true")).toBe("");
  });

  test("keep the mode of a directory that was there before, and give it back as it was", () => {
    host.sh(`mkdir -p ${PKI}; chmod 0711 ${PKI}; chown daemon:daemon ${PKI}`);
    expect(apply()).toEqual(good);
    expect(host.sh(`stat -c '%a %U:%G' ${PKI}`)).toBe("711 daemon:daemon");
    remove();
    expect(host.sh(`stat -c '%a %U:%G' ${PKI}`)).toBe("711 daemon:daemon");
  });

  test("are refused in a directory that etcd cannot pass, in words", () => {
    host.sh(`mkdir -p ${PKI}; chmod 0700 ${PKI}`);
    expect(apply()).toEqual({
      ...good,
      status: 1,
      stderr: `etcd01: the etcd user cannot read ${PKI}/server-key.pem; give it search (x) permission on the parent directories\n`,
    });
    expect(host.sh(`ls ${state("receipts")} 2>/dev/null || true`)).toBe("");
    host.sh(`chmod 0755 ${PKI}; chmod 0700 /etc/kubernetes`);
    expect(apply().status).toBe(1);
    host.sh("chmod 0755 /etc/kubernetes");
    expect(apply()).toEqual(good);
  });

  test("can be removed twice and from a host that has none of it", () => {
    expect(remove()).toEqual(good);
    apply();
    expect([remove(), remove()]).toEqual([good, good]);
  });

  const current = () => {
    // Valid for a day.
    host.sh(
      `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /tmp/k -out /tmp/server.pem -subj /CN=x -days 1 2>/dev/null`,
    );
    return host.sh("cat /tmp/server.pem");
  };

  describe("of a member that is to move", () => {
    const files = () =>
      host.sh(
        `cd ${PKI}; grep -l 'certificate ' *.pem*; cat ${state("issuer")} ${state("issuer.next")} 2>/dev/null || true`,
      );
    const runsAt = (address: string) =>
      host.sh(`touch ${state("formed")}; printf 'PRIVATE_IP=${address}\\n' >/etc/etcd.env`);

    test("wait beside those in use, which are good until then, and so does the mark of their CA", () => {
      apply({ SERVER_PEM: current() });
      runsAt("192.168.1.99");
      expect(apply({ ISSUER: "2027" })).toEqual(good);
      expect(files()).toBe("client.pem\npeer.pem\npeer.pem.next\nserver.pem.next\n-\n2027");
      // The receipt is that of the end.
      expect(host.run("probe", ["differences", state("receipts/files")]).stdout).toContain(
        `${PKI}/server.pem changed\n`,
      );
      // The move was taken back.
      runsAt(FILES.ADDRESS);
      expect(apply()).toEqual(good);
      expect(files()).toBe("client.pem\npeer.pem\nserver.pem\n-");
    });

    test("replace those that have expired at once", () => {
      apply({ SERVER_PEM: "expired or no certificate at all" });
      runsAt("192.168.1.99");
      expect(apply()).toEqual(good);
      expect(files()).toBe("client.pem\npeer.pem\nserver.pem\n-");
    });
  });

  describe("with a pair for the gateway", () => {
    const pair = {
      GATEWAY_PEM: "certificate gateway",
      GATEWAY_KEY: privateKey("gateway").trimEnd(),
    };
    const files = () =>
      host.sh(
        `cd ${PKI} 2>/dev/null && stat -c '%a %U:%G %n' gateway* server* 2>/dev/null || true`,
      );
    /** A process that was told these flags, in the place of etcd. */
    const running = (...flags: string[]) =>
      host.sh(
        `(exec -a etcd bash -c 'while :; do sleep 9; done' ${flags.join(" ")}) >/dev/null 2>&1 & echo $! >/var/paper/property-MainPID`,
      );
    test("bring it along for the etcd user alone, and take it away", () => {
      expect(apply(pair)).toEqual(good);
      expect(files().split("\n")).toEqual([
        "600 etcd:etcd gateway-key.pem",
        "644 root:root gateway.pem",
        "600 etcd:etcd server-key.pem",
        "644 root:root server.pem",
      ]);
      expect(host.sh(`grep -c . ${state("receipts/files")}`)).toBe("11");
      expect(host.sh(`cat ${state("receipts/files")}`)).not.toContain(CANARY);
      expect(host.run("leave", ["remove_leaves"], { ...FILES, ...pair })).toEqual(good);
      expect(files()).toBe("");
    });

    test("hold the server certificate back while the gateway of the running etcd dials with it", () => {
      const before = current();
      apply({ SERVER_PEM: before });
      running();
      expect(apply(pair)).toEqual(good);
      expect(host.sh(`cat ${PKI}/server.pem`)).toBe(before);
      expect(host.sh(`cat ${PKI}/server.pem.next`)).toBe(FILES.SERVER_PEM);
      // Its receipt is that of the end: a run that goes no further is caught up with.
      expect(host.run("probe", ["differences", state("receipts/files")]).stdout).toBe(
        `${PKI}/server.pem changed\n`,
      );
      host.sh(`mv ${PKI}/server.pem.next ${PKI}/server.pem`);
      expect(host.run("probe", ["differences", state("receipts/files")]).stdout).toBe("");
    });

    test.each([
      ["etcd does not run", () => host.sh("echo 0 >/var/paper/property-MainPID"), {}],
      ["it has a pair of its own", () => running("x", "--client-cert-file=/pki/gateway.pem"), {}],
      ["the CA changes", () => running(), { ISSUER: "2027" }],
    ])("replace the server certificate at once when %s", (_, begin, change) => {
      apply({ SERVER_PEM: current() });
      begin();
      host.sh(`echo left >${PKI}/server.pem.next`);
      expect(apply({ ...pair, ...change })).toEqual(good);
      expect(host.sh(`cat ${PKI}/server.pem; ls ${PKI} | grep next || true`)).toBe(
        FILES.SERVER_PEM,
      );
    });

    test("replace one that has ended at once", () => {
      apply({ SERVER_PEM: "expired or no certificate at all" });
      running();
      expect(apply(pair)).toEqual(good);
      expect(host.sh(`cat ${PKI}/server.pem`)).toBe(FILES.SERVER_PEM);
    });

    test("keep it while the running etcd dials with it, although it is wanted no more", () => {
      apply(pair);
      running("x", "--client-cert-file=/pki/gateway.pem");
      expect(apply()).toEqual(good);
      expect(host.sh(`cat ${PKI}/gateway.pem`)).toBe(pair.GATEWAY_PEM);
    });
  });
});
