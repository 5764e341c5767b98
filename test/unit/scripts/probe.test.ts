import { describe, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import { between } from "../../../components/hosts/marks";
import { readAnswer } from "../../../components/hosts/probe-output";
import { PaperCluster, type PaperMember, PKI, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";
import { paperRestic } from "../../support/paper-restic";

const reason = whyNot();

describe.skipIf(reason !== undefined)(`the look${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const members = () => cluster.run("probe", "live_members yes");

  test("lists the members with who of them answers, and asks all of them in one go", () => {
    const fourth: PaperMember = { id: "a4", name: "", address: "192.168.1.86", unstarted: true };
    cluster.is({ members: [...THREE, fourth], sick: ["192.168.1.84"] });
    expect(members()).toEqual({
      status: 0,
      stderr: "",
      stdout: [
        "member etcd01 https://192.168.1.83:2380 false yes a1",
        "member etcd02 https://192.168.1.84:2380 false no a2",
        "member etcd03 https://192.168.1.85:2380 false yes a3",
        "member - https://192.168.1.86:2380 false no a4",
        "",
      ].join("\n"),
    });
    expect(cluster.calls().filter((call) => call.endsWith("endpoint health"))).toHaveLength(1);
  });

  test("does not take one member's answer for that of another whose address begins alike", () => {
    const [first, second] = [18, 1].map((last) => ({
      id: `b${last}`,
      name: `etcd${last}`,
      address: `192.168.1.${last}`,
    }));
    cluster.is({ members: [first, second].flatMap((one) => one ?? []), sick: ["192.168.1.1"] });
    expect(members().stdout).toContain("192.168.1.1:2380 false no");
    expect(members().stdout).toContain("192.168.1.18:2380 false yes");
  });

  describe("as a whole", () => {
    const values = {
      ...RUNNING,
      ...{
        MARK: "0badcafe",
        FIREWALL: "no",
        UPGRADE: "no",
        MANAGE_HOSTS: "yes",
        MINIMUM_MEMORY: "1",
        MINIMUM_DISK: "1",
        ARCHITECTURES: "amd64 arm64",
      },
      ...{ RECOVER_SNAPSHOT: "", COMPACTS: "yes", NODES: "etcd01 192.168.1.83", PKI },
    };
    const answer = () => {
      const { stdout, status, stderr } = host.run("probe", ["probe"], values);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      const now = Date.now();
      return readAnswer(between(stdout, values.MARK) ?? [], {
        ...{ started: now, ended: now, maximumClockSkew: 60 },
      });
    };

    test("says nothing that its grammar does not have, on a bare host and on one with a member", () => {
      expect(answer()).toMatchObject({ inspected: true, bootstrapped: false, empty: true });
      runningMember(host, cluster, RUNNING);
      host.sh("echo 'ActiveState=active' >/var/paper/property-ActiveState,DropInPaths,MainPID");
      const members = THREE.map(({ id, name }) => expect.objectContaining({ id, name }));
      expect(answer()).toMatchObject({
        ...{ inspected: true, bootstrapped: true, members, version: DEFAULT_VERSION },
        runs: { cluster: "cafe", member: "a1", leader: "a2" },
      });
    });

    describe("with a snapshot in the repository to recover from", () => {
      const asked = (snapshot: string, of = "cafe") => {
        const { stdout, status, stderr } = host.run("probe", ["probe"], {
          ...values,
          ...{ RECOVER_SNAPSHOT: snapshot, RECOVER_OF: of, REPOSITORY: "sftp:etcd@host:/x" },
          ...{ REPOSITORY_PASSWORD: "swordfish", REPOSITORY_ENVIRONMENT: "X=swordfish" },
          ...{ REPOSITORY_CA: "", REPOSITORY_KEY: "swordfish", REPOSITORY_HOST_KEY: "a b" },
        });
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
        expect(stdout).not.toContain("swordfish");
        // It is an inspection.
        expect(host.sh("ls /run /var/cache/etcd-on-pulumi 2>/dev/null || true")).not.toMatch(
          /look|index/,
        );
        return stdout.split("\n").filter((line) => /^snapshot-(remote|unread)/.test(line));
      };
      const line = (id: string, day: number, cluster: string) =>
        `snapshot-remote ${id} 2026-11-${day}T08:00:00Z 7 41 ${cluster} 3.6.14`;

      test("shows what would come back, of whatever cluster it is", () => {
        paperRestic(host, [
          { id: "00000001", time: "2026-11-18T08:00:00Z" },
          { id: "00000002", time: "2026-11-19T08:00:00Z" },
          { id: "00000003", time: "2026-11-20T08:00:00Z", cluster: "f0" },
        ]);
        expect(asked("latest")).toEqual([line("00000002", 19, "cafe")]);
        expect(asked("latest", "cafe,f0")).toEqual([line("00000003", 20, "f0")]);
        expect(asked("latest", "beef")).toEqual([line("00000003", 20, "f0")]);
        expect(asked("0000000100")).toEqual([line("00000001", 18, "cafe")]);
        expect(asked("0badcafe")).toEqual([
          "snapshot-unread the repository sftp:etcd@host:/x has no such snapshot",
        ]);
        expect(host.sh("cat /var/paper/restic")).toContain("--no-cache snapshots --no-lock --json");
      });

      test("says why the repository cannot be read, or what in it is none of etcd's", () => {
        paperRestic(host, [{ id: "00000001", hash: "no hash" }]);
        host.sh("sed -i 's/revision=7/x=7/' /var/paper/snapshots");
        expect(asked("00000001")).toEqual([
          "snapshot-unread in the repository sftp:etcd@host:/x it is a snapshot of something else than etcd",
        ]);
        host.write("/var/paper/restic-fails", "Fatal: X swordfish\n");
        expect(asked("latest")).toEqual([
          "snapshot-unread the repository sftp:etcd@host:/x cannot be read: X ***",
        ]);
      });

      test("says nothing on a host without restic, and clears what killed ones have left", () => {
        host.sh(`for place in /usr/bin /usr/local/bin; do rm -f $place/restic; done
          mkdir -p /run/etcd-on-pulumi.look.999999; echo key >/run/etcd-on-pulumi.look.999999/repository-key`);
        const { stdout } = host.run("probe", ["probe"], {
          ...values,
          ...{ RECOVER_SNAPSHOT: "latest", RECOVER_OF: "cafe", REPOSITORY: "/x" },
        });
        expect(stdout).not.toContain("snapshot-");
        paperRestic(host, []);
        expect(asked("latest")).toHaveLength(1);
        // Nor after the recovery.
        host.sh(`mkdir -p ${STATE}; echo cafe >${STATE}/recovered`);
        expect(asked("latest")).toEqual([]);
      });
    });

    test("has no lines that the etcd user makes with the variables of its process", () => {
      const call = String.raw`ETCD_X=$'a\nempty\n\e[2J' command sleep 5 & until [ "$(</proc/$!/comm)" = sleep ]; do :; done; process_of $!; kill $!`;
      const { stdout } = host.run("probe", ["eval", call]);
      expect(stdout.split("\n")).toContain("ETCD_X=a?empty??[2J");
      expect(stdout.split("\n")).not.toContain("empty");
    });

    test("has no more findings than the program takes", () => {
      const many = Array.from({ length: 40 }, (_, index) => `echo finding ${index}`).join("; ");
      const { stdout } = cluster.run("probe", `preflight_findings() { ${many}; }; probe`, values);
      const found = stdout.split("\n").filter((line) => line.startsWith("finding "));
      expect(found).toHaveLength(18);
      expect(found.at(-1)).toBe("finding and 23 more findings");
    });
  });

  test("asks nobody whether he answers on a host that does not lead", () => {
    cluster.is({ members: THREE });
    const { stdout } = cluster.run("probe", "live_members no");
    expect(stdout).toContain("member etcd03 https://192.168.1.85:2380 false no a3\n");
    expect(cluster.calls().filter((call) => call.endsWith("endpoint health"))).toEqual([]);
  });

  test("lists none when no quorum answers", () => {
    cluster.is({});
    expect(members()).toMatchObject({ status: 0, stdout: "" });
  });

  test("reads every certificate of every file", () => {
    host.sh(`mkdir -p ${PKI}; cd ${PKI}
      block() { printf -- '-----BEGIN CERTIFICATE-----\\n%s\\n%s\\n-----END CERTIFICATE-----\\n' "$1" "$2"; }
      { block a b; block c d; } >ca.pem; block e f >peer.pem`);
    expect(host.run("probe", ["certificates"], { PKI }).stdout).toBe(
      "certificate ca.pem ab\ncertificate ca.pem cd\ncertificate peer.pem ef\n",
    );
  });

  test("says of each receipt what differs from it", () => {
    host.sh("echo 1 >/etc/x; echo 2 >/etc/y");
    expect(
      host.run("files", ["eval", "receipt host one /etc/x; receipt files two /etc/y /etc/x"]),
    ).toMatchObject({ status: 0 });
    host.sh("echo 3 >/etc/y; rm /etc/x");
    const receipts = ["host", "files"].flatMap((step) => [
      `${STATE}/receipts/${step}`,
      `${step}: `,
    ]);
    expect(host.run("probe", ["differences", ...receipts]).stdout).toBe(
      "host: /etc/x removed\nfiles: /etc/y changed\nfiles: /etc/x removed\n",
    );
    expect(host.run("probe", ["differences"]).stdout).toBe("");
  });
});
