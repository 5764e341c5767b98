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
import { knownValue, unknownOutput } from "./outputs";
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
import { sha256 } from "./scripts/values";

/** What users of the cluster are told of it. */
export interface ClusterOutputs {
  readonly endpoints: pulumi.Output<string[]>;
  readonly members: pulumi.Output<Member[]>;
  readonly clusterId: pulumi.Output<string>;
  readonly version: pulumi.Output<string>;
  readonly caCertificate: pulumi.Output<string>;
  readonly clientCertificate: pulumi.Output<string>;
  readonly clientKey: pulumi.Output<string>;
  readonly retiredClusters: pulumi.Output<string[]>;
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

/** What the resources of a cluster have in common. */
export interface ClusterResourcesArgs {
  readonly config: ClusterConfig;
  /** What the values of the configuration come from: it is deleted after the nodes have left. */
  readonly dependencies?: readonly pulumi.Resource[];
}

/**
 * The resources of a TLS-only etcd cluster on the configured nodes, each with the cluster's name in front of its own: first
 * what makes it this one and no other, its CA and its token, then, by `converge`, its nodes.
 */
export class ClusterResources {
  /**
   * One per cluster: members of two clusters never mistake each other for their own (etcd docs,
   * "Clustering Guide").
   */
  readonly token: pulumi.Output<string>;
  /** Of the CA that the configuration asks for; PEM. */
  readonly authorityKey: pulumi.Output<string>;
  /** Resolves when CA and token are made, or are planned. */
  readonly founded: Promise<unknown>;
  /** Resolves in an up when all steps of `converge` have ended well, and never where one has not. */
  readonly finished: Promise<unknown>;
  #finish: (value: unknown) => void = () => undefined;
  readonly #name: string;
  readonly #config: ClusterConfig;
  readonly #dependencies: readonly pulumi.Resource[];
  readonly #opts: { readonly parent: pulumi.Resource };
  readonly #authority: CertificateAuthority;
  readonly #tokenId: RandomId;
  readonly #lost: remote.Command[] = [];

  constructor(
    name: string,
    { config, dependencies = [] }: ClusterResourcesArgs,
    opts: { readonly parent: pulumi.Resource },
  ) {
    this.#name = name;
    this.#config = config;
    this.#dependencies = dependencies;
    this.#opts = opts;
    const rotation = config.pki.rotate ?? FIRST_CA;
    this.#authority = new CertificateAuthority(name, { pki: config.pki, rotation }, opts);
    this.#tokenId = new RandomId(`${name}-token`, { byteLength: 4, prefix: "etcd-cluster-" }, opts);
    this.token = this.#tokenId.hex;
    this.authorityKey = this.#authority.publicKey;
    this.founded = Promise.all([knownValue(this.token), knownValue(this.#authority.certificate)]);
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** The nodes, each step in its turn. */
  converge(plan: ClusterPlan): ClusterOutputs {
    const { pki } = this.#config;
    const authorities = trust(this.#name, plan.rotation, this.#authority, pki, this.#opts);
    const client = clientCertificate(this.#name, authorities.signer, pki, this.#opts);
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
      pulumi.all(present.map((node) => node.work)).apply((each) => sha256(each.join("\n"))),
    );
    const view = this.#gates(planned, work, members, plan.gates ?? []);
    const clusterId = view.apply((seen) => seen.clusterId);
    // The gates come last, but for lost nodes that are removed after a recovery.
    pulumi.all([clusterId, ...this.#lost.map(({ id }) => id)]).apply(this.#finish);
    return {
      endpoints: this.#endpoints(),
      members: view.apply(({ members: list }) => [...list]),
      clusterId,
      version: view.apply(({ version }) => version),
      caCertificate: authorities.bundle,
      clientCertificate: client.certificate,
      clientKey: pulumi.secret(client.privateKeyPkcs8),
      retiredClusters: this.#retired(plan.retired ?? [], clusterId),
    };
  }

  #endpoints(): pulumi.Output<string[]> {
    const { nodes, unknown } = this.#config;
    const present = nodes.filter(({ lost }) => !lost);
    return unknown.size === 0
      ? pulumi.output(present.map(({ address }) => `https://${bracketed(address)}:2379`))
      : unknownOutput();
  }

  /** @throws Error for a node without a plan: one whose resources are not registered is deleted, with its member. */
  #nodes(
    authorities: Trust,
    client: Certificate,
    nodePlans: ClusterPlan["nodePlans"],
  ): readonly PlannedNode[] {
    const config = this.#config;
    const kept = [...authorities.all, client].map(({ resource }) => resource);
    const planned: PlannedNode[] = [];
    for (const node of config.nodes) {
      const plan = nodePlans.get(node.name);
      const connection = node.lost ? undialledConnection(node) : config.connections.get(node.name);
      if (plan === undefined || connection === undefined) {
        throw new Error(`${node.name} has no ${plan === undefined ? "plan" : "connection"}`);
      }
      const previous = planned.at(-1)?.node;
      const args = {
        ...{ config, node, connection, authorities, client, plan },
        token: this.token,
        cluster: this.#name,
        outlives: [this.#tokenId, ...kept, ...this.#dependencies],
        ...(previous === undefined ? {} : { previous }),
      };
      planned.push({ lost: node.lost, plan, node: new EtcdNode(args, this.#opts) });
    }
    return planned;
  }

  /**
   * The members in the order of their phases, those of a new cluster all at once, others one after the other; before or after them the
   * lost ones are removed.
   */
  #members(planned: readonly PlannedNode[]): readonly remote.Command[] {
    const present = planned.filter(({ lost }) => !lost);
    // A member asks the others before it restarts: their firewalls and certificates come first.
    const reachable = present.map(({ node }) => node.install);
    // A dead member goes before others come: etcd adds none while one does not answer. Before a
    // recovery there is nobody to take it out; the new cluster never has it.
    const recovers = planned.some(({ plan }) => plan.phase === "recover");
    const removed = recovers ? [] : this.#removeLost(present, reachable);
    const members: remote.Command[] = [];
    for (const { node, plan } of rolloutOrder(planned, ({ plan: { phase } }) => phase)) {
      const before = plan.phase === "bootstrap" ? [] : members.slice(-1);
      members.push(node.member([...reachable, ...removed, ...before]));
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
    const removed =
      speaker === undefined || lost.length === 0
        ? []
        : [speaker.node.removeLost(lost, after, this.#opts)];
    this.#lost.push(...removed);
    return removed;
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
  #retired(before: readonly string[], clusterId: pulumi.Output<string>): pulumi.Output<string[]> {
    const confirmed = this.#config.recover?.confirm;
    const all = [...new Set([...before, ...(confirmed === undefined ? [] : [confirmed])])].sort();
    return all.length === 0
      ? pulumi.output<string[]>([])
      : clusterId.apply((id) => all.filter((one) => one !== id));
  }
}

/** A lost node's steps stay in the state until it leaves the configuration; nothing dials it. */
function undialledConnection(node: NodeConfig): Connection {
  return { host: node.address, port: 22, user: "root", sudo: false };
}
