/** What this stack's state has of earlier runs. */
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { OperatorError } from "./errors";
import { addressOf } from "./etcd/members";
import type { Gate } from "./gates";
import type { Desired } from "./plan/plan";
import { isRevision } from "./scripts/revision";

/** Of the component. */
export const CLUSTER_TYPE = "etcd-on-pulumi:index:EtcdCluster";

const STEP_TYPE = "etcd-on-pulumi:index:Node$command:remote:Command";

/** What a run takes from the ones before it. */
export interface Recorded extends Pick<Desired, "former" | "formerCluster" | "retired"> {
  /** Of the last run. */
  readonly gates: readonly Gate[];
}

const resourcesSchema = z.object({
  outputs: z.record(z.string(), z.object({ type: z.string(), outputs: z.unknown() })),
});

const clusterSchema = z.object({
  members: z.array(z.object({ name: z.string(), peerUrls: z.string() })).default([]),
  clusterId: z.string().optional(),
  retiredClusters: z.array(z.string()).default([]),
});

const gateSchema = z.object({ create: z.string(), stdout: z.string() });

/**
 * There is nothing before the first run. A cluster's outputs are those of the last run that came to its end.
 *
 * @param urn of the cluster.
 * @throws OperatorError when the state is of a release whose resources this one cannot take over.
 */
export async function readRecorded(urn: string): Promise<Recorded> {
  // The engine reads the whole state for every such question, so there is one. It is no resource of the preview, as a StackReference is.
  const answer: unknown = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {
    stackName: `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`,
  });
  const resources = Object.entries(resourcesSchema.parse(answer).outputs);
  if (resources.some(([, { type }]) => type === "etcd:index:Cluster")) {
    throw new OperatorError(
      "the resources of this stack were made by release 0.1.0 of this program, which this release cannot take over; nothing was changed. Use that release, or destroy the stack with it first",
    );
  }
  const cluster = nameIn(urn);
  // Another parent is another URN; the engine knows them for the same by an alias.
  const own =
    resources.find(([other]) => other === urn) ??
    resources.find(([other, { type }]) => type === CLUSTER_TYPE && nameIn(other) === cluster);
  const { members, clusterId, retiredClusters } = clusterSchema.parse(own?.[1].outputs ?? {});
  return {
    former: members.map(({ name, peerUrls }) => ({ name, address: addressOf(peerUrls) })),
    formerCluster: clusterId,
    retired: retiredClusters,
    gates: resources.flatMap(([other, { outputs }]) => gateOf(own?.[0] ?? urn, other, outputs)),
  };
}

function nameIn(urn: string): string {
  return urn.split("::").at(-1) ?? "";
}

function gateOf(cluster: string, urn: string, outputs: unknown): Gate[] {
  const [types, name] = [cluster.slice(0, cluster.lastIndexOf("::")), nameIn(cluster)];
  const [before, after] = [`${types}$${STEP_TYPE}::${name}-`, "-health"];
  const node =
    urn.startsWith(before) && urn.endsWith(after)
      ? urn.slice(before.length, -after.length)
      : undefined;
  const gate = gateSchema.safeParse(node === undefined ? undefined : outputs);
  const [, , revision] = / apply ('?)([^']*)\1$/.exec(gate.data?.create ?? "") ?? [];
  return node === undefined ||
    gate.data === undefined ||
    revision === undefined ||
    !isRevision("health", revision)
    ? []
    : [{ node, revision, stdout: gate.data.stdout }];
}
