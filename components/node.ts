import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig, NodeConfig } from "./config";
import type { Connection } from "./config/types";
import { type Certificate, gatewayCertificate, nodeCertificate, type Trust } from "./pki";
import type { NodePlan } from "./plan/node-plan";
import { hostScript } from "./scripts/bundle";
import { jobLines, jobsDigest, jobValues } from "./scripts/jobs";
import { formatRevision } from "./scripts/revision";
import type { Freeze, StepName } from "./scripts/steps";
import { renderEnvironment, renderUnit } from "./scripts/unit";
import {
  hostValues,
  memberDigest,
  predecessorsOf,
  releaseValues,
  sha256,
  yesNo,
} from "./scripts/values";
import { type StepArgs, step } from "./step";

export interface NodeArgs {
  /** Its name is in front of those of the node's resources. */
  readonly cluster: string;
  readonly config: ClusterConfig;
  readonly node: NodeConfig;
  readonly connection: Connection;
  readonly authorities: Trust;
  readonly client: Certificate;
  readonly token: pulumi.Input<string>;
  /** What the inspection of this host found. */
  readonly plan: NodePlan;
  /** What there is until all nodes have left: what makes the cluster this one and no other, and what its configuration comes from. */
  readonly outlives: readonly pulumi.Resource[];
  /** The node before: one host at a time is left, this one before that one. */
  readonly previous?: EtcdNode;
}

/** One machine of the cluster, from preflight to running member. */
export class EtcdNode extends pulumi.ComponentResource {
  readonly nodeName: string;
  /** In the state before anything on the host is touched: its delete takes all of it back. */
  readonly leave: remote.Command;
  /** All that a member needs there: the host's own settings, the release, the leaf certificates, the timers. */
  readonly install: remote.Command;
  /** Changes whenever the member's step has something to do. */
  readonly work: pulumi.Output<string>;
  readonly #name: string;
  readonly #args: NodeArgs;

  constructor(args: NodeArgs, opts?: pulumi.ComponentResourceOptions) {
    const name = `${args.cluster}-${args.node.name}`;
    super("etcd-on-pulumi:index:Node", name, {}, opts);
    this.nodeName = args.node.name;
    this.#name = name;
    this.#args = args;
    const { config, node, authorities, outlives, previous, token } = args;
    const leaves = this.#leaves();
    this.leave = this.#step(
      "leave",
      {
        NODE: node.name,
        ADDRESS: node.address,
        PKI: config.pki.directory,
        SNAPSHOT: yesNo(config.destroy.snapshot),
        TOKEN: token,
      },
      // A destroy that stops on the way leaves the state all that the next up needs for this member.
      [...leaves.resources, ...(previous === undefined ? outlives : [previous.leave])],
    );
    const host = hostValues(config, node);
    const jobs = jobLines(config);
    this.install = this.#step(
      "install",
      {
        ...{ ...host, ...releaseValues(config), ...leaves.values },
        JOBS: jobs,
        JOB_VALUES: pulumi.output(token).apply((known) => jobValues(config, node, known)),
      },
      [this.leave],
      {
        // What else changes is the certificates, or a secret of the jobs.
        parts: [
          `host-${sha256(JSON.stringify(host)).slice(0, 8)}`,
          `etcd-${config.release.version}`,
          hostScript("install").name,
          ...(jobs === "" ? [] : [`jobs-${jobsDigest(config).slice(0, 8)}`]),
        ],
      },
    );
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
   * The member itself: starts, joins, moves, and restarts when it must.
   *
   * @param after what it waits for beside its own node's steps.
   */
  member(after: readonly pulumi.Resource[]): remote.Command {
    const { config, node, authorities, token } = this.#args;
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
        // What etcd cannot reload: the script restarts it when one of these changes.
        TRUST: authorities.names.join("\n"),
        CA_PEM: pem(authorities.bundle),
        ENVIRONMENT: renderEnvironment(node),
        UNIT_TEXT: renderUnit(config),
      },
      [this.install, ...after],
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
      { revision },
    );
  }

  /** Takes the members of lost hosts out; one node does it for all. */
  removeLost(
    addresses: readonly string[],
    after: readonly pulumi.Resource[],
    opts: pulumi.CustomResourceOptions,
  ): remote.Command {
    const { authorities, cluster, config, connection, node, plan } = this.#args;
    return step(
      `${cluster}-lost`,
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
        known: config.unknown.size === 0,
      },
      { ...opts, dependsOn: [...after, this.install] },
    );
  }

  /** The leaf certificates, and what their files on the host are made of. */
  #leaves(): { resources: pulumi.Resource[]; values: Record<string, pulumi.Input<string>> } {
    const { config, node, client, authorities } = this.#args;
    const { signer } = authorities;
    const { pki } = config;
    const [name, opts] = [this.#name, { parent: this }];
    const known = !config.unknown.has(node.name);
    const server = nodeCertificate(name, node, "server", signer, pki, known, opts);
    const peer = nodeCertificate(name, node, "peer", signer, pki, known, opts);
    const gateway = pki.serverClientAuth ? undefined : gatewayCertificate(name, signer, pki, opts);
    const values = {
      ISSUER: signer.rotation,
      CLIENT_PEM: pem(client.certificate),
      CLIENT_KEY: pem(client.privateKey),
      SERVER_PEM: pem(server.certificate),
      SERVER_KEY: pem(server.privateKey),
      PEER_PEM: pem(peer.certificate),
      PEER_KEY: pem(peer.privateKey),
      GATEWAY_PEM: gateway === undefined ? "" : pem(gateway.certificate),
      GATEWAY_KEY: gateway === undefined ? "" : pem(gateway.privateKey),
    };
    const all = [server, peer, ...(gateway === undefined ? [] : [gateway])];
    return { resources: all.map(({ resource }) => resource), values };
  }

  #step(
    script: StepName,
    values: Record<string, pulumi.Input<string>>,
    dependsOn: readonly pulumi.Resource[],
    told: Pick<StepArgs, "revision" | "parts"> = {},
  ): remote.Command {
    const { config, connection, node, plan } = this.#args;
    return step(
      `${this.#name}-${script}`,
      {
        connection,
        script,
        values,
        ...(script === "leave" ? {} : { revision: plan.revisions[script] }),
        ...told,
        known: config.unknown.size === 0,
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
