import { describe, expect, test } from "vitest";
import { Problems } from "../../../components/config/problems";
import { checkSettings } from "../../../components/config/settings";
import { stackWording } from "../../../components/config/wording";
import { FLAGS, flagsOf, GATE_OF } from "../../../components/etcd/flags";
import { MINORS, parseVersion } from "../../../components/etcd/versions";

type Settings = Readonly<Record<string, string>>;

function check(settings: Settings, version = "3.6.14") {
  const problems = new Problems(stackWording("etcd"));
  const result = checkSettings(settings, parseVersion(version), problems);
  return { ...result, problems: problems.lines([]) };
}

/** The one thing said about one setting, without the key in front. */
function complaint(settings: Settings, version?: string): string {
  const { problems } = check(settings, version);
  expect(problems).toHaveLength(1);
  return (problems[0] ?? "").replace(/^etcd:settings\./, "");
}

test("right settings pass unchanged, for each series under its own names", () => {
  const common = {
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "10h",
    "tls-min-version": "TLS1.2",
    "cipher-suites":
      "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "election-timeout": "5000",
    "heartbeat-interval": "500",
    "listen-metrics-urls": "http://127.0.0.1:2381,https://0.0.0.0:2382,http://[::1]:2383",
    "quota-backend-bytes": "8589934592",
    "strict-reconfig-check": "true",
  };
  const settings = {
    "3.5.35": { ...common, "experimental-corrupt-check-time": "1h30m" },
    "3.6.14": { ...common, "feature-gates": "CompactHashCheck=true,AllBeta=false" },
    "3.7.2": { ...common, "feature-gates": "PriorityRequest=true", "max-learners": "2" },
  };
  for (const [version, right] of Object.entries(settings)) {
    expect(check(right, version)).toEqual({ settings: right, warnings: [], problems: [] });
  }
});

describe("names", () => {
  test.each([
    [
      { "qouta-backend-bytes": "1" },
      "3.6.14",
      "unknown flag of etcd 3.6; did you mean quota-backend-bytes?",
    ],
    [{ "--pre-vote": "true" }, "3.6.14", "unknown flag of etcd 3.6; did you mean pre-vote?"],
    [{ ETCD_PRE_VOTE: "true" }, "3.6.14", "unknown flag of etcd 3.6; did you mean pre-vote?"],
    [{ zookeeper: "1" }, "3.6.14", 'unknown flag of etcd 3.6; see "etcd --help" for its flags'],
    [
      { "experimental-corrupt-check-time": "1h" },
      "3.7.2",
      "is called corrupt-check-time since etcd 3.6; write that",
    ],
    [
      { "experimental-initial-corrupt-check": "true" },
      "3.6.14",
      "is a feature gate since etcd 3.6; write feature-gates: InitialCorruptCheck=true",
    ],
    [
      { "corrupt-check-time": "1h" },
      "3.5.35",
      "is called experimental-corrupt-check-time in etcd 3.5; write that",
    ],
    [
      { "feature-gates": "InitialCorruptCheck=true" },
      "3.5.35",
      "is not known to etcd 3.5; leave it out, or use etcd 3.6 or later",
    ],
  ])("%j for %s", (settings, version, expected) => {
    expect(complaint(settings, version)).toBe(`${Object.keys(settings)[0]}: ${expected}`);
  });

  test.each(
    [
      "name data-dir wal-dir initial-cluster initial-cluster-state initial-cluster-token",
      "initial-advertise-peer-urls advertise-client-urls listen-peer-urls listen-client-urls",
      "listen-client-http-urls cert-file key-file client-cert-file client-key-file",
      "trusted-ca-file client-cert-auth peer-cert-file peer-key-file peer-client-cert-file",
      "peer-client-key-file peer-trusted-ca-file peer-client-cert-auth auto-tls peer-auto-tls",
      "self-signed-cert-validity peer-cert-allowed-cn peer-cert-allowed-hostname",
      "client-cert-allowed-hostname peer-skip-client-san-verification discovery discovery-srv",
      "discovery-token force-new-cluster unsafe-no-fsync config-file version enable-v2",
      "experimental-enable-v2v3 v2-deprecation proxy proxy-read-timeout memory-mlock",
      "experimental-memory-mlock enable-log-rotation log-rotation-config-json logger",
      "host-whitelist distributed-tracing-instance-id help",
    ].flatMap((line) => line.split(" ")),
  )("%s is refused for every series, with a reason", (name) => {
    for (const version of ["3.5.35", "3.6.14", "3.7.2"]) {
      expect(complaint({ [name]: "true" }, version)).toMatch(
        new RegExp(`^${name}: cannot be set: \\S.{15,}$`),
      );
    }
  });

  test("each series has the flags of its own generation and no other", () => {
    expect(MINORS.map((minor) => flagsOf(minor).size)).toEqual([58, 56, 56]);
    const old = [...flagsOf("3.5").keys()].filter((name) => name.startsWith("experimental-"));
    expect(old).toHaveLength(19);
    for (const name of old) {
      const renamed = FLAGS.has(name.replace(/^experimental-/, ""));
      expect(renamed !== GATE_OF.has(name), name).toBe(true);
      expect(flagsOf("3.6").has(name), name).toBe(false);
      expect(flagsOf("3.7").has(name), name).toBe(false);
    }
  });
});

describe("values", () => {
  const SUITES =
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
  test.each([
    ["pre-vote", "yes", '"yes" is not true or false; write true or false'],
    [
      "quota-backend-bytes",
      "8GiB",
      '"8GiB" is not a whole number; write a number from 0 to 9007199254740991, without a unit',
    ],
    ["snapshot-count", "0", '"0" is out of range; write a number from 1 to 9007199254740991'],
    ["bcrypt-cost", "3", '"3" is out of range; write a number from 4 to 31'],
    ["election-timeout", "50001", '"50001" is out of range; write a number from 1 to 50000'],
    [
      "corrupt-check-time",
      "10",
      '"10" is not a duration; write a number with its unit such as 500ms, 10s or 1h30m',
    ],
    [
      "raft-read-timeout",
      "-5s",
      '"-5s" is not a duration; write a number with its unit such as 500ms, 10s or 1h30m',
    ],
    ["metrics", "all", '"all" is not possible; write basic or extensive'],
    ["strict-reconfig-check", "false", '"false" is not possible; write true'],
    ["tls-min-version", "TLS1.1", '"TLS1.1" is not possible; write TLS1.2 or TLS1.3'],
    [
      "log-outputs",
      "/var/log/etcd.log",
      '"/var/log/etcd.log" is not possible; write default or stderr or stdout or systemd/journal',
    ],
    [
      "cors",
      "https://console",
      '"https://console" cannot be used; write origins with their port such as https://console.example.org:443',
    ],
    [
      "cipher-suites",
      "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
      `"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" is no safe suite for ECDSA certificates; write some of ${SUITES}`,
    ],
    [
      "cipher-suites",
      "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
      "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 is missing; HTTP/2 needs it, and etcd does not start without",
    ],
    [
      "feature-gates",
      "PriorityRequest=true",
      '"PriorityRequest" is no feature gate of etcd 3.6; write some of AllAlpha, AllBeta, CompactHashCheck, InitialCorruptCheck, LeaseCheckpoint, LeaseCheckpointPersist, SetMemberLocalAddr, StopGRPCServiceOnDefrag, TxnModeWriteWithSharedBuffer',
    ],
    [
      "feature-gates",
      "CompactHashCheck",
      '"CompactHashCheck" has no state; write CompactHashCheck=true or CompactHashCheck=false',
    ],
    [
      "feature-gates",
      "LeaseCheckpointPersist=true",
      "LeaseCheckpointPersist needs LeaseCheckpoint; add LeaseCheckpoint=true",
    ],
    [
      "listen-metrics-urls",
      "http://0.0.0.0:2381",
      '"http://0.0.0.0:2381" is readable from the network without TLS; write https, or http://127.0.0.1:2381',
    ],
    [
      "listen-metrics-urls",
      "http://127.0.0.1:2381,https://192.168.1.83:2381",
      '"https://192.168.1.83:2381" has the address of one node, and settings hold for all nodes; write 0.0.0.0, or 127.0.0.1',
    ],
    [
      "listen-metrics-urls",
      "https://etcd01:2381",
      '"https://etcd01:2381" has a name, and settings hold for all nodes; write 0.0.0.0, or 127.0.0.1',
    ],
    [
      "listen-metrics-urls",
      "https://0.0.0.0:2379",
      '"https://0.0.0.0:2379" has the port of clients or members; write another port such as http://127.0.0.1:2381',
    ],
    [
      "listen-metrics-urls",
      "http://127.0.0.1:2381/",
      '"http://127.0.0.1:2381/" is not a URL to listen on; write one such as http://127.0.0.1:2381',
    ],
  ])("%s: %s", (name, value, expected) => {
    expect(complaint({ [name]: value })).toBe(`${name}: ${expected}`);
  });
});

describe("rules between settings", () => {
  test.each([
    [
      { "heartbeat-interval": "101" },
      "heartbeat-interval: an election-timeout of 1000 ms is less than 10 times the heartbeat-interval of 101 ms; write an election-timeout of at least 1010",
    ],
    [
      { "heartbeat-interval": "500", "election-timeout": "4999" },
      "election-timeout: an election-timeout of 4999 ms is less than 10 times the heartbeat-interval of 500 ms; write an election-timeout of at least 5000",
    ],
    [
      {
        "tls-min-version": "TLS1.3",
        "cipher-suites": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
      },
      "cipher-suites: cannot be set with tls-min-version TLS1.3, the default: etcd would not start; leave it out, or set tls-min-version to TLS1.2",
    ],
    [
      { "cipher-suites": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" },
      "cipher-suites: cannot be set with tls-min-version TLS1.3, the default: etcd would not start; leave it out, or set tls-min-version to TLS1.2",
    ],
    [
      { "tls-max-version": "TLS1.2" },
      "tls-max-version: TLS1.2 is below tls-min-version, which is TLS1.3 by default; leave it out, or set tls-min-version to TLS1.2",
    ],
    [
      { "tls-min-version": "TLS1.3", "tls-max-version": "TLS1.2" },
      "tls-max-version: TLS1.2 is below tls-min-version, which is TLS1.3 by default; leave it out, or set tls-min-version to TLS1.2",
    ],
    [
      { "auto-compaction-mode": "revision", "auto-compaction-retention": "10h" },
      'auto-compaction-retention: "10h" is a duration, and auto-compaction-mode is revision; write a number of revisions',
    ],
    [
      { "log-level": "error" },
      "log-level: error leaves out etcd's warnings, and this program reads in the journal why a member does not start, and that it was removed; write warn, info or debug",
    ],
    [
      { "log-format": "console", "log-outputs": "systemd/journal" },
      "log-format: console cannot be had with log-outputs systemd/journal: etcd's writer for it takes json alone and leaves everything else out; leave one of them out",
    ],
  ])("%j", (settings, expected) => {
    expect(complaint(settings)).toBe(expected);
  });

  test("persisting lease checkpoints needs the checkpoints, in 3.5 too", () => {
    const persist = { "experimental-enable-lease-checkpoint-persist": "true" };
    expect(complaint(persist, "3.5.35")).toBe(
      "experimental-enable-lease-checkpoint-persist: needs experimental-enable-lease-checkpoint; set it to true as well",
    );
    const both = { ...persist, "experimental-enable-lease-checkpoint": "true" };
    expect(check(both, "3.5.35").problems).toEqual([]);
  });

  test("a quota above 8 GiB is allowed and warned of", () => {
    expect(check({ "quota-backend-bytes": "8589934592" }).warnings).toEqual([]);
    expect(check({ "quota-backend-bytes": "17179869184" })).toEqual({
      settings: { "quota-backend-bytes": "17179869184" },
      warnings: [
        "etcd:settings.quota-backend-bytes: 17179869184 is 16.0 GiB; above 8 GiB etcd advises against, as starts and snapshots take minutes",
      ],
      problems: [],
    });
  });
});
