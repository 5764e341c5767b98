/** First runs that do not go straight: one step at a time, a host that is off, a killed run. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "../support/lab";
import { generator } from "../support/random";
import { difference, hostStates } from "./support/host-state";
import { expectOneCluster, killedUp } from "./support/interrupt";
import { freshLab, refuse, resources, Stack, succeed } from "./support/stack";

const lab = new Lab("test");

beforeAll(async () => {
  await freshLab(lab);
});

afterAll(async () => {
  await lab.down(true);
});

test("one step at a time makes the same cluster", async () => {
  const stack = new Stack(lab, "serial");
  await stack.create();
  await succeed(stack.up({ args: ["--parallel", "1"] }));
  await expectOneCluster(stack);
});

test("a host that is off at first stops the up before anything is touched", async () => {
  await lab.reset();
  const stack = new Stack(lab, "late");
  await stack.create();
  const before = await hostStates(lab, true);
  await lab.kill("etcd03");
  const message = await refuse(stack.up());
  expect(message).toContain("the hosts are not ready, nothing was changed:");
  expect(message).toMatch(/^ *- etcd03: no SSH session as root@192\.168\.1\.85:22: /m);
  // It is said once, and not by its neighbours again.
  expect(message.match(/^ *- etcd0\d: /gm)).toHaveLength(1);
  await lab.boot("etcd03");
  const after = await hostStates(lab, true);
  // etcd03 was booted in between, which writes on its disk.
  for (const index of [0, 1]) {
    expect(difference(before[index] ?? [], after[index] ?? [])).toEqual({ added: [], gone: [] });
  }
  expect(await stack.exportState()).not.toContain("remote:Command");
  await succeed(stack.up());
  await expectOneCluster(stack);
});

// 39 resources say «created», the last three are the gates; a fifth of the way is drawn from each.
const random = generator(3);
const moments = Array.from({ length: 5 }, (_, index): [number, number] => [
  1 + Math.floor(((index + random()) / 5) * 37),
  random() * 0.4,
]);

test.each(moments)(
  "a first up that is killed after %i resources and %d s is finished by the next",
  async (events, delay) => {
    await lab.reset();
    const stack = new Stack(lab, `killed-${events}`);
    await stack.create();
    await killedUp(stack, { word: "created", events, delay });
    const finished = await succeed(stack.up());
    expect(resources(finished).created).toBeGreaterThan(0);
    await expectOneCluster(stack);
  },
);
