import { createHash } from "node:crypto";
import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "./config";
import type { Connection } from "./connection";
import { type Certificate, nodeCertificate, type Trust } from "./pki";
import { type StepName, step } from "./step";
import { renderEnvironment, renderUnit } from "./unit";
import type { Verdict } from "./verdict";
import { predecessors } from "./version-rules";
import { parseVersion } from "./versions";

export interface NodeArgs {
  readonly config: ClusterConfig;
  readonly node: NodeConfig;
  readonly connection: Connection;
  readonly authorities: Trust;
  readonly client: Certificate;
  readonly token: pulumi.Input<string>;
  /** What the look at this host found. */
  readonly verdict: Verdict;
}

/** One machine of the cluster, from preflight to running member. */
export class EtcdNode extends pulumi.ComponentResource {
  readonly nodeName: string;
  readonly host: remote.Command;
  /**
   * The leaf certificates. Those of a member that moves come with its turn, because they name its
   * new address only: until it has arrived nobody believes them.
   */
  readonly files?: remote.Command;
  /** Changes whenever the member's step has something to do. */
  readonly work: pulumi.Output<string>;
  readonly #args: NodeArgs;
  readonly #binaries: remote.Command;
  readonly #leaves: { readonly server: Certificate; readonly peer: Certificate };

  constructor(args: NodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("etcd:index:Node", args.node.name, {}, opts);
    this.nodeName = args.node.name;
    this.#args = args;
    const { config, node, authorities } = args;
    this.#leaves = {
      server: nodeCertificate(node, "server", authorities.signer, config.pki, { parent: this }),
      peer: nodeCertificate(node, "peer", authorities.signer, config.pki, { parent: this }),
    };
    this.host = this.#step("host", hostValues(config, node), []);
    this.#binaries = this.#step(
      "binaries",
      {
        NODE: node.name,
        VERSION: config.release.version,
        DOWNLOAD_URL: config.release.downloadUrl,
        SHA256_AMD64: config.release.sha256.amd64 ?? "",
        SHA256_ARM64: config.release.sha256.arm64 ?? "",
      },
      // The download needs nothing from the host's step but its preflight, and the look had that too.
      args.verdict.hold === "revision" ? [this.host] : [],
    );
    if (!args.verdict.moving) {
      this.files = this.#install([this.host]);
    }
    this.work = authorities.bundle.apply((ca) =>
      sha256(
        [
          // When nobody looks at the hosts the revision is the state's, which is not known here.
          args.verdict.hold === "revision" ? "" : args.verdict.revisions.member,
          renderUnit(config),
          renderEnvironment(node),
          ca,
          config.release.version,
        ].join("\n"),
      ),
    );
    this.registerOutputs({});
  }

  /**
   * The member itself: starts, joins, restarts when it must, and leaves.
   *
   * @param after what it waits for beside its own node's steps.
   */
  member(after: readonly pulumi.Resource[]): remote.Command {
    const { config, node, authorities, token } = this.#args;
    const files = this.files ?? this.#install([this.host, ...after]);
    return this.#step(
      "member",
      {
        NODE: node.name,
        ADDRESS: node.address,
        VERSION: config.release.version,
        PREDECESSORS: predecessorsOf(config.release.version),
        WANTED: memberDigest(config, node),
        PKI: config.pki.directory,
        TOKEN: token,
        SNAPSHOT: yesNo(config.destroy.snapshot),
        // What etcd cannot reload: the script restarts it when one of these changes.
        TRUST: authorities.names.join("\n"),
        CA_PEM: pem(authorities.bundle),
        ENVIRONMENT: renderEnvironment(node),
        UNIT_TEXT: renderUnit(config),
      },
      [this.host, this.#binaries, files, ...after],
    );
  }

  /**
   * The gate, seen from this node. Runs after every member's step and again when one of them had
   * something to do.
   *
   * @param work of all nodes.
   */
  health(work: pulumi.Input<string>, after: readonly pulumi.Resource[]): remote.Command {
    const { config, node } = this.#args;
    const { NODES, FIREWALL, MANAGE_HOSTS, CLIENT_NETWORKS } = hostValues(config, node);
    return this.#step(
      "health",
      {
        NODE: node.name,
        PKI: config.pki.directory,
        VERSION: config.release.version,
        NODES,
        FIREWALL,
        MANAGE_HOSTS,
        CLIENT_NETWORKS,
        WORK: work,
      },
      after,
    );
  }

  /** Takes the members of lost hosts out; one node does it for all. */
  removeLost(
    addresses: readonly string[],
    after: readonly pulumi.Resource[],
    opts: pulumi.CustomResourceOptions,
  ): remote.Command {
    const { authorities, config, connection, node, verdict } = this.#args;
    return step(
      "lost",
      {
        connection,
        script: "lost",
        values: {
          NODE: node.name,
          PKI: config.pki.directory,
          LOST_ADDRESSES: addresses.join("\n"),
          CA_PEM: pem(authorities.bundle),
        },
        revision: "lost",
        hold: verdict.hold,
      },
      { ...opts, dependsOn: [...after, this.#binaries] },
    );
  }

  #install(after: readonly pulumi.Resource[]): remote.Command {
    const { config, node, client, authorities } = this.#args;
    const { server, peer } = this.#leaves;
    return this.#step(
      "files",
      {
        NODE: node.name,
        PKI: config.pki.directory,
        ISSUER: authorities.signer.rotation,
        CLIENT_PEM: pem(client.certificate),
        CLIENT_KEY: pem(client.privateKey),
        SERVER_PEM: pem(server.certificate),
        SERVER_KEY: pem(server.privateKey),
        PEER_PEM: pem(peer.certificate),
        PEER_KEY: pem(peer.privateKey),
      },
      after,
    );
  }

  #step(
    script: StepName,
    values: Record<string, pulumi.Input<string>>,
    dependsOn: readonly pulumi.Resource[],
  ): remote.Command {
    const { connection, node, verdict } = this.#args;
    return step(
      `${node.name}-${script}`,
      {
        connection,
        script,
        values,
        revision: verdict.revisions[script],
        hold: node.lost ? "for good" : verdict.hold,
      },
      { parent: this, dependsOn: [...dependsOn] },
    );
  }
}

/** What the look at a host needs to know: the host step's values, whose preflight it repeats. */
export function probeValues(config: ClusterConfig, node: NodeConfig): Record<string, string> {
  return {
    ...hostValues(config, node),
    VERSION: config.release.version,
    RECOVER_SNAPSHOT: config.recover?.node === node.name ? (config.recover.snapshot ?? "") : "",
  };
}

/**
 * Of what the configuration says about a member: the host keeps it, so that a change which a killed
 * run brought about there, and which was then taken back, is seen.
 */
export function memberDigest(config: ClusterConfig, node: NodeConfig): string {
  return sha256([renderUnit(config), renderEnvironment(node), config.release.version].join("\n"));
}

function hostValues(config: ClusterConfig, node: NodeConfig) {
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
    MINIMUM_MEMORY: String(config.host.minimumMemory),
    MINIMUM_DISK: String(config.host.minimumDisk),
    PKI: config.pki.directory,
  };
}

function predecessorsOf(release: string): string {
  const version = parseVersion(release);
  return version === undefined ? "" : predecessors(version).join("\n");
}

function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}

/** The scripts write a final newline themselves. */
function pem(text: pulumi.Output<string>): pulumi.Output<string> {
  return text.apply((value) => value.trimEnd());
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
