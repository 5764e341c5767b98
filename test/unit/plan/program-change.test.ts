import { describe, expect, test } from "vitest";
import { planProgramChange } from "../../../components/plan/program-change";
import { bare, settled, silent } from "../../support/looks";

const DIGEST = "0".repeat(64);
const wanted = new Map(["a", "b"].map((name) => [name, DIGEST]));

function host(program: string | undefined, desiredDigest = DIGEST) {
  const state = settled();
  if (!state.inspected) {
    throw new Error("a settled host is inspected");
  }
  return { ...state, program, desiredDigest };
}

const plan = (...hosts: readonly ReturnType<typeof host>[]) =>
  planProgramChange(
    new Map(hosts.map((one, index) => ["abc".charAt(index), one])),
    "0.10.0",
    wanted,
  );

describe("another release of this program", () => {
  test("is none where the same one ran, or one that left no version", () => {
    expect(plan(host("0.10.0"), host(undefined))).toEqual({ plan: [], warnings: [] });
    const others = new Map([
      ["a", bare()],
      ["b", silent()],
    ]);
    expect(planProgramChange(others, "0.10.0", wanted)).toEqual({ plan: [], warnings: [] });
  });

  test("is told once, with both versions, and that etcd goes on", () => {
    expect(plan(host("0.2.0"), host("0.2.0")).plan).toEqual([
      "program upgraded 0.2.0 -> 0.10.0: steps run again, no member restarts",
    ]);
    expect(plan(host("0.9.1"), host("0.2.0")).plan).toEqual([
      "program upgraded 0.2.0 and 0.9.1 -> 0.10.0: steps run again, no member restarts",
    ]);
  });

  test("that has another unit names the members that restart", () => {
    expect(plan(host("0.2.0", "1".repeat(64)), host("0.2.0")).plan).toEqual([
      "program upgraded 0.2.0 -> 0.10.0: steps run again, etcd restarts on a",
    ]);
  });

  test("that is older than the one before is warned of", () => {
    expect(plan(host("0.11.0"), host("0.10.0"))).toEqual({
      plan: [],
      warnings: [
        "a: the last pulumi up was of version 0.11.0 of this program, and this one is 0.10.0; use 0.11.0 or newer, or what it has set up there may be taken back",
      ],
    });
  });
});
