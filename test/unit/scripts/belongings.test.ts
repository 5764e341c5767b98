/** What is somebody else's on a host: found before anything is touched, left alone, or kept aside. */
import { beforeEach, describe, expect, test } from "vitest";
import { HOST, PaperCluster, PKI, STATE } from "../../support/paper-cluster";
import { hostForEach, TREE, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const REVISION = "create 2026-11-22T10:20:30Z";
const FILES = {
  PKI,
  ISSUER: "-",
  ...{ CLIENT_PEM: "c", CLIENT_KEY: "ck", SERVER_PEM: "s", SERVER_KEY: "sk" },
  ...{ PEER_PEM: "p", PEER_KEY: "pk", GATEWAY_PEM: "", GATEWAY_KEY: "" },
};
const UNITS = "/etc/systemd/system";

describe.skipIf(reason !== undefined)(`belongings of others${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const good = { status: 0, stdout: "", stderr: "" };
  const findings = (change: Partial<typeof HOST> = {}) =>
    host.run("probe", ["preflight_findings"], { ...HOST, ...change }).stdout;
  const apply = (change: Partial<typeof HOST> = {}) =>
    host.run("host", ["apply", REVISION], { ...HOST, ...change });
  const remove = () => host.run("leave", ["remove"], HOST);
  const put = (path: string) =>
    host.sh(`mkdir -p ${path.replace(/[^/]*$/, "")}; echo theirs >${path}`);

  describe("at a path that the program writes", () => {
    const PATHS = [
      "/etc/etcd.env",
      `${UNITS}/etcd.service`,
      "/usr/local/bin/etcd",
      "/usr/local/bin/etcdctl",
      "/usr/local/bin/etcdutl",
      "/etc/etcd-firewall.nft",
      `${UNITS}/etcd-firewall.service`,
      `${UNITS}/etcd.service.d/addresses.conf`,
      `${UNITS}/nftables.service.d/etcd-on-pulumi.conf`,
      ...["ca", "client", "client-key", "server", "server-key", "peer", "peer-key"].map(
        (name) => `${PKI}/${name}.pem`,
      ),
    ];

    test.each(PATHS)("are a finding: %s", (path) => {
      put(path);
      const finding = `has a file that is not this program's at ${path}; move it away first\n`;
      expect(findings()).toBe(`always ${finding}`);
      const before = host.sh(TREE);
      expect(apply()).toEqual({
        ...good,
        status: 1,
        stderr: `etcd01: preflight checks failed; nothing was changed\n  - ${finding}`,
      });
      expect(host.sh(TREE)).toBe(before);
    });

    test("are a finding also as a link to nowhere", () => {
      host.sh(
        "ln -s /gone /usr/local/bin/etcdctl; ln -s /dev/null /etc/systemd/system/etcd.service",
      );
      expect(findings().split("\n")).toHaveLength(3);
    });

    test("are no concern when nothing is to be written there", () => {
      for (const path of PATHS.filter((one) => /firewall|service\.d/.test(one))) {
        put(path);
      }
      host.sh("rm -r /etc/systemd/system/etcd.service.d; nft add table inet etcd");
      expect(findings({ FIREWALL: "no" })).toBe("");
      const before = host.sh(`nft list ruleset; ${TREE}`);
      expect(apply({ FIREWALL: "no", MANAGE_HOSTS: "no" })).toEqual(good);
      expect(remove()).toEqual(good);
      expect(host.sh(`nft list ruleset; ${TREE}`)).toBe(before);
    });

    test("are found too where the steps begin to write later, on a host of ours", () => {
      expect(apply({ FIREWALL: "no" })).toEqual(good);
      put("/etc/etcd-firewall.nft");
      put("/etc/other/ca.pem");
      expect(findings({ PKI: "/etc/other" })).toBe(
        ["/etc/etcd-firewall.nft", "/etc/other/ca.pem"]
          .map(
            (path) =>
              `always has a file that is not this program's at ${path}; move it away first\n`,
          )
          .join(""),
      );
    });

    test("stay when the leaves are laid down by a step without a look, and when it is taken back", () => {
      host.sh("useradd --system --user-group etcd");
      put(`${PKI}/server.pem`);
      const before = host.sh(TREE);
      expect(host.run("files", ["apply", REVISION], FILES)).toEqual({
        ...good,
        status: 1,
        stderr: `etcd01: has a file that is not this program's at ${PKI}/server.pem; move it away first\n`,
      });
      expect(host.run("leave", ["remove_leaves"], FILES)).toEqual(good);
      host.sh(`rm -d ${STATE} 2>/dev/null || true`);
      expect(host.sh(TREE)).toBe(before);
    });

    test("are not what a killed run of ours left", () => {
      expect(apply()).toEqual(good);
      const dying = `install_file() { case $3 in */peer.pem) exit 9 ;; esac; cat >"$3"; }; apply "${REVISION}"`;
      expect(host.run("files", ["eval", dying], FILES).status).toBe(9);
      expect(findings()).toBe("");
      expect(host.run("files", ["apply", REVISION], FILES)).toEqual(good);
      expect(findings()).toBe("");
      expect(host.run("leave", ["remove_leaves"], FILES)).toEqual(good);
      expect(remove()).toEqual(good);
      expect(findings()).toBe("");
    });
  });

  test("a drop-in for the unit is a finding before there is a member", () => {
    for (const top of ["/etc", "/run", "/usr/lib"]) {
      put(`${top}/systemd/system/etcd.service.d/limits.conf`);
    }
    expect(findings().split("\n").filter(Boolean)).toEqual(
      ["/etc", "/run", "/usr/lib"].map(
        (top) =>
          `always has a drop-in that is not this program's at ${top}/systemd/system/etcd.service.d/limits.conf; move it away first`,
      ),
    );
  });

  test("drop-ins for all services are said while there is no member, and are no override", () => {
    const lxc = "/run/systemd/system/service.d/zzz-lxc-service.conf";
    put(lxc);
    put("/etc/systemd/system/service.d/limits.conf");
    const words = `note has drop-ins for all of its services (/etc/systemd/system/service.d/limits.conf, ${lxc}), which apply to etcd.service too; they are left unchanged\n`;
    expect(findings()).toBe(words);
    expect(apply()).toEqual(good);
    expect(findings()).toBe(words);
    host.sh(
      `touch ${STATE}/receipts/member; echo 'DropInPaths=${lxc}' >/var/paper/property-ActiveState,DropInPaths,MainPID`,
    );
    expect(findings()).toBe("");
    expect(host.run("probe", ["unit_differences"], HOST).stdout).not.toContain("overridden");
  });

  test("a table of that name is a finding, and is not deleted with ours", () => {
    host.sh("nft add table inet etcd; nft add chain inet etcd theirs");
    expect(findings()).toBe(
      "always has a table inet etcd in its packet filter that is not this program's; rename it, or delete it (nft delete table inet etcd)\n",
    );
    expect(apply().status).toBe(1);
    expect(remove()).toEqual(good);
    expect(host.sh("nft list table inet etcd")).toContain("chain theirs");
  });

  test("what is ours of the packet filter goes, also when somebody took its unit or its rules", () => {
    const before = host.sh(TREE);
    for (const path of [`${UNITS}/etcd-firewall.service`, "/etc/etcd-firewall.nft"]) {
      expect(apply()).toEqual(good);
      host.sh(`rm ${path}`);
      expect(remove()).toEqual(good);
      expect(host.sh(`nft list ruleset; ${TREE}`)).toBe(before);
    }
  });

  test("a group of that name stays when the user that was made goes", () => {
    host.sh("groupadd --system --gid 987 etcd");
    expect(apply()).toEqual(good);
    expect(remove()).toEqual(good);
    expect(host.sh("getent group etcd; getent passwd etcd || echo none")).toBe("etcd:x:987:\nnone");
  });

  test("files in the directories of the releases and of the snapshots stay", () => {
    put("/opt/etcd-on-pulumi/README");
    put("/opt/etcd-on-pulumi/v3.5.35/etcd");
    expect(host.run("leave", ["remove_binaries"])).toEqual(good);
    expect(host.sh("find /opt/etcd-on-pulumi -type f")).toBe("/opt/etcd-on-pulumi/README");
    put("/var/backups/etcd/theirs.part");
    put("/var/backups/etcd/etcd01-x.db.part");
    host.sh("chmod 0755 /var/backups/etcd");
    cluster.is({ members: [] });
    host.run(
      "member",
      ["eval", "etcdctl_as_client() { :; }; save_snapshot $BACKUPS/etcd01-y.db || true"],
      { PKI },
    );
    expect(host.sh("ls /var/backups/etcd; stat -c %a /var/backups/etcd")).toBe("theirs.part\n755");
  });

  describe("in /etc/hosts", () => {
    const [BEGIN, END] = ["# BEGIN etcd on Pulumi", "# END etcd on Pulumi"];
    const words = (begins: number, ends: number) =>
      `has a damaged block in /etc/hosts: the line "${BEGIN}" occurs ${begins} times and "${END}" ${ends} times, not once each in this order; delete the rest of the block by hand`;

    test.each([
      ["without its end", [BEGIN, "10.0.0.1 theirs"], 1, 0],
      ["with a changed end", [BEGIN, "127.0.0.1 etcd01", `${END}.`, "10.0.0.1 theirs"], 1, 0],
      ["with a carriage return", [BEGIN, `${END}\r`, "10.0.0.1 theirs"], 1, 0],
      ["without its beginning", ["10.0.0.1 theirs", END], 0, 1],
      ["the wrong way round", [END, "10.0.0.1 theirs", BEGIN], 1, 1],
      ["twice", [BEGIN, END, "10.0.0.1 theirs", BEGIN, END], 2, 2],
    ])("our block %s is a finding, and no line is deleted", (_, lines, begins, ends) => {
      expect(apply()).toEqual(good);
      host.sh(`printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")} >/etc/hosts`);
      expect(findings()).toBe(`always ${words(begins, ends)}\n`);
      const before = host.sh(`cat /etc/hosts; ${TREE}`);
      expect(apply().stderr).toContain(words(begins, ends));
      expect(apply({ MANAGE_HOSTS: "no" }).status).toBe(1);
      expect(host.run("host", ["hosts_block"], HOST)).toEqual({
        ...good,
        status: 1,
        stderr: `etcd01: ${words(begins, ends)}; nothing was changed\n`,
      });
      expect(remove().stderr).toBe(`etcd01: ${words(begins, ends)}; nothing was changed\n`);
      expect(host.sh(`cat /etc/hosts; ${TREE}`)).toBe(before);
    });

    test("a link stays a link", () => {
      host.sh("mv /etc/hosts /etc/hosts.real; ln -s hosts.real /etc/hosts");
      expect(apply()).toEqual(good);
      expect(host.sh("readlink /etc/hosts; grep -c BEGIN /etc/hosts.real")).toBe("hosts.real\n1");
      expect(remove()).toEqual(good);
      expect(host.sh("readlink /etc/hosts; cat /etc/hosts.real")).toBe(
        "hosts.real\n127.0.0.1\tlocalhost",
      );
    });
  });

  describe("in the way of a running member", () => {
    beforeEach(() => runningMember(host, cluster, RUNNING));
    const kept = () =>
      host.sh("cd /var/backups/etcd/kept && find . -type f | sed 's|^[^/]*/[^/]*||' || true");

    test("a drop-in goes where only root finds it, and where is said", () => {
      const paths = [
        `${UNITS}/etcd.service.d/override.conf`,
        "/run/systemd/system/etcd.service.d/override.conf",
        "/etc/systemd/system.control/etcd.service.d/50-TasksMax.conf",
      ];
      paths.forEach(put);
      host.sh(`echo '${paths.join(" ")}' >/var/paper/property-DropInPaths`);
      const { status, stderr } = cluster.run("member", "remove_overrides", RUNNING);
      expect(status).toBe(0);
      for (const path of paths) {
        const [, copy = ""] =
          new RegExp(`etcd01: ${path}, which overrides the unit, was moved to (\\S+)\n`).exec(
            stderr,
          ) ?? [];
        expect(host.sh(`cat ${copy}; [ -e ${path} ] || echo gone`)).toBe("theirs\ngone");
        expect(copy).toMatch(/^\/var\/backups\/etcd\/kept\/\d{8}T\d{6}Z\//);
      }
      expect(host.sh("stat -c %a /var/backups/etcd /var/backups/etcd/kept")).toBe("700\n700");
    });

    test("but not the one of ours that a killed run left", () => {
      const path = "/run/systemd/system/etcd.service.d/snapshot-count.conf";
      put(path);
      host.sh(`echo ${path} >/var/paper/property-DropInPaths`);
      expect(cluster.run("member", "remove_overrides", RUNNING).stderr).not.toContain("kept");
      expect(host.sh(`[ -e ${path} ] || echo gone`)).toBe("gone");
    });

    test("so does a program in the place of a link", () => {
      host.sh("rm /usr/local/bin/etcdutl; echo theirs >/usr/local/bin/etcdutl");
      const { status, stderr } = cluster.run("member", "install_files", RUNNING);
      expect(status).toBe(0);
      expect(stderr).toMatch(
        /^etcd01: \/usr\/local\/bin\/etcdutl, which is not this program's, was moved to \/var\/backups\/etcd\/kept\/\S+\/usr\/local\/bin\/etcdutl\n$/,
      );
      expect(kept()).toBe("/usr/local/bin/etcdutl");
      expect(host.sh("readlink /usr/local/bin/etcdutl")).toContain("/opt/etcd-on-pulumi/");
    });
  });

  describe("a sudo", () => {
    /** Runs the preflight under something called sudo that has these files open. */
    const under = (open: string, rules = "") => {
      host.sh(`mkdir -p /var/log/sudo-io/00/00/01
        printf '#!/bin/bash\\nif [ "$1" = -n ]; then printf "%%s" "${rules}"; exit; fi\\n${open}\\n"$@"\\n' >/usr/local/sbin/sudo
        chmod 0755 /usr/local/sbin/sudo`);
      return host.run(
        "probe",
        [
          "eval",
          `export SUDO_USER=operator; declare -fx logged_input; sudo bash -c 'set -euo pipefail; logged_input; true'`,
        ],
        HOST,
      );
    };
    const words = (to: string) =>
      `has a sudo that logs its input (log_input, to ${to}), which would include private keys; add "Defaults:operator !log_input" to its sudoers, or log in as root\n`;

    test("that logs what it reads is a finding", () => {
      expect(under("exec 7>/var/log/sudo-io/00/00/01/stdin")).toEqual({
        ...good,
        stdout: words("/var/log/sudo-io/00/00/01"),
      });
    });

    test("that sends it to a log server too", () => {
      const rules = (flags: string) =>
        `Matching Defaults entries for operator on etcd01:\\n    env_reset, ${flags}`;
      expect(under(":", rules("log_servers=logs, use_pty, log_input")).stdout).toBe(
        words("a log server"),
      );
      expect(under(":", rules("log_servers=logs, !log_input")).stdout).toBe("");
    });

    test("that logs what is printed, or nothing, is none", () => {
      expect(under("exec 7>/var/log/sudo-io/00/00/01/stdout")).toEqual(good);
      expect(under(":")).toEqual(good);
    });

    test("is asked for in every look", () => {
      const { stdout } = host.run(
        "probe",
        ["eval", "logged_input() { echo told; }; preflight_findings"],
        HOST,
      );
      expect(stdout).toBe("always told\n");
    });
  });
});
