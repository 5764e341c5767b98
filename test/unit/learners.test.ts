import { describe, expect, test } from "vitest";
import { judgeLearners } from "../../components/learners";
import type { LiveMember } from "../../components/membership";
import { node } from "../support/fixtures";
import { judged, STAMP, settled } from "../support/looks";

const member = (number: number, change: Partial<LiveMember> = {}): LiveMember => ({
  name: `etcd0${number}`,
  peerUrls: `https://192.168.1.${82 + number}:2380`,
  learner: false,
  healthy: true,
  id: `a${number}`,
  ...change,
});
const learner = (number: number, change: Partial<LiveMember> = {}) =>
  member(number, { learner: true, healthy: false, ...change });
const THREE = [member(1), member(2), member(3)];
const FOUR = [node(1), node(2), node(3), node(4)];
const survey = (members: readonly LiveMember[], nodes = FOUR.slice(0, 3)) =>
  judged(
    {
      etcd01: settled({}, { leader: true, members }),
      etcd02: settled({}, { members }),
      etcd03: settled(),
    },
    { nodes },
  );

describe("a learner in the live list", () => {
  test("of no configured node is drift of the leader's host alone, which makes its step run", () => {
    const words = "learner a4 at https://192.168.1.86:2380 belongs to no configured node";
    const { repairs, verdicts } = survey([...THREE, learner(4, { name: "" })]);
    expect(repairs).toEqual([`etcd01: ${words}`]);
    expect(verdicts.get("etcd01")?.revisions.member).toBe(`repair: ${words}, ${STAMP}`);
    expect(verdicts.get("etcd02")?.revisions.member).toBe("member before");
  });

  test.each([
    ["was added by a run that got no further: it is used", ""],
    ["is a learner still: it is promoted", "etcd04"],
  ])("of a configured node %s", (words, name) => {
    expect(judgeLearners([...THREE, learner(4, { name })], FOUR)).toEqual([
      `etcd04: its member a4 ${words}`,
    ]);
    expect(survey([...THREE, learner(4, { name })], FOUR)).toMatchObject({
      repairs: [],
      plan: expect.arrayContaining([`etcd04: its member a4 ${words}`]),
    });
  });

  test("of a lost node is nobody's", () => {
    const nodes = [...FOUR.slice(0, 3), node(4, { lost: true })];
    expect(survey([...THREE, learner(4)], nodes).repairs).toHaveLength(1);
  });

  test("is not any other member that goes", () => {
    expect(survey([...THREE, member(4)])).toMatchObject({ repairs: [], findings: [] });
  });
});
