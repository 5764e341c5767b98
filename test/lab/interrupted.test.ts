/** First runs that do not go straight: one step at a time, a host that is off, a killed run. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { testLab } from "../support/lab";
import { generator } from "../support/random";
import { difference, hostStates } from "./support/host-state";
import { expectOneCluster, killedUp } from "./support/interrupt";
import {
  eventually,
  freshLab,
  on,
  onAll,
  printed,
  refuse,
  resources,
  Stack,
  succeed,
} from "./support/stack";

const lab = testLab();

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
  expect(message).toContain("preflight checks failed; no host was changed:");
  expect(message).toMatch(/^ *- etcd03: SSH to root@192\.168\.1\.85:22 failed: /m);
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

// 36 resources say "created", the last three are the gates; a fifth of the way is drawn from each.
const random = generator(3);
const moments = Array.from({ length: 5 }, (_, index): [number, number] => [
  1 + Math.floor(((index + random()) / 5) * 34),
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

test("a CLI that is killed alone leaves its steps at work: the next up waits for them", async () => {
  await lab.reset();
  const stack = new Stack(lab, "alone");
  await stack.create();
  // Held where it is, a step of the killed run is still there when the next run has the hosts. All processes go on then: one that was a
  // fork of bash when it was stopped may be another program since.
  const hold =
    "until pkill -STOP -f '^bash -p -s -- apply'; do sleep 0.05; done; sleep 6; kill -CONT -1";
  const held = on(lab, "etcd02", hold);
  await killedUp(stack, { word: "created", events: 25, delay: 1, cliAlone: true });
  const next = await succeed(stack.up());
  await held;
  expect(printed(next)).toContain("pending operations");
  await expectOneCluster(stack);
});

test("a host that loses power in a step ends the up, which names it; the next one finishes", async () => {
  await lab.reset();
  const stack = new Stack(lab, "power");
  await stack.create();
  // The plugin asks a silent host nine times; here every five seconds and not every fifteen.
  const running = stack.up({ env: { LAB_KEEPALIVE: "5" }, timeoutMs: 120_000 });
  const freeze = "pkill -STOP -f '^bash -p -s -- apply'";
  await eventually("a step runs on etcd03", async () => {
    return (await lab.exec("etcd03", freeze)).code === 0;
  });
  // The others must not fail first, because they look for it.
  await eventually("the others are through their preflight", async () => {
    const receipts = await onAll(
      lab,
      "ls /var/lib/etcd-on-pulumi/receipts/host 2>/dev/null || true",
      ["etcd01", "etcd02"],
    );
    return receipts.every((path) => path !== "");
  });
  await lab.kill("etcd03");
  const said = printed(await running);
  expect(said).toMatch(/command:remote:Command \(?etcd-etcd03-\w+\)?.*\n.*error:/);
  expect(said).toMatch(
    /wait: remote command exited without exit status or exit signal: running "bash -p -s -- apply/,
  );
  expect(said).toMatch(/error: etcd03: lost the SSH session that holds this run's lock \(.+\)/);
  await lab.boot("etcd03");
  await succeed(stack.up());
  await expectOneCluster(stack);
});

test("what a killed up left pending is warned of until one refresh forgets it", async () => {
  await lab.reset();
  const stack = new Stack(lab, "pending");
  await stack.create();
  await killedUp(stack, { word: "created", events: 26, delay: 0.3 });
  expect(printed(await succeed(stack.up()))).toContain("pending operations");
  const again = printed(await succeed(stack.up()));
  expect(again).toContain("pending operations");
  expect(resources(await succeed(stack.preview()))).toMatchObject({ created: 0, updated: 0 });
  const args = ["--yes", "--skip-preview", "--clear-pending-creates"];
  await succeed(stack.pulumi(["refresh", "--config-file", stack.configFile, ...args]));
  expect(printed(await succeed(stack.up()))).not.toContain("pending operations");
  await expectOneCluster(stack);
});
