/**
 * Every change of a running cluster under the judging load: no client sees an error, a lost write or a stale read, the leader
 * changes once per roll, and never are two members down. WRITE_GAP_MS is the longest time without a write that is allowed; the
 * machine that runs all hosts and the load pauses them as well, so the bound here is below what an election costs, which a roll
 * without hand-over has, and the figures are printed.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Bounds } from "../load/report";
import { Lab } from "../support/lab";
import { expectUnnoticed, Load } from "./support/load";
import { freshLab, onAll, Stack, succeed } from "./support/stack";

const lab = new Lab("test");
const stack = new Stack(lab, "unnoticed");
const writeGapMs = Number(process.env.WRITE_GAP_MS ?? 900);
const HOUR = 3_600_000;

/** The CA outlives its leaves, so that these alone come into their window. */
const pki = (renewalHours: number) => ({ caValidityHours: 87_600, renewalHours });

const pids = () => onAll(lab, "systemctl show --property MainPID --value etcd.service");

beforeAll(async () => {
  await freshLab(lab);
  await lab.release("3.5.35", "3.7.2");
  await stack.create({ version: "3.5.35", pki: pki(500) });
  // Leaves that end in 600 of their 43800 hours.
  const past = new Date(Date.now() + (600 - 43_800) * HOUR).toISOString();
  await succeed(stack.up({ env: { LAB_NOW: past } }));
});

afterAll(async () => {
  await lab.down(true);
});

async function unnoticed(
  what: string,
  work: (load: Load) => Promise<unknown>,
  bounds: Bounds = {},
): Promise<void> {
  const { report } = await Load.during(lab, stack, async (load) => {
    await work(load);
  });
  const { longestWriteGap: gap, leaderChanges, ok, seconds } = report;
  console.log(
    `${what}: ${ok} operations in ${seconds.toFixed(0)} s, longest write gap ${Math.round(gap.ms)} ms` +
      ` (and ${Math.round(gap.pausedMs)} ms of the load's own), ${leaderChanges} leader changes`,
  );
  expectUnnoticed(report, { writeGapMs, ...bounds });
}

test("renewed leaves", async () => {
  const before = await pids();
  stack.configure({ version: "3.5.35", pki: pki(720) });
  await unnoticed("leaf renewal", () => succeed(stack.up()), { leaderChanges: 0 });
  expect(await pids()).toEqual(before);
});

test.each([
  ["3.5.35", "3.6.16"],
  ["3.6.16", "3.7.2"],
  ["3.7.2", "3.6.16"],
])("from %s to %s", async (from, to) => {
  const before = await pids();
  stack.configure({ version: to, pki: pki(720) });
  await unnoticed(`${from} to ${to}`, () => succeed(stack.up()));
  const after = await pids();
  expect(after.filter((pid, index) => pid === before[index])).toEqual([]);
});

test("a rotated CA", async () => {
  stack.configure({ version: "3.6.16", pki: { ...pki(720), rotate: "next" } });
  await unnoticed("CA rotation, 1 of 3", () => succeed(stack.up()));
  await unnoticed("CA rotation, 2 of 3", () => succeed(stack.up()), { leaderChanges: 0 });
  // The load starts with the new client certificate from here on, as clients have to.
  await unnoticed("CA rotation, 3 of 3", () => succeed(stack.up()));
  await succeed(stack.previewNothing());
});
