/** How often a run logs in to each host: once to look, and once for each step that has something to do there. */
import { beforeAll, describe, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { freshStack } from "./support/fresh";
import { expectOneCluster } from "./support/interrupt";
import { NEWER } from "./support/operations";
import { logins, succeed } from "./support/stack";

const stack = freshStack("logins", { hosts: 5, releases: [NEWER] });
const { lab } = stack;
const FIVE = ["etcd01", "etcd02", "etcd03", "etcd04", "etcd05"];

const nodes = (count: number) =>
  FIVE.slice(0, count).map((name) => ({ name, address: hostAddress(name) }));

/** So many while it runs, by host. */
async function during(what: string, run: () => Promise<unknown>): Promise<number[]> {
  const before = await logins(lab, FIVE);
  await run();
  const counts = (await logins(lab, FIVE)).map((count, index) => count - (before[index] ?? 0));
  process.stdout.write(`logins, ${what}: ${counts.join(" ")}\n`);
  return counts;
}

const up = () => succeed(stack.up());

test("a first run of three nodes: the look, install, member, gate", async () => {
  expect(await during("create of 3", up)).toEqual([4, 4, 4, 0, 0]);
});

describe("of three nodes with nothing to do", () => {
  test("a preview looks", async () => {
    expect(await during("preview", () => stack.previewNothing())).toEqual([1, 1, 1, 0, 0]);
  });

  test("an up looks", async () => {
    expect(await during("unchanged up", up)).toEqual([1, 1, 1, 0, 0]);
  });
});

describe("a change", () => {
  beforeAll(async () => {
    await expectOneCluster(stack);
  });

  test("of a setting: the look, member, gate", async () => {
    const settings = { "heartbeat-interval": 90 };
    stack.configure({ settings });
    expect(await during("settings", up)).toEqual([3, 3, 3, 0, 0]);
  });

  test("of the release: install too", async () => {
    stack.configure({ version: NEWER });
    expect(await during("version", up)).toEqual([4, 4, 4, 0, 0]);
  });

  test("to a fourth node: at the others the look, install, gate", async () => {
    stack.configure({ version: NEWER, nodes: nodes(4) });
    expect(await during("fourth node", up)).toEqual([3, 3, 3, 4, 0]);
  });

  test("back to three: the fourth is drained before the gates, and all that is left there taken back after them", async () => {
    stack.configure({ version: NEWER, nodes: nodes(3) });
    expect(await during("back to three", up)).toEqual([3, 3, 3, 2, 0]);
    await expectOneCluster(stack);
  });
});

test("a destroy logs in once", async () => {
  expect(await during("destroy of 3", () => succeed(stack.destroy()))).toEqual([1, 1, 1, 0, 0]);
});

test("five nodes cost each of them no more than three", async () => {
  stack.configure({ nodes: nodes(5) });
  expect(await during("create of 5", up)).toEqual([4, 4, 4, 4, 4]);
  expect(await during("preview of 5", () => stack.previewNothing())).toEqual([1, 1, 1, 1, 1]);
  expect(await during("destroy of 5", () => succeed(stack.destroy()))).toEqual([1, 1, 1, 1, 1]);
});
