import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { RandomId } from "@pulumi/random";
import type { ClusterConfig, NodeConfig } from "./config";
import type { Connection } from "./connection";
import { contentOf } from "./content";
import { EtcdNode } from "./node";
import { CertificateAuthority, clientCertificate, trust } from "./pki";
import { FIRST, type Rotation } from "./rotation";
import { bracketed } from "./unit";
import { inTurn, type Verdict } from "./verdict";
import { agree, type Member } from "./views";

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
  /** PEM, secret. */
  readonly clientKey: pulumi.Output<string>;
}

/**
 * A TLS-only etcd cluster on the configured nodes: first what makes it this one and no other, its CA
 * and its token, then, by `converge`, its nodes.
 */
export class EtcdCluster extends pulumi.ComponentResource {
  /**
   * One per cluster: members of two clusters never mistake each other for their own (etcd docs,
   * «Clustering Guide»).
   */
  readonly token: pulumi.Output<string>;
  /** Resolves when CA and token are made, or are planned. */
  readonly founded: Promise<unknown>;
  readonly #config: ClusterConfig;
  readonly #authority: CertificateAuthority;

  constructor(name: string, config: ClusterConfig, opts?: pulumi.ComponentResourceOptions) {
    super("etcd:index:Cluster", name, {}, opts);
    this.#config = config;
    const rotation = config.pki.rotate ?? FIRST;
    this.#authority = new CertificateAuthority({ pki: config.pki, rotation }, { parent: this });
    this.token = new RandomId(
      "token",
      { byteLength: 4, prefix: "etcd-cluster-" },
      { parent: this },
    ).hex;
    this.founded = Promise.all([contentOf(this.token), contentOf(this.#authority.certificate)]);
  }

  /**
   * The nodes, each step in its turn.
   *
   * @param rotation which CAs there are, as the look at the hosts found.
   * @param verdicts what it found of each host, by node name.
   */
  converge(rotation: Rotation, verdicts: ReadonlyMap<string, Verdict>): EtcdClusterOutputs {
    const [config, token] = [this.#config, this.token];
    const authorities = trust(rotation, this.#authority, config.pki, { parent: this });
    const client = clientCertificate(authorities.signer, config.pki, { parent: this });
    const all = config.nodes.flatMap((node) => {
      const verdict = verdicts.get(node.name);
      const connection = node.lost ? nowhere(node) : config.connections.get(node.name);
      return verdict === undefined || connection === undefined
        ? []
        : [
            {
              lost: node.lost,
              verdict,
              node: new EtcdNode(
                { config, node, connection, authorities, client, token, verdict },
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

    const outputs = {
      endpoints: config.nodes
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
      clientKey: pulumi.secret(client.privateKey),
    };
  }
}

/** A lost node's steps stay in the state until it leaves the configuration; nothing dials it. */
function nowhere(node: NodeConfig): Connection {
  return { host: node.address, port: 22, user: "root", sudo: false };
}
