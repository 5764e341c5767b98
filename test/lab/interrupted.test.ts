/** First runs that do not go straight: one step at a time, a host that is off, a killed run. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "../support/lab";
import { generator } from "../support/random";
import { difference, hostStates } from "./support/host-state";
import { freshLab, hosts, printed, refuse, resources, Stack, succeed } from "./support/stack";

const lab = new Lab("test");

beforeAll(async () => {
  await freshLab(lab);
});

afterAll(async () => {
  await lab.down(true);
});

/** One cluster of three started voters, in the stack's outputs and as each member sees it. */
async function expectOneCluster(stack: Stack): Promise<void> {
  const { clusterId, members } = await stack.outputs();
  expect(members.map(({ name }) => name)).toEqual(hosts);
  const list = await succeed(stack.etcdctl(["member", "list"]));
  expect(list.stdout.match(/, started, .*, false$/gm)).toHaveLength(3);
  expect(list.stdout.trim().split("\n")).toHaveLength(3);
  const status = await succeed(stack.etcdctl(["endpoint", "status", "--write-out", "fields"]));
  const seen = [...status.stdout.matchAll(/"ClusterID" : (\d+)/g)].map(([, id]) =>
    BigInt(id ?? 0).toString(16),
  );
  expect(seen).toEqual([clusterId, clusterId, clusterId]);
  await succeed(stack.previewNothing());
}

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

/**
 * Runs the command that follows until it has said «created» so many times, and some seconds on. This shell is the first process of
 * a process namespace: with it engine, program, plugins and ssh end at once, as at a power cut.
 */
const UNTIL = `events=$1 delay=$2; shift 2
while read -r line; do
  case $line in *" created ("*) events=$((events - 1)) ;; esac
  if [ "$events" -eq 0 ]; then sleep "$delay"; exit 99; fi
done < <("$@")`;

// 39 resources say «created», the last three are the gates; a fifth of the way is drawn from each.
const random = generator(3);
const moments = Array.from({ length: 5 }, (_, index): [number, string] => [
  1 + Math.floor(((index + random()) / 5) * 37),
  (random() * 0.4).toFixed(2),
]);

test.each(moments)(
  "a first up that is killed after %i resources and %s s is finished by the next",
  async (events, delay) => {
    await lab.reset();
    const stack = new Stack(lab, `killed-${events}`);
    await stack.create();
    const namespace = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"];
    const until = ["bash", "-c", UNTIL, "bash", String(events), delay];
    const up = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never"];
    const killed = await stack.run([
      ...[...namespace, ...until, ...up, "--stack", stack.name],
      ...["--config-file", stack.configFile],
    ]);
    expect(killed.code, printed(killed)).toBe(99);
    stack.mendCheckpoint();
    await succeed(stack.cancel());
    const finished = await succeed(stack.up());
    expect(resources(finished).created).toBeGreaterThan(0);
    await expectOneCluster(stack);
  },
);
