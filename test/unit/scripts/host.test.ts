import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, PKI, THREE } from "../../support/paper-cluster";
import { hostForEach, TREE, whyNot } from "../../support/paper-host";

const reason = whyNot();
const REVISION = "create 2026-11-22T10:20:30Z";

const HOST = {
  ADDRESS: "127.0.0.1",
  VERSION: "3.6.14",
  NODES: "etcd01 127.0.0.1\netcd02 127.0.0.2\netcd03 ::1",
  UPGRADE: "no",
  MANAGE_HOSTS: "yes",
  FIREWALL: "yes",
  CLIENT_NETWORKS: "10.0.0.0/8\n2001:db8::/32",
  MINIMUM_MEMORY: "0",
  MINIMUM_DISK: "0",
  PKI,
  ARCHITECTURES: "amd64 arm64",
};

describe.skipIf(reason !== undefined)(`step host${reason ? ` (skipped: ${reason})` : ""}`, () => {
  const host = hostForEach();

  const good = { status: 0, stdout: "", stderr: "" };
  const calls = () => host.sh("cat /var/paper/systemctl; : >/var/paper/systemctl").split("\n");
  const state = (path: string) => `/var/lib/etcd-on-pulumi/${path}`;
  const exists = (path: string) => host.sh(`[ -e ${path} ] && echo yes || echo no`) === "yes";

  const apply = (change: Partial<typeof HOST> = {}) =>
    host.run("host", ["apply", REVISION], { ...HOST, ...change });
  const remove = () => host.run("leave", ["remove"], HOST);
  const hosts = () => host.sh("cat /etc/hosts");
  const block =
    "# BEGIN etcd on Pulumi\n127.0.0.1\tetcd01\n127.0.0.2\tetcd02\n::1\tetcd03\n# END etcd on Pulumi";

  test("makes the user, the names and the firewall, and a receipt that is true", () => {
    expect(apply()).toEqual(good);
    expect(host.sh("getent passwd etcd | cut -d : -f 1,6,7")).toBe(
      "etcd:/var/lib/etcd:/usr/sbin/nologin",
    );
    expect(hosts()).toBe(`127.0.0.1\tlocalhost\n${block}`);
    expect(host.sh(`cat ${state("nodes")}`)).toBe(HOST.NODES);
    expect(calls().filter((call) => !/^(--version|show)/.test(call))).toEqual([
      "--quiet --no-reload enable etcd-firewall.service",
      "start etcd-firewall.service",
    ]);
    expect(host.run("probe", ["differences", state("receipts/host")]).stdout).toBe("");
  });

  test("loads rules that let 2380 in from members and 2379 from members and clients", () => {
    apply();
    const rules = host.sh("nft list table inet etcd").replaceAll(/\s+/g, " ");
    expect(rules).toContain("policy accept");
    expect(rules).toContain('iif "lo" accept');
    expect(rules).toContain("tcp dport { 2379, 2380 } ip saddr { 127.0.0.1, 127.0.0.2 } accept");
    expect(rules).toContain("tcp dport { 2379, 2380 } ip6 saddr ::1 accept");
    expect(rules).toContain("tcp dport 2379 ip saddr 10.0.0.0/8 accept");
    expect(rules).toContain("tcp dport 2379 ip6 saddr 2001:db8::/32 accept");
    expect(rules).toMatch(/tcp dport \{ 2379, 2380 \} reject with tcp reset \} \}$/);
  });

  test("lets a port of metrics in from whom etcd's own unit lets in", () => {
    const values = { ...HOST, METRICS_PORTS: "9978 9979" };
    expect(host.run("host", ["apply", REVISION], values)).toEqual(good);
    const rules = host.sh("nft list table inet etcd").replaceAll(/\s+/g, " ");
    expect(rules).toContain("dport { 2379, 2380, 9978, 9979 } ip saddr { 127.0.0.1, 127.0.0.2 }");
    expect(rules).toContain("tcp dport { 2379, 9978, 9979 } ip saddr 10.0.0.0/8 accept");
    expect(rules).toContain("tcp dport { 2379, 9978, 9979 } ip6 saddr 2001:db8::/32 accept");
    expect(rules).toContain("tcp dport { 2379, 2380, 9978, 9979 } reject with tcp reset");
    expect(host.sh("grep ^IPAddress /etc/systemd/system/etcd.service.d/addresses.conf")).toBe(
      [
        ...["IPAddressDeny=any", "IPAddressAllow=localhost", "IPAddressAllow=127.0.0.1"],
        ...["IPAddressAllow=127.0.0.2", "IPAddressAllow=::1"],
        ...["IPAddressAllow=10.0.0.0/8", "IPAddressAllow=2001:db8::/32"],
      ].join("\n"),
    );
  });

  test.each([
    ["a port of metrics", { METRICS_PORTS: "9978" }],
    ["no client networks", { CLIENT_NETWORKS: "" }],
    ["every client", { CLIENT_NETWORKS: "0.0.0.0/0\n::/0" }],
    ["overlapping networks", { CLIENT_NETWORKS: "10.0.0.0/8\n10.1.0.0/16\n10.1.2.3/32" }],
    ["members with IPv6 alone", { ADDRESS: "::1", NODES: "etcd01 ::1" }],
  ])("writes rules that nftables takes with %s", (_, change) => {
    expect(host.run("host", ["firewall"], { ...HOST, ...change })).toEqual(good);
    expect(host.sh("nft -c -f /etc/etcd-firewall.nft && nft list tables")).toBe("table inet etcd");
  });

  test("brings a user back with the numbers it had, when its group has another", () => {
    host.sh("groupadd --system --gid 987 etcd; useradd --system --uid 986 --gid etcd etcd");
    host.sh(`mkdir -p ${state("")}; echo 986 987 >${state("made-user")}`);
    host.sh("sed -i /^etcd:/d /etc/passwd /etc/group /etc/shadow /etc/gshadow; groupadd -g 986 x");
    expect(apply()).toEqual(good);
    expect(host.sh("id etcd")).toBe("uid=986(etcd) gid=987(etcd) groups=987(etcd)");
  });

  test("makes the group of a user that has none, and takes that alone away again", () => {
    host.sh("useradd --system -g users --shell /usr/sbin/nologin etcd");
    expect(apply()).toEqual(good);
    expect(apply()).toEqual(good);
    expect(host.sh("id -gn etcd; getent group etcd | cut -d : -f 1")).toBe("users\netcd");
    expect(
      host.run("files", ["apply", REVISION], {
        ...{ PKI, ISSUER: "-", CLIENT_PEM: "c", CLIENT_KEY: "c", SERVER_PEM: "s", SERVER_KEY: "s" },
        ...{ PEER_PEM: "p", PEER_KEY: "p", GATEWAY_PEM: "", GATEWAY_KEY: "" },
      }),
    ).toEqual(good);
    expect(remove()).toEqual(good);
    expect(host.sh("id -gn etcd; getent group etcd || echo none")).toBe("users\nnone");
  });

  test.each(["whole", "killed before the group"])(
    "takes its user away and leaves a group that was there before, in a run that is %s",
    (run) => {
      host.sh("groupadd --system --gid 4322 etcd");
      expect(apply()).toEqual(good);
      if (run !== "whole") {
        host.sh("userdel etcd; ! getent group etcd");
      }
      expect(remove()).toEqual(good);
      expect(host.sh("getent group etcd; getent passwd etcd || echo none")).toBe(
        "etcd:x:4322:\nnone",
      );
    },
  );

  test("takes the group of its user away after a run that was killed before that", () => {
    expect(apply()).toEqual(good);
    host.sh("sed -i /^etcd:/d /etc/passwd /etc/shadow");
    expect(remove()).toEqual(good);
    expect(host.sh("getent group etcd || echo none")).toBe("none");
  });

  test("brings the group of a user of ours back with the number that it had", () => {
    apply();
    const before = host.sh("getent group etcd");
    host.sh("sed -i /^etcd:/d /etc/group /etc/gshadow");
    expect(apply()).toEqual(good);
    expect(host.sh("getent group etcd")).toBe(before);
  });

  describe("that is to upgrade packages", () => {
    /** apt-get that has this many of its calls fail with these words. */
    const apt = (fails: number, words: string) =>
      host.sh(`echo ${fails} >/var/paper/fails
        cat >/usr/local/sbin/apt-get <<'END'
#!/bin/sh
echo "$*" >>/var/paper/apt-get
left=$(cat /var/paper/fails)
[ "$left" -gt 0 ] || exit 0
echo $((left - 1)) >/var/paper/fails
echo '${words}' >&2
exit 100
END
        chmod 755 /usr/local/sbin/apt-get`);
    const LOCK =
      "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (unattended-upgr)";
    const upgrade = (prelude: string) =>
      host.run("host", ["eval", `sleep() { :; }; ${prelude}; upgrade`], HOST);

    test("waits for whoever has a lock, and says so once", () => {
      apt(3, LOCK);
      expect(upgrade(":")).toEqual({
        ...good,
        stderr: `etcd01: waiting up to 300 s for the package manager: ${LOCK.slice(3)}\n`,
      });
      expect(host.sh("cat /var/paper/apt-get").split("\n")).toEqual([
        ...Array.from({ length: 4 }, () => "-qq update"),
        "-qq -y -o Dpkg::Options::=--force-confold dist-upgrade",
      ]);
    });

    test("ends when it has waited for long, with who has it", () => {
      apt(99, LOCK);
      expect(upgrade("PATIENCE=0")).toEqual({
        status: 1,
        stdout: "",
        stderr: `etcd01: cannot upgrade the system: another process has held the lock of the package manager for 0 s: ${LOCK.slice(3)}; wait until it is done, and run pulumi up again\n`,
      });
    });

    test("ends at once for any other reason, with apt's words", () => {
      apt(99, "E: The repository has no Release file.");
      expect(upgrade(":")).toEqual({
        status: 1,
        stdout: "",
        stderr:
          "E: The repository has no Release file.\netcd01: cannot upgrade the system (apt-get update), as etcd:host.upgrade asks; its output is above\n",
      });
    });
  });

  test("takes away the shell that somebody gave the user, when the user is ours", () => {
    apply();
    host.sh("usermod --shell /bin/bash etcd");
    expect(host.run("probe", ["differences", state("receipts/host")]).stdout).toBe(
      "user etcd changed\n",
    );
    expect(apply()).toEqual(good);
    expect(host.sh("getent passwd etcd | cut -d : -f 7")).toBe("/usr/sbin/nologin");
    host.sh(`rm ${state("made-user")}; usermod --shell /bin/bash etcd`);
    expect(apply()).toEqual(good);
    expect(host.sh("getent passwd etcd | cut -d : -f 7")).toBe("/bin/bash");
  });

  test("run again changes nothing", () => {
    apply();
    const look = `stat -c '%n %i %y' /etc/hosts /etc/etcd-firewall.nft ${state("nodes")}; nft list ruleset`;
    const before = host.sh(look);
    expect(apply()).toEqual(good);
    expect(host.sh(look)).toBe(before);
  });

  test("replaces its block and rules when a node comes or goes", () => {
    apply();
    const NODES = "etcd01 127.0.0.1\netcd04 127.0.0.4";
    expect(apply({ NODES })).toEqual(good);
    expect(hosts()).toBe(
      "127.0.0.1\tlocalhost\n# BEGIN etcd on Pulumi\n127.0.0.1\tetcd01\n127.0.0.4\tetcd04\n# END etcd on Pulumi",
    );
    expect(host.sh("nft list table inet etcd")).not.toContain("127.0.0.2");
  });

  describe("of a host with a member", () => {
    const cluster = new PaperCluster(host);
    const VALUES = { ...HOST, ADDRESS: "192.168.1.83" };
    const nodes = (...all: string[]) => all.join("\n");
    const THEN = nodes("etcd01 192.168.1.83", "etcd02 192.168.1.84", "etcd03 192.168.1.85");
    const run = (list: string) =>
      cluster.run("host", `apply "${REVISION}"`, { ...VALUES, NODES: list });

    beforeEach(() => {
      cluster.is({ members: THREE, leader: "a3" });
      host.sh(`mkdir -p ${state("receipts")}; touch ${state("receipts/host")} ${state("formed")}
        echo 'link x /usr/local/bin/etcdctl' >${state("receipts/member")}
        printf '%s\\n' '${THEN}' >${state("nodes")}`);
    });

    test("lets members in that are to leave or to move, and marks that the list changes", () => {
      const list = nodes("etcd01 192.168.1.83", "etcd02 192.168.1.99", "etcd04 192.168.1.86");
      expect(run(list)).toEqual({
        ...good,
        stderr: "etcd01: leadership transferred to etcd01\n",
      });
      const rules = host.sh("nft list table inet etcd");
      for (const end of [83, 84, 85, 86, 99]) {
        expect(rules).toContain(`192.168.1.${end}`);
      }
      expect(exists(state("changing"))).toBe(true);
    });

    test("marks no change when the list is the one of before", () => {
      expect(run(THEN)).toEqual(good);
      expect(exists(state("changing"))).toBe(false);
      expect(cluster.changes()).toEqual([]);
    });

    test("asks the members whether they answer until the change has ended, though another one leads", () => {
      const told = () =>
        cluster
          .run("probe", "member_differences", { ...VALUES, NODES: THEN, VERSION: "3.6.14" })
          .stdout.split("\n")
          .filter((line) => line.startsWith("member"));
      const list = told().map((line) => line.split(" "));
      expect(list.map(([, name, , , healthy]) => [name, healthy])).toEqual([
        ["etcd01", "no"],
        ["etcd02", "no"],
        ["etcd03", "no"],
      ]);
      host.sh(`touch ${state("changing")}`);
      expect(told().sort()).toEqual([
        "member etcd01 https://192.168.1.83:2380 false yes a1",
        "member etcd02 https://192.168.1.84:2380 false yes a2",
        "member etcd03 https://192.168.1.85:2380 false yes a3",
      ]);
    });

    test("refuses a new address that packets do not leave from", () => {
      const { status, stderr } = cluster.run(
        "host",
        `ip() { case $4 in 192.168.1.99) echo "$4 dev eth0 src 192.168.1.83" ;; *) echo "$4 dev eth0 src 192.168.1.83 uid 0" ;; esac; }; apply "${REVISION}"`,
        {
          ...VALUES,
          ADDRESS: "192.168.1.99",
          NODES: THEN.replace("etcd01 192.168.1.83", "etcd01 192.168.1.99"),
        },
      );
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: [
          "etcd01: preflight checks failed; nothing was changed",
          "  - reaches etcd02 at 192.168.1.84 from 192.168.1.83, not from its own address 192.168.1.99; make that the source address of its route there",
          "  - reaches etcd03 at 192.168.1.85 from 192.168.1.83, not from its own address 192.168.1.99; make that the source address of its route there",
          "",
        ].join("\n"),
      });
    });
  });

  test("takes its block and its rules away when they are not wanted any more", () => {
    apply();
    expect(apply({ MANAGE_HOSTS: "no", FIREWALL: "no" })).toEqual(good);
    expect(hosts()).toBe("127.0.0.1\tlocalhost");
    expect(host.sh("nft list tables")).toBe("");
    expect(exists("/etc/etcd-firewall.nft")).toBe(false);
    expect(exists("/etc/systemd/system/etcd-firewall.service")).toBe(false);
  });

  test("leaves other lines of /etc/hosts and other tables alone", () => {
    host.sh("printf '10.0.0.1 a\\n\\n# c\\n10.0.0.2 b\\n' >>/etc/hosts; nft add table inet theirs");
    const before = hosts();
    apply();
    remove();
    expect(hosts()).toBe(before);
    expect(host.sh("nft list tables")).toBe("table inet theirs");
  });

  test("keeps the last line of /etc/hosts apart from its block when it has no end", () => {
    host.sh("printf '127.0.0.1 localhost\\n10.0.0.1 a' >/etc/hosts");
    apply();
    expect(hosts().split("\n").slice(0, 3)).toEqual([
      "127.0.0.1 localhost",
      "10.0.0.1 a",
      "# BEGIN etcd on Pulumi",
    ]);
  });

  test("removed leaves the host as it was", () => {
    const before = host.sh(TREE);
    apply();
    expect(remove()).toEqual(good);
    expect(host.sh(TREE)).toBe(before);
    expect(host.sh("nft list ruleset; getent passwd etcd || true")).toBe("");
    expect(remove()).toEqual(good);
  });

  test("removed leaves an etcd user that was there before", () => {
    host.sh("useradd --system --user-group --shell /usr/sbin/nologin etcd");
    apply();
    remove();
    expect(host.sh("getent passwd etcd | cut -d : -f 1")).toBe("etcd");
  });

  describe("preflight", () => {
    const findings = (change: Partial<typeof HOST> = {}) =>
      host.run("host", ["preflight_findings"], { ...HOST, ...change }).stdout;

    test("finds nothing on a good host", () => {
      expect(findings()).toBe("");
    });

    test.each([
      [
        "an etcd",
        "echo >/usr/bin/etcd",
        "has an etcd that is not this program's at /usr/bin/etcd; uninstall it first",
      ],
      [
        "a dangling link",
        "ln -s /gone /usr/local/bin/etcd",
        "always has a file that is not this program's at /usr/local/bin/etcd; move it away first",
      ],
      [
        "a unit",
        "echo >/etc/systemd/system/etcd.service",
        "always has a file that is not this program's at /etc/systemd/system/etcd.service; move it away first",
      ],
      [
        "data",
        "mkdir -p /var/lib/etcd/member",
        "has data of another etcd in /var/lib/etcd/member; move it away first (mv /var/lib/etcd/member /var/lib/etcd/member.foreign)",
      ],
      [
        "a user that is root by another name",
        "useradd --system --non-unique --uid 0 -g root --shell /usr/sbin/nologin etcd",
        "has a user etcd with the UID 0, which is also that of root; give etcd a UID of its own (usermod --uid UID etcd)",
      ],
      [
        "a user that can log in",
        "useradd --shell /bin/bash etcd",
        "has a user etcd that can log in (with /bin/bash), and could then read the keys of the cluster; disable its login shell (usermod --shell /usr/sbin/nologin etcd)",
      ],
      [
        "another system",
        "echo 'ID=\"fedora\"' >/etc/os-release",
        "runs fedora; a Debian or Ubuntu host is needed",
      ],
      [
        "an old systemd",
        "echo 245 >/var/paper/version",
        "has systemd 245; 247 or newer is needed (Debian 11, Ubuntu 22.04)",
      ],
      [
        "a strange machine",
        "printf '#!/bin/sh\\necho riscv64\\n' >/usr/local/sbin/uname; chmod +x /usr/local/sbin/uname",
        "is a riscv64 machine; etcd is supported on amd64 and arm64",
      ],
    ])("finds %s", (_, change, finding) => {
      host.sh(change);
      expect(findings()).toBe(`${finding}\n`);
    });

    test("finds a machine for whose architecture the release has no digest", () => {
      const machine = (name: string) =>
        host.sh(
          `printf '#!/bin/sh\\necho ${name}\\n' >/usr/local/sbin/uname; chmod +x /usr/local/sbin/uname`,
        );
      machine("aarch64");
      expect(findings({ ARCHITECTURES: "amd64" })).toBe(
        "is an arm64 machine, and etcd:sha256 has no digest for arm64; add it\n",
      );
      expect(findings({ ARCHITECTURES: "arm64" })).toBe("");
      machine("x86_64");
      expect(findings({ ARCHITECTURES: "arm64" })).toBe(
        "is an amd64 machine, and etcd:sha256 has no digest for amd64; add it\n",
      );
    });

    test("takes a derivative of Debian or Ubuntu", () => {
      host.sh("printf 'ID=linuxmint\\nID_LIKE=\"ubuntu debian\"\\n' >/etc/os-release");
      expect(findings()).toBe("");
    });

    test("finds too little memory and disk", () => {
      expect(findings({ MINIMUM_MEMORY: "99999999", MINIMUM_DISK: "99999999" })).toMatch(
        /^has \d+ MiB of memory; etcd:host\.minimumMemory asks for 99999999\nhas \d+ MiB free under \/var\/lib; etcd:host\.minimumDisk asks for 99999999\n$/,
      );
    });

    test("finds a neighbour that no packet reaches, but takes a refusal for an answer", () => {
      host.sh(
        "nft add table inet cut; nft add chain inet cut in '{ type filter hook input priority 0; }'; nft add rule inet cut in ip daddr 127.0.0.2 drop",
      );
      expect(findings()).toBe(
        "unreachable etcd02: cannot reach etcd02 at 127.0.0.2 on port 2379 and 2380; members need 2379 and 2380 of each other, both ways: open these in the firewalls between them\n",
      );
    });

    test("says which of the two ports no packet reaches", () => {
      host.sh(
        "nft add table inet cut; nft add chain inet cut in '{ type filter hook input priority 0; }'; nft add rule inet cut in ip daddr 127.0.0.2 tcp dport 2379 drop",
      );
      expect(findings()).toContain("cannot reach etcd02 at 127.0.0.2 on port 2379; members need");
    });

    test("asks a host that is ours about those that come, both ways", () => {
      host.sh(`mkdir -p ${state("receipts")}; touch ${state("receipts/host")}
        printf 'etcd01 127.0.0.1\netcd03 ::1\n' >${state("nodes")}
        nft add table inet cut; nft add chain inet cut in '{ type filter hook input priority 0; }'
        nft add rule inet cut in ip daddr 127.0.0.2 drop`);
      const words =
        "change unreachable etcd02: cannot reach etcd02 at 127.0.0.2 on port 2379 and 2380";
      const asked = (NODES: string) =>
        host.run("probe", ["new_neighbours_reachable"], { ...HOST, NODES }).stdout;
      expect(asked(HOST.NODES)).toContain(words);
      expect(asked("etcd01 127.0.0.1\netcd03 ::1")).toBe("");
    });

    test("stops the step with all findings before anything is changed", () => {
      host.sh("echo >/usr/bin/etcd; echo 245 >/var/paper/version");
      const before = host.sh(TREE);
      expect(apply()).toEqual({
        status: 1,
        stdout: "",
        stderr:
          "etcd01: preflight checks failed; nothing was changed\n" +
          "  - has systemd 245; 247 or newer is needed (Debian 11, Ubuntu 22.04)\n" +
          "  - has an etcd that is not this program's at /usr/bin/etcd; uninstall it first\n",
      });
      expect(host.sh(TREE)).toBe(before);
    });
  });
});
