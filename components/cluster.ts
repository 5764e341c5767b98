import * as pulumi from "@pulumi/pulumi";
import {
  type ClusterOutputs,
  ClusterResources,
  type ClusterResourcesArgs,
} from "./cluster-resources";
import type { Member } from "./cluster-view";
import { loadConfig } from "./config";
import type { EtcdClusterArgs } from "./config/args";
import { readArgs } from "./config/arguments";
import { plainPart, resolveArgs } from "./config/resolve-args";
import { keepNodes } from "./hosts/probe";
import { inspectHosts } from "./inspect";
import { knownValue } from "./outputs";
import { refuseOtherKeys, refuseOthers } from "./ownership";
import { CLUSTER_TYPE } from "./recorded";
import { jobScripts } from "./scripts/jobs";
import { voiceOf } from "./voice";

/** Arguments that were read already. */
interface Checked extends ClusterResourcesArgs {
  /**
   * Told when the resources are registered, or why they are not: who asks for it hears of a failure here and nowhere else.
   *
   * @default the program ends with the failure
   */
  readonly tell?: (failure?: unknown) => void;
}

/** By the arguments that stand for them. */
const checked = new WeakMap<EtcdClusterArgs, Checked>();

/** Arguments without anything that the SDK finds in them: what it finds is written to the state, and a key in plain text as it is. */
class Given {
  readonly #args: EtcdClusterArgs;

  constructor(args: EtcdClusterArgs) {
    this.#args = args;
  }

  get args(): EtcdClusterArgs {
    return this.#args;
  }
}

/** A TLS-only etcd cluster on Debian hosts. */
export class EtcdCluster extends pulumi.ComponentResource<ClusterOutputs> {
  /** Client URLs of all nodes. */
  readonly endpoints: pulumi.Output<string[]>;
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
  /** IDs of the clusters that recoveries gave up: a host that comes back with one's data rejoins. */
  readonly retiredClusters: pulumi.Output<string[]>;

  /**
   * @param name in front of the names of all resources in it.
   * @throws ConfigError with all mistakes in the arguments that are known by now, before anything is registered. Those in
   *   values that resources of the same program give end the program before a host is touched.
   */
  constructor(name: string, args: EtcdClusterArgs, opts?: pulumi.ComponentResourceOptions) {
    if (!checked.has(args)) {
      readArgs(name, plainPart(args));
    }
    super(CLUSTER_TYPE, name, new Given(args), opts);
    // One by one: together they would all be as secret as the key.
    const data = this.getData();
    this.endpoints = pulumi.output(data.then(({ endpoints }) => endpoints));
    this.members = pulumi.output(data.then(({ members }) => members));
    this.clusterId = pulumi.output(data.then(({ clusterId }) => clusterId));
    this.version = pulumi.output(data.then(({ version }) => version));
    this.caCertificate = pulumi.output(data.then(({ caCertificate }) => caCertificate));
    this.clientCertificate = pulumi.output(data.then((outputs) => outputs.clientCertificate));
    this.clientKey = pulumi.output(data.then(({ clientKey }) => clientKey));
    this.retiredClusters = pulumi.output(data.then(({ retiredClusters }) => retiredClusters));
  }

  /**
   * With the arguments that the stack's configuration has.
   *
   * @param config decides the namespace of the keys; its values come from the running program.
   * @throws ConfigError with all mistakes, before anything is registered.
   */
  static fromConfig(
    name: string,
    config: pulumi.Config,
    opts?: pulumi.ComponentResourceOptions,
  ): EtcdCluster {
    return checkedCluster(name, { config: loadConfig(config) }, opts);
  }

  /** The SDK calls it before the constructor goes on, so that nothing here may need what that one sets. */
  protected override async initialize(
    { args }: Given,
    _opts?: pulumi.ComponentResourceOptions,
    name = "",
  ): Promise<ClusterOutputs> {
    // While the hosts are inspected nothing else keeps the program from ending.
    const done = pulumi.runtime.rpcKeepAlive();
    const tell = checked.get(args)?.tell;
    try {
      const outputs = await converge(name, args, this);
      this.registerOutputs(outputs);
      tell?.();
      return outputs;
    } catch (error) {
      if (tell === undefined) {
        throw error;
      }
      tell(error);
      return new Promise(() => undefined);
    } finally {
      done();
    }
  }
}

/**
 * With arguments of any program, each part of which may be an output.
 *
 * @returns when its resources are registered.
 * @throws ConfigError with all mistakes, before anything is registered.
 * @throws OperatorError before a host was changed.
 */
export async function clusterOfInputs(
  name: string,
  inputs: pulumi.Inputs,
  opts?: pulumi.ComponentResourceOptions,
): Promise<EtcdCluster> {
  const resolved = await resolveArgs(inputs);
  const read = { config: readArgs(name, resolved), dependencies: resolved.dependencies };
  return new Promise((resolve, reject) => {
    const tell = (failure?: unknown) =>
      failure === undefined ? resolve(cluster) : reject(failure);
    const cluster = checkedCluster(name, { ...read, tell }, opts);
  });
}

function checkedCluster(
  name: string,
  read: Checked,
  opts?: pulumi.ComponentResourceOptions,
): EtcdCluster {
  const args: EtcdClusterArgs = { nodes: [] };
  checked.set(args, read);
  return new EtcdCluster(name, args, opts);
}

/** @throws OperatorError before a host was changed. */
async function converge(
  name: string,
  args: EtcdClusterArgs,
  parent: EtcdCluster,
): Promise<ClusterOutputs> {
  const { config, dependencies } = await read(name, args);
  const resources = new ClusterResources(name, { config, dependencies }, { parent });
  try {
    const urn = (await knownValue(parent.urn)) ?? "";
    const { tokens, authorityKeys, held, ...plan } = await inspectHosts(config, urn);
    await refuseOthers(resources.token, tokens);
    await refuseOtherKeys(resources.authorityKey, authorityKeys);
    keepNodes(held, resources.finished, jobScripts(config));
    return resources.converge(plan);
  } catch (error) {
    // What was begun beside the inspection would be left half done.
    await Promise.allSettled([resources.founded]);
    throw voiceOf(config).inWords(error);
  }
}

async function read(name: string, args: EtcdClusterArgs): Promise<ClusterResourcesArgs> {
  const before = checked.get(args);
  if (before !== undefined) {
    return before;
  }
  const resolved = await resolveArgs(args);
  return { config: readArgs(name, resolved), dependencies: resolved.dependencies };
}
