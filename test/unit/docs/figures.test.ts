/** The figures that `npm run docs` draws are those of today's data and scripts. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { renderOverview } from "../../../docs/figures/overview";
import { readPoints, renderRollLatency } from "../../../docs/figures/roll-latency";

const figure = (name: string) => readFileSync(`docs/figures/${name}.svg`, "utf8");

test("docs/figures/overview.svg is up to date (npm run docs)", () => {
  expect(figure("overview")).toBe(renderOverview());
});

describe("docs/figures/roll-latency.svg", () => {
  const points = readPoints();

  test("is up to date (npm run docs)", () => {
    expect(figure("roll-latency")).toBe(renderRollLatency(points));
  });

  test("is drawn from the data", () => {
    const [first, ...others] = points.filter(({ record }) => record === "restart");
    expect(others).toHaveLength(2);
    const without = renderRollLatency(points.filter((point) => point !== first));
    expect(without).not.toBe(figure("roll-latency"));
  });

  test("names the members that restart", () => {
    for (const host of ["etcd01", "etcd02", "etcd03"]) {
      expect(figure("roll-latency")).toContain(`>${host}</text>`);
    }
  });
});
