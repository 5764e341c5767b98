/** Which release may follow which on a running member: the tables of components/etcd/upgrade-paths.ts, case by case. */
import { describe, expect, test } from "vitest";
import {
  CONDITIONS,
  obstacle,
  predecessors,
  rollProblem,
  SERIES_STEPS,
  type Situation,
} from "../../../components/etcd/upgrade-paths";
import { parseVersion, type Version } from "../../../components/etcd/versions";

const version = (text: string): Version => {
  const parsed = parseVersion(text);
  if (parsed === undefined) {
    throw new Error(text);
  }
  return parsed;
};

const judge = (from: string, to: string) => rollProblem(version(from), version(to));

test.each([
  ["3.5.32", "3.5.35"],
  ["3.5.35", "3.5.32"],
  ["3.5.21", "3.5.35"],
  ["3.6.0", "3.6.16"],
  ["3.6.16", "3.6.14"],
  ["3.6.16", "3.6.16"],
  ["3.7.0", "3.7.2"],
  ["3.7.2", "3.7.0"],
  ["3.5.32", "3.6.0"],
  ["3.5.35", "3.6.16"],
  ["3.6.11", "3.7.0"],
  ["3.6.16", "3.7.2"],
  ["3.7.2", "3.6.16"],
  ["3.7.0", "3.6.11"],
  ["3.6.16", "3.5.35"],
  ["3.6.0", "3.5.32"],
])("%s may become %s", (from, to) => {
  expect(judge(from, to)).toBeUndefined();
  expect(predecessors(version(to)).map((text) => text.slice(0, 3))).toContain(from.slice(0, 3));
});

const BACK = "removed members can come back and learners cannot be promoted); go there first";
const MIXED = "members of both minor versions do not run together safely";

test.each([
  ["3.5.31", "3.6.16", `3.6 can follow only 3.5.32 or later (with an earlier one, ${BACK}`],
  ["3.5.21", "3.6.0", `3.6 can follow only 3.5.32 or later (with an earlier one, ${BACK}`],
  [
    "3.6.10",
    "3.7.2",
    `3.7 can follow only 3.6.11 or later (with an earlier one, ${MIXED}); go there first`,
  ],
  [
    "3.6.0",
    "3.7.0",
    `3.7 can follow only 3.6.11 or later (with an earlier one, ${MIXED}); go there first`,
  ],
  [
    "3.7.2",
    "3.6.10",
    `only 3.6.11 or a later 3.6 runs safely beside 3.7: with an earlier one, ${MIXED}`,
  ],
  [
    "3.6.16",
    "3.5.31",
    "only 3.5.32 or a later 3.5 runs safely beside 3.6: with an earlier one, removed members can come back and learners cannot be promoted",
  ],
  ["3.5.35", "3.7.2", "3.7.2 is more than one minor version away; go to 3.6 first"],
  ["3.4.30", "3.6.16", "3.6.16 is more than one minor version away; go to 3.5 first"],
  ["3.7.2", "3.5.35", "3.5.35 is more than one minor version away; go to 3.6 first"],
  ["3.5.35", "3.4.37", "etcd has no upgrade or downgrade path from 3.5 to 3.4"],
  ["3.4.37", "3.5.35", "etcd has no upgrade or downgrade path from 3.4 to 3.5"],
  ["3.7.2", "3.8.0", "etcd has no upgrade or downgrade path from 3.7 to 3.8"],
  ["3.7.2", "4.0.0", "etcd has no upgrade or downgrade path from 3.7 to 4.0"],
])("%s may not become %s", (from, to, problem) => {
  expect(judge(from, to)).toBe(problem);
});

test("what a host checks again is the same table", () => {
  expect(predecessors(version("3.7.2"))).toEqual(["3.6.11", "3.7.0"]);
  expect(predecessors(version("3.6.16"))).toEqual(["3.5.32", "3.6.0", "3.7.0"]);
  expect(predecessors(version("3.6.10"))).toEqual(["3.5.32", "3.6.0"]);
  expect(predecessors(version("3.5.35"))).toEqual(["3.5.0", "3.6.0"]);
  expect(predecessors(version("3.5.31"))).toEqual(["3.5.0"]);
});

test("moves lead from one series to its neighbour", () => {
  for (const { from, to } of SERIES_STEPS) {
    expect(Math.abs(version(`${from}.0`).minor - version(`${to}.0`).minor)).toBe(1);
  }
});

describe("a situation", () => {
  const WELL: Situation = {
    unreachable: [],
    silent: [],
    leaderless: false,
    alarms: [],
    learners: [],
    joining: [],
    moving: [],
    leaving: [],
    down: false,
  };
  const UP_AS_IS = "`pulumi up` with the running release";

  test("in which all is well forbids nothing", () => {
    expect(obstacle(WELL, false)).toBeUndefined();
    expect(obstacle({ ...WELL, down: true }, false)).toBeUndefined();
  });

  const always: [Partial<Situation>, string][] = [
    [{ unreachable: ["b"] }, "b cannot be reached; bring it back first, or set lost: true"],
    [
      { unreachable: ["b", "c"], silent: ["a"], leaderless: true },
      "b, c cannot be reached; bring it back first, or set lost: true",
    ],
    [{ leaderless: true }, "the cluster has no quorum; start the stopped members first"],
    [
      { alarms: ["CORRUPT of etcd02"] },
      "the cluster reports CORRUPT of etcd02; rebuild that member first",
    ],
    [
      { down: true, joining: ["c"] },
      "c is to join; etcd rejects new members during a downgrade: cancel the downgrade, let the node join, then downgrade",
    ],
  ];

  test.each(always)("with %j forbids it, also midway", (change, words) => {
    expect(obstacle({ ...WELL, ...change }, false)).toBe(words);
    expect(obstacle({ ...WELL, ...change }, true)).toBe(words);
  });

  const NODES_FIRST =
    "change the nodes first, the release afterwards; a host that has lost its data joins in a `pulumi up` with the running release";
  const atTheStart: [Partial<Situation>, string][] = [
    [{ silent: ["b"] }, `b is unhealthy; start it first; ${UP_AS_IS} does`],
    [{ silent: ["a", "b"] }, `a, b are unhealthy; start it first; ${UP_AS_IS} does`],
    [
      { alarms: ["NOSPACE of etcd02"] },
      `the cluster reports NOSPACE of etcd02; clear it first; ${UP_AS_IS} does`,
    ],
    [{ learners: ["c"] }, `c is a learner; let it become a voter first; ${UP_AS_IS} promotes it`],
    [{ joining: ["d"] }, `d is to join; ${NODES_FIRST}`],
    [{ moving: ["c"] }, `c is to move; ${NODES_FIRST}`],
    [{ leaving: ["c"] }, `c is to leave; ${NODES_FIRST}`],
  ];

  test.each(atTheStart)("with %j forbids to begin, and is mended midway", (change, words) => {
    expect(obstacle({ ...WELL, ...change }, false)).toBe(words);
    expect(obstacle({ ...WELL, ...change }, true)).toBeUndefined();
  });

  test("is covered by these cases for every condition", () => {
    const tried = [...always, ...atTheStart].map(([change]) => ({ ...WELL, ...change }));
    for (const { when, found } of CONDITIONS) {
      expect([when, tried.some((each) => found(each) !== undefined)]).toEqual([when, true]);
    }
  });
});
