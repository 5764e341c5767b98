import { describe, expect, test } from "vitest";
import type { ClusterConfig } from "../../../components/config/index";
import { inspectHosts } from "../../../components/inspect";
import { uninspectedPlans } from "../../../components/plan/node-plan";
import {
  asMap,
  changed,
  graphOf,
  NOW,
  settled,
  text,
  theGraph,
  without,
} from "../../support/cluster-graph";
import { cluster, node } from "../../support/fixtures";
import { COMMAND, type Graph, record, reveal } from "../../support/graph";

const EVERYTHING = ["connection", "create", "delete", "stdin"];
const MEMBERS = ["etcd01-member", "etcd02-member", "etcd03-member"];

/** What of each command's inputs the engine takes from the state. */
const ignored = (graph: Graph) =>
  Object.fromEntries(graph.ofType(COMMAND).map(({ name, ignoreChanges }) => [name, ignoreChanges]));

/** The same for all: those of these nodes hold it, the others nothing. */
const heldBy = (graph: Graph, held: readonly string[], what: readonly string[]) =>
  Object.fromEntries(
    graph.ofType(COMMAND).map(({ name }) => {
      return [name, held.includes(name.split("-")[0] ?? "") ? what : []];
    }),
  );

/** Everything that a command is sent and sends elsewhere, laid open. */
const shown = (graph: Graph, name: string) => JSON.stringify(reveal(graph.get(name).inputs));

describe("a host that was not looked at", () => {
  test("keeps the revision in the state, whatever this run would say", async () => {
    const config = cluster();
    const verdicts = new Map([...settled(config), ...uninspectedPlans(["etcd02"], NOW)]);
    const graph = await graphOf(config, verdicts);
    // The gate's is read from the state before.
    expect(ignored(graph)).toEqual({
      ...heldBy(graph, ["etcd02"], ["create"]),
      "etcd02-health": [],
    });
  });

  test("with drift off that is so for all, and a first run says what it makes", async () => {
    const config = cluster(undefined, { drift: false });
    const graph = await graphOf(config, uninspectedPlans(config.connections.keys(), NOW));
    for (const { name, ignoreChanges, retainOnDelete } of graph.ofType(COMMAND)) {
      expect({ ignoreChanges, retainOnDelete }).toEqual({
        ignoreChanges: name.endsWith("-health") ? [] : ["create"],
        retainOnDelete: false,
      });
    }
    expect(graph.get("etcd01-member").inputs.create).toBe(
      "bash -p -s -- apply 'uninspected 2026-11-22T10:00:00Z'",
    );
  });
});

describe("a host of the formed cluster that does not answer", () => {
  test("has nothing planned: all that could change is taken from the state", async () => {
    const config = cluster();
    const graph = await graphOf(config, without(config, "etcd02"));
    expect(ignored(graph)).toEqual(heldBy(graph, ["etcd02"], EVERYTHING));
  });

  test("is still taken away when it leaves the configuration", async () => {
    const config = cluster();
    const graph = await graphOf(config, without(config, "etcd02"));
    for (const { name, retainOnDelete } of graph.ofType(COMMAND)) {
      expect([name, retainOnDelete]).toEqual([name, false]);
    }
  });

  test("leaves the others' inputs and order as they are", async () => {
    const config = cluster();
    const [before, after] = [await theGraph(), await graphOf(config, without(config, "etcd02"))];
    expect(changed(before, after)).toEqual([]);
    for (const { name, dependsOn } of after.ofType(COMMAND)) {
      expect([name, dependsOn]).toEqual([name, before.get(name).dependsOn]);
    }
  });
});

describe("a lost node", () => {
  const config = cluster([node(1), node(2, { lost: true }), node(3)]);
  const graph = graphOf(config);

  test("is known to the verdicts, though nothing looks at it", async () => {
    // Asks the engine for the stack's own outputs.
    const surveyed = async (of: ClusterConfig) => {
      let names: readonly string[] = [];
      await record(async () => {
        names = [...(await inspectHosts(of, "urn:x::etcd")).nodePlans.keys()].sort();
      });
      return names;
    };
    expect(await surveyed(cluster([node(2, { lost: true })]))).toEqual(["etcd02"]);
    expect(await surveyed({ ...config, drift: false, connections: new Map() })).toEqual([
      "etcd01",
      "etcd02",
      "etcd03",
    ]);
  });

  test("keeps its steps, which are held for good and never run, not even for the removal", async () => {
    const made = await graph;
    expect(ignored(made)).toEqual(heldBy(made, ["etcd02"], EVERYTHING));
    for (const { name, retainOnDelete } of made.ofType(COMMAND)) {
      expect([name, retainOnDelete]).toEqual([name, name.startsWith("etcd02-")]);
    }
  });

  test("has no key and no host key in its connection: there is nobody to dial", async () => {
    for (const step of ["leave", "install", "member", "health"]) {
      const { inputs } = (await graph).get(`etcd02-${step}`);
      expect([step, asMap(reveal(inputs.connection))]).toEqual([
        step,
        { host: "192.168.1.84", port: 22, user: "root", dialErrorLimit: 15, perDialTimeout: 5 },
      ]);
    }
  });

  test("is not known to the others, but to the one that takes its member out", async () => {
    const made = await graph;
    const names = made
      .ofType(COMMAND)
      .map(({ name }) => name)
      .filter((name) => /etcd02|192\.168\.1\.84/.test(shown(made, name)));
    expect(names.filter((name) => !name.startsWith("etcd02-"))).toEqual(["lost"]);
  });

  test("changes of the others what the missing node changes, and nothing else", async () => {
    const others = changed(await theGraph(), await graph).filter(
      (name) => !name.startsWith("etcd02-"),
    );
    expect(others).toEqual(["etcd01-install", "etcd03-install", "etcd01-health", "etcd03-health"]);
  });

  test("is taken out after the hosts are open and before any member's step", async () => {
    const made = await graph;
    expect(made.get("lost").dependsOn).toEqual([
      "etcd01-install",
      "etcd03-install",
      // Its host may be a new one, and asks the others then.
      "etcd01-install",
    ]);
    for (const name of MEMBERS) {
      expect([name, made.get(name).dependsOn.includes("lost")]).toEqual([name, true]);
    }
    expect(made.get("etcd01-install").dependsOn).not.toContain("lost");
  });

  test("does not hold up the chain of the members", async () => {
    const waitsFor = (name: string) => graph.then((made) => made.get(name).dependsOn.at(-1));
    expect(await waitsFor("etcd02-member")).toBe("etcd01-member");
    expect(await waitsFor("etcd03-member")).toBe("etcd02-member");
    expect((await graph).get("etcd01-health").dependsOn).toEqual(MEMBERS);
  });

  test("is taken out by the first of the others, told the addresses alone", async () => {
    const made = await graph;
    const { inputs, parent } = made.get("lost");
    expect(parent).toBe("etcd");
    expect(inputs.create).toBe("bash -p -s -- apply lost");
    // It leaves nothing behind, so nobody is dialled when it goes.
    expect(inputs).not.toHaveProperty("delete");
    expect(asMap(reveal(inputs.connection)).host).toBe("192.168.1.83");
    expect(text(inputs.stdin).split("\n").slice(0, 3)).toEqual([
      "NODE=etcd01",
      "PKI=/etc/kubernetes/pki/etcd",
      "LOST_ADDRESSES=192.168.1.84",
    ]);
  });

  const speaker = async (changed: ClusterConfig, ...silent: string[]) =>
    asMap(
      reveal((await graphOf(changed, without(changed, ...silent))).get("lost").inputs.connection),
    ).host;

  test("is taken out by another when the first does not answer", async () => {
    expect(await speaker(config, "etcd01")).toBe("192.168.1.85");
    const lostFirst = cluster([node(1, { lost: true }), node(2), node(3)]);
    expect(await speaker(lostFirst)).toBe("192.168.1.84");
  });

  test("waits for better times when nobody answers: the step is held as well", async () => {
    const made = await graphOf(config, without(config, "etcd01", "etcd03"));
    expect(made.get("lost").ignoreChanges).toEqual(EVERYTHING);
  });

  test("has company: two are taken out at once", async () => {
    const two = cluster([
      node(1),
      node(2, { lost: true }),
      node(3),
      node(4, { lost: true }),
      node(5),
    ]);
    expect(text((await graphOf(two)).get("lost").inputs.stdin)).toContain(
      "LOST_ADDRESSES='192.168.1.84\n192.168.1.86'\n",
    );
  });

  test("is no endpoint of the cluster, and its gate is not asked", async () => {
    // The recorder's gates all print the same; that the lost one's is left out shows in the work.
    const work = async (of: Promise<Graph>) =>
      /^WORK=[0-9a-f]{64}$/m.exec(text((await of).get("etcd01-health").inputs.stdin))?.[0];
    const others = await work(graphOf(cluster([node(1), node(3)])));
    expect(others).toBeDefined();
    expect(await work(graph)).toBe(others);
    expect(await work(theGraph())).not.toBe(others);
  });
});

test("a cluster without lost nodes has no step for them", async () => {
  const names = (await theGraph()).resources.map(({ name }) => name);
  expect(names).not.toContain("lost");
});
