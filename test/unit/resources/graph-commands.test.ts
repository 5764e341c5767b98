import { describe, expect, test } from "vitest";
import type { ClusterConfig } from "../../../components/config/index";
import { STEPS } from "../../../components/scripts/steps";
import { asMap, graphOf, settled, text, theGraph } from "../../support/cluster-graph";
import { CANARY, cluster, connection, node } from "../../support/fixtures";
import { COMMAND, type Graph, isSecret, reveal, visible } from "../../support/graph";

/** Names of the commands that have what they must not have: a failure shows all of them. */
function offenders(graph: Graph, wrong: (inputs: Record<string, unknown>) => boolean): string[] {
  return graph
    .ofType(COMMAND)
    .filter(({ inputs }) => wrong({ ...inputs }))
    .map(({ name }) => name);
}

describe("every command", () => {
  const commands = theGraph;

  test("is one of four on each node", async () => {
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

  test("runs create again on a change, or is there to be deleted", async () => {
    const graph = await commands();
    expect(offenders(graph, (inputs) => inputs.update !== undefined)).toEqual([]);
    for (const { name, inputs } of graph.ofType(COMMAND)) {
      const { create, delete: remove } = inputs;
      expect([name, { create, remove }]).toEqual([
        name,
        name.endsWith("-leave")
          ? { create: undefined, remove: "bash -p -s -- delete" }
          : { create: expect.stringMatching(/^bash -p -s -- apply /), remove: undefined },
      ]);
    }
  });

  test("is given up after some minutes, also when it takes the work back", async () => {
    const graph = await commands();
    for (const { name, timeouts } of graph.ofType(COMMAND)) {
      const limit = name.endsWith("-leave") ? timeouts.delete : timeouts.create;
      expect([name, limit]).toEqual([name, expect.stringMatching(/^[1-9]\d?m$/)]);
      expect(timeouts).toEqual(
        name.endsWith("-leave") ? { delete: limit } : { create: limit, update: limit },
      );
    }
  });

  test("carries its revision as one quoted word", async () => {
    const graph = await commands();
    expect(graph.get("etcd02-install").inputs.create).toMatch(
      /^bash -p -s -- apply 'install of etcd02' /,
    );
    expect(graph.get("etcd02-health").inputs.create).toBe("bash -p -s -- apply gate");
  });

  test("says beside the revision which part of a secret input has changed", async () => {
    const parts = async (config: ClusterConfig) => {
      const { create } = (await graphOf(config)).get("etcd01-install").inputs;
      return /^bash -p -s -- apply 'install of etcd01' (host-[0-9a-f]{8}) (etcd-[0-9.]+) install-[0-9a-f]{16}$/
        .exec(text(create))
        ?.slice(1);
    };
    const config = cluster();
    const [host = "", release = ""] = (await parts(config)) ?? [];
    expect(release).toBe(`etcd-${config.release.version}`);
    expect(await parts(cluster([node(1), node(2)]))).toEqual([
      expect.not.stringMatching(host),
      release,
    ]);
    expect(await parts({ ...config, release: { ...config.release, version: "3.6.1" } })).toEqual([
      host,
      "etcd-3.6.1",
    ]);
  });

  describe("that installs the timers", () => {
    const backup = {
      ...{ schedule: "hourly", keep: { hourly: 24, daily: 7, weekly: 4, monthly: 12 }, local: 3 },
      ...{ repository: "/mnt/backup/etcd", password: CANARY, prune: true, drill: "weekly" },
      environment: { AWS_SECRET_ACCESS_KEY: CANARY },
    };
    const maintenance = {
      defrag: { schedule: "*:0/30", minimumBytes: 104857600, fragmentation: 45 },
      noSpace: true,
    };
    const inputs = async (change: Partial<ClusterConfig>) => {
      const { create, stdin } = (await graphOf(cluster([node(1)], change))).get(
        "etcd01-install",
      ).inputs;
      const [, jobs = ""] = /^JOBS=(''|'[^']*'|\S*)$/m.exec(text(stdin)) ?? [];
      return {
        jobs: jobs
          .replaceAll("'", "")
          .replaceAll(/-[0-9a-f]{16}/g, "")
          .split("\n"),
        part: / (jobs-[0-9a-f]{8})$/.exec(text(create))?.[1],
        create: text(create),
        stdin: text(stdin),
      };
    };

    test("has one for each job that is configured", async () => {
      expect((await inputs({})).jobs).toEqual([""]);
      expect((await inputs({ backup, maintenance })).jobs).toEqual([
        "etcd-backup backup run hourly",
        "etcd-backup-check backup check weekly",
        "etcd-drill drill run weekly",
        "etcd-maintenance maintenance run *:0/30",
        "etcd-maintenance-nospace maintenance nospace *:*:0/15",
      ]);
      const { repository: _, drill: __, ...local } = backup;
      expect((await inputs({ backup: local })).jobs).toEqual(["etcd-backup backup run hourly"]);
      expect((await inputs({ maintenance: { noSpace: true } })).jobs).toEqual([
        "etcd-maintenance-nospace maintenance nospace *:*:0/15",
      ]);
      expect((await inputs({ maintenance: { noSpace: false } })).jobs).toEqual([""]);
    });

    test("says that they have changed, and nothing that a secret could be guessed by", async () => {
      expect((await inputs({})).part).toBeUndefined();
      const { part, create, stdin } = await inputs({ backup });
      expect(part).toMatch(/^jobs-/);
      expect(create).not.toContain(CANARY);
      expect(stdin).toContain(CANARY);
      expect((await inputs({ backup: { ...backup, local: 4 } })).part).not.toBe(part);
      expect((await inputs({ backup: { ...backup, password: "another" } })).part).toBe(part);
      expect((await inputs({ backup: { ...backup, environment: {} } })).part).toBe(part);
    });
  });

  test("says which machines the release has a digest for, and whether a list of sums is believed", async () => {
    const values = async (change: Partial<ClusterConfig["release"]>) => {
      const config = cluster([node(1)]);
      const graph = await graphOf({ ...config, release: { ...config.release, ...change } });
      const lines = text(graph.get("etcd01-install").inputs.stdin).split("\n");
      return lines.filter((line) => /^(ARCHITECTURES|SHA256_\w+|LISTED_SUMS)=/.test(line));
    };
    const digest = "ab".repeat(32);
    expect(await values({ sha256: { arm64: digest } })).toEqual([
      "ARCHITECTURES=arm64",
      "SHA256_AMD64=''",
      `SHA256_ARM64=${digest}`,
      "LISTED_SUMS=no",
    ]);
    expect(await values({ sha256: {}, listedSums: true })).toEqual([
      "ARCHITECTURES='amd64 arm64'",
      "SHA256_AMD64=''",
      "SHA256_ARM64=''",
      "LISTED_SUMS=yes",
    ]);
  });

  test("goes through sudo where the connection says so", async () => {
    const config = cluster([node(1)], {
      connections: new Map([["etcd01", connection("192.168.1.83", { user: "admin", sudo: true })]]),
    });
    const graph = await graphOf(config);
    expect(graph.get("etcd01-member").inputs.create).toBe(
      "sudo -n bash -p -s -- apply 'member of etcd01'",
    );
    expect(graph.get("etcd01-leave").inputs.delete).toBe("sudo -n bash -p -s -- delete");
  });

  test("has the secrets of its login in its connection and its input alone, and those are secret", async () => {
    const login = { password: "canary1", privateKeyPassphrase: "canary2", sudoPassword: "canary3" };
    const admin = { ...login, user: "admin", sudo: true };
    const config = cluster([node(1)], {
      connections: new Map([["etcd01", connection("192.168.1.83", admin)]]),
    });
    const graph = await graphOf(config);
    for (const { name, inputs } of graph.ofType(COMMAND)) {
      expect([name, asMap(reveal(inputs.connection))]).toEqual([
        name,
        expect.objectContaining({ password: "canary1", privateKeyPassword: "canary2" }),
      ]);
      expect([name, text(inputs.stdin).split("\n")[0]]).toEqual([name, "canary3"]);
      expect([name, JSON.stringify(visible(inputs))]).toEqual([
        name,
        expect.not.stringMatching("canary"),
      ]);
    }
  });

  test("has words that every login shell takes as they are", async () => {
    const config = cluster([node(1)]);
    const verdicts = new Map(
      [...settled(config)].map(([name, verdict]) => [
        name,
        { ...verdict, revisions: { ...verdict.revisions, member: "repair T # a\\b! c's\nd" } },
      ]),
    );
    expect((await graphOf(config, verdicts)).get("etcd01-member").inputs.create).toBe(
      "bash -p -s -- apply 'repair T # a?b? c'\\''s?d'",
    );
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

  test("has neither a key nor the agent's socket in its connection where the agent has the key", async () => {
    const { privateKey: _, privateKeyFile: __, ...rest } = connection("192.168.1.83");
    const config = cluster([node(1)], {
      connections: new Map([["etcd01", { ...rest, agentSocket: "/tmp/ssh-XXXX/agent.7" }]]),
    });
    const graph = await graphOf(config);
    for (const { inputs } of graph.ofType(COMMAND)) {
      const seen = Object.keys(asMap(reveal(inputs.connection)));
      expect(seen.filter((field) => /key$|agent/i.test(field))).toEqual(["hostKey"]);
    }
    expect(JSON.stringify(graph.resources)).not.toContain("agent.7");
  });

  test("has no input that is a mistake of the program's", async () => {
    const mistakes = /Calling \[toString\]|\bundefined\b|\[object \w+\]|\bNaN\b/;
    const graph = await commands();
    const wrong = graph.resources.filter(({ inputs }) =>
      mistakes.test(JSON.stringify(reveal(inputs))),
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  test("is deleted before a replacement, and ignores nothing when its host was seen", async () => {
    const graph = await commands();
    for (const { ignoreChanges, deleteBeforeReplace } of graph.ofType(COMMAND)) {
      expect({ ignoreChanges, deleteBeforeReplace }).toEqual({
        ignoreChanges: [],
        deleteBeforeReplace: true,
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

  test("the connection with its key and the input with the certificates are secret", async () => {
    const graph = await theGraph();
    for (const { name, inputs } of graph.ofType(COMMAND)) {
      expect([name, isSecret(inputs.connection)]).toEqual([name, true]);
    }
    for (const name of ["etcd01", "etcd02", "etcd03"]) {
      expect(isSecret(graph.get(`${name}-install`).inputs.stdin)).toBe(true);
    }
  });

  test("what is not secret stays readable, so that a preview says what changes", async () => {
    const graph = await theGraph();
    for (const step of ["leave", "member", "health"]) {
      expect([step, isSecret(graph.get(`etcd01-${step}`).inputs.stdin)]).toEqual([step, false]);
    }
  });

  test("no private key is in the clear anywhere", async () => {
    expect(leaks(await theGraph())).toEqual([]);
  });

  test("and the search for them works: the step `install` does hold the keys", async () => {
    const graph = await theGraph();
    const stdin = text(graph.get("etcd01-install").inputs.stdin);
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
    expect(leaks({ ...graph, resources: open })).toContain("etcd01-install");
  });

  test("no key is in a command line, not even in a secret one", async () => {
    const graph = await theGraph();
    const lines = graph
      .ofType(COMMAND)
      .map(({ inputs }) => `${text(inputs.create)} ${text(inputs.delete)}`);
    expect(lines.filter((line) => /PRIVATE KEY|canary/.test(line))).toEqual([]);
  });

  test("only the step `install` holds a member's key", async () => {
    const graph = await theGraph();
    const holders = graph
      .ofType(COMMAND)
      .filter(({ inputs }) => text(inputs.stdin).includes(CANARY))
      .map(({ name }) => name);
    expect(holders).toEqual(["etcd01-install", "etcd02-install", "etcd03-install"]);
  });
});
