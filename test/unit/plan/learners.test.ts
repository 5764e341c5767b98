import { describe, expect, test } from "vitest";
import type { LiveMember } from "../../../components/etcd/members";
import { planLearners } from "../../../components/plan/learners";
import { node } from "../../support/fixtures";
import { BEFORE, judged, type Seen, STAMP, settled, silent } from "../../support/looks";

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
    const { repairs, nodePlans } = survey([...THREE, learner(4, { name: "" })]);
    expect(repairs).toEqual([`etcd01: ${words}`]);
    expect(nodePlans.get("etcd01")?.revisions.member).toBe(`repair ${STAMP} # ${words}`);
    expect(nodePlans.get("etcd02")?.revisions.member).toBe(BEFORE.member);
  });

  test.each([
    ["was added by an interrupted run and will be reused", ""],
    ["is still a learner and will be promoted", "etcd04"],
  ])("of a configured node %s", (words, name) => {
    expect(planLearners([...THREE, learner(4, { name })], FOUR)).toEqual([
      `etcd04: its member a4 ${words}`,
    ]);
    expect(survey([...THREE, learner(4, { name })], FOUR)).toMatchObject({
      repairs: [],
      summary: expect.arrayContaining([`etcd04: its member a4 ${words}`]),
    });
  });

  test("of a lost node is nobody's", () => {
    const nodes = [...FOUR.slice(0, 3), node(4, { lost: true })];
    expect(survey([...THREE, learner(4)], nodes).repairs).toHaveLength(1);
  });

  test("is not the only one that nobody would take out: so is a voter of no node", () => {
    const words = "etcd01: member a4 at https://192.168.1.86:2380 belongs to no configured node";
    expect(survey([...THREE, member(4)])).toMatchObject({ repairs: [words], findings: [] });
    // One that an edit of the nodes leaves over is taken out by the gate, whose input the nodes are.
    const left = { nodes: ["192.168.1.86"], members: [...THREE, member(4)] };
    const looks = { etcd01: settled({}, { leader: true, ...left }), etcd02: settled({}, left) };
    expect(judged(looks).repairs).toEqual([]);
  });

  test("is carried out by another host that tells of it when the leader's cannot be seen", () => {
    const tells = settled({}, { members: [...THREE, learner(4)] });
    const { repairs } = judged({ etcd01: silent(), etcd02: tells, etcd03: tells });
    expect(repairs).toEqual([expect.stringMatching(/^etcd02: learner a4 /)]);
  });

  describe("at the address of a member that runs", () => {
    // With a client's certificate: the member is given another address, its own goes to a learner.
    const moved = member(1, { peerUrls: "https://192.168.1.99:2380" });
    const list = [moved, member(2), member(3), learner(1, { name: "", id: "a9" })];
    const look = (number: number, change: Partial<Seen> = {}) =>
      settled(
        {},
        {
          members: list,
          version: "3.6.14",
          runs: { cluster: "cafe", member: `a${number}`, leader: "a2" },
          ...change,
        },
      );
    const looks = { etcd01: look(1), etcd02: look(2, { leader: true }), etcd03: look(3) };

    test("is nobody's: the host's member is that which runs there, by its ID, and moves back", () => {
      const { summary, repairs, findings, nodePlans } = judged(looks);
      expect(findings).toEqual([]);
      expect(summary).toEqual([
        "members: 3 voters, 3 healthy; etcd01 moves from 192.168.1.99 to 192.168.1.83 and restarts there; an unstarted member is removed; afterwards: 3 voters, quorum 2, tolerates 1 failure",
        "clients: remove https://192.168.1.99:2379 from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)",
      ]);
      expect(repairs).toEqual([
        "etcd02: learner a9 at https://192.168.1.83:2380 belongs to no configured node",
      ]);
      // Every part of the plan has a step that carries it out.
      expect(nodePlans.get("etcd01")?.revisions.member).toMatch(/^move \S+ # 192\.168\.1\.99 to /);
      expect(nodePlans.get("etcd02")?.revisions.member).toMatch(/^repair \S+ # learner a9 /);
    });

    test("stays the host's word for itself alone: it takes no member of another name", () => {
      const liar = look(1, { runs: { cluster: "cafe", member: "a2", leader: "a2" } });
      const { summary } = judged({ ...looks, etcd01: liar });
      expect(summary.join()).not.toContain("etcd02 ");
    });
  });
});
