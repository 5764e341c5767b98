import type { ClusterConfig, NodeConfig } from "../../components/config";
import type { Connection } from "../../components/config/types";

/** What a search for private keys must find when one is in the clear. */
export const CANARY = "canary-of-a-private-key";

/** The text of a private key with the canary in it. */
export function privateKey(owner: string): string {
  return `-----BEGIN PRIVATE KEY-----\n${CANARY} of ${owner}\n-----END PRIVATE KEY-----\n`;
}

/** A key as an SSH server would present it, a different one for each host. */
export function hostKey(host: string): string {
  return `ssh-ed25519 ${Buffer.from(`host key of ${host}`).toString("base64")}`;
}

export function node(number: number, change: Partial<NodeConfig> = {}): NodeConfig {
  return { name: `etcd0${number}`, address: `192.168.1.${82 + number}`, lost: false, ...change };
}

export function connection(host: string, change: Partial<Connection> = {}): Connection {
  return {
    host,
    port: 22,
    user: "root",
    privateKey: privateKey("the operator"),
    privateKeyFile: "/home/operator/.ssh/id_ed25519",
    hostKey: hostKey(host),
    sudo: false,
    ...change,
  };
}

/** A checked configuration with the defaults and these nodes. */
export function cluster(
  nodes: readonly NodeConfig[] = [node(1), node(2), node(3)],
  change: Partial<ClusterConfig> = {},
): ClusterConfig {
  return {
    nodes,
    release: {
      version: "3.6.14",
      downloadUrl: "https://mirror.example.org/etcd",
      sha256: { amd64: "ab".repeat(32) },
      listedSums: false,
    },
    settings: {},
    pki: {
      directory: "/etc/kubernetes/pki/etcd",
      subject: {
        country: "ES",
        province: "Madrid",
        locality: "Madrid",
        organization: "Example",
        organizationalUnit: "etcd",
      },
      caValidityHours: 43800,
      validityHours: 43800,
      renewalHours: 720,
      warnHours: 1440,
      serverClientAuth: true,
    },
    host: {
      upgrade: false,
      manageHosts: true,
      firewall: true,
      clientNetworks: ["0.0.0.0/0", "::/0"],
      minimumMemory: 1900,
      minimumDisk: 1024,
      maximumClockSkew: 2,
    },
    drift: true,
    destroy: { snapshot: true },
    connections: new Map(
      nodes.filter(({ lost }) => !lost).map(({ name, address }) => [name, connection(address)]),
    ),
    others: { connectTo: ({ address }) => connection(address) },
    unknown: new Map(),
    warnings: [],
    naming: { cluster: "", keys: "etcd:" },
    ...change,
  };
}
