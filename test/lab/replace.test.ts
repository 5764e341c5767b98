/** What makes the engine replace a step, and what must not come of it: a node that stays in the configuration loses nothing. */
import { beforeAll, describe, expect, test } from "vitest";
import { STEPS } from "../../components/scripts/steps";
import { hostAddress } from "../support/lab";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { expectOneCluster, killedUp, longAgo } from "./support/interrupt";
import { hosts, MAIN_PID, on, onAll, printed, refuse, succeed } from "./support/stack";

const stack = freshStack("replace");
const { lab } = stack;
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
  test("keep everything when the step is replaced that takes it all away", async () => {
    expect(await refuse(stack.up({ args: replacing("**-leave") }))).toContain(STAYS);
    await succeed(stack.up());
    await expectSame();
  });

  test("keep everything when the other steps are, which undo nothing", async () => {
    const others = ["**-install", "**-member", "**-health"];
    const up = printed(await succeed(stack.up({ args: replacing(...others) })));
    expect(up).toContain("replaced");
    expect(up).not.toContain(STAYS);
    await expectSame();
  });

  test("keep everything when all steps are at once", async () => {
    expect(await refuse(stack.up({ args: replacing(...ALL) }))).toContain(STAYS);
    await succeed(stack.up());
    await expectSame();
  });

  test("keep everything in a refresh, and when one step alone is in the run", async () => {
    await succeed(
      stack.pulumi(["refresh", "--yes", "--skip-preview", "--config-file", stack.configFile]),
    );
    const refused = await refuse(stack.up({ args: ["--target-replace", "**etcd02-leave"] }));
    expect(refused).toContain(`etcd02: ${STAYS}`);
    expect(refused).not.toContain(`etcd01: ${STAYS}`);
    await succeed(stack.up());
    await expectSame();
  });

  // The delete is dialling or at work by then, or the next one is.
  test.each([
    ["deleting original", 1, 0, "**-leave"],
    ["deleting original", 1, 0.2, "**-leave"],
    ["deleted original", 2, 0, "**-member"],
    ["deleted original", 1, 0.2, "**-health"],
  ] as const)(
    "keep everything when a run is killed at '%s' number %i and %d s later that replaces %s",
    async (word, events, delay, pattern) => {
      await killedUp(stack, { word, events, delay }, replacing(pattern));
      expect(await pids(hosts)).toEqual(processes);
      await succeed(stack.up());
      await expectSame();
    },
  );

  test("keep everything when a step's delete comes late, after its run was killed", async () => {
    // Held on its host until the run is gone, and the lock with it.
    const hold = `until pkill -STOP -f '^bash -p -s -- delete'; do sleep 0.02; done
      flock -w 60 -s /run/etcd-on-pulumi.lock true; sleep 1; kill -CONT -1
      while pgrep -f '^bash -p -s -- delete' >/dev/null; do sleep 0.1; done`;
    const held = on(lab, "etcd02", hold);
    const moment = { word: "deleting original", events: 1, delay: 3 } as const;
    await killedUp(stack, moment, replacing("**etcd02-leave"));
    await held;
    expect(await pids(hosts)).toEqual(processes);
    await succeed(stack.up());
    await expectSame();
  });

  test("are removed from the configuration as ever", async () => {
    const [first, second] = hosts.map((name) => ({ name, address: hostAddress(name) }));
    stack.configure({ nodes: [first, second] });
    await succeed(stack.up());
    expect(await expectOneCluster(stack, hosts.slice(0, 2))).toBe(clusterId);
    await expectClean(["etcd03"]);
    ids = await members();
  });

  test("are not destroyed right after a run that was killed, but a while later", async () => {
    const rest = hosts.slice(0, 2);
    const moment = { word: "deleted original", events: 1, delay: 0 } as const;
    await killedUp(stack, moment, replacing("**-member"));
    const refused = await refuse(stack.destroy());
    expect(refused).toMatch(
      /etcd02: nothing was removed: the pulumi up by \S+@\S+ \(stack replace, process \d+\) since .* has this node in its configuration and was interrupted \d+ s ago; one of its steps may still be on its way to this host\. Repeat in 1[0-7]\d s/,
    );
    expect(refused).not.toContain("etcd01: ");
    expect(await pids(rest)).toEqual(processes.slice(0, 2));
    // The refused destroy has taken steps from the state: an up has them again.
    await succeed(stack.up());
    processes = processes.slice(0, 2);
    await expectSame(rest);

    await killedUp(stack, moment, replacing("**-member"));
    await longAgo(lab);
    const destroyed = printed(await succeed(stack.destroy()));
    expect(destroyed).toContain("final snapshot: ");
    await expectClean(hosts);
    // What a killed run left pending is no resource.
    const left = (await stack.stateResources()).map(({ urn }) => urn);
    expect(left.filter((urn) => urn.includes("remote:Command"))).toEqual([]);
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
    for (const steps of [["**-leave"], ALL]) {
      const refused = await refuse(stack.up({ args: replacing(...steps) }));
      expect(refused).toContain(`etcd02: ${STAYS}`);
      await succeed(stack.up());
      await expectSame(names);
    }
  });

  test("is destroyed as ever", async () => {
    await succeed(stack.destroy());
    await expectClean(names);
  });
});
