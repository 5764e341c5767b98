import { describe, expect, test } from "vitest";
import type { ClusterConfig } from "../../../components/config/index";
import { uninspectedPlans } from "../../../components/plan/node-plan";
import { changed, graphOf, NOW, settled, theGraph } from "../../support/cluster-graph";
import { cluster, node } from "../../support/fixtures";
import { COMMAND, type Graph } from "../../support/graph";

const tree = ({ resources }: Graph) =>
  resources.map(({ type, name, parent }) => `${type} ${name}${parent ? ` < ${parent}` : ""}`);

const leaf = (name: string, parent: string) => [
  `etcd:pki:Certificate ${name} < ${parent}`,
  `tls:index/privateKey:PrivateKey ${name}-key < ${name}`,
  `tls:index/certRequest:CertRequest ${name}-request < ${name}`,
  `tls:index/locallySignedCert:LocallySignedCert ${name}-certificate < ${name}`,
];

const nodeTree = (name: string) => [
  `etcd:index:Node ${name} < etcd`,
  ...leaf(`${name}-server`, name),
  ...leaf(`${name}-peer`, name),
  ...["host", "binaries", "files"].map((step) => `${COMMAND} ${name}-${step} < ${name}`),
];

const each = (step: string) =>
  ["etcd01", "etcd02", "etcd03"].map((name) => `${COMMAND} ${name}-${step} < ${name}`);

const BEFORE_MEMBERS = [
  "etcd:index:Cluster etcd",
  "etcd:pki:CertificateAuthority ca < etcd",
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

  test("has unique URNs", async () => {
    const urns = (await theGraph()).resources.map(({ urn }) => urn);
    expect(new Set(urns).size).toBe(urns.length);
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
  test("is host and binaries, then files, then the members one after the other, then the gates", async () => {
    const graph = await theGraph();
    const names = ["etcd01", "etcd02", "etcd03"];
    const reachable = names.flatMap((name) => [`${name}-host`, `${name}-files`]);
    const dependencies = Object.fromEntries(
      graph.ofType(COMMAND).map(({ name, dependsOn }) => [name, [...new Set(dependsOn)].sort()]),
    );
    const of = (name: string, ...before: string[]) => ({
      [`${name}-host`]: [],
      [`${name}-binaries`]: [],
      [`${name}-files`]: [`${name}-host`],
      // Every host lets the member in, and has certificates that are good, before it starts.
      [`${name}-member`]: [`${name}-binaries`, ...reachable, ...before].sort(),
      [`${name}-health`]: ["etcd01-member", "etcd02-member", "etcd03-member"],
    });
    expect(dependencies).toEqual({
      ...of("etcd01"),
      ...of("etcd02", "etcd01-member"),
      ...of("etcd03", "etcd02-member"),
    });
  });

  test.each([1, 3, 5])(
    "of %i nodes has each gate after all other steps of its node: it is deleted first",
    async (count) => {
      const config = cluster(Array.from({ length: count }, (_, index) => node(index + 1)));
      const moving = [...settled(config)].map(
        ([name, verdict], index) =>
          [name, { ...verdict, phase: index === 0 ? "move" : verdict.phase }] as const,
      );
      for (const verdicts of [uninspectedPlans(config.connections.keys(), NOW), new Map(moving)]) {
        const graph = await graphOf(config, verdicts);
        const waitsFor = (name: string): string[] =>
          graph.get(name).dependsOn.flatMap((other) => [other, ...waitsFor(other)]);
        for (const { name } of config.nodes) {
          const others = ["host", "binaries", "files", "member"].map((step) => `${name}-${step}`);
          expect(waitsFor(`${name}-health`)).toEqual(expect.arrayContaining(others));
        }
      }
    },
  );

  test("has the host's own preflight before the binaries when nobody looked", async () => {
    const config = cluster(undefined, { drift: false });
    const graph = await graphOf(config, uninspectedPlans(config.connections.keys(), NOW));
    expect(graph.get("etcd02-binaries").dependsOn).toEqual(["etcd02-host"]);
  });

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
      "etcd01-host",
      "etcd02-host",
      "etcd03-host",
      "etcd01-health",
      "etcd02-health",
      "etcd03-health",
    ]);
    expect(await gone(four)).toEqual([]);
  });

  test("that drops a node leaves no trace of it in what would restart the others", async () => {
    const two = cluster([node(1), node(3)]);
    expect(await changes(two)).toEqual([
      "etcd01-host",
      "etcd03-host",
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
