import * as pulumi from "@pulumi/pulumi";
import { ClusterResources } from "../../components/cluster-resources";
import type { ClusterConfig } from "../../components/config";
import { FIRST_CA } from "../../components/config/types";
import { refuseOtherKeys, refuseOthers } from "../../components/ownership";
import { withoutRotation } from "../../components/plan/ca-rotation";
import { type NodePlan, uninspectedPlans } from "../../components/plan/node-plan";
import { cluster } from "./fixtures";
import { type Graph, record, reveal } from "./graph";

/** Name of the cluster of these tests: in front of the names of its resources. */
const CLUSTER = "etcd";
/** When the looks of these tests were taken. */
export const NOW = new Date("2026-11-22T10:00:00Z");

/** Every host but the lost ones was looked at and every step is in order. */
export function settled(config: ClusterConfig, leader?: string): ReadonlyMap<string, NodePlan> {
  const lost = config.nodes.filter((node) => node.lost).map(({ name }) => name);
  return new Map([
    ...uninspectedPlans(lost, NOW),
    ...[...config.connections.keys()].map((name): [string, NodePlan] => [
      name,
      {
        freeze: "none",
        phase: name === leader ? "roll-last" : "roll",
        revisions: {
          install: `install of ${name}`,
          member: `member of ${name}`,
          health: "gate",
        },
      },
    ]),
  ]);
}

/** The same, but these hosts of the formed cluster do not answer. */
export function without(config: ClusterConfig, ...silent: string[]): ReadonlyMap<string, NodePlan> {
  return new Map(
    [...settled(config)].map(([name, verdict]) => [
      name,
      silent.includes(name) ? { ...verdict, freeze: "all" } : verdict,
    ]),
  );
}

/** The resources as the component makes them. */
export function clusterOf(config: ClusterConfig, opts?: pulumi.ComponentResourceOptions) {
  const type = "etcd-on-pulumi:index:EtcdCluster";
  const parent = new pulumi.ComponentResource(type, CLUSTER, {}, opts);
  return new ClusterResources(CLUSTER, { config }, { parent });
}

export function graphOf(
  config: ClusterConfig,
  verdicts = settled(config),
  preview = false,
  rotation = withoutRotation(FIRST_CA),
  tokens: ReadonlyMap<string, string> = new Map(),
  authorityKeys: ReadonlyMap<string, string> = new Map(),
) {
  return record(async (opts: pulumi.ComponentResourceOptions) => {
    const made = clusterOf(config, opts);
    // What was begun beside it would be registered in another test's graph.
    await made.founded;
    await refuseOthers(made.token, tokens);
    await refuseOtherKeys(made.authorityKey, authorityKeys);
    made.converge({ rotation, nodePlans: verdicts });
  }, preview);
}

let common: Promise<Graph> | undefined;

/** The graph of the default cluster when all is in order; made once, nobody changes it. */
export function theGraph(): Promise<Graph> {
  common ??= graphOf(cluster());
  return common;
}

/** Names of the resources that are in both graphs and have other inputs in the second. */
export function changed(before: Graph, after: Graph): string[] {
  return before.resources
    .filter(({ name, inputs }) => {
      const later = after.resources.find((resource) => resource.name === name);
      return later !== undefined && JSON.stringify(later.inputs) !== JSON.stringify(inputs);
    })
    .map(({ name }) => name);
}

export const asMap = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? { ...value } : {};

/** A value of type text without its secret wrapper; of another type its JSON. */
export const text = (value: unknown): string => {
  const shown = reveal(value);
  return typeof shown === "string" ? shown : JSON.stringify(shown);
};
