import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { RandomId } from "@pulumi/random";
import { agreedView, type Member, type View } from "./cluster-view";
import type { ClusterConfig, NodeConfig } from "./config";
import { type Connection, FIRST_CA } from "./config/types";
import { afterDrain } from "./drain";
import { bracketed, type LiveMember } from "./etcd/members";
import { type Gate, gateRevisions } from "./gates";
import { EtcdNode } from "./node";
import { knownValue } from "./outputs";
import {
  type Certificate,
  CertificateAuthority,
  clientCertificate,
  type Trust,
  trust,
} from "./pki";
import type { Rotation } from "./plan/ca-rotation";
import { type NodePlan, rolloutOrder } from "./plan/node-plan";
import { revisionTime } from "./scripts/revision";

/** What the program tells its users of the cluster. */
export interface EtcdClusterOutputs {
  /** Client URLs of all nodes. */
  readonly endpoints: readonly string[];
  readonly members: pulumi.Output<Member[]>;
  /** Hexadecimal. */
  readonly clusterId: pulumi.Output<string>;
  readonly version: pulumi.Output<string>;
  /** PEM; of two CAs while a rotation is under way. */
  readonly caCertificate: pulumi.Output<string>;
  /** PEM. */
  readonly clientCertificate: pulumi.Output<string>;
  /** PEM, PKCS#8, secret. */
  readonly clientKey: pulumi.Output<string>;
  /** IDs of the clusters that recoveries gave up, once there are some: a host that comes back with one's data rejoins. */
  readonly retiredClusters?: pulumi.Output<string[]>;
}

/** What the inspection of the hosts gives the resources. */
export interface ClusterPlan {
  /** Which CAs there are. */
  readonly rotation: Rotation;
  /** By node name. */
  readonly nodePlans: ReadonlyMap<string, NodePlan>;
  /** Members that serve, of nodes that the configuration has no longer. @default none */
  readonly leaving?: readonly LiveMember[];
  /** IDs of the clusters that recoveries of this stack gave up. @default none */
  readonly retired?: readonly string[];
  /** What the gates of the last run said. @default nothing */
  readonly gates?: readonly Gate[];
}

interface PlannedNode {
  readonly lost: boolean;
  readonly plan: NodePlan;
  readonly node: EtcdNode;
}

/**
 * A TLS-only etcd cluster on the configured nodes: first what makes it this one and no other, its CA
 * and its token, then, by `converge`, its nodes.
 */
export class EtcdCluster extends pulumi.ComponentResource {
  /**
   * One per cluster: members of two clusters never mistake each other for their own (etcd docs,
   * "Clustering Guide").
   */
  readonly token: pulumi.Output<string>;
  /** Of the CA that the configuration asks for; PEM. */
  readonly authorityKey: pulumi.Output<string>;
  /** Resolves when CA and token are made, or are planned. */
  readonly founded: Promise<unknown>;
  readonly #config: ClusterConfig;
  readonly #authority: CertificateAuthority;

  constructor(name: string, config: ClusterConfig, opts?: pulumi.ComponentResourceOptions) {
    super("etcd:index:Cluster", name, {}, opts);
    this.#config = config;
    const rotation = config.pki.rotate ?? FIRST_CA;
    this.#authority = new CertificateAuthority({ pki: config.pki, rotation }, { parent: this });
    this.token = new RandomId(
      "token",
      { byteLength: 4, prefix: "etcd-cluster-" },
      { parent: this },
    ).hex;
    this.authorityKey = this.#authority.publicKey;
    this.founded = Promise.all([knownValue(this.token), knownValue(this.#authority.certificate)]);
  }

  /** The nodes, each step in its turn. */
  converge(plan: ClusterPlan): EtcdClusterOutputs {
    const authorities = trust(plan.rotation, this.#authority, this.#config.pki, { parent: this });
    const client = clientCertificate(authorities.signer, this.#config.pki, { parent: this });
    const planned = this.#nodes(authorities, client, plan.nodePlans);
    const present = planned.filter(({ lost }) => !lost).map(({ node }) => node);
    const members = this.#members(planned);
    const work = afterDrain(
      {
        config: this.#config,
        leaving: plan.leaving ?? [],
        nodePlans: plan.nodePlans,
        token: this.token,
      },
      members,
      pulumi.all(present.map((node) => node.work)).apply((each) => each.join("\n")),
    );
    const view = this.#gates(planned, work, members, plan.gates ?? []);
    const outputs = {
      endpoints: this.#config.nodes
        .filter(({ lost }) => !lost)
        .map(({ address }) => `https://${bracketed(address)}:2379`),
      members: view.apply(({ members: list }) => [...list]),
      clusterId: view.apply(({ clusterId }) => clusterId),
      version: view.apply(({ version }) => version),
    };
    this.registerOutputs(outputs);
    return {
      ...outputs,
      caCertificate: authorities.bundle,
      clientCertificate: client.certificate,
      clientKey: pulumi.secret(client.privateKeyPkcs8),
      ...this.#retired(plan.retired ?? [], outputs.clusterId),
    };
  }

  /** @throws Error for a node without a plan: one whose resources are not registered is deleted, with its member. */
  #nodes(
    authorities: Trust,
    client: Certificate,
    nodePlans: ClusterPlan["nodePlans"],
  ): readonly PlannedNode[] {
    const config = this.#config;
    return config.nodes.map((node) => {
      const plan = nodePlans.get(node.name);
      const connection = node.lost ? undialledConnection(node) : config.connections.get(node.name);
      if (plan === undefined || connection === undefined) {
        throw new Error(`${node.name} has no ${plan === undefined ? "plan" : "connection"}`);
      }
      const args = { config, node, connection, authorities, client, token: this.token, plan };
      return { lost: node.lost, plan, node: new EtcdNode(args, { parent: this }) };
    });
  }

  /** The members one after the other, in the order of their phases; before or after them the lost ones are removed. */
  #members(planned: readonly PlannedNode[]): readonly remote.Command[] {
    const present = planned.filter(({ lost }) => !lost);
    // A member asks the others before it restarts: their firewalls and certificates come first.
    const reachable = present.flatMap(({ node }) => [
      node.host,
      ...(node.files === undefined ? [] : [node.files]),
    ]);
    // A dead member goes before others come: etcd adds none while one does not answer. Before a
    // recovery there is nobody to take it out; the new cluster never has it.
    const recovers = planned.some(({ plan }) => plan.phase === "recover");
    const removed = recovers ? [] : this.#removeLost(present, reachable);
    const members: remote.Command[] = [];
    for (const { node } of rolloutOrder(planned, ({ plan }) => plan.phase)) {
      members.push(node.member([...reachable, ...removed, ...members.slice(-1)]));
    }
    if (recovers) {
      this.#removeLost(present, members);
    }
    return members;
  }

  #removeLost(
    present: readonly PlannedNode[],
    after: readonly pulumi.Resource[],
  ): readonly remote.Command[] {
    const lost = this.#config.nodes.filter((node) => node.lost).map(({ address }) => address);
    const speaker = present.find(({ plan }) => plan.freeze !== "all") ?? present[0];
    return speaker === undefined || lost.length === 0
      ? []
      : [speaker.node.removeLost(lost, after, { parent: this })];
  }

  /** @returns what the gates of all nodes that are not lost say together. */
  #gates(
    planned: readonly PlannedNode[],
    work: pulumi.Output<string>,
    members: readonly remote.Command[],
    recorded: readonly Gate[],
  ): pulumi.Output<View> {
    const names = planned.filter(({ lost }) => !lost).map(({ node }) => node.nodeName);
    const time = revisionTime(new Date());
    const revisions = this.token.apply((mark) =>
      gateRevisions(recorded, new Set(names), mark, time),
    );
    const gates = planned.map(({ lost, node }) => {
      const revision = revisions.apply((of) => of(node.nodeName));
      return { lost, said: node.health(work, revision, members).stdout };
    });
    return pulumi
      .all([this.token, ...gates.flatMap(({ lost, said }) => (lost ? [] : [said]))])
      .apply(([mark = "", ...outputs]) =>
        agreedView(
          names.map((name, index) => [name, outputs[index] ?? ""]),
          mark,
        ),
      );
  }

  /** What the operator confirmed is known from the state when the configuration has it no more. */
  #retired(
    before: readonly string[],
    clusterId: pulumi.Output<string>,
  ): Pick<EtcdClusterOutputs, "retiredClusters"> {
    const confirmed = this.#config.recover?.confirm;
    return before.length === 0 && confirmed === undefined
      ? {}
      : {
          retiredClusters: clusterId.apply((id) =>
            [...new Set([...before, ...(confirmed === undefined ? [] : [confirmed])])]
              .filter((one) => one !== id)
              .sort(),
          ),
        };
  }
}

/** A lost node's steps stay in the state until it leaves the configuration; nothing dials it. */
function undialledConnection(node: NodeConfig): Connection {
  return { host: node.address, port: 22, user: "root", sudo: false };
}
