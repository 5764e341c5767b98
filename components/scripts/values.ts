/** From the configuration to the variables of the scripts. */
import { createHash } from "node:crypto";
import type { ClusterConfig, NodeConfig } from "../config";
import { isInRepository } from "../config/backup";
import type { BackupConfig, RecoverConfig } from "../config/types";
import { predecessors } from "../etcd/upgrade-paths";
import { ARCHITECTURES, parseVersion } from "../etcd/versions";
import { metricsPorts, renderEnvironment, renderUnit } from "./unit";

/**
 * What the inspection of a host needs to know: what the preflight of the step `install` takes.
 *
 * @param retired clusters that this stack gave up before.
 */
export function probeValues(
  config: ClusterConfig,
  node: NodeConfig,
  retired: readonly string[] = [],
): Record<string, string> {
  const recover = config.recover?.node === node.name ? config.recover : undefined;
  return {
    ...hostValues(config, node),
    VERSION: config.release.version,
    COMPACTS: yesNo(compacts(config.settings["auto-compaction-retention"])),
    RECOVER_SNAPSHOT: recover?.snapshot ?? "",
    ...(recover !== undefined && asksRepository(config, node)
      ? {
          RECOVER_OF: recoverableFrom(recover, retired).join(","),
          ...repositoryValues(config.backup),
          ...repositorySecrets(config.backup),
        }
      : {}),
  };
}

/** Whether etcd compacts its history by itself (etcd docs, "Maintenance"). */
function compacts(retention = "0"): boolean {
  return /[1-9]/.test(retention);
}

/** The clusters that a snapshot in the repository may be of. */
export function recoverableFrom(
  { confirm, snapshotCluster }: RecoverConfig,
  retired: readonly string[],
): readonly string[] {
  return [
    ...new Set([confirm, ...(snapshotCluster === undefined ? [] : [snapshotCluster]), ...retired]),
  ];
}

/** Whether the inspection of this host looks for a snapshot in the repository. */
export function asksRepository({ recover }: ClusterConfig, node: NodeConfig): boolean {
  return recover?.node === node.name && isInRepository(recover.snapshot ?? "");
}

/** Where the repository of restic is, and how its server is known. */
export function repositoryValues(backup: BackupConfig | undefined) {
  return {
    REPOSITORY: backup?.repository ?? "",
    REPOSITORY_CA: backup?.caCertificate ?? "",
    REPOSITORY_HOST_KEY: backup?.hostKey ?? "",
  };
}

/** What it takes to read it. */
export function repositorySecrets(backup: BackupConfig | undefined) {
  return {
    REPOSITORY_PASSWORD: backup?.password ?? "",
    REPOSITORY_ENVIRONMENT: Object.entries(backup?.environment ?? {})
      .map(([name, value]) => `${name}=${value}`)
      .join("\n"),
    REPOSITORY_KEY: backup?.privateKey ?? "",
  };
}

/**
 * Of what the configuration says about a member: the host keeps it, so that a change which a killed
 * run brought about there, and which was then taken back, is seen.
 */
export function memberDigest(config: ClusterConfig, node: NodeConfig): string {
  return sha256([renderUnit(config), renderEnvironment(node), config.release.version].join("\n"));
}

/** What the step `install` does on the host itself, and asks of it. */
export function hostValues(config: ClusterConfig, node: NodeConfig) {
  return {
    NODE: node.name,
    ADDRESS: node.address,
    NODES: config.nodes
      .filter(({ lost }) => !lost)
      .map(({ name, address }) => `${name} ${address}`)
      .join("\n"),
    UPGRADE: yesNo(config.host.upgrade),
    MANAGE_HOSTS: yesNo(config.host.manageHosts),
    FIREWALL: yesNo(config.host.firewall),
    CLIENT_NETWORKS: config.host.clientNetworks.join("\n"),
    METRICS_PORTS: metricsPorts(config.settings).join(" "),
    MINIMUM_MEMORY: String(config.host.minimumMemory),
    MINIMUM_DISK: String(config.host.minimumDisk),
    PKI: config.pki.directory,
    ARCHITECTURES: ARCHITECTURES.filter(
      (name) => config.release.listedSums || config.release.sha256[name] !== undefined,
    ).join(" "),
  };
}

export function releaseValues({ release }: ClusterConfig) {
  return {
    VERSION: release.version,
    DOWNLOAD_URL: release.downloadUrl,
    SHA256_AMD64: release.sha256.amd64 ?? "",
    SHA256_ARM64: release.sha256.arm64 ?? "",
    LISTED_SUMS: yesNo(release.listedSums),
  };
}

export function predecessorsOf(release: string): string {
  const version = parseVersion(release);
  return version === undefined ? "" : predecessors(version).join("\n");
}

export function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
