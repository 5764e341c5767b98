import { describe, expect, test } from "vitest";
import { FIRST, withoutRotation } from "../../components/rotation";
import { graphOf, settled } from "../support/cluster-graph";
import { cluster } from "../support/fixtures";
import { COMMAND } from "../support/graph";

/** Of the graph's token. */
const OWN = "etcd-cluster-0badcafe";
const config = cluster();
const graph = (tokens: Readonly<Record<string, string>>, preview: boolean) =>
  graphOf(
    config,
    settled(config),
    preview,
    withoutRotation(FIRST),
    new Map(Object.entries(tokens)),
  );

describe("hosts with", () => {
  test("this stack's token, or none, are its own", async () => {
    const { resources } = await graph({ etcd01: OWN, etcd03: OWN }, false);
    const steps = resources.filter(({ type }) => type === COMMAND);
    expect(steps.every(({ inputs }) => inputs.create !== undefined)).toBe(true);
  });

  test.each([
    ["an up", false, OWN],
    ["the preview of a stack that has made nothing yet", true, "not made yet"],
  ])("another token are refused in %s", async (_, preview, own) => {
    await expect(graph({ etcd01: OWN, etcd02: "etcd-cluster-deadbeef" }, preview)).rejects.toThrow(
      `  - etcd02 has a member of the cluster with the token etcd-cluster-deadbeef; this stack's is ${own}`,
    );
  });
});
