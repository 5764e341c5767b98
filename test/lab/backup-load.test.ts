/** A backup every minute for ten minutes, under the load, which does not notice: `npm run campaign -- backup-load`. */
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { BackedUp } from "./support/backed-up";
import { freshStack } from "./support/fresh";
import { unnoticed } from "./support/load";
import { eventually, succeed } from "./support/stack";

const MINUTES = Number(process.env.MINUTES ?? 10);
const MINUTE = 60_000;

const stack = freshStack("backup-load");
let cluster: BackedUp;

beforeAll(async () => {
  cluster = await BackedUp.begin(stack, "versitygw");
  await cluster.configure({}, { schedule: "*:*:00" });
  await succeed(stack.up());
});

test(
  `one in each of ${MINUTES} minutes, and no more`,
  async () => {
    const count = async () => (await cluster.snapshots()).length;
    let taken = 0;
    await unnoticed(`${MINUTES} backups`, stack.lab, stack, async () => {
      // Its middle is far from the next one.
      await eventually("the middle of a minute", async () => new Date().getSeconds() === 30);
      const before = await count();
      await pause(MINUTES * MINUTE);
      taken = (await count()) - before;
    });
    expect(taken).toBe(MINUTES);
    expect(await cluster.newest("backup")).toMatch(/^ok /);
  },
  (MINUTES + 5) * MINUTE,
);
