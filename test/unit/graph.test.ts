import type * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { EtcdCluster } from "../../components/cluster";
import type { ClusterConfig } from "../../components/config";
import { STEPS, unseen, type Verdict } from "../../components/survey";
import { CANARY, cluster, connection, node } from "../support/fixtures";
import { COMMAND, type Graph, isSecret, record, reveal, visible } from "../support/graph";

const NOW = new Date("2026-11-22T10:00:00Z");

/** Every host was looked at and every step is in order. */
function settled(config: ClusterConfig): ReadonlyMap<string, Verdict> {
  return new Map(
    [...config.connections.keys()].map((name) => [
      name,
      {
        seen: true,
        revisions: {
          host: `host of ${name}`,
          binaries: `binaries of ${name}`,
          files: `files of ${name}`,
          member: `member of ${name}`,
          health: "gate",
        },
      },
    ]),
  );
}

function graphOf(config: ClusterConfig, verdicts = settled(config), preview = false) {
  return record((opts: pulumi.ComponentResourceOptions) => {
    new EtcdCluster("etcd", { config, verdicts }, opts);
  }, preview);
}

let common: Promise<Graph> | undefined;

/** The graph of the default cluster when all is in order; made once, nobody changes it. */
function theGraph(): Promise<Graph> {
  common ??= graphOf(cluster());
  return common;
}

const tree = ({ resources }: Graph) =>
  resources.map(({ type, name, parent }) => `${type} ${name}${parent ? ` < ${parent}` : ""}`);

/** `true` in the place of the only acceptable answer, so that a failure shows the whole list. */
function offenders(graph: Graph, wrong: (inputs: Record<string, unknown>) => boolean): string[] {
  return graph
    .ofType(COMMAND)
    .filter(({ inputs }) => wrong({ ...inputs }))
    .map(({ name }) => name);
}

const asMap = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? { ...value } : {};

const text = (value: unknown): string => {
  const shown = reveal(value);
  return typeof shown === "string" ? shown : JSON.stringify(shown);
};

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
  ...["host", "binaries", "files", "member"].map((step) => `${COMMAND} ${name}-${step} < ${name}`),
];

const TREE = [
  "etcd:index:Cluster etcd",
  "random:index/randomId:RandomId token < etcd",
  "etcd:pki:CertificateAuthority ca < etcd",
  "tls:index/privateKey:PrivateKey ca-key < ca",
  "tls:index/selfSignedCert:SelfSignedCert ca-certificate < ca",
  ...leaf("client", "etcd"),
  ...["etcd01", "etcd02", "etcd03"].flatMap(nodeTree),
  ...["etcd01", "etcd02", "etcd03"].map((name) => `${COMMAND} ${name}-health < ${name}`),
];

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
    const graph = await graphOf(config, unseen(config.connections.keys(), NOW));
    expect(tree(graph)).toEqual(TREE);
  });

  test("has unique URNs", async () => {
    const urns = (await theGraph()).resources.map(({ urn }) => urn);
    expect(new Set(urns).size).toBe(urns.length);
  });

  test("has nothing of a lost node, and the others do not know it", async () => {
    const config = cluster([node(1), node(2, { lost: true }), node(3)]);
    const graph = await graphOf(config);
    expect(tree(graph)).toEqual(TREE.filter((line) => !line.includes("etcd02")));
    expect(JSON.stringify(reveal(graph.resources.map(({ inputs }) => inputs)))).not.toMatch(
      /etcd02|192\.168\.1\.84/,
    );
  });
});

describe("the order", () => {
  test("is host, then binaries and files, then the members one after the other, then the gates", async () => {
    const graph = await theGraph();
    const dependencies = Object.fromEntries(
      graph.ofType(COMMAND).map(({ name, dependsOn }) => [name, dependsOn]),
    );
    const of = (name: string, ...before: string[]) => ({
      [`${name}-host`]: [],
      [`${name}-binaries`]: [`${name}-host`],
      [`${name}-files`]: [`${name}-host`],
      [`${name}-member`]: [`${name}-host`, `${name}-binaries`, `${name}-files`, ...before],
      [`${name}-health`]: ["etcd01-member", "etcd02-member", "etcd03-member"],
    });
    expect(dependencies).toEqual({
      ...of("etcd01"),
      ...of("etcd02", "etcd01-member"),
      ...of("etcd03", "etcd02-member"),
    });
  });

  test("of the members is the configuration's, not the alphabet's", async () => {
    const graph = await graphOf(cluster([node(3), node(1), node(2)]));
    expect(graph.get("etcd01-member").dependsOn).toContain("etcd03-member");
    expect(graph.get("etcd02-member").dependsOn).toContain("etcd01-member");
    expect(graph.get("etcd03-member").dependsOn).not.toContain("etcd02-member");
  });

  test("closes over a lost node", async () => {
    const graph = await graphOf(cluster([node(1), node(2, { lost: true }), node(3)]));
    expect(graph.get("etcd03-member").dependsOn).toContain("etcd01-member");
  });
});

describe("every command", () => {
  const commands = theGraph;

  test("is one of five on each node", async () => {
    const names = (await commands()).ofType(COMMAND).map(({ name }) => name);
    const nodes = ["etcd01", "etcd02", "etcd03"];
    expect(names.sort()).toEqual(
      nodes.flatMap((name) => STEPS.map((step) => `${name}-${step}`)).sort(),
    );
  });

  test("has no triggers, which would replace it, and no environment, which sshd refuses", async () => {
    const bare = (inputs: Record<string, unknown>) =>
      inputs.triggers !== undefined || inputs.environment !== undefined;
    expect(offenders(await commands(), bare)).toEqual([]);
  });

  test("passes no earlier output on in the environment", async () => {
    expect(
      offenders(await commands(), (inputs) => inputs.addPreviousOutputInEnv !== false),
    ).toEqual([]);
  });

  test("does not show its standard output", async () => {
    expect(offenders(await commands(), (inputs) => inputs.logging !== "stderr")).toEqual([]);
  });

  test("runs create again on a change and can be taken back", async () => {
    const wrong = (inputs: Record<string, unknown>) =>
      inputs.update !== undefined || text(inputs.delete) !== "bash -s -- remove";
    expect(offenders(await commands(), wrong)).toEqual([]);
  });

  test("carries its revision as one quoted word", async () => {
    const graph = await commands();
    expect(graph.get("etcd02-files").inputs.create).toBe("bash -s -- apply 'files of etcd02'");
    expect(graph.get("etcd02-health").inputs.create).toBe("bash -s -- apply gate");
  });

  test("goes through sudo where the connection says so", async () => {
    const config = cluster([node(1)], {
      connections: new Map([["etcd01", connection("192.168.1.83", { user: "admin", sudo: true })]]),
    });
    const { inputs } = (await graphOf(config)).get("etcd01-host");
    expect(inputs.create).toBe("sudo -n bash -s -- apply 'host of etcd01'");
    expect(inputs.delete).toBe("sudo -n bash -s -- remove");
  });

  test("checks the host key of its own node", async () => {
    const config = cluster();
    const graph = await theGraph();
    for (const { name, inputs } of graph.ofType(COMMAND)) {
      const wanted = config.connections.get(name.split("-")[0] ?? "");
      const seen = asMap(reveal(inputs.connection));
      expect([name, seen.host, seen.hostKey]).toEqual([name, wanted?.host, wanted?.hostKey]);
      expect(seen.hostKey).toMatch(/^ssh-ed25519 /);
    }
  });

  test("reaches its node through the bastion, whose key is checked too", async () => {
    const bastion = connection("bastion.example.org", { port: 2222, user: "jump" });
    const config = cluster([node(1)], {
      connections: new Map([["etcd01", connection("192.168.1.83", { bastion })]]),
    });
    const proxy = asMap(
      asMap(reveal((await graphOf(config)).get("etcd01-member").inputs.connection)).proxy,
    );
    expect(proxy).toMatchObject({
      host: "bastion.example.org",
      port: 2222,
      user: "jump",
      hostKey: bastion.hostKey,
      privateKey: bastion.privateKey,
    });
  });

  test("has no field in its connection that the provider does not know", async () => {
    // An unknown one makes the provider print the connection, key and all.
    const graph = await commands();
    for (const { inputs } of graph.ofType(COMMAND)) {
      expect(Object.keys(asMap(reveal(inputs.connection))).sort()).toEqual(
        [
          "dialErrorLimit",
          "host",
          "hostKey",
          "perDialTimeout",
          "port",
          "privateKey",
          "user",
        ].sort(),
      );
    }
  });

  test("has no input that is a mistake of the program's", async () => {
    const mistakes = /Calling \[toString\]|\bundefined\b|\[object \w+\]|\bNaN\b/;
    const graph = await commands();
    const wrong = graph.resources.filter(({ inputs }) =>
      mistakes.test(JSON.stringify(reveal(inputs))),
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  test("is never replaced and ignores nothing when its host was seen", async () => {
    const graph = await commands();
    for (const { ignoreChanges, deleteBeforeReplace } of graph.ofType(COMMAND)) {
      expect({ ignoreChanges, deleteBeforeReplace }).toEqual({
        ignoreChanges: [],
        deleteBeforeReplace: false,
      });
    }
  });
});

describe("secrets", () => {
  /** Names of the resources with a private key in what everybody may see. */
  const leaks = (graph: Graph) =>
    graph.resources
      .filter(({ inputs }) => /PRIVATE KEY/.test(JSON.stringify(visible(inputs))))
      .map(({ name }) => name);

  test("the connection with its key and the files are secret", async () => {
    const graph = await theGraph();
    for (const { name, inputs } of graph.ofType(COMMAND)) {
      expect([name, isSecret(inputs.connection)]).toEqual([name, true]);
    }
    for (const name of ["etcd01", "etcd02", "etcd03"]) {
      expect(isSecret(graph.get(`${name}-files`).inputs.stdin)).toBe(true);
    }
  });

  test("what is not secret stays readable, so that a preview says what changes", async () => {
    const graph = await theGraph();
    for (const step of ["host", "binaries", "member", "health"]) {
      expect([step, isSecret(graph.get(`etcd01-${step}`).inputs.stdin)]).toEqual([step, false]);
    }
  });

  test("no private key is in the clear anywhere", async () => {
    expect(leaks(await theGraph())).toEqual([]);
  });

  test("and the search for them works: the files do hold the keys", async () => {
    const graph = await theGraph();
    const stdin = text(graph.get("etcd01-files").inputs.stdin);
    for (const owner of ["client-key", "etcd01-server-key", "etcd01-peer-key"]) {
      expect(stdin).toContain(`${CANARY} of ${owner}`);
    }
    expect(stdin).not.toContain(`${CANARY} of ca-key`);
    expect(stdin).not.toContain("of etcd02-");
    // The same graph with the secrets laid open is what a leak would look like.
    const open = graph.resources.map((resource) => ({
      ...resource,
      inputs: asMap(reveal(resource.inputs)),
    }));
    expect(leaks({ ...graph, resources: open })).toContain("etcd01-files");
  });

  test("no key is in a command line, not even in a secret one", async () => {
    const graph = await theGraph();
    const lines = graph
      .ofType(COMMAND)
      .map(({ inputs }) => `${text(inputs.create)} ${text(inputs.delete)}`);
    expect(lines.filter((line) => /PRIVATE KEY|canary/.test(line))).toEqual([]);
  });

  test("only the files step holds a member's key", async () => {
    const graph = await theGraph();
    const holders = graph
      .ofType(COMMAND)
      .filter(({ inputs }) => text(inputs.stdin).includes(CANARY))
      .map(({ name }) => name);
    expect(holders).toEqual(["etcd01-files", "etcd02-files", "etcd03-files"]);
  });
});

describe("a change", () => {
  const three = [node(1), node(2), node(3)];

  /** Names of the default cluster's resources that have other inputs with this configuration. */
  const changed = async (after: ClusterConfig) => {
    const [old, now] = [await theGraph(), await graphOf(after)];
    return old.resources
      .filter(({ name, inputs }) => {
        const later = now.resources.find((resource) => resource.name === name)?.inputs;
        return JSON.stringify(later) !== JSON.stringify(inputs);
      })
      .map(({ name }) => name);
  };

  test("to a fourth node reaches hosts block, firewall and gate of the others, nothing else", async () => {
    expect(await changed(cluster([...three, node(4)]))).toEqual([
      "etcd01-host",
      "etcd02-host",
      "etcd03-host",
      "etcd01-health",
      "etcd02-health",
      "etcd03-health",
    ]);
  });

  test("of nothing changes no input", async () => {
    expect(await changed(cluster(three))).toEqual([]);
  });

  test("of a flag reaches files, members and gates of all", async () => {
    const tuned = cluster(three, { settings: { "heartbeat-interval": "200" } });
    expect(await changed(tuned)).toEqual(
      ["etcd01", "etcd02", "etcd03"]
        .flatMap((name) => [`${name}-files`, `${name}-member`])
        .concat(["etcd01", "etcd02", "etcd03"].map((name) => `${name}-health`)),
    );
  });
});

describe("a host that was not looked at", () => {
  test("keeps the revision in the state, whatever this run would say", async () => {
    const config = cluster();
    const verdicts = new Map(settled(config));
    const blind = unseen(["etcd02"], NOW).get("etcd02");
    expect(blind).toBeDefined();
    if (blind !== undefined) {
      verdicts.set("etcd02", blind);
    }
    const graph = await graphOf(config, verdicts);
    for (const { name, ignoreChanges } of graph.ofType(COMMAND)) {
      expect([name, ignoreChanges]).toEqual([name, name.startsWith("etcd02-") ? ["create"] : []]);
    }
  });

  test("with drift off that is so for all, and a first run says what it makes", async () => {
    const config = cluster(undefined, { drift: false });
    const graph = await graphOf(config, unseen(config.connections.keys(), NOW));
    for (const { ignoreChanges } of graph.ofType(COMMAND)) {
      expect(ignoreChanges).toEqual(["create"]);
    }
    expect(graph.get("etcd01-member").inputs.create).toBe(
      "bash -s -- apply 'unseen, 2026-11-22T10:00:00Z'",
    );
  });
});

describe("certificates", () => {
  const leafInputs = (graph: Graph, name: string) => ({
    request: asMap(visible(graph.get(`${name}-request`).inputs)),
    certificate: asMap(visible(graph.get(`${name}-certificate`).inputs)),
  });

  test("the authority is RSA-2048, named etcd, with the whole subject", async () => {
    const graph = await theGraph();
    expect(graph.get("ca-key").inputs).toMatchObject({ algorithm: "RSA", rsaBits: 2048 });
    expect(graph.get("ca-certificate").inputs).toMatchObject({
      isCaCertificate: true,
      validityPeriodHours: 43800,
      subject: {
        commonName: "etcd",
        country: "ES",
        province: "Madrid",
        locality: "Madrid",
        organization: "Example",
        organizationalUnit: "etcd",
      },
    });
  });

  test.each(["server", "peer"])("a node's %s certificate serves and dials", async (profile) => {
    const { request, certificate } = leafInputs(await theGraph(), `etcd02-${profile}`);
    expect(request).toMatchObject({
      subject: { commonName: "etcd02", country: "ES", province: "Madrid", locality: "Madrid" },
      dnsNames: ["etcd02", "etcd02.local", "localhost"],
      ipAddresses: ["192.168.1.84", "127.0.0.1"],
    });
    expect(asMap(request.subject)).not.toHaveProperty("organization");
    expect(certificate.allowedUses).toEqual([
      "digital_signature",
      "key_encipherment",
      "server_auth",
      "client_auth",
    ]);
    expect(certificate).toMatchObject({ validityPeriodHours: 43800, earlyRenewalHours: 720 });
  });

  test("a client's cannot pass as a server or a peer: no name, no server usage", async () => {
    const { request, certificate } = leafInputs(await theGraph(), "client");
    expect(request).not.toHaveProperty("dnsNames");
    expect(request).not.toHaveProperty("ipAddresses");
    expect(certificate.allowedUses).toEqual([
      "digital_signature",
      "key_encipherment",
      "client_auth",
    ]);
  });

  test("every leaf has an ECDSA P-256 key of its own", async () => {
    const graph = await theGraph();
    const keys = graph
      .ofType("tls:index/privateKey:PrivateKey")
      .filter(({ name }) => name !== "ca-key");
    expect(keys).toHaveLength(7);
    for (const { inputs } of keys) {
      expect(inputs).toMatchObject({ algorithm: "ECDSA", ecdsaCurve: "P256" });
    }
  });
});
