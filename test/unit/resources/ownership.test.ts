import { describe, expect, test } from "vitest";
import { FIRST_CA } from "../../../components/config/types";
import { withoutRotation } from "../../../components/plan/ca-rotation";
import { graphOf, settled } from "../../support/cluster-graph";
import { cluster } from "../../support/fixtures";
import { COMMAND } from "../../support/graph";

/** Of the graph's token. */
const OWN = "etcd-cluster-0badcafe";
const config = cluster();
const graph = (
  tokens: Readonly<Record<string, string>>,
  preview: boolean,
  keys: Readonly<Record<string, string>> = {},
) =>
  graphOf(
    config,
    settled(config),
    preview,
    withoutRotation(FIRST_CA),
    new Map(Object.entries(tokens)),
    new Map(Object.entries(keys)),
  );

describe("hosts with", () => {
  test("this stack's token, or none, are its own", async () => {
    const { resources } = await graph({ etcd01: OWN, etcd03: OWN }, false);
    const steps = resources.filter(({ type }) => type === COMMAND);
    expect(steps.every(({ inputs }) => inputs.stdin !== undefined)).toBe(true);
  });

  test.each([
    ["an up", false, OWN],
    ["the preview of a stack that has made nothing yet", true, "not created yet"],
  ])("another token are refused in %s", async (_, preview, own) => {
    await expect(graph({ etcd01: OWN, etcd02: "etcd-cluster-deadbeef" }, preview)).rejects.toThrow(
      `  - etcd02 has a member of the cluster with the token etcd-cluster-deadbeef; this stack's is ${own}`,
    );
  });

  test("another token are told apart from those of a component that was renamed", async () => {
    await expect(graph({ etcd02: "etcd-cluster-deadbeef" }, false)).rejects.toThrow(
      "if the component was renamed or moved, give it aliases;",
    );
  });

  test("the key that this stack's CA has take its certificates", async () => {
    const { resources } = await graph({}, false, {
      etcd01: "public\nca-key\n",
      etcd02: "public ca-key",
    });
    expect(resources.some(({ type }) => type === COMMAND)).toBe(true);
  });

  test.each([
    ["an up", false, "has"],
    ["a preview that would make it anew", true, "would get"],
  ])("another key of the CA are refused in %s", async (_, preview, words) => {
    const made = graph({}, preview, { etcd01: "public other", etcd02: "public other" });
    await expect(made).rejects.toThrow(
      `the CA of this stack ${words} a different key from the one that the members trust; no host was changed:\n  - etcd01 would reject certificates signed by it\n  - etcd02 would`,
    );
  });
});
