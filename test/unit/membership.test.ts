/** The quorum arithmetic of an edit, before anything is touched. */
import { describe, expect, test } from "vitest";
import type { NodeConfig } from "../../components/config";
import {
  judgeMembership,
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

const none = new Set<string>();

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
    expect(judgeMembership(live, [node(1), node(2)], none).findings).toEqual([]);
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
    expect(judgeMembership(live, [node(1), node(2), node(3)], new Set(["etcd03"]))).toMatchObject({
      plan: [
        "members: 3 voters, 2 healthy; etcd03 is rebuilt: its old member is removed, it joins again as a learner and is promoted; then 3 voters, quorum 2, which survives 1 down",
      ],
      findings: [],
    });
  });

  test("does not take a new host for a rebuilt one", () => {
    const live = [member(1)];
    expect(judgeMembership(live, [node(1), node(2)], new Set(["etcd02"])).plan).toEqual([
      "members: 1 voters, 1 healthy; etcd02 joins as a learner and is promoted; then 2 voters, quorum 2, which survives 0 down",
    ]);
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
