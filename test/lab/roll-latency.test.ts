/** Data for the chart in docs/versions.md: `npm run campaign -- roll-latency` makes it anew, `npm run docs` draws it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { latency } from "../load/latency";
import { checkout } from "../support/lab";
import { freshCluster } from "./support/fresh";
import { expectUnnoticed, Load } from "./support/load";
import { succeed } from "./support/stack";

const INTERVAL_MS = 100;

const stack = freshCluster("roll-latency", { releases: ["3.7.2"], config: { version: "3.6.14" } });

test("3.6 to 3.7, with how long writes took meanwhile", async () => {
  stack.configure({ version: "3.7.2" });
  const { report, history } = await Load.during(stack.lab, stack, async () => {
    await succeed(stack.up());
  });
  expectUnnoticed(report);
  const points = latency(history, INTERVAL_MS);
  const restarted = points.flatMap((point) => (point.record === "restart" ? point.endpoint : []));
  expect(new Set(restarted).size).toBe(3);
  const lines = points.map((point) => `${JSON.stringify(point)}\n`);
  writeFileSync(join(checkout, "docs/figures/roll-latency.jsonl"), lines.join(""));
});
