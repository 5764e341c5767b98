import type { ClusterConfig, NodeConfig } from "../config";
import { SAFE_SUITES } from "../config/settings-values";
import { bracketed } from "../etcd/members";
import { minorOf, parseVersion } from "../etcd/versions";

const MARK = "# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.";

/** Variables of /etc/etcd.env, as systemd expands them in ExecStart=. */
const PEER_NAME = "$" + "{PEER_NAME}";
const PRIVATE_IP = "$" + "{PRIVATE_IP}";

/**
 * The DNS name that peer certificates alone bear: members take nobody without it for a peer. No
 * host can have it (RFC 6761, section 6.4), and no node: their names have one label, or end in
 * `.local`.
 */
export const PEER_HOSTNAME = "peer.etcd.invalid";

/** /etc/etcd.env: who this node is. */
export function renderEnvironment(node: NodeConfig): string {
  return [MARK, `PEER_NAME=${node.name}`, `PRIVATE_IP=${bracketed(node.address)}`].join("\n");
}

/**
 * The flags of etcd, by name. The same text on every node: what differs comes from /etc/etcd.env.
 * `--initial-cluster*` is not among them: etcd reads it on a first start only, and it must not be
 * part of anything whose change restarts a member (etcd docs, "Clustering Guide").
 */
export function etcdFlags(config: ClusterConfig): ReadonlyMap<string, string> {
  const pki = config.pki.directory;
  const flags = new Map([
    ["name", PEER_NAME],
    ["data-dir", "/var/lib/etcd"],
    ["initial-advertise-peer-urls", `https://${PRIVATE_IP}:2380`],
    ["listen-peer-urls", `https://${PRIVATE_IP}:2380`],
    ["listen-client-urls", `https://${PRIVATE_IP}:2379,https://127.0.0.1:2379`],
    ["advertise-client-urls", `https://${PRIVATE_IP}:2379`],
    ["cert-file", `${pki}/server.pem`],
    ["key-file", `${pki}/server-key.pem`],
    ["client-cert-auth", "true"],
    ["trusted-ca-file", `${pki}/ca.pem`],
    ["peer-cert-file", `${pki}/peer.pem`],
    ["peer-key-file", `${pki}/peer-key.pem`],
    ["peer-client-cert-auth", "true"],
    ["peer-trusted-ca-file", `${pki}/ca.pem`],
    // Asked of both ends of a connection between members. A list of names would change with each node.
    ["peer-cert-allowed-hostname", PEER_HOSTNAME],
    ["tls-min-version", "TLS1.3"],
  ]);
  if (config.settings["tls-min-version"] === "TLS1.2") {
    // Go's own list for TLS 1.2 has suites with CBC.
    flags.set("cipher-suites", SAFE_SUITES.join(","));
  }
  if (!config.pki.serverClientAuth) {
    // The JSON gateway dials its own member, with server.pem unless these are set.
    flags.set("client-cert-file", `${pki}/gateway.pem`);
    flags.set("client-key-file", `${pki}/gateway-key.pem`);
  }
  const version = parseVersion(config.release.version);
  // A member that is being defragmented answers nobody: with this it says so, and clients go to another one.
  const failsOver = config.maintenance?.defrag !== undefined;
  if (version !== undefined && minorOf(version) === "3.5") {
    flags.set("experimental-initial-corrupt-check", "true");
    flags.set("experimental-compact-hash-check-enabled", "true");
    if (failsOver) {
      flags.set("experimental-stop-grpc-service-on-defrag", "true");
    }
  } else {
    // At a start, and at every compaction: nothing else shows that the data of a member differs.
    const gates = "InitialCorruptCheck=true,CompactHashCheck=true";
    flags.set("feature-gates", failsOver ? `${gates},StopGRPCServiceOnDefrag=true` : gates);
  }
  for (const [name, value] of Object.entries(config.settings).sort()) {
    // Only the variables above are to be expanded: systemd reads two dollar signs as one.
    const literal = value.replaceAll("$", "$$$$");
    flags.set(name, name === "feature-gates" ? mergeGates(flags.get(name), literal) : literal);
  }
  return flags;
}

/** Ports of the listeners for metrics that are not on the loopback alone, each once (settings-values.ts has their form). */
export function metricsPorts(settings: ClusterConfig["settings"]): readonly string[] {
  const urls = (settings["listen-metrics-urls"] ?? "").split(",");
  const reached = urls.filter((url) => !/^https?:\/\/(?:127\.|\[::1\]|localhost:)/.test(url));
  return [...new Set(reached.flatMap((url) => /:(\d+)$/.exec(url)?.[1] ?? []))];
}

/** The operator's feature gates decide over ours of the same name. */
function mergeGates(ours: string | undefined, theirs: string): string {
  const gates = new Map(
    `${ours ?? ""},${theirs}`
      .split(",")
      .filter((gate) => gate !== "")
      .map((gate): [string, string] => [gate.split("=")[0] ?? gate, gate]),
  );
  return [...gates.values()].join(",");
}

/**
 * /etc/systemd/system/etcd.service: etcd run by a user of its own in a sandbox
 * (systemd.exec(5)). Type=notify turns it active when the member has a quorum.
 */
export function renderUnit(config: ClusterConfig): string {
  const flags = [...etcdFlags(config)].map(([name, value]) => `  --${name}=${unitWord(value)}`);
  return `${MARK}
[Unit]
Description=etcd
Documentation=https://etcd.io/docs
Conflicts=etcd2.service
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
NotifyAccess=main
User=etcd
Group=etcd
EnvironmentFile=/etc/etcd.env
# Without data and without the first start's own file nothing is bootstrapped: an emptied host forms no second cluster.
Environment=ETCD_INITIAL_CLUSTER_STATE=existing
EnvironmentFile=-/var/lib/etcd-on-pulumi/first-start.env
ExecStart=/usr/local/bin/etcd \\
${flags.join(" \\\n")}
ExecStartPost=+/bin/sh -c 'touch /var/lib/etcd-on-pulumi/formed && rm -f /var/lib/etcd-on-pulumi/first-start.env'
Restart=always
RestartSec=5s
TimeoutStartSec=0
# On SIGTERM a leader hands over before it ends; that can take twice the election timeout and more.
TimeoutStopSec=90s
LimitNOFILE=40000
OOMScoreAdjust=-500
StateDirectory=etcd
StateDirectoryMode=0700
UMask=0077
${SANDBOX}
[Install]
WantedBy=multi-user.target`;
}

/** Quotes a value for ExecStart= where systemd needs it (systemd.service(5), "Command lines"). */
function unitWord(value: string): string {
  const escaped = value.replaceAll("%", "%%");
  return /[\s"'\\;]/.test(escaped)
    ? `"${escaped.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`
    : escaped;
}

const SANDBOX = `AmbientCapabilities=
CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
`;
