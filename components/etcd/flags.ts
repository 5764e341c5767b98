import type { Minor } from "./versions";

/** How a flag's value is checked. Bounds are included. */
export type Kind =
  | { readonly is: "boolean" }
  | { readonly is: "integer"; readonly least: number; readonly most: number }
  | { readonly is: "duration" }
  | { readonly is: "choice"; readonly of: readonly string[] }
  | { readonly is: "text"; readonly pattern: RegExp; readonly example: string }
  | { readonly is: "suites" }
  | { readonly is: "gates" }
  | { readonly is: "urls" };

export interface Flag {
  readonly kind: Kind;
  /** 3.5 has it too: under this name, or under the name with `experimental-` in front. */
  readonly in35: "same" | "experimental" | "no";
}

const BIG = Number.MAX_SAFE_INTEGER;
const UINT32 = 2 ** 32 - 1;

const boolean: Kind = { is: "boolean" };
const duration: Kind = { is: "duration" };
const integer = (least: number, most: number): Kind => ({ is: "integer", least, most });
const choice = (...of: string[]): Kind => ({ is: "choice", of });
const pattern = (pattern: RegExp, example: string): Kind => ({ is: "text", pattern, example });

const file = pattern(/^(\/[\w.-]+)+$/, "an absolute path on the nodes such as /etc/etcd-crl.pem");

const every = (kinds: Record<string, Kind>, in35: Flag["in35"]): [string, Flag][] =>
  Object.entries(kinds).map(([name, kind]) => [name, { kind, in35 }]);

/**
 * The flags that may be set, under the names of 3.6 and 3.7, from `etcd --help` of 3.5.35, 3.6.16
 * and 3.7.3; within one of these series no patch since the oldest accepted one added a flag.
 */
export const FLAGS: ReadonlyMap<string, Flag> = new Map([
  ...every(
    {
      "snapshot-count": integer(1, BIG),
      "heartbeat-interval": integer(1, 50000),
      "election-timeout": integer(1, 50000),
      "initial-election-tick-advance": boolean,
      "max-snapshots": integer(0, UINT32),
      "max-wals": integer(0, UINT32),
      "quota-backend-bytes": integer(0, BIG),
      "backend-bbolt-freelist-type": choice("map", "array"),
      "backend-batch-interval": duration,
      "backend-batch-limit": integer(0, UINT32),
      "max-txn-ops": integer(1, UINT32),
      "max-request-bytes": integer(1, UINT32),
      "max-concurrent-streams": integer(1, UINT32),
      "grpc-keepalive-min-time": duration,
      "grpc-keepalive-interval": duration,
      "grpc-keepalive-timeout": duration,
      "socket-reuse-port": boolean,
      "socket-reuse-address": boolean,
      "enable-grpc-gateway": boolean,
      "raft-read-timeout": duration,
      "raft-write-timeout": duration,
      "strict-reconfig-check": choice("true"),
      "pre-vote": boolean,
      "auto-compaction-retention": pattern(
        /^(\d+|(\d+(\.\d+)?(ms|s|m|h))+)$/,
        'a duration such as 10h, or a number of revisions in mode "revision"',
      ),
      "auto-compaction-mode": choice("periodic", "revision"),
      "client-crl-file": file,
      "peer-crl-file": file,
      "cipher-suites": { is: "suites" },
      cors: pattern(
        /^(\*|https?:\/\/[\w.-]+:\d+)(,https?:\/\/[\w.-]+:\d+)*$/,
        "origins with their port such as https://console.example.org:443",
      ),
      "tls-min-version": choice("TLS1.2", "TLS1.3"),
      "tls-max-version": choice("TLS1.2", "TLS1.3"),
      "auth-token": pattern(
        /^(simple|jwt(,[a-z-]+=[\w./-]+)+)$/,
        "simple, or jwt with its options such as jwt,pub-key=/etc/jwt.pub,sign-method=RS256",
      ),
      "auth-token-ttl": integer(1, UINT32),
      "bcrypt-cost": integer(4, 31),
      "enable-pprof": boolean,
      metrics: choice("basic", "extensive"),
      "listen-metrics-urls": { is: "urls" },
      "log-level": choice("debug", "info", "warn", "error", "panic", "fatal"),
      "log-outputs": choice("default", "stderr", "stdout", "systemd/journal"),
    },
    "same",
  ),
  ...every(
    {
      "enable-distributed-tracing": boolean,
      "distributed-tracing-address": pattern(/^[\w.-]+:\d+$/, "a host and port such as otel:4317"),
      "distributed-tracing-service-name": pattern(/^[\w.-]+$/, "a name such as etcd"),
      "distributed-tracing-sampling-rate": integer(0, 1_000_000),
      "corrupt-check-time": duration,
      "compact-hash-check-time": duration,
      "compaction-batch-limit": integer(1, UINT32),
      "compaction-sleep-interval": duration,
      "watch-progress-notify-interval": duration,
      "downgrade-check-time": duration,
      "warning-apply-duration": duration,
      "bootstrap-defrag-threshold-megabytes": integer(0, UINT32),
      "snapshot-catchup-entries": integer(1, BIG),
    },
    "experimental",
  ),
  ...every(
    {
      "warning-unary-request-duration": duration,
      "max-learners": integer(1, 1000),
      "log-format": choice("json", "console"),
      "feature-gates": { is: "gates" },
    },
    "no",
  ),
]);

/** Flags of 3.5 that became feature gates, with the name of the gate. */
export const GATE_OF: ReadonlyMap<string, string> = new Map([
  ["experimental-initial-corrupt-check", "InitialCorruptCheck"],
  ["experimental-compact-hash-check-enabled", "CompactHashCheck"],
  ["experimental-enable-lease-checkpoint", "LeaseCheckpoint"],
  ["experimental-enable-lease-checkpoint-persist", "LeaseCheckpointPersist"],
  ["experimental-stop-grpc-service-on-defrag", "StopGRPCServiceOnDefrag"],
  ["experimental-txn-mode-write-with-shared-buffer", "TxnModeWriteWithSharedBuffer"],
]);

const GATES_36 = [
  "AllAlpha",
  "AllBeta",
  "CompactHashCheck",
  "InitialCorruptCheck",
  "LeaseCheckpoint",
  "LeaseCheckpointPersist",
  "SetMemberLocalAddr",
  "StopGRPCServiceOnDefrag",
  "TxnModeWriteWithSharedBuffer",
];

/** The feature gates of each series; 3.5 has none. */
export const GATES: Readonly<Record<Minor, readonly string[]>> = {
  "3.5": [],
  "3.6": GATES_36,
  "3.7": [...GATES_36, "FastLeaseKeepAlive", "PriorityRequest"],
};

/** The flags that one series knows, by the names it uses. */
export function flagsOf(minor: Minor): ReadonlyMap<string, Kind> {
  if (minor !== "3.5") {
    return new Map([...FLAGS].map(([name, { kind }]) => [name, kind]));
  }
  const flags = new Map<string, Kind>();
  for (const [name, { kind, in35 }] of FLAGS) {
    if (in35 !== "no") {
      flags.set(in35 === "same" ? name : `experimental-${name}`, kind);
    }
  }
  for (const name of GATE_OF.keys()) {
    flags.set(name, boolean);
  }
  return flags;
}

/** Names a key of the configuration. */
type KeyName = (key: string) => string;
type Reason = string | ((key: KeyName) => string);

const URLS: Reason = (key) => `the program derives it from ${key("nodes")}`;
const CERTIFICATES: Reason = (key) =>
  `the program issues the certificates and sets it; see ${key("pki")}`;
const LOCKED = "the unit may not lock memory, so etcd would not start; give the node no swap";
const NO_EFFECT = "it has no effect here, as members only speak TLS with certificates of their own";

/** Flags that are refused whatever their value, with the reason and what to use instead. */
const REFUSED: readonly (readonly [RegExp, Reason])[] = [
  [/^name$/, (key) => `the program sets it; write ${key("nodes")}[].name`],
  [/^(data-dir|wal-dir)$/, "the program guards the data in /var/lib/etcd and sets it"],
  [/^initial-cluster/, "the program decides how a member starts or joins"],
  [/^(initial-advertise-peer|advertise-client|listen-peer|listen-client(-http)?)-urls$/, URLS],
  [/^(peer-)?(client-)?(cert|key)-file$|^(peer-)?trusted-ca-file$|client-cert-auth$/, CERTIFICATES],
  [/auto-tls$|^self-signed-cert-validity$/, CERTIFICATES],
  [
    /^peer-cert-allowed-(cn|hostname)$/,
    "the program decides which certificates are taken for a member's",
  ],
  [
    /^client-cert-allowed-hostname$/,
    "the client certificate has no host name, so the program would lock itself out",
  ],
  [/peer-skip-client-san-verification$/, "any certificate could then pass for a member's"],
  [/^discovery/, (key) => `the members are listed in ${key("nodes")}`],
  [/^force-new-cluster/, "it would cut a member out of its cluster at every start"],
  [/^unsafe-no-fsync$/, "a power cut would lose acknowledged writes"],
  [/^config-file$/, "etcd would then ignore every other flag; write the flags here"],
  [/^version$/, (key) => `etcd would print its version and stop; write ${key("version")}`],
  [/enable-v2(v3)?$|^v2-deprecation$/, "the v2 store is gone; its data can only be lost here"],
  [/^proxy(-|$)/, "a member is no proxy, and etcd 3.6 has none"],
  [/memory-mlock$/, LOCKED],
  [/^(enable-log-rotation|log-rotation-config-json|logger)$/, "the journal keeps the log"],
  [/^host-whitelist$/, NO_EFFECT],
  [/distributed-tracing-instance-id$/, "it must differ on every node, and settings hold for all"],
  [/^(help|h)$/, "etcd would print its help and stop"],
];

/** Why a flag of etcd may not be set, or undefined. */
export function refusedFlagReason(name: string, key: KeyName): string | undefined {
  const reason = REFUSED.find(([pattern]) => pattern.test(name))?.[1];
  return typeof reason === "function" ? reason(key) : reason;
}
