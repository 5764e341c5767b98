/** The graph of a run in which a member's address changes. */
import { expect, test } from "vitest";
import { graphOf, settled } from "../../support/cluster-graph";
import { cluster, node } from "../../support/fixtures";

const config = cluster([node(1), node(2), { ...node(3), address: "192.168.1.99" }, node(4)]);
const verdicts = (...moving: string[]) =>
  new Map(
    [...settled(config)].map(([name, verdict]) => [
      name,
      { ...verdict, ...(moving.includes(name) ? { phase: "move" as const } : {}) },
    ]),
  );

test("a moving member comes before the others, when every host lets its new address in", async () => {
  const graph = await graphOf(config, verdicts("etcd03"));
  const hosts = ["etcd01", "etcd02", "etcd03", "etcd04"].map((name) => `${name}-install`);
  expect(new Set(graph.get("etcd03-member").dependsOn)).toEqual(new Set(hosts));
  expect(graph.get("etcd01-member").dependsOn.at(-1)).toBe("etcd03-member");
});

test("of two that move the second one waits for the first one's arrival", async () => {
  const graph = await graphOf(config, verdicts("etcd02", "etcd04"));
  expect(graph.get("etcd04-member").dependsOn.at(-1)).toBe("etcd02-member");
  expect(graph.get("etcd01-member").dependsOn.at(-1)).toBe("etcd04-member");
});

test("the names of the steps and what they are given are those of any other run", async () => {
  const [still, moving] = [await graphOf(config), await graphOf(config, verdicts("etcd03"))];
  const given = ({ resources }: typeof still) =>
    new Map(resources.map(({ urn, inputs }) => [urn, JSON.stringify(inputs)]));
  expect(new Map([...given(moving)].sort())).toEqual(new Map([...given(still)].sort()));
});
