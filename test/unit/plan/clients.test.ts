import { describe, expect, test } from "vitest";
import { clientsOfOldCa, clientsShutOut } from "../../../components/plan/clients";
import { assemble } from "../../../components/scripts/bundle";
import { settled } from "../../support/looks";
import { PaperCluster, STATE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";

const MEMBERS = new Set(["192.168.1.83", "192.168.1.84"]);
const looks = (...each: { clients?: string[]; operator?: string }[]) =>
  new Map(each.map((change, index) => [`etcd0${index + 1}`, settled({}, change)]));

describe("fewer client networks", () => {
  test("are warned of with who is connected and would be cut off, and with this machine", () => {
    const seen = looks(
      { clients: ["10.1.0.7", "192.168.1.84", "fd00::7"], operator: "192.168.1.1" },
      { clients: ["10.1.0.7", "10.2.0.1"], operator: "192.168.1.1" },
    );
    expect(clientsShutOut(seen, ["10.2.0.0/16", "fd01::/64"], MEMBERS)).toEqual([
      "etcd:host.clientNetworks excludes clients that are connected now, and this up would disconnect them: 10.1.0.7 (etcd01, etcd02), fd00::7 (etcd01); add their networks to keep them",
      "etcd:host.clientNetworks does not include the address of this machine or its bastion (192.168.1.1): npm run status and npm run etcdctl would get no answer",
    ]);
  });

  test("that cut nobody off, and no packet filter at all, are none to warn of", () => {
    const seen = looks({ clients: ["10.1.0.7", "fd00::7"], operator: "192.168.1.83" });
    expect(clientsShutOut(seen, ["10.0.0.0/8", "fd00::/8"], MEMBERS)).toEqual([]);
    expect(clientsShutOut(seen, undefined, MEMBERS)).toEqual([]);
  });

  test("name ten clients and count the others", () => {
    const clients = Array.from({ length: 30 }, (_, index) => `10.0.0.${index}`);
    const [words] = clientsShutOut(looks({ clients }), ["10.1.0.0/16"], MEMBERS);
    expect(words).toContain("10.0.0.9 (etcd01) and 20 more;");
  });
});

test("before a CA is forgotten those are named who are connected", () => {
  expect(clientsOfOldCa(looks({ clients: ["10.1.0.7"] }), MEMBERS)).toEqual([
    "clients are connected from 10.1.0.7 (etcd01); one that reads its CA only at startup (such as kube-apiserver) and has not been restarted since it got the caCertificate of the first run will be rejected after this run",
  ]);
  expect(clientsOfOldCa(looks({ clients: ["192.168.1.84"] }), MEMBERS)).toEqual([]);
});

const reason = whyNot();
describe.skipIf(reason !== undefined)(`the look${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const seen = (
    networks: string,
    before = "export SSH_CONNECTION='192.168.1.1 5 192.168.1.83 22'",
  ) =>
    cluster.run("probe", `${before}; clients`, { FIREWALL: "yes", CLIENT_NETWORKS: networks })
      .stdout;
  const installed = (...networks: string[]) =>
    host.sh(`
      mkdir -p ${STATE} /etc/systemd/system/etcd.service.d; touch ${STATE}/formed
      printf 'IPAddressAllow=%s\\n' localhost 192.168.1.83 ${networks.join(" ")} >/etc/systemd/system/etcd.service.d/addresses.conf
      printf '%s\\n' '#!/bin/sh' 'echo "0 0 192.168.1.83:2379 10.1.0.7:40000"; echo "0 0 192.168.1.83:2379 10.1.0.7:40001"; echo "0 0 [::ffff:192.168.1.83]:2379 [::ffff:10.1.0.8]:5"; echo "0 0 [fd00::1]:2379 [fe80::7%eth0]:6"; echo "0 0 127.0.0.1:2379 127.0.0.1:7"' >/usr/local/sbin/ss
      chmod 755 /usr/local/sbin/ss`);
  const CLIENTS = "client 10.1.0.7\nclient 10.1.0.8\nclient fe80::7\n";

  test("tells who is connected, and where the program comes from, when a network is let in no more", () => {
    installed("0.0.0.0/0", "::/0");
    expect(seen("10.0.0.0/8")).toBe(`operator 192.168.1.1\n${CLIENTS}`);
    expect(seen("0.0.0.0/0\n::/0\n10.0.0.0/8")).toBe("");
    host.sh("rm /etc/systemd/system/etcd.service.d/addresses.conf");
    expect(seen("10.0.0.0/8")).toContain(CLIENTS);
  });

  test("finds where the program comes from behind sudo, which does not pass it on", () => {
    const { stdout } = host.run("probe", ["eval", "operator"]);
    expect(stdout).toBe("");
    host.write("/var/paper/step", assemble("probe", { NODE: "etcd01" }));
    const sudo = "env -i bash -s -- operator </var/paper/step; true";
    expect(host.sh(`SSH_CONNECTION='192.168.1.9 5 192.168.1.83 22' bash -c '${sudo}'`)).toBe(
      "operator 192.168.1.9",
    );
  });

  test("tells who is connected while two CAs are trusted", () => {
    installed("0.0.0.0/0");
    expect(seen("0.0.0.0/0")).toBe("");
    host.sh(`printf '%s\\n' - 2027-03 >${STATE}/trust`);
    expect(seen("0.0.0.0/0")).toBe(CLIENTS);
  });

  test("warns of a directory that kubeadm reset empties, until certificates are there", () => {
    const kubernetes = (PKI: string) => cluster.run("probe", "kubernetes", { PKI }).stdout;
    const ours = "/etc/kubernetes/pki/etcd";
    expect(kubernetes(ours)).toBe("");
    host.sh("printf '#!/bin/sh\\n' >/usr/local/bin/kubelet; chmod 755 /usr/local/bin/kubelet");
    expect(kubernetes(ours)).toMatch(/^warning is also a Kubernetes node, .* \/etc\/etcd\/pki\n$/);
    expect(kubernetes("/etc/etcd/pki")).toBe("");
    host.sh(`mkdir -p ${ours}; touch ${ours}/server.pem`);
    expect(kubernetes(ours)).toBe("");
  });
});
