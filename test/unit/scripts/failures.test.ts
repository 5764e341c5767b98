import { beforeEach, describe, expect, test } from "vitest";
import type { ScriptName } from "../../../components/scripts/bundle";
import type { Part } from "../../support/install-parts";
import { PaperCluster, STATE } from "../../support/paper-cluster";
import { hostForEach, type Outcome, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
/** Bash that has a tool end with 7 after these words, or without any. */
const broken = (tool: string, words = `${tool}: the words of ${tool}`) =>
  `printf '#!/bin/sh\\n%s\\nexit 7\\n' ${words === "" ? ":" : `'echo "${words}" >&2'`} >/usr/local/sbin/${tool}; chmod 755 /usr/local/sbin/${tool}`;
/** A directory that cannot be written to, and how it can be again. */
const readOnly = (path: string) => `mount --bind ${path} ${path}; mount -o remount,bind,ro ${path}`;

describe.skipIf(reason !== undefined)(`a failure${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const VALUES = {
    ...RUNNING,
    ...{ NODES: "etcd01 192.168.1.83\netcd02 192.168.1.84\netcd03 192.168.1.85", UPGRADE: "no" },
    ...{ MANAGE_HOSTS: "yes", FIREWALL: "yes", CLIENT_NETWORKS: "10.0.0.0/8" },
    ...{
      MINIMUM_MEMORY: "1",
      MINIMUM_DISK: "1",
      RECOVER_SNAPSHOT: "",
      COMPACTS: "yes",
      ISSUER: "-",
    },
    ...{ CLIENT_KEY: "a", CLIENT_PEM: "b", SERVER_KEY: "c", SERVER_PEM: "d" },
    ...{ PEER_KEY: "e", PEER_PEM: "f", LOST_ADDRESSES: "192.168.1.85" },
    ...{ DOWNLOAD_URL: "http://127.0.0.1:1", SHA256_ARM64: "a", LISTED_SUMS: "no" },
    ...{ GATEWAY_PEM: "", GATEWAY_KEY: "", MARK: "0badcafe", ARCHITECTURES: "amd64 arm64" },
  };

  beforeEach(() => {
    runningMember(host, cluster, RUNNING);
    host.sh(`mkdir -p ${STATE}/receipts /run/systemd; touch ${STATE}/receipts/host`);
  });

  /** Nobody is left alone with a tool's name or a line number: the last line is the host's own. */
  const explained = ({ status, stderr }: Outcome, words: string, what: string) => {
    const lines = stderr.trim().split("\n");
    expect(status, what).not.toBe(0);
    expect(lines.at(-1), `${what}: ${stderr}`).toMatch(/^etcd01: \S+ \S+/);
    expect(stderr, what).toContain(words);
  };

  test.each<[ScriptName | Part, string, readonly string[]]>([
    [
      "host",
      "apply 'repair 2026-11-22T10:20:30Z'",
      ["chmod", "nft", "systemctl", "mv", "stat", "awk"],
    ],
    ["leave", "remove", ["systemctl", "rm", "userdel"]],
    ["files", "apply 'repair 2026-11-22T10:20:30Z'", ["chmod", "chown", "mv", "setpriv", "mkdir"]],
    ["leave", "remove_leaves", ["rm"]],
    ["binaries", "apply 'repair 2026-11-22T10:20:30Z'", ["mkdir", "mktemp", "sha256sum"]],
    ["leave", "remove_binaries", ["rm"]],
    [
      "member",
      "apply 'repair 2026-11-22T10:20:30Z'",
      ["chmod", "chown", "mv", "systemctl", "date"],
    ],
    ["leave", "take_member_away", ["rm", "systemctl"]],
    ["health", "apply gate", ["awk", "systemctl"]],
    ["lost", "apply lost", ["awk", "mktemp"]],
  ])(
    "of a tool in %s %s is told with the host, the purpose and its own words",
    (script, call, tools) => {
      const change = "rm -rf /etc/kubernetes /opt/etcd-on-pulumi/v3.6.14/manifest";
      const outcomes = cluster.each(
        script,
        call,
        { ...VALUES, UNIT_TEXT: "[Service] new", CA_PEM: "another", SHA256_AMD64: "a" },
        tools.map(
          (tool) =>
            `rm -f /usr/local/sbin/{${tools.join(",")},none}; install -m 0755 /var/paper/systemctl-stub /usr/local/sbin/systemctl
          [ ${script} != files ] || ${change}; ${broken(tool)}`,
        ),
      );
      let failed = 0;
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status !== 0) {
          explained(outcome, "", tools[index] ?? "");
          failed++;
        }
      }
      expect(failed).toBeGreaterThan(0);
    },
  );

  test.each<[string, ScriptName | Part, string, string]>([
    [
      "/run",
      "probe",
      "LOCK=/run/x.lock; probe",
      "cannot write /run/x.lock, the lock file of pulumi up: Read-only file system",
    ],
    // A step that nobody has looked for.
    [
      "/etc",
      "host",
      "preflight_findings() { :; }; apply 'repair 2026-11-22T10:20:30Z'",
      "Read-only file system",
    ],
    ["/etc", "member", "apply 'repair 2026-11-22T10:20:30Z'", "Read-only file system"],
    ["/etc", "files", "apply 'repair 2026-11-22T10:20:30Z'", "Read-only file system"],
    ["/var/lib", "member", "apply 'repair 2026-11-22T10:20:30Z'", "Read-only file system"],
  ])("to write to %s is told in %s", (path, script, call, words) => {
    host.sh(readOnly(path));
    try {
      const outcome = cluster.run(script, call, {
        ...VALUES,
        ...{ HOLDER: "me", CA_PEM: "another", NODES: `${VALUES.NODES}\netcd04 192.168.1.86` },
      });
      explained(outcome, words, `${script} with ${path}`);
    } finally {
      host.sh(`umount ${path}`);
    }
  });

  test("of a disk that is full is told with the file", () => {
    host.sh("mkdir -p /var/full; mount -t tmpfs -o size=4k full /var/full");
    const call = "head -c 100000 /dev/zero | install_file 0644 root:root /var/full/x";
    const outcome = cluster.run("member", call, VALUES);
    host.sh("umount /var/full");
    explained(outcome, "cannot write /var/full/x: No space left on device", "put");
  });

  test("of a line to be added to a file is told with the file, not by the shell", () => {
    host.sh(
      "mkdir -p /var/full; mount -t tmpfs -o size=4k full /var/full; cat /dev/zero >/var/full/y || true",
    );
    const full = cluster.run("member", "append word /var/full/x", VALUES);
    host.sh("umount /var/full");
    explained(full, "cannot write /var/full/x: No space left on device", "append");
    expect(full.stderr).not.toMatch(/line \d+/);
    const none = cluster.run("member", "append word /var/none/x", VALUES);
    explained(none, "cannot write /var/none/x: No such file or directory", "append");
    expect(cluster.run("member", "append word /var/x; append more /var/x", VALUES).status).toBe(0);
    expect(host.sh("cat /var/x")).toBe("word\nmore");
  });

  test.each<[string, string, string]>([
    [
      "is full",
      "mount -t tmpfs -o size=1m full /etc; cat /dev/zero >/etc/ballast || true",
      "etcd01: /etc, the disk of /etc, has only 0 MiB free: free some space, and run pulumi up again",
    ],
    [
      "has no room for a journal",
      "mkdir -p /var/lib/etcd; mount -t tmpfs -o size=90m full /var/lib/etcd",
      "etcd01: /var/lib/etcd, the disk of /var/lib/etcd, has only 90 MiB free: free some space, and run pulumi up again",
    ],
    [
      "has no free inodes",
      "mount -t tmpfs -o nr_inodes=1,size=64m full /etc",
      "etcd01: /etc, the disk of /etc, has no free inodes: delete some files, and run pulumi up again",
    ],
    [
      "is read-only",
      readOnly("/etc"),
      "etcd01: /etc, the disk of /etc, is mounted read-only: find out why (dmesg), remount it read-write, and run pulumi up again",
    ],
  ])("whose cause is a disk that %s names it, whatever failed", (_, strike, words) => {
    host.sh(strike);
    const said = ["fail 'etcd does not start'", "false"].map((call) =>
      cluster.run("member", `eval "${call}"`, VALUES).stderr.trim().split("\n"),
    );
    // /etc itself is one of the paper host's mounts.
    host.sh(`umount ${words.split(" ")[1]?.replace(",", "")}`);
    expect(said[0]).toEqual(["etcd01: etcd does not start", words]);
    expect(said[1]?.slice(1)).toEqual([words]);
  });

  test("whose cause is one disk for many places names it once", () => {
    host.sh(`mkdir -p /var/small/opt; mount -t tmpfs -o size=1m small /var/small; mkdir /var/small/opt /var/small/etcd
      mkdir -p /var/lib/etcd; mount --bind /var/small/etcd /var/lib/etcd; mount --bind /var/small/opt /opt`);
    const { stderr } = cluster.run("member", "fail 'etcd does not start'", VALUES);
    host.sh(`umount /var/lib/etcd /opt /var/small`);
    expect(stderr.split("\n").slice(1)).toEqual([
      expect.stringMatching(/^etcd01: \/var\/lib\/etcd, .* has only \d+ MiB free/),
      "",
    ]);
  });

  test("of something else says nothing of disks", () => {
    const { stderr } = cluster.run("member", "fail 'etcd does not start'", VALUES);
    expect(stderr).toBe("etcd01: etcd does not start\n");
  });

  test("of etcdctl that says nothing has words all the same", () => {
    host.sh(
      `rm /usr/local/bin/etcdctl; printf '#!/bin/sh\\nexit 255\\n' >/usr/local/bin/etcdctl; chmod 755 /usr/local/bin/etcdctl`,
    );
    for (const call of [
      "final_snapshot",
      "doing 'clearing the alarms'; x=$(status_field $LOCAL Revision)",
    ]) {
      const outcome = cluster.run(call === "final_snapshot" ? "leave" : "member", call, VALUES);
      explained(
        outcome,
        call.startsWith("final")
          ? "the final snapshot failed"
          : "failed while clearing the alarms: a command exited with status 1",
        call,
      );
    }
  });

  test("that somebody expects is nobody's business", () => {
    const call =
      "if false; then :; fi; false || true; x=$(false) || true; ! true || :; [ -z x ] || (exit 0)";
    expect(cluster.run("member", call, VALUES)).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  test("in a subshell is told once", () => {
    const { status, stderr } = cluster.run("member", "doing 'trying it'; x=$( (exit 5) )", VALUES);
    expect(status).toBe(5);
    expect(stderr).toBe(
      "etcd01: failed while trying it: a command exited with status 5; its output, if any, is above\n",
    );
  });
});
