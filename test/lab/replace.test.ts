/** What makes the engine replace a step, and what must not come of it: a node that stays in the configuration loses nothing. */
import { beforeAll, describe, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { expectOneCluster, killedUp } from "./support/interrupt";
import { hosts, MAIN_PID, on, onAll, printed, refuse, succeed } from "./support/stack";

const stack = freshStack("replace");
const { lab } = stack;
const STEPS = ["host", "binaries", "files", "member", "health"];
const ALL = STEPS.map((step) => `**-${step}`);
const STAYS = "nothing was removed, because the node stays in the configuration";
const BACKUPS = "/var/backups/etcd";
let bare: string[][];
let clusterId: string;
let ids: string[];
let processes: string[];

const replacing = (...patterns: readonly string[]) =>
  patterns.flatMap((pattern) => ["--replace", pattern]);
const members = async () => (await stack.outputs()).members.map(({ id }) => id);
const pids = (names: readonly string[]) => onAll(lab, MAIN_PID, names);

/** A new cluster with the article's key, for the tests to come. */
async function begin(names: readonly string[]): Promise<void> {
  await succeed(stack.up());
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
  clusterId = await expectOneCluster(stack, names);
  ids = await members();
  processes = await pids(names);
}

/** The members of before, their processes and data, and nothing left to do. */
async function expectSame(names: readonly string[] = hosts): Promise<void> {
  expect(await expectOneCluster(stack, names)).toBe(clusterId);
  expect(await members()).toEqual(ids);
  expect(await pids(names)).toEqual(processes);
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
}

/** Killed between the delete of the last of so many steps and its create. */
async function killedReplacement(deleted: number, pattern: string): Promise<void> {
  const moment = { word: "deleted original", events: deleted, delay: 0 } as const;
  await killedUp(stack, moment, replacing(pattern));
}

/** Nothing of the program is on these hosts, but for snapshots. */
async function expectClean(names: readonly string[]): Promise<void> {
  const after = await hostStates(lab, false);
  for (const [index, host] of hosts.entries()) {
    if (names.includes(host)) {
      const { added, gone } = difference(bare[index] ?? [], after[index] ?? []);
      expect(gone, host).toEqual([]);
      expect(
        added.filter((line) => !line.startsWith(BACKUPS)),
        host,
      ).toEqual([]);
    }
  }
}

beforeAll(async () => {
  bare = await hostStates(lab, false);
  await begin(hosts);
});

describe("three nodes", () => {
  test("keep their members when every member's step is replaced", async () => {
    const up = printed(await succeed(stack.up({ args: replacing("**-member") })));
    for (const host of hosts) {
      expect(up).toContain(`${host}: ${STAYS}`);
    }
    await expectSame();
  });

  test("keep everything when a step of each other kind is", async () => {
    const up = printed(
      await succeed(
        stack.up({
          args: replacing("**etcd01-host", "**etcd02-binaries", "**etcd03-files", "**-health"),
        }),
      ),
    );
    for (const host of hosts) {
      expect(up).toContain(`${host}: ${STAYS}`);
    }
    await expectSame();
  });

  test("keep everything when all steps are at once", async () => {
    await succeed(stack.up({ args: replacing(...ALL) }));
    await expectSame();
  });

  test("keep everything in a refresh, and when one step alone is in the run", async () => {
    await succeed(
      stack.pulumi(["refresh", "--yes", "--skip-preview", "--config-file", stack.configFile]),
    );
    const up = printed(await succeed(stack.up({ args: ["--target-replace", "**etcd02-member"] })));
    expect(up).toContain(`etcd02: ${STAYS}`);
    expect(up).not.toContain(`etcd01: ${STAYS}`);
    await expectSame();
  });

  test.each<[string, number, string]>([
    ["a host's", 1, "**etcd02-host"],
    ["a member's", 2, "**-member"],
    ["a gate's", 1, "**-health"],
  ])("keep everything when a run that replaces %s step is killed", async (_, deleted, pattern) => {
    await killedReplacement(deleted, pattern);
    await succeed(stack.up({ args: replacing("**-member") }));
    await expectSame();
  });

  test("are removed from the configuration as ever", async () => {
    const [first, second] = hosts.map((name) => ({ name, address: hostAddress(name) }));
    stack.configure({ nodes: [first, second] });
    await succeed(stack.up());
    expect(await expectOneCluster(stack, hosts.slice(0, 2))).toBe(clusterId);
    await expectClean(["etcd03"]);
  });

  test("are destroyed as ever, also after a replacement that was killed", async () => {
    await killedReplacement(1, "**-member");
    const destroyed = printed(await succeed(stack.destroy()));
    expect(destroyed).toContain("final snapshot: ");
    await expectClean(hosts);
    expect(await stack.exportState()).not.toContain("remote:Command");
  });
});

describe("one node that nothing looks at", () => {
  const names = ["etcd02"];

  beforeAll(async () => {
    stack.configure({ nodes: [{ name: "etcd02", address: hostAddress("etcd02") }], drift: false });
    await begin(names);
    // Without a look the gates' inputs say so from the second run on.
    await succeed(stack.up());
  });

  test("keeps its member", async () => {
    await succeed(stack.up({ args: replacing("**-member") }));
    await expectSame(names);
    await succeed(stack.up({ args: replacing(...ALL) }));
    await expectSame(names);
  });

  test("is not removed by a destroy that has lost the gate, until a person says so", async () => {
    const state = await stack.exportState();
    const urn = /"urn": "(urn:[^"]*etcd02-health)"/.exec(state)?.[1] ?? "";
    await succeed(stack.pulumi(["state", "delete", urn, "--yes"]));
    expect(await refuse(stack.destroy())).toContain(
      "etcd02: nothing was removed: etcd02-health must be deleted first",
    );
    await on(lab, "etcd02", "systemctl is-active etcd.service && rm /var/lib/etcd-on-pulumi/kept");
    await succeed(stack.destroy());
    await expectClean(names);
  });
});
