/** The quorum arithmetic of an edit, before anything is touched. */
import { describe, expect, test } from "vitest";
import type { NodeConfig } from "../../components/config";
import {
  judgeMembership,
  judgeStrangers,
  judgeWithoutQuorum,
  type LiveMember,
  quorum,
} from "../../components/membership";

const node = (number: number, lost = false): NodeConfig => ({
  name: `etcd0${number}`,
  address: `192.0.2.${number}`,
  lost,
});

const member = (number: number, healthy = true, learner = false): LiveMember => ({
  name: `etcd0${number}`,
  peerUrls: `https://192.0.2.${number}:2380`,
  learner,
  healthy,
});

const seen = (...empty: string[]) => ({ empty: new Set(empty), silent: new Map<string, string>() });
const none = seen();

test("a quorum is more than half", () => {
  expect([1, 2, 3, 4, 5, 6, 7].map(quorum)).toEqual([1, 2, 2, 3, 3, 4, 4]);
});

describe("an edit of the list", () => {
  test("that changes no member says nothing, whoever is sick", () => {
    expect(judgeMembership([member(1), member(2, false)], [node(1), node(2)], none)).toMatchObject({
      plan: [],
      findings: [],
    });
  });

  test("that adds a node says what it makes of the quorum", () => {
    const live = [member(1), member(2), member(3)];
    expect(judgeMembership(live, [node(1), node(2), node(3), node(4)], none)).toMatchObject({
      plan: [
        "members: 3 voters, 3 healthy; etcd04 joins as a learner and is promoted; then 4 voters, quorum 3, which survives 1 down",
      ],
      findings: [],
    });
  });

  test("that removes a healthy voter of a cluster with one down is refused when no quorum is left", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(judgeMembership(live, [node(1), node(3)], none).findings).toEqual([
      "3 voters, 2 healthy: removing etcd02 would leave 1 healthy of 2, and 2 are needed; bring etcd03 back or mark it lost",
    ]);
  });

  test("that removes the one that is down is fine", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(judgeMembership(live, [node(1), node(2)], none)).toMatchObject({
      plan: [
        "members: 3 voters, 2 healthy; etcd03 leaves, and does not answer: mark it lost first if its host cannot be dialled any more; then 2 voters, quorum 2, which survives 0 down",
      ],
      findings: [],
    });
  });

  test("that marks one as lost that answers says so", () => {
    const live = [member(1), member(2), member(3)];
    expect(judgeMembership(live, [node(1), node(2), node(3, true)], none).plan[0]).toContain(
      "etcd03 leaves as lost, though it answers: its host is left as it is;",
    );
  });

  test("that marks the one that is down as lost and adds another is fine", () => {
    const live = [member(1), member(2), member(3, false)];
    const edit = [node(1), node(2), node(3, true), node(4)];
    expect(judgeMembership(live, edit, none)).toMatchObject({
      plan: [
        "members: 3 voters, 2 healthy; etcd04 joins as a learner and is promoted; etcd03 leaves; then 3 voters, quorum 2, which survives 1 down",
      ],
      findings: [],
    });
  });

  test("that adds a node beside one that is down is refused", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(judgeMembership(live, [node(1), node(2), node(3), node(4)], none).findings).toEqual([
      "3 voters, 2 healthy: etcd04 cannot join while etcd03 does not answer; bring it back or mark it lost",
    ]);
  });

  test("finds a rebuilt host, which does not stand in its own way", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(judgeMembership(live, [node(1), node(2), node(3)], seen("etcd03"))).toMatchObject({
      plan: [
        "members: 3 voters, 2 healthy; etcd03 is rebuilt: its old member is removed, it joins again as a learner and is promoted; then 3 voters, quorum 2, which survives 1 down",
      ],
      findings: [],
    });
  });

  test("that marks a member as lost counts without those that are rebuilt: they join after it", () => {
    const live = [member(1), member(2), member(3, false)];
    const edit = [node(1), node(2, true), node(3)];
    expect(judgeMembership(live, edit, seen("etcd03")).findings).toEqual([
      "3 voters, 2 healthy: removing etcd02 would leave 1 healthy of 2, and 2 are needed; bring etcd03 back or mark it lost",
    ]);
  });

  test("that takes one out which never started calls it so", () => {
    const half = { ...member(4, false, true), name: "" };
    const live = [member(1), member(2), member(3, false), half];
    expect(judgeMembership(live, [node(1), node(3)], none).findings).toEqual([
      "3 voters, 2 healthy: removing etcd02, a member that never started would leave 1 healthy of 2, and 2 are needed; bring etcd03 back or mark it lost",
    ]);
  });

  test("does not take a new host for a rebuilt one", () => {
    const live = [member(1)];
    expect(judgeMembership(live, [node(1), node(2)], seen("etcd02")).plan).toEqual([
      "members: 1 voter, 1 healthy; etcd02 joins as a learner and is promoted; then 2 voters, quorum 2, which survives 0 down",
    ]);
  });

  test("uses a member that was added and never started as it is", () => {
    const half = { ...member(3, false, true), name: "" };
    const live = [member(1), member(2), half];
    expect(judgeMembership(live, [node(1), node(2), node(3)], seen("etcd03")).plan).toEqual([
      "members: 2 voters, 2 healthy; etcd03 joins as a learner and is promoted; then 3 voters, quorum 2, which survives 1 down",
    ]);
  });

  test("that adds a node whose host does not answer is refused", () => {
    const hosts = { empty: new Set<string>(), silent: new Map([["etcd04", "timed out"]]) };
    const live = [member(1), member(2), member(3)];
    expect(
      judgeMembership(
        live,
        [1, 2, 3, 4].map((n) => node(n)),
        hosts,
      ).findings,
    ).toEqual(["etcd04: cannot join or move while its host cannot be reached: timed out"]);
    const known = { ...hosts, silent: new Map([["etcd03", "timed out"]]) };
    expect(
      judgeMembership(
        live,
        [1, 2, 3, 4].map((n) => node(n)),
        known,
      ).findings,
    ).toEqual([]);
  });

  test("does not count a learner as a voter", () => {
    const live = [member(1), member(2), member(3), member(4, false, true)];
    expect(judgeMembership(live, [node(1), node(2), node(3)], none)).toMatchObject({
      plan: [
        "members: 3 voters, 3 healthy; etcd04 leaves; then 3 voters, quorum 2, which survives 1 down",
      ],
      findings: [],
    });
  });
});

describe("a node with another address", () => {
  const at = (number: number, host: number) => ({ ...node(number), address: `192.0.2.${host}` });
  const three = [member(1), member(2), member(3)];

  test("moves, and nobody joins or leaves", () => {
    expect(judgeMembership(three, [node(1), node(2), at(3, 9)], none)).toEqual({
      plan: [
        "members: 3 voters, 3 healthy; etcd03 moves from 192.0.2.3 to 192.0.2.9 and restarts there; then 3 voters, quorum 2, which survives 1 down",
      ],
      findings: [],
      joining: [],
      rebuilt: [],
      leaving: [],
      moving: new Map([["etcd03", "192.0.2.3 to 192.0.2.9"]]),
    });
  });

  test("has an IPv6 address in words, without brackets", () => {
    const live = [{ ...member(1), peerUrls: "https://[2001:db8::1]:2380" }];
    const { moving } = judgeMembership(live, [{ ...node(1), address: "2001:db8::2" }], none);
    expect(moving.get("etcd01")).toBe("2001:db8::1 to 2001:db8::2");
  });

  test("may be down where it was: that is why it moves", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(judgeMembership(live, [node(1), node(2), at(3, 9)], none).findings).toEqual([]);
    expect(judgeMembership(live, [node(1), node(2), at(3, 9), node(4)], none).findings).toEqual([]);
  });

  test("is refused beside another one that is down, whose loss may be declared", () => {
    const live = [member(1), member(2, false), member(3)];
    expect(judgeMembership(live, [node(1), node(2), at(3, 9)], none).findings).toEqual([
      "3 voters, 2 healthy: moving etcd03 restarts it, which would leave 1 healthy of 3, and nothing restarts beside a member that is down; bring etcd02 back or mark it lost",
    ]);
    expect(judgeMembership(live, [node(1), node(2, true), at(3, 9)], none).findings).toEqual([]);
  });

  test("costs nothing when it is cut off already, so two of five may be", () => {
    const live = [member(1), member(2), member(3), member(4, false), member(5, false)];
    const edit = [node(1), node(2), node(3), at(4, 8), at(5, 9)];
    expect(judgeMembership(live, edit, none)).toMatchObject({
      plan: [
        "members: 5 voters, 3 healthy; etcd04 moves from 192.0.2.4 to 192.0.2.8 and restarts there; etcd05 moves from 192.0.2.5 to 192.0.2.9 and restarts there; then 5 voters, quorum 3, which survives 2 down",
      ],
      findings: [],
    });
  });

  test("is told that two voters cannot spare one", () => {
    const two = [member(1), member(2)];
    expect(judgeMembership(two, [node(1), at(2, 9)], none)).toMatchObject({
      plan: [
        "members: 2 voters, 2 healthy; etcd02 moves from 192.0.2.2 to 192.0.2.9 and restarts there; nobody is answered while it restarts, for 2 are needed; then 2 voters, quorum 2, which survives 0 down",
      ],
      findings: [],
    });
  });

  test("is another machine when its host is empty: the old member goes, it joins", () => {
    expect(judgeMembership(three, [node(1), node(2), at(3, 9)], seen("etcd03"))).toMatchObject({
      plan: [
        "members: 3 voters, 3 healthy; etcd03 moves from 192.0.2.3 to 192.0.2.9, where the host is empty: its old member is removed, it joins again as a learner and is promoted; what is left at 192.0.2.3 is not taken away; then 3 voters, quorum 2, which survives 1 down",
      ],
      findings: [],
      joining: ["etcd03"],
      leaving: [],
      moving: new Map(),
    });
  });

  test("cannot move to where nobody answers", () => {
    const hosts = { empty: new Set<string>(), silent: new Map([["etcd03", "timed out"]]) };
    expect(judgeMembership(three, [node(1), node(2), at(3, 9)], hosts).findings).toEqual([
      "etcd03: cannot join or move while its host cannot be reached: timed out",
    ]);
  });

  test("has moved when the list has its new address, whatever else bears its name", () => {
    const live = [...three, { ...member(3), peerUrls: "https://192.0.2.9:2380" }];
    expect(judgeMembership(live, [node(1), node(2), at(3, 9)], none)).toMatchObject({
      joining: [],
      leaving: ["etcd03"],
      moving: new Map(),
    });
  });

  test.each([
    [
      "of a member that is to move itself",
      [node(1), at(2, 3), at(3, 9)],
      "etcd02: 192.0.2.3 is the address of the member etcd03; move etcd03 to 192.0.2.9 first",
    ],
    [
      "of a member that is to leave",
      [node(1), at(2, 3)],
      "etcd02: 192.0.2.3 is the address of the member etcd03; remove etcd03 in an edit of its own first",
    ],
    [
      "under a new name",
      [node(1), node(2), at(4, 3)],
      "etcd04: 192.0.2.3 is the address of the member etcd03; call the node etcd03, or remove etcd03 in one edit and add etcd04 in the next",
    ],
  ])("is refused one %s", (_, nodes, finding) => {
    expect(judgeMembership(three, nodes, none)).toMatchObject({ plan: [], findings: [finding] });
  });
});

describe("when no node has a member", () => {
  const former = [node(1), node(2)];

  test("no second cluster is formed beside the one that lives on elsewhere", () => {
    const finding =
      "none of the nodes is a member of the cluster of etcd01, etcd02, so a second one would be formed; keep one that is until the new ones have joined, or end that cluster with `pulumi destroy` first";
    for (const empty of [new Set<string>(), new Set(["etcd01", "etcd02", "etcd03"])]) {
      expect(judgeStrangers(former, [node(3)], empty)).toEqual([finding]);
      expect(judgeStrangers(former, [node(1), node(3)], empty)).toEqual([finding]);
      expect(judgeStrangers(former, [node(1), node(2, true)], empty)).toEqual([finding]);
    }
  });

  test("no empty one takes the place of one whose hosts have all lost their data, whatever others have", () => {
    const finding =
      "nothing is left of the cluster of etcd01, etcd02 on any host, so an empty one would take its place; bring it back from a snapshot with etcd:recover (docs/recovery.md), or, if its data is to be given up, end it with `pulumi destroy` first";
    const nodes = [node(2), node(1), node(3)];
    expect(judgeStrangers(former, nodes, new Set(["etcd01", "etcd02"]))).toEqual([finding]);
    expect(judgeStrangers(former, nodes, new Set(["etcd01", "etcd02", "etcd03"]))).toEqual([
      finding,
    ]);
  });

  test("one is formed where there never was one, and a half made one is finished", () => {
    expect(judgeStrangers([], [node(1)], new Set(["etcd01"]))).toEqual([]);
    expect(judgeStrangers(former, [node(2), node(1)], new Set(["etcd02"]))).toEqual([]);
  });
});

describe("without a quorum nobody can say who the members are", () => {
  const before = new Set(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);

  test("so an edit of the list is refused, and says who would come and go", () => {
    const { findings } = judgeWithoutQuorum(before, [node(1), node(2, true), node(4)]);
    expect(findings).toEqual([
      "no quorum of the cluster answers, so nobody can be let in or out: bring its members back before etcd04 joins, etcd02 leaves, 192.0.2.3 leaves",
    ]);
  });

  test("the same list may go on, and so may a cluster that never was", () => {
    const nothing = { plan: [], findings: [] };
    expect(judgeWithoutQuorum(before, [node(1), node(2), node(3)])).toMatchObject(nothing);
    expect(judgeWithoutQuorum(new Set(), [node(1)])).toMatchObject(nothing);
  });
});
