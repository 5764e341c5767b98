import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { RandomId } from "@pulumi/random";
import type { ClusterConfig, NodeConfig } from "./config";
import { EtcdNode } from "./node";
import { clientCertificate, trust } from "./pki";
import type { Rotation } from "./rotation";
import type { Connection } from "./ssh";
import { inTurn, type Verdict } from "./survey";
import { bracketed } from "./unit";
import { agree, type Member } from "./views";

export interface EtcdClusterArgs {
  readonly config: ClusterConfig;
  /** What the look at the hosts found, by node name. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** Likewise, which CAs there are. */
  readonly rotation: Rotation;
}

/** A TLS-only etcd cluster on the configured nodes. */
export class EtcdCluster extends pulumi.ComponentResource {
  /** Client URLs of all nodes. */
  readonly endpoints: string[];
  readonly members: pulumi.Output<Member[]>;
  /** Hexadecimal. */
  readonly clusterId: pulumi.Output<string>;
  readonly version: pulumi.Output<string>;
  /** PEM; of two CAs while a rotation is under way. */
  readonly caCertificate: pulumi.Output<string>;
  /** PEM. */
  readonly clientCertificate: pulumi.Output<string>;
  /** PEM, secret. */
  readonly clientKey: pulumi.Output<string>;

  constructor(name: string, args: EtcdClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super("etcd:index:Cluster", name, {}, opts);
    const { config } = args;
    const authorities = trust(args.rotation, config.pki, { parent: this });
    const client = clientCertificate(authorities.signer, config.pki, { parent: this });
    // One token per cluster: members of two clusters never mistake each other for their own
    // (etcd docs, «Clustering Guide»). The engine starts one plugin after the other, in the order
    // they are asked for: those with more to do come first.
    const token = new RandomId(
      "token",
      { byteLength: 4, prefix: "etcd-cluster-" },
      { parent: this, dependsOn: [authorities.signer] },
    );

    const all = config.nodes.flatMap((node) => {
      const verdict = args.verdicts.get(node.name);
      const connection = node.lost ? nowhere(node) : config.connections.get(node.name);
      return verdict === undefined || connection === undefined
        ? []
        : [
            {
              lost: node.lost,
              verdict,
              node: new EtcdNode(
                { config, node, connection, authorities, client, token: token.hex, verdict },
                { parent: this },
              ),
            },
          ];
    });
    const present = all.filter(({ lost }) => !lost);
    // A member asks the others before it restarts: their firewalls and certificates come first.
    const reachable = present.flatMap(({ node }) => [
      node.host,
      ...(node.files === undefined ? [] : [node.files]),
    ]);
    const speaker = present.find(({ verdict }) => verdict.hold !== "everything") ?? present[0];
    const lost = config.nodes.filter((node) => node.lost).map(({ address }) => address);
    const takeOut = (after: readonly pulumi.Resource[]) =>
      speaker === undefined || lost.length === 0
        ? []
        : [speaker.node.removeLost(lost, after, { parent: this })];
    // A dead member goes before others come: etcd adds none while one does not answer. Before a
    // recovery there is nobody to take it out; the new cluster never has it.
    const recovers = all.some(({ verdict }) => verdict.first);
    const losses = recovers ? [] : takeOut(reachable);
    const members: remote.Command[] = [];
    for (const { node } of inTurn(all, ({ verdict }) => verdict)) {
      members.push(node.member([...reachable, ...losses, ...members.slice(-1)]));
    }
    if (recovers) {
      takeOut(members);
    }
    const work = pulumi.all(present.map(({ node }) => node.work)).apply((each) => each.join("\n"));
    const gates = all.map(({ node }) => ({
      node,
      gate: node.health(work, members),
    }));
    const seen = gates.filter(({ node }) => present.some((other) => other.node === node));
    const view = pulumi
      .all(seen.map(({ gate }) => gate.stdout))
      .apply((outputs) =>
        agree(seen.map(({ node }, index) => [node.nodeName, outputs[index] ?? ""])),
      );

    this.endpoints = config.nodes
      .filter(({ lost }) => !lost)
      .map(({ address }) => `https://${bracketed(address)}:2379`);
    this.members = view.apply(({ members: list }) => [...list]);
    this.clusterId = view.apply(({ clusterId }) => clusterId);
    this.version = view.apply(({ version }) => version);
    this.caCertificate = authorities.bundle;
    this.clientCertificate = client.certificate;
    this.clientKey = pulumi.secret(client.privateKey);
    this.registerOutputs({
      endpoints: this.endpoints,
      members: this.members,
      clusterId: this.clusterId,
      version: this.version,
    });
  }
}

/** A lost node's steps stay in the state until it leaves the configuration; nothing dials it. */
function nowhere(node: NodeConfig): Connection {
  return { host: node.address, port: 22, user: "root", sudo: false };
}
