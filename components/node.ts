import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "./config";
import type { Connection } from "./config/types";
import { type Certificate, gatewayCertificate, nodeCertificate, type Trust } from "./pki";
import type { NodePlan } from "./plan/node-plan";
import { formatRevision } from "./scripts/revision";
import type { Freeze, StepName } from "./scripts/steps";
import { renderEnvironment, renderUnit } from "./scripts/unit";
import { hostValues, memberDigest, predecessorsOf, sha256, yesNo } from "./scripts/values";
import { step } from "./step";

export interface NodeArgs {
  readonly config: ClusterConfig;
  readonly node: NodeConfig;
  readonly connection: Connection;
  readonly authorities: Trust;
  readonly client: Certificate;
  readonly token: pulumi.Input<string>;
  /** What the inspection of this host found. */
  readonly plan: NodePlan;
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
  readonly #leaves: {
    readonly server: Certificate;
    readonly peer: Certificate;
    readonly gateway?: Certificate;
  };

  constructor(args: NodeArgs, opts?: pulumi.ComponentResourceOptions) {
    super("etcd:index:Node", args.node.name, {}, opts);
    this.nodeName = args.node.name;
    this.#args = args;
    const { config, node, authorities } = args;
    this.#leaves = {
      server: nodeCertificate(node, "server", authorities.signer, config.pki, { parent: this }),
      peer: nodeCertificate(node, "peer", authorities.signer, config.pki, { parent: this }),
      ...(config.pki.serverClientAuth
        ? {}
        : { gateway: gatewayCertificate(node, authorities.signer, config.pki, { parent: this }) }),
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
        LISTED_SUMS: yesNo(config.release.listedSums),
      },
      // The download needs nothing from the host's step but its preflight, and the inspection had that too.
      args.plan.freeze === "revision" ? [this.host] : [],
    );
    if (args.plan.phase !== "move") {
      this.files = this.#install([this.host]);
    }
    this.work = authorities.bundle.apply((ca) =>
      sha256(
        [
          // When nobody inspects the hosts the revision is the state's, which is not known here.
          args.plan.freeze === "revision" ? "" : args.plan.revisions.member,
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
   * @param revision the recorded one, or another one for it to run again.
   */
  health(
    work: pulumi.Input<string>,
    revision: pulumi.Input<string>,
    after: readonly pulumi.Resource[],
  ): remote.Command {
    const { config, node, token } = this.#args;
    const { NODES, FIREWALL, MANAGE_HOSTS, CLIENT_NETWORKS, METRICS_PORTS } = hostValues(
      config,
      node,
    );
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
        METRICS_PORTS,
        // Its output is checked again by every run that has nothing to do there: a mark that stays.
        MARK: token,
        WORK: work,
      },
      after,
      revision,
    );
  }

  /** Takes the members of lost hosts out; one node does it for all. */
  removeLost(
    addresses: readonly string[],
    after: readonly pulumi.Resource[],
    opts: pulumi.CustomResourceOptions,
  ): remote.Command {
    const { authorities, config, connection, node, plan } = this.#args;
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
        revision: formatRevision("lost", { mode: "lost" }),
        freeze: plan.freeze,
      },
      { ...opts, dependsOn: [...after, this.#binaries] },
    );
  }

  #install(after: readonly pulumi.Resource[]): remote.Command {
    const { config, node, client, authorities } = this.#args;
    const { server, peer, gateway } = this.#leaves;
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
        GATEWAY_PEM: gateway === undefined ? "" : pem(gateway.certificate),
        GATEWAY_KEY: gateway === undefined ? "" : pem(gateway.privateKey),
      },
      after,
    );
  }

  #step(
    script: StepName,
    values: Record<string, pulumi.Input<string>>,
    dependsOn: readonly pulumi.Resource[],
    revision: pulumi.Input<string> = this.#args.plan.revisions[script],
  ): remote.Command {
    const { connection, node, plan } = this.#args;
    return step(
      `${node.name}-${script}`,
      {
        connection,
        script,
        values,
        revision,
        freeze: node.lost
          ? "retained"
          : script === "health"
            ? holdOfGate(plan.freeze)
            : plan.freeze,
      },
      { parent: this, dependsOn: [...dependsOn] },
    );
  }
}

/** Its revision is the state's, whether anybody inspected the host or not, and another one where it must run again. */
function holdOfGate(hold: Freeze): Freeze {
  return hold === "revision" ? "none" : hold;
}

/** The scripts write a final newline themselves. */
function pem(text: pulumi.Output<string>): pulumi.Output<string> {
  return text.apply((value) => value.trimEnd());
}
