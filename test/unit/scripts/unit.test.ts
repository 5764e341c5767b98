import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { ClusterConfig } from "../../../components/config/index";
import { flagsOf, GATES } from "../../../components/etcd/flags";
import { bracketed } from "../../../components/etcd/members";
import {
  etcdFlags,
  metricsPorts,
  PEER_HOSTNAME,
  renderEnvironment,
  renderUnit,
} from "../../../components/scripts/unit";
import { cluster, node } from "../../support/fixtures";

const at = (version: string, settings: ClusterConfig["settings"] = {}): ClusterConfig => {
  const config = cluster(undefined, { settings });
  return { ...config, release: { ...config.release, version } };
};

/** Values of one key of the unit, in order. */
const values = (unit: string, key: string): string[] =>
  unit
    .split("\n")
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));

/** The words of ExecStart=, without its line breaks. */
const command = (unit: string): string =>
  (/^ExecStart=((?:.*\\\n)*.*)$/m.exec(unit)?.[1] ?? "").replaceAll(/ \\\n\s*/g, " ");

describe("the text", () => {
  test.each(["3.5.35", "3.6.14", "3.7.2"])("of the unit for etcd %s", async (version) => {
    await expect(`${renderUnit(at(version))}\n`).toMatchFileSnapshot(
      `snapshots/etcd-${version}.service`,
    );
  });

  test("of the environment", async () => {
    await expect(`${renderEnvironment(node(2))}\n`).toMatchFileSnapshot("snapshots/etcd.env");
  });

  test("of the environment with an IPv6 address", async () => {
    await expect(`${renderEnvironment(node(2, { address: "2001:db8::2" }))}\n`).toMatchFileSnapshot(
      "snapshots/etcd-ipv6.env",
    );
  });

  test("of the unit with settings that systemd would read in a way of its own", async () => {
    const unit = renderUnit(
      at("3.6.14", {
        "log-format": "json",
        "log-outputs": "stderr,/var/log/my etcd.log",
        cors: "https://a.example/%20x",
        "discovery-srv-name": 'says "yes" and C:\\temp',
        "cipher-suites": "it's;fine",
      }),
    );
    await expect(`${unit}\n`).toMatchFileSnapshot("snapshots/etcd-quoted.service");
  });
});

describe("the unit", () => {
  const unit = renderUnit(cluster());

  test.each([
    ["Type", "notify"],
    ["Restart", "always"],
    ["RestartSec", "5s"],
    ["LimitNOFILE", "40000"],
    ["TimeoutStartSec", "0"],
    ["Conflicts", "etcd2.service"],
    ["WantedBy", "multi-user.target"],
  ])("has the article's %s=%s", (key, value) => {
    expect(values(unit, key)).toEqual([value]);
  });

  test("reads /etc/etcd.env, which must exist", () => {
    expect(values(unit, "EnvironmentFile")[0]).toBe("/etc/etcd.env");
  });

  test("has the article's flags and files", () => {
    const pki = "/etc/kubernetes/pki/etcd";
    const peer = "https://$" + "{PRIVATE_IP}:2380";
    const client = "https://$" + "{PRIVATE_IP}:2379";
    expect(Object.fromEntries(etcdFlags(cluster()))).toMatchObject({
      name: "$" + "{PEER_NAME}",
      "data-dir": "/var/lib/etcd",
      "initial-advertise-peer-urls": peer,
      "listen-peer-urls": peer,
      "listen-client-urls": `${client},https://127.0.0.1:2379`,
      "advertise-client-urls": client,
      "cert-file": `${pki}/server.pem`,
      "key-file": `${pki}/server-key.pem`,
      "client-cert-auth": "true",
      "trusted-ca-file": `${pki}/ca.pem`,
      "peer-cert-file": `${pki}/peer.pem`,
      "peer-key-file": `${pki}/peer-key.pem`,
      "peer-client-cert-auth": "true",
      "peer-trusted-ca-file": `${pki}/ca.pem`,
    });
  });

  test("speaks TLS on every address it listens on and advertises", () => {
    expect(command(unit)).not.toMatch(/http:/);
    const urls = [...etcdFlags(cluster())].filter(([name]) => name.endsWith("-urls"));
    expect(urls.map(([name]) => name).sort()).toEqual([
      "advertise-client-urls",
      "initial-advertise-peer-urls",
      "listen-client-urls",
      "listen-peer-urls",
    ]);
  });

  test("takes nobody for a peer without the name that only peer certificates bear", () => {
    expect(etcdFlags(cluster()).get("peer-cert-allowed-hostname")).toBe(PEER_HOSTNAME);
    // Neither a node's name, which has one label, nor what is made of it.
    expect(PEER_HOSTNAME.split(".").length).toBeGreaterThan(2);
    expect(PEER_HOSTNAME).not.toMatch(/\.local$/);
  });

  test("lets the gateway dial with a pair of its own where server certificates are no clients'", () => {
    const config = cluster();
    const flags = etcdFlags({ ...config, pki: { ...config.pki, serverClientAuth: false } });
    expect(flags.get("client-cert-file")).toBe("/etc/kubernetes/pki/etcd/gateway.pem");
    expect(flags.get("client-key-file")).toBe("/etc/kubernetes/pki/etcd/gateway-key.pem");
    expect(etcdFlags(config).has("client-cert-file")).toBe(false);
  });

  test("has nothing whose change would restart members when a node is added", () => {
    const more = cluster([node(1), node(2), node(3), node(4)]);
    expect(renderUnit(more)).toBe(unit);
    expect(command(unit)).not.toMatch(/--initial-cluster/);
    expect(unit).not.toMatch(/etcd0\d|192\.168/);
  });

  test("forms no second cluster: without a first start's own file the state is existing", () => {
    expect(values(unit, "Environment")).toEqual(["ETCD_INITIAL_CLUSTER_STATE=existing"]);
    // systemd reads later files over earlier variables, and this one may be absent.
    expect(values(unit, "EnvironmentFile")[1]).toBe("-/var/lib/etcd-on-pulumi/first-start.env");
    expect(values(unit, "ExecStartPost")).toEqual([
      "+/bin/sh -c 'touch /var/lib/etcd-on-pulumi/formed && rm -f /var/lib/etcd-on-pulumi/first-start.env'",
    ]);
  });

  test("runs etcd as a user of its own, in a sandbox without any capability", () => {
    for (const [key, value] of [
      ["User", "etcd"],
      ["Group", "etcd"],
      ["CapabilityBoundingSet", ""],
      ["AmbientCapabilities", ""],
      ["NoNewPrivileges", "yes"],
      ["ProtectSystem", "strict"],
      ["UMask", "0077"],
      ["StateDirectoryMode", "0700"],
    ]) {
      expect([key, values(unit, key ?? "")]).toEqual([key, [value]]);
    }
  });

  test("names the files of a configured directory", () => {
    const config = cluster();
    const moved = renderUnit({ ...config, pki: { ...config.pki, directory: "/srv/pki" } });
    expect(moved).toContain("--trusted-ca-file=/srv/pki/ca.pem");
    expect(moved).not.toContain("/etc/kubernetes");
  });

  test("has each flag once, one a line, and every line but the last of them goes on", () => {
    const lines = renderUnit(at("3.6.14", { "heartbeat-interval": "200" }))
      .split("\n")
      .filter((line) => line.startsWith("  --"));
    const names = lines.map((line) => /^ {2}--([a-z-]+)=/.exec(line)?.[1]);
    expect(new Set(names).size).toBe(lines.length);
    expect(names).not.toContain(undefined);
    expect(lines.map((line) => line.endsWith(" \\"))).toEqual(
      lines.map((_, index) => index < lines.length - 1),
    );
  });
});

describe("systemd", () => {
  /** Runs systemd-analyze on the unit; nothing of this machine is looked at but the file. */
  function analyze(unit: string, ...args: string[]) {
    const directory = mkdtempSync(join(tmpdir(), "etcd-unit-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, "etcd.service");
    writeFileSync(file, unit);
    return spawnSync("systemd-analyze", [...args, file], { encoding: "utf8" });
  }
  const offline = spawnSync("systemd-analyze", ["security", "--help"], { encoding: "utf8" });
  const can = offline.stdout?.includes("--offline") ?? false;

  test.skipIf(!can)("finds no mistake in it", () => {
    // That etcd is not installed on this machine is the only thing to be said.
    const { stderr } = analyze(renderUnit(cluster()), "verify", "--man=no");
    expect(
      stderr.split("\n").filter((line) => line.startsWith("/") || /Unknown/.test(line)),
    ).toEqual([]);
    const typo = renderUnit(cluster()).replace("LockPersonality=", "LockPersonalities=");
    expect(analyze(typo, "verify", "--man=no").stderr).toContain("LockPersonalities");
  });

  test.skipIf(!can)("rates its exposure 1.1 or lower", () => {
    const rate = (unit: string) =>
      analyze(unit, "security", "--offline=true", "--threshold=11", "--no-pager").status;
    expect(rate(renderUnit(cluster()))).toBe(0);
    expect(rate(renderUnit(cluster()).replace("ProtectSystem=strict\n", ""))).toBe(1);
  });
});

describe("settings", () => {
  test("stand behind ours, in one order whatever the configuration's", () => {
    const one = renderUnit(at("3.6.14", { "snapshot-count": "5000", "max-txn-ops": "256" }));
    const other = renderUnit(at("3.6.14", { "max-txn-ops": "256", "snapshot-count": "5000" }));
    expect(one).toBe(other);
    expect(command(one)).toMatch(/ --max-txn-ops=256 --snapshot-count=5000$/);
  });

  test("overrule a flag of ours in its place", () => {
    const flags = etcdFlags(at("3.5.35", { "experimental-initial-corrupt-check": "false" }));
    expect(flags.get("experimental-initial-corrupt-check")).toBe("false");
  });

  test.each([
    ["a%b", "a%%b"],
    ["two words", '"two words"'],
    ["it's", `"it's"`],
    ['say "yes"', '"say \\"yes\\""'],
    ["a;b", '"a;b"'],
    ["back\\slash", '"back\\\\slash"'],
    ["plain,0.5:/~", "plain,0.5:/~"],
  ])("%s is written as %s", (value, written) => {
    expect(renderUnit(at("3.6.14", { cors: value }))).toContain(`--cors=${written}\n`);
  });

  test("a dollar sign reaches etcd as it is, and ours are still expanded", () => {
    // systemd expands variables in ExecStart=, and reads $$ as a dollar sign (systemd.service(5)).
    const unit = renderUnit(at("3.6.14", { cors: "$" + "{HOME}" }));
    expect(unit).toContain("--cors=$$" + "{HOME}\n");
    expect(unit).toContain("--name=$" + "{PEER_NAME} ");
  });
});

describe("with maintenance.defrag clients fail over from a member that is being defragmented", () => {
  const gates = "InitialCorruptCheck=true,CompactHashCheck=true";
  const defrag = { schedule: "*:0/10", minimumBytes: 104857600, fragmentation: 45 };
  const flags = (version: string, settings = {}, maintenance: object = { defrag }) =>
    etcdFlags({ ...at(version, settings), maintenance: { noSpace: true, ...maintenance } });

  test.each(["3.6.14", "3.7.2"])("by a feature gate in %s", (version) => {
    expect(flags(version).get("feature-gates")).toBe(`${gates},StopGRPCServiceOnDefrag=true`);
    expect(flags(version).has("experimental-stop-grpc-service-on-defrag")).toBe(false);
    expect(GATES[version.startsWith("3.6") ? "3.6" : "3.7"]).toContain("StopGRPCServiceOnDefrag");
  });

  test("by a flag in 3.5", () => {
    expect(flags("3.5.35").get("experimental-stop-grpc-service-on-defrag")).toBe("true");
    expect(flags("3.5.35").has("feature-gates")).toBe(false);
    expect(flagsOf("3.5").has("experimental-stop-grpc-service-on-defrag")).toBe(true);
  });

  test("unless the operator's own setting says otherwise", () => {
    const own = { "feature-gates": "StopGRPCServiceOnDefrag=false" };
    expect(flags("3.6.14", own).get("feature-gates")).toBe(
      `${gates},StopGRPCServiceOnDefrag=false`,
    );
    const old = { "experimental-stop-grpc-service-on-defrag": "false" };
    expect(flags("3.5.35", old).get("experimental-stop-grpc-service-on-defrag")).toBe("false");
  });

  test.each(["3.5.35", "3.6.14"])("and without it the unit of %s is as it was", (version) => {
    const unit = renderUnit(at(version));
    expect(renderUnit({ ...at(version), maintenance: { noSpace: true } })).toBe(unit);
  });

  test("whatever its keys are, the unit is the same", () => {
    const other = { defrag: { schedule: "daily", minimumBytes: 1, fragmentation: 99 } };
    expect(flags("3.6.14", {}, other)).toEqual(flags("3.6.14"));
  });
});

describe("TLS", () => {
  const suites = (settings: ClusterConfig["settings"]) =>
    etcdFlags(at("3.6.16", settings)).get("cipher-suites");

  test.each(["3.5.35", "3.6.16", "3.7.2"])("is 1.3 alone by default in %s", (version) => {
    expect(etcdFlags(at(version)).get("tls-min-version")).toBe("TLS1.3");
    expect(etcdFlags(at(version)).has("cipher-suites")).toBe(false);
  });

  test("is 1.2 too when set so, then without CBC", () => {
    expect(suites({ "tls-min-version": "TLS1.2" })?.split(",")).toEqual([
      "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
      "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
      "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ]);
    const own = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    expect(suites({ "tls-min-version": "TLS1.2", "cipher-suites": own })).toBe(own);
    expect(suites({ "tls-min-version": "TLS1.3" })).toBeUndefined();
  });
});

describe("versions", () => {
  test("3.5 has no feature gates and the flag's experimental name", () => {
    const flags = etcdFlags(at("3.5.35"));
    expect(flags.get("experimental-initial-corrupt-check")).toBe("true");
    expect(flags.get("experimental-compact-hash-check-enabled")).toBe("true");
    expect(flags.has("feature-gates")).toBe(false);
  });

  test.each(["3.6.14", "3.7.2"])("%s has the gates", (version) => {
    const flags = etcdFlags(at(version));
    expect(flags.get("feature-gates")).toBe("InitialCorruptCheck=true,CompactHashCheck=true");
    expect([...flags.keys()].filter((name) => name.startsWith("experimental-"))).toEqual([]);
  });

  test.each([
    ["CompactHashCheck=false", "InitialCorruptCheck=true,CompactHashCheck=false"],
    ["InitialCorruptCheck=false", "InitialCorruptCheck=false,CompactHashCheck=true"],
    [
      "A=true,InitialCorruptCheck=false,B=false",
      "InitialCorruptCheck=false,CompactHashCheck=true,A=true,B=false",
    ],
    ["", "InitialCorruptCheck=true,CompactHashCheck=true"],
  ])("the operator's gates %s are merged with ours", (theirs, merged) => {
    expect(etcdFlags(at("3.6.14", { "feature-gates": theirs })).get("feature-gates")).toBe(merged);
  });
});

test.each([
  ["192.168.1.83", "192.168.1.83"],
  ["2001:db8::1", "[2001:db8::1]"],
])("%s is %s in a URL", (address, written) => {
  expect(bracketed(address)).toBe(written);
});

test("the ports of metrics that the network reaches are those of no loopback address, each once", () => {
  const ports = (urls: string) => metricsPorts({ "listen-metrics-urls": urls });
  expect(metricsPorts({})).toEqual([]);
  expect(ports("http://127.0.0.1:2381,http://[::1]:2381,http://localhost:2382")).toEqual([]);
  expect(ports("http://127.0.0.1:2381,https://0.0.0.0:9978,https://[::]:9978")).toEqual(["9978"]);
});
