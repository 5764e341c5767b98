import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { RandomId } from "@pulumi/random";
import type { ClusterConfig, NodeConfig } from "./config";
import { EtcdNode } from "./node";
import { CertificateAuthority, clientCertificate } from "./pki";
import type { Connection } from "./ssh";
import type { Verdict } from "./survey";
import { bracketed } from "./unit";
import { agree, type Member } from "./views";

export interface EtcdClusterArgs {
  readonly config: ClusterConfig;
  /** What the look at the hosts found, by node name. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
}

/** A TLS-only etcd cluster on the configured nodes. */
export class EtcdCluster extends pulumi.ComponentResource {
  /** Client URLs of all nodes. */
  readonly endpoints: string[];
  readonly members: pulumi.Output<Member[]>;
  /** Hexadecimal. */
  readonly clusterId: pulumi.Output<string>;
  readonly version: pulumi.Output<string>;
  /** PEM. */
  readonly caCertificate: pulumi.Output<string>;
  /** PEM. */
  readonly clientCertificate: pulumi.Output<string>;
  /** PEM, secret. */
  readonly clientKey: pulumi.Output<string>;

  constructor(name: string, args: EtcdClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    super("etcd:index:Cluster", name, {}, opts);
    const { config } = args;
    // One token per cluster: members of two clusters never mistake each other for their own
    // (etcd docs, «Clustering Guide»).
    const token = new RandomId(
      "token",
      { byteLength: 4, prefix: "etcd-cluster-" },
      { parent: this },
    );
    const authority = new CertificateAuthority("ca", { pki: config.pki }, { parent: this });
    const client = clientCertificate(authority, config.pki, { parent: this });

    const nodes = new Map<string, EtcdNode>();
    let previous: EtcdNode | undefined;
    for (const { node, connection, verdict } of turns(config, args.verdicts)) {
      previous = new EtcdNode(
        {
          config,
          node,
          connection,
          authority,
          client,
          token: token.hex,
          verdict,
          after: previous?.member,
        },
        { parent: this },
      );
      nodes.set(node.name, previous);
    }
    // In the order of the configuration again: whoever leads must not change what the gates are told.
    const inOrder = config.nodes.flatMap(({ name: nodeName }) => nodes.get(nodeName) ?? []);
    const work = pulumi.all(inOrder.map((node) => node.work)).apply((all) => all.join("\n"));
    const members = inOrder.map((node) => node.member);
    const gates = inOrder.map((node) => node.health(work, members));
    const view = pulumi
      .all(gates.map((gate: remote.Command) => gate.stdout))
      .apply((outputs) =>
        agree(inOrder.map((node, index) => [node.nodeName, outputs[index] ?? ""])),
      );

    this.endpoints = config.nodes
      .filter(({ lost }) => !lost)
      .map(({ address }) => `https://${bracketed(address)}:2379`);
    this.members = view.apply((seen) => [...seen.members]);
    this.clusterId = view.apply((seen) => seen.clusterId);
    this.version = view.apply((seen) => seen.version);
    this.caCertificate = authority.certificate;
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

/**
 * The nodes in the order in which their members are worked on: as configured, the leader last, so
 * that a roll moves the leadership once (etcd docs, «Upgrading etcd clusters»).
 */
function turns(config: ClusterConfig, verdicts: ReadonlyMap<string, Verdict>) {
  const present = config.nodes.flatMap(
    (node): { node: NodeConfig; connection: Connection; verdict: Verdict }[] => {
      const connection = config.connections.get(node.name);
      const verdict = verdicts.get(node.name);
      return connection === undefined || verdict === undefined
        ? []
        : [{ node, connection, verdict }];
    },
  );
  return [
    ...present.filter(({ verdict }) => !verdict.leader),
    ...present.filter(({ verdict }) => verdict.leader),
  ];
}
