/** What this stack's state has of earlier runs. */
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { addressOf } from "./etcd/members";
import type { Gate } from "./gates";
import type { Desired } from "./plan/plan";
import { isRevision } from "./scripts/revision";

/** What a run takes from the ones before it. */
export interface Recorded extends Pick<Desired, "former" | "formerCluster" | "retired"> {
  /** Of the last run. */
  readonly gates: readonly Gate[];
}

const resourcesSchema = z.object({
  outputs: z.record(z.string(), z.object({ type: z.string(), outputs: z.unknown() })),
});

const stackSchema = z.object({
  members: z.array(z.object({ name: z.string(), peerUrls: z.string() })).default([]),
  clusterId: z.string().optional(),
  retiredClusters: z.array(z.string()).default([]),
});

const gateSchema = z.object({ create: z.string(), stdout: z.string() });

/** There is nothing before the first run. The stack's outputs are those of the last run that came to its end. */
export async function readRecorded(): Promise<Recorded> {
  // The engine reads the whole state for every such question, so there is one. It is no resource of the preview, as a StackReference is.
  const answer: unknown = await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {
    stackName: `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`,
  });
  const resources = Object.entries(resourcesSchema.parse(answer).outputs);
  const stack = resources.find(([, { type }]) => type === "pulumi:pulumi:Stack")?.[1];
  const { members, clusterId, retiredClusters } = stackSchema.parse(stack?.outputs ?? {});
  return {
    former: members.map(({ name, peerUrls }) => ({ name, address: addressOf(peerUrls) })),
    formerCluster: clusterId,
    retired: retiredClusters,
    gates: resources.flatMap(([urn, { outputs }]) => gateOf(urn, outputs)),
  };
}

function gateOf(urn: string, outputs: unknown): Gate[] {
  const node = /::([^:]+)-health$/.exec(urn)?.[1];
  const gate = gateSchema.safeParse(node === undefined ? undefined : outputs);
  const [, , revision] = / apply ('?)([^']*)\1$/.exec(gate.data?.create ?? "") ?? [];
  return node === undefined ||
    gate.data === undefined ||
    revision === undefined ||
    !isRevision("health", revision)
    ? []
    : [{ node, revision, stdout: gate.data.stdout }];
}
