/** Which release may follow which on a running member. */
import { expect, test } from "vitest";
import { parseVersion, rollProblem, type Version } from "../../components/versions";

const version = (text: string): Version => {
  const parsed = parseVersion(text);
  if (parsed === undefined) {
    throw new Error(text);
  }
  return parsed;
};

const judge = (from: string, to: string, others: readonly string[] = [from, from]) =>
  rollProblem(version(from), version(to), others.map(version));

test.each([
  ["3.5.32", "3.5.35"],
  ["3.5.35", "3.5.32"],
  ["3.5.21", "3.5.35"],
  ["3.5.32", "3.6.0"],
  ["3.5.35", "3.6.16"],
  ["3.6.0", "3.6.16"],
  ["3.6.16", "3.6.14"],
  ["3.6.11", "3.7.0"],
  ["3.6.16", "3.7.2"],
  ["3.7.2", "3.7.0"],
  ["3.6.16", "3.6.16"],
])("%s may become %s", (from, to) => {
  expect(judge(from, to)).toBeUndefined();
});

const DOWN = (to: string, from: string) =>
  `going back to ${to} needs etcd's own downgrade procedure, which this program does not do; stay at ${from}`;

test.each([
  ["3.5.31", "3.6.16", "3.6 takes over from 3.5.32 or later; go there first"],
  ["3.5.21", "3.6.0", "3.6 takes over from 3.5.32 or later; go there first"],
  ["3.6.10", "3.7.2", "3.7 takes over from 3.6.11 or later; go there first"],
  ["3.6.0", "3.7.0", "3.7 takes over from 3.6.11 or later; go there first"],
  ["3.5.35", "3.7.2", "3.7.2 is more than one minor version away; go to 3.6 first"],
  ["3.4.30", "3.6.16", "3.6.16 is more than one minor version away; go to 3.5 first"],
  ["3.7.2", "3.5.35", "3.5.35 is more than one minor version away; go to 3.6 first"],
  ["3.7.2", "3.6.16", DOWN("3.6", "3.7")],
  ["3.6.16", "3.5.35", DOWN("3.5", "3.6")],
])("%s may not become %s", (from, to, problem) => {
  expect(judge(from, to)).toBe(problem);
});

test("a roll that stopped half way may be taken back while a member still runs the old series", () => {
  expect(judge("3.7.2", "3.6.16", ["3.6.16", "3.7.2"])).toBeUndefined();
  expect(judge("3.7.2", "3.6.16", ["3.7.2", "3.7.2"])).toBe(DOWN("3.6", "3.7"));
});
