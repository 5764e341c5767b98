/** The load on real hosts: silent when nothing is wrong, and not when something is. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { violations } from "../load/check";
import { entries, type History, wrote } from "../load/history";
import { complaints } from "../load/report";
import { freshCluster } from "./support/fresh";
import { expectUnnoticed, Load, unnoticed } from "./support/load";
import { endpoint, onAll, succeed } from "./support/stack";

const stack = freshCluster("load");
const { lab } = stack;

let quiet: History = [];

test("a cluster that is left alone gets a clean report", async () => {
  const { report, history } = await Load.during(lab, stack, () => sleep(5000));
  quiet = history;
  expectUnnoticed(report, { leaderChanges: 0 });
  expect(report.mostVotersDown).toBe(0);
});

test("a real history that was doctored is found out", () => {
  expect(violations(quiet)).toEqual([]);
  const written = entries(quiet, "operation").filter(wrote);
  const one = written[Math.floor(written.length / 2)];
  const event = quiet.findIndex((entry) => entry.record === "event" && entry.value === one?.value);
  const lost = violations(quiet.filter((_, index) => index !== event)).join("\n");
  expect(lost).toContain(`an acknowledged write is not in the watch: ${one?.key} = ${one?.value}`);

  const repeated = quiet.flatMap((entry, index) => (index === event ? [entry, entry] : [entry]));
  expect(violations(repeated).join("\n")).toContain("a watch event came twice");

  const older = quiet.find((entry) => entry.record === "operation" && entry.kind === "get");
  const stale = quiet.map((entry) =>
    older?.record === "operation" && entry.record === "operation" && entry.kind === "get"
      ? { ...entry, answer: older.answer }
      : entry,
  );
  expect(violations(stale).join("\n")).toContain("a stale get of");
});

test("a new setting rolls through the members and no client notices", async () => {
  stack.configure({ settings: { "quota-backend-bytes": 4_294_967_296 } });
  const report = await unnoticed("a new setting", lab, stack, () => succeed(stack.up()));
  // It did see the members restart.
  expect(new Set(report.absences.map((away) => away.endpoint)).size).toBe(3);
});

test("two members that stop at once are noticed in every way", async () => {
  const two = ["etcd02", "etcd03"];
  const { report } = await Load.during(lab, stack, async () => {
    // A stop takes long with clients that watch; a kill alone would be followed by a restart.
    const stop = "systemctl stop --no-block etcd.service; systemctl kill -s KILL etcd.service";
    await onAll(lab, stop, two);
    await sleep(12_000);
    await onAll(lab, "systemctl start etcd.service", two);
  });
  expect(report.violations).toEqual([]);
  expect(report.finalErrors.length).toBeGreaterThan(0);
  expect(report.longestWriteGap.ms).toBeGreaterThan(11_000);
  expect(report.mostVotersDown, JSON.stringify(report.absences)).toBe(2);
  const found = complaints(report).join("\n");
  expect(found).toContain("no endpoint answered a");
  expect(found).toContain("no write was acknowledged for");
  expect(found).toContain("2 voters were down at the same time");
});

test("reads that ask no quorum are found to be stale, and nothing else is", async () => {
  const apart = endpoint("etcd03");
  const { report } = await Load.during(
    lab,
    stack,
    async () => {
      await lab.cut("etcd03");
      await sleep(6000);
      await lab.heal();
      await sleep(2000);
    },
    { staleReads: apart },
  );
  expect(report.finalErrors).toEqual([]);
  expect(report.violations.length).toBeGreaterThan(0);
  const others = report.violations.filter(
    (text) => !text.startsWith("a stale get of") || !text.includes(`through ${apart}`),
  );
  expect(others).toEqual([]);
});
