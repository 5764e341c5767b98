/**
 * Five hosts with a timer each, on a schedule of three a minute, for SLOTS of them (60): exactly one backup in each, whoever leads.
 * `npm run campaign -- backup-slots`.
 */
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { BackedUp } from "./support/backed-up";
import { ask, leaderOf } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { eventually, hosts, succeed } from "./support/stack";

const SLOTS = Number(process.env.SLOTS ?? 60);
/** Milliseconds. */
const SLOT = 20_000;
const FIVE = [...hosts, "etcd04", "etcd05"];
const nodes = FIVE.map((name) => ({ name, address: hostAddress(name) }));

const stack = freshStack("backup-slots", { hosts: FIVE.length, config: { nodes } });
const { lab } = stack;
let cluster: BackedUp;

beforeAll(async () => {
  cluster = await BackedUp.begin(stack, "versitygw", { nodes }, FIVE);
  await cluster.configure({}, { schedule: "*:*:00/20", keep: { hourly: 24 } });
  await succeed(stack.up());
});

/** Of each snapshot the slot that its time lies in. */
async function slots(): Promise<readonly number[]> {
  const all = await cluster.snapshots();
  return all.map(({ time }) => Math.floor(Date.parse(time) / SLOT));
}

test(
  `one in each of ${SLOTS} slots`,
  async () => {
    const { members } = await stack.outputs();
    // The one that waited for the up may be late.
    await pause(2 * SLOT);
    await eventually("the middle of a slot", async () => Date.now() % SLOT > SLOT * 0.7);
    const first = Math.floor(Date.now() / SLOT) + 1;
    for (let slot = first; slot < first + SLOTS; slot += 1) {
      await pause(slot * SLOT + SLOT * 0.7 - Date.now());
      const leader = await leaderOf(lab, FIVE);
      const next = members[slot % members.length];
      if (next !== undefined && next.name !== leader) {
        await ask(lab, leader, `move-leader ${next.id}`);
      }
    }
    const taken = (await slots()).filter((slot) => slot >= first && slot < first + SLOTS);
    expect(taken).toEqual(Array.from({ length: SLOTS }, (_, index) => first + index));
  },
  SLOTS * SLOT + 5 * 60_000,
);
