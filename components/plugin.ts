/** Serves `EtcdCluster` to programs in any language, as the plugin that Pulumi starts for them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type * as pulumi from "@pulumi/pulumi";
import { main, type Provider } from "@pulumi/pulumi/provider";
import { clusterOfInputs } from "./cluster";
import { OperatorError } from "./errors";
import { CLUSTER_TYPE } from "./recorded";
import { PROGRAM_VERSION } from "./scripts/program";

/** How often it looks whether its engine is still there. */
const WATCH_MILLISECONDS = 1000;

/** Clusters that were begun, less those that came to their end. */
let open = 0;

const provider: Provider = {
  version: PROGRAM_VERSION,
  getSchema: async () => packageSchema(),
  construct,
};

async function construct(
  name: string,
  type: string,
  inputs: pulumi.Inputs,
  options: pulumi.ComponentResourceOptions,
) {
  if (type !== CLUSTER_TYPE) {
    throw new OperatorError(`${type} is not in the package etcd-on-pulumi; it has ${CLUSTER_TYPE}`);
  }
  open += 1;
  const cluster = await clusterOfInputs(name, inputs, options);
  // All gates have said it then. Nobody is told of one that failed.
  cluster.clusterId.apply(() => {
    open -= 1;
  });
  const { endpoints, members, clusterId, version } = cluster;
  const { caCertificate, clientCertificate, clientKey, retiredClusters } = cluster;
  return {
    urn: cluster.urn,
    state: {
      ...{ endpoints, members, clusterId, version },
      ...{ caCertificate, clientCertificate, clientKey, retiredClusters },
    },
  };
}

/** With the release of this package: a program asks for a plugin by it. */
function packageSchema(): string {
  const schema: unknown = JSON.parse(
    readFileSync(join(__dirname, "../plugin/schema.json"), "utf8"),
  );
  return JSON.stringify(Object.assign({}, schema, { version: PROGRAM_VERSION }));
}

/** Goes on until the engine ends it. */
export function serve(): Promise<void> {
  // At the end of a run, after the last deletes. The exit code decides what the hosts are told (hosts/probe.ts).
  process.on("SIGINT", () => process.exit(open > 0 ? 1 : 0));
  // An engine that was killed says nothing, and hosts stay locked for as long as this process runs.
  const engine = process.ppid;
  setInterval(() => {
    if (process.ppid !== engine) {
      process.exit(1);
    }
  }, WATCH_MILLISECONDS).unref();
  // One that was killed before it looked has another parent already; nobody reads the port then.
  process.stdout.on("error", () => process.exit(1));
  return main(provider, process.argv.slice(2));
}
