import type * as pulumi from "@pulumi/pulumi";
import { EtcdCluster } from "../../components/cluster";
import type { ClusterConfig } from "../../components/config";
import { refuseOthers } from "../../components/ownership";
import { FIRST, withoutRotation } from "../../components/rotation";
import { unseen, type Verdict } from "../../components/verdict";
import { cluster } from "./fixtures";
import { type Graph, record, reveal } from "./graph";

/** When the looks of these tests were taken. */
export const NOW = new Date("2026-11-22T10:00:00Z");

/** Every host but the lost ones was looked at and every step is in order. */
export function settled(config: ClusterConfig, leader?: string): ReadonlyMap<string, Verdict> {
  const lost = config.nodes.filter((node) => node.lost).map(({ name }) => name);
  return new Map([
    ...unseen(lost, NOW),
    ...[...config.connections.keys()].map((name): [string, Verdict] => [
      name,
      {
        hold: "nothing",
        leader: name === leader,
        absent: false,
        empty: false,
        moving: false,
        revisions: {
          host: `host of ${name}`,
          binaries: `binaries of ${name}`,
          files: `files of ${name}`,
          member: `member of ${name}`,
          health: "gate",
        },
      },
    ]),
  ]);
}

/** The same, but these hosts of the formed cluster do not answer. */
export function without(config: ClusterConfig, ...silent: string[]): ReadonlyMap<string, Verdict> {
  return new Map(
    [...settled(config)].map(([name, verdict]) => [
      name,
      silent.includes(name) ? { ...verdict, hold: "everything" } : verdict,
    ]),
  );
}

export function graphOf(
  config: ClusterConfig,
  verdicts = settled(config),
  preview = false,
  rotation = withoutRotation(FIRST),
  tokens: ReadonlyMap<string, string> = new Map(),
) {
  return record(async (opts: pulumi.ComponentResourceOptions) => {
    const made = new EtcdCluster("etcd", config, opts);
    await refuseOthers(made.token, tokens);
    made.converge(rotation, verdicts);
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
