import { describe, expect, test } from "vitest";
import type { ClusterConfig } from "../../../components/config/index";
import { uninspectedPlans } from "../../../components/plan/node-plan";
import { changed, graphOf, NOW, settled, theGraph } from "../../support/cluster-graph";
import { cluster, node } from "../../support/fixtures";
import { COMMAND, type Graph } from "../../support/graph";

const tree = ({ resources }: Graph) =>
  resources.map(({ type, name, parent }) => `${type} ${name}${parent ? ` < ${parent}` : ""}`);

const leaf = (name: string, parent: string) => [
  `etcd-on-pulumi:pki:Certificate ${name} < ${parent}`,
  `tls:index/privateKey:PrivateKey ${name}-key < ${name}`,
  `tls:index/certRequest:CertRequest ${name}-request < ${name}`,
  `tls:index/locallySignedCert:LocallySignedCert ${name}-certificate < ${name}`,
];

const nodeTree = (name: string) => [
  `etcd-on-pulumi:index:Node ${name} < etcd`,
  ...leaf(`${name}-server`, name),
  ...leaf(`${name}-peer`, name),
  ...["leave", "install"].map((step) => `${COMMAND} ${name}-${step} < ${name}`),
];

const each = (step: string) =>
  ["etcd01", "etcd02", "etcd03"].map((name) => `${COMMAND} ${name}-${step} < ${name}`);

const BEFORE_MEMBERS = [
  "etcd-on-pulumi:index:EtcdCluster etcd",
  "etcd-on-pulumi:pki:CertificateAuthority ca < etcd",
  "tls:index/privateKey:PrivateKey ca-key < ca",
  "tls:index/selfSignedCert:SelfSignedCert ca-certificate < ca",
  "random:index/randomId:RandomId token < etcd",
  ...leaf("client", "etcd"),
  ...["etcd01", "etcd02", "etcd03"].flatMap(nodeTree),
];

const TREE = [...BEFORE_MEMBERS, ...each("member"), ...each("health")];

describe("the tree", () => {
  test.each([false, true])(
    "of three nodes is this and nothing else (preview: %s)",
    async (preview) => {
      const config = cluster();
      expect(tree(await graphOf(config, settled(config), preview))).toEqual(TREE);
    },
  );

  test("is the same on a first run, when nothing was seen", async () => {
    const config = cluster();
    const graph = await graphOf(config, uninspectedPlans(config.connections.keys(), NOW));
    expect(tree(graph)).toEqual(TREE);
  });

  test("has unique URNs, each with the cluster's name", async () => {
    const urns = (await theGraph()).resources.map(({ urn }) => urn);
    expect(new Set(urns).size).toBe(urns.length);
    expect(urns.filter((urn) => !/::etcd(-|$)/.test(urn))).toEqual([]);
  });

  test("keeps everything of a lost node and has one step more", async () => {
    const graph = await graphOf(cluster([node(1), node(2, { lost: true }), node(3)]));
    expect(tree(graph)).toEqual([
      ...BEFORE_MEMBERS,
      `${COMMAND} lost < etcd`,
      ...each("member"),
      ...each("health"),
    ]);
  });
});

describe("the order", () => {
  const names = ["etcd01", "etcd02", "etcd03"];
  const commands = (graph: Graph) => new Set(graph.ofType(COMMAND).map(({ name }) => name));
  /** The commands that each one waits for. */
  const dependencies = (graph: Graph) =>
    Object.fromEntries(
      [...commands(graph)].map((name) => [
        name,
        [...new Set(graph.get(name).dependsOn)].filter((one) => commands(graph).has(one)).sort(),
      ]),
    );
  /** All that it waits for, also by others. */
  const ancestors = (graph: Graph, name: string): string[] =>
    graph.get(name).dependsOn.flatMap((one) => [one, ...ancestors(graph, one)]);
  const of = (name: string, left: string[], ...before: string[]) => ({
    // A removal is serial: the last one's is deleted first.
    [`${name}-leave`]: left,
    [`${name}-install`]: [`${name}-leave`],
    // Every host lets the member in, and has certificates that are good, before it starts.
    [`${name}-member`]: [...names.map((each) => `${each}-install`), ...before].sort(),
    [`${name}-health`]: names.map((each) => `${each}-member`),
  });

  test("is the hosts side by side, then the members one after the other, then the gates", async () => {
    expect(dependencies(await theGraph())).toEqual({
      ...of("etcd01", []),
      ...of("etcd02", ["etcd01-leave"], "etcd01-member"),
      ...of("etcd03", ["etcd02-leave"], "etcd02-member"),
    });
  });

  test("of a new cluster has the members side by side too: four steps in sequence for any number", async () => {
    const config = cluster();
    const plans = [...settled(config)].map(
      ([name, plan]) => [name, { ...plan, phase: "bootstrap" }] as const,
    );
    expect(dependencies(await graphOf(config, new Map(plans)))).toEqual({
      ...of("etcd01", []),
      ...of("etcd02", ["etcd01-leave"]),
      ...of("etcd03", ["etcd02-leave"]),
    });
  });

  test.each([1, 3, 5])(
    "of %i nodes has all that makes the cluster this one before each node's first step: the state has it until the node has left",
    async (count) => {
      const config = cluster(Array.from({ length: count }, (_, index) => node(index + 1)));
      const graph = await graphOf(config);
      for (const { name } of config.nodes) {
        const own = ["server", "peer"].map((of) => `${name}-${of}-certificate`);
        expect(ancestors(graph, `${name}-leave`)).toEqual(
          expect.arrayContaining(["token", "ca-certificate", "client-certificate", ...own]),
        );
        for (const step of ["install", "member", "health"]) {
          expect(graph.get(`${name}-${step}`).inputs).not.toHaveProperty("delete");
        }
        expect(graph.get(`${name}-leave`).inputs).not.toHaveProperty("create");
      }
    },
  );

  test("of the members is the configuration's, not the alphabet's", async () => {
    const graph = await graphOf(cluster([node(3), node(1), node(2)]));
    expect(graph.get("etcd01-member").dependsOn).toContain("etcd03-member");
    expect(graph.get("etcd02-member").dependsOn).toContain("etcd01-member");
    expect(graph.get("etcd03-member").dependsOn).not.toContain("etcd02-member");
  });

  test("has the leader last, and no input of anything knows who leads", async () => {
    const config = cluster();
    const graph = await graphOf(config, settled(config, "etcd01"));
    const waitsFor = (name: string) =>
      graph.get(name).dependsOn.filter((other) => other.endsWith("-member"));
    expect(waitsFor("etcd02-member")).toEqual([]);
    expect(waitsFor("etcd03-member")).toEqual(["etcd02-member"]);
    expect(waitsFor("etcd01-member")).toEqual(["etcd03-member"]);
    const common = await theGraph();
    for (const { name, inputs } of graph.resources) {
      expect([name, inputs]).toEqual([name, common.get(name).inputs]);
    }
  });
});

describe("a change", () => {
  const three = [node(1), node(2), node(3)];

  /** Names of the default cluster's resources that stay and have other inputs. */
  const changes = async (after: ClusterConfig) => changed(await theGraph(), await graphOf(after));
  /** The default cluster's resources that are gone. */
  const gone = async (after: ClusterConfig) => {
    const [old, now] = [tree(await theGraph()), tree(await graphOf(after))];
    return old.filter((line) => !now.includes(line));
  };

  test("to a fourth node reaches hosts block, firewall and gate of the others, nothing else", async () => {
    const four = cluster([...three, node(4)]);
    expect(await changes(four)).toEqual([
      "etcd01-install",
      "etcd02-install",
      "etcd03-install",
      "etcd01-health",
      "etcd02-health",
      "etcd03-health",
    ]);
    expect(await gone(four)).toEqual([]);
  });

  test("that drops a node leaves no trace of it in what would restart the others", async () => {
    const two = cluster([node(1), node(3)]);
    expect(await changes(two)).toEqual([
      "etcd01-install",
      "etcd03-install",
      "etcd01-health",
      "etcd03-health",
    ]);
    expect(await gone(two)).toEqual(TREE.filter((line) => line.includes("etcd02")));
    const all = JSON.stringify((await graphOf(two)).resources.map(({ inputs }) => inputs));
    expect(all).not.toMatch(/etcd02|192\.168\.1\.84/);
  });

  test("of nothing changes no input", async () => {
    expect(await changes(cluster(three))).toEqual([]);
  });

  test("of a flag reaches members and gates of all", async () => {
    const tuned = cluster(three, { settings: { "heartbeat-interval": "200" } });
    expect(await changes(tuned)).toEqual(
      ["etcd01", "etcd02", "etcd03"]
        .map((name) => `${name}-member`)
        .concat(["etcd01", "etcd02", "etcd03"].map((name) => `${name}-health`)),
    );
  });
});
