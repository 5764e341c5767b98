import { describe, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import { between } from "../../../components/hosts/marks";
import { readAnswer } from "../../../components/hosts/probe-output";
import { PaperCluster, type PaperMember, PKI, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

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
      ...{ RECOVER_SNAPSHOT: "", NODES: "etcd01 192.168.1.83", PKI },
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
