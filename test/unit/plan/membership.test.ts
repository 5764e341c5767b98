/** The quorum arithmetic of an edit, before anything is touched. */
import { describe, expect, test } from "vitest";
import type { NodeConfig } from "../../../components/config/index";
import { type LiveMember, quorum } from "../../../components/etcd/members";
import {
  planMembership,
  planWithoutQuorum,
  refuseSecondCluster,
} from "../../../components/plan/membership";

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

const seen = (...empty: string[]) => ({
  empty: new Set(empty),
  silent: new Map<string, string>(),
  running: new Map<string, string>(),
});
const none = seen();

test("a quorum is more than half", () => {
  expect([1, 2, 3, 4, 5, 6, 7].map(quorum)).toEqual([1, 2, 2, 3, 3, 4, 4]);
});

describe("an edit of the list", () => {
  test("that changes no member says nothing, whoever is sick", () => {
    expect(planMembership([member(1), member(2, false)], [node(1), node(2)], none)).toMatchObject({
      plan: [],
      findings: [],
    });
  });

  test("that adds a node says what it makes of the quorum", () => {
    const live = [member(1), member(2), member(3)];
    expect(planMembership(live, [node(1), node(2), node(3), node(4)], none)).toMatchObject({
      plan: [
        "members: 3 voters, 3 healthy; etcd04 joins as a learner and is promoted; afterwards: 4 voters, quorum 3, tolerates 1 failure",
      ],
      findings: [],
    });
  });

  test("that removes a healthy voter of a cluster with one down is refused when no quorum is left", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(planMembership(live, [node(1), node(3)], none).findings).toEqual([
      "3 voters, 2 healthy: removing etcd02 would leave 1 healthy of 2 voters; quorum is 2: start etcd03, or set lost: true",
    ]);
  });

  test("that removes the one that is down is fine", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(planMembership(live, [node(1), node(2)], none)).toMatchObject({
      plan: [
        "members: 3 voters, 2 healthy; etcd03 is removed, and is unhealthy: if its host is gone, set lost: true first; afterwards: 2 voters, quorum 2, tolerates 0 failures",
        "clients: remove https://192.0.2.3:2379 from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)",
      ],
      findings: [],
    });
  });

  test("that marks one as lost that answers says so", () => {
    const live = [member(1), member(2), member(3)];
    expect(planMembership(live, [node(1), node(2), node(3, true)], none).plan[0]).toContain(
      "etcd03 is removed as lost although it is healthy: its host is left unchanged;",
    );
  });

  test("that marks the one that is down as lost and adds another is fine", () => {
    const live = [member(1), member(2), member(3, false)];
    const edit = [node(1), node(2), node(3, true), node(4)];
    expect(planMembership(live, edit, none)).toMatchObject({
      plan: [
        "members: 3 voters, 2 healthy; etcd04 joins as a learner and is promoted; etcd03 is removed; afterwards: 3 voters, quorum 2, tolerates 1 failure",
        "clients: remove https://192.0.2.3:2379 from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)",
      ],
      findings: [],
    });
  });

  test("that adds a node beside one that is down is refused", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(planMembership(live, [node(1), node(2), node(3), node(4)], none).findings).toEqual([
      "3 voters, 2 healthy: etcd04 cannot join while etcd03 is unhealthy; start it, or set lost: true",
    ]);
  });

  test("finds a rebuilt host, which does not stand in its own way", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(planMembership(live, [node(1), node(2), node(3)], seen("etcd03"))).toMatchObject({
      plan: [
        "members: 3 voters, 2 healthy; etcd03 is rebuilt: its old member is removed, it rejoins as a learner and is promoted; afterwards: 3 voters, quorum 2, tolerates 1 failure",
      ],
      findings: [],
    });
  });

  test("that marks a member as lost counts without those that are rebuilt: they join after it", () => {
    const live = [member(1), member(2), member(3, false)];
    const edit = [node(1), node(2, true), node(3)];
    expect(planMembership(live, edit, seen("etcd03")).findings).toEqual([
      "3 voters, 2 healthy: removing etcd02 would leave 1 healthy of 2 voters; quorum is 2: start etcd03, or set lost: true",
    ]);
  });

  test("that takes one out which never started calls it so", () => {
    const half = { ...member(4, false, true), name: "" };
    const live = [member(1), member(2), member(3, false), half];
    expect(planMembership(live, [node(1), node(3)], none).findings).toEqual([
      "3 voters, 2 healthy: removing etcd02, an unstarted member would leave 1 healthy of 2 voters; quorum is 2: start etcd03, or set lost: true",
    ]);
  });

  test("does not take a new host for a rebuilt one", () => {
    const live = [member(1)];
    expect(planMembership(live, [node(1), node(2)], seen("etcd02")).plan).toEqual([
      "members: 1 voter, 1 healthy; etcd02 joins as a learner and is promoted; afterwards: 2 voters, quorum 2, tolerates 0 failures",
    ]);
  });

  test("uses a member that was added and never started as it is", () => {
    const half = { ...member(3, false, true), name: "" };
    const live = [member(1), member(2), half];
    expect(planMembership(live, [node(1), node(2), node(3)], seen("etcd03")).plan).toEqual([
      "members: 2 voters, 2 healthy; etcd03 joins as a learner and is promoted; afterwards: 3 voters, quorum 2, tolerates 1 failure",
    ]);
  });

  test("that adds a node whose host does not answer is refused", () => {
    const hosts = { ...seen(), silent: new Map([["etcd04", "timed out"]]) };
    const live = [member(1), member(2), member(3)];
    expect(
      planMembership(
        live,
        [1, 2, 3, 4].map((n) => node(n)),
        hosts,
      ).findings,
    ).toEqual(["etcd04: cannot join or move while its host is unreachable: timed out"]);
    const known = { ...hosts, silent: new Map([["etcd03", "timed out"]]) };
    expect(
      planMembership(
        live,
        [1, 2, 3, 4].map((n) => node(n)),
        known,
      ).findings,
    ).toEqual([]);
  });

  test("does not count a learner as a voter", () => {
    const live = [member(1), member(2), member(3), member(4, false, true)];
    expect(planMembership(live, [node(1), node(2), node(3)], none)).toMatchObject({
      plan: [
        "members: 3 voters, 3 healthy; etcd04 is removed; afterwards: 3 voters, quorum 2, tolerates 1 failure",
      ],
      findings: [],
    });
  });
});

describe("a node with another address", () => {
  const at = (number: number, host: number) => ({ ...node(number), address: `192.0.2.${host}` });
  const three = [member(1), member(2), member(3)];

  test("moves, and nobody joins or leaves", () => {
    expect(planMembership(three, [node(1), node(2), at(3, 9)], none)).toEqual({
      plan: [
        "members: 3 voters, 3 healthy; etcd03 moves from 192.0.2.3 to 192.0.2.9 and restarts there; afterwards: 3 voters, quorum 2, tolerates 1 failure",
        "clients: remove https://192.0.2.3:2379 from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)",
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
    const { moving } = planMembership(live, [{ ...node(1), address: "2001:db8::2" }], none);
    expect(moving.get("etcd01")).toBe("2001:db8::1 to 2001:db8::2");
  });

  test("may be down where it was: that is why it moves", () => {
    const live = [member(1), member(2), member(3, false)];
    expect(planMembership(live, [node(1), node(2), at(3, 9)], none).findings).toEqual([]);
    expect(planMembership(live, [node(1), node(2), at(3, 9), node(4)], none).findings).toEqual([]);
  });

  test("is refused beside another one that is down, whose loss may be declared", () => {
    const live = [member(1), member(2, false), member(3)];
    expect(planMembership(live, [node(1), node(2), at(3, 9)], none).findings).toEqual([
      "3 voters, 2 healthy: moving etcd03 restarts it, which would leave 1 healthy of 3 voters; no member is restarted while another is unhealthy: start etcd02, or set lost: true",
    ]);
    expect(planMembership(live, [node(1), node(2, true), at(3, 9)], none).findings).toEqual([]);
  });

  test("costs nothing when it is cut off already, so two of five may be", () => {
    const live = [member(1), member(2), member(3), member(4, false), member(5, false)];
    const edit = [node(1), node(2), node(3), at(4, 8), at(5, 9)];
    expect(planMembership(live, edit, none)).toMatchObject({
      plan: [
        "members: 5 voters, 3 healthy; etcd04 moves from 192.0.2.4 to 192.0.2.8 and restarts there; etcd05 moves from 192.0.2.5 to 192.0.2.9 and restarts there; afterwards: 5 voters, quorum 3, tolerates 2 failures",
        "clients: remove https://192.0.2.4:2379, https://192.0.2.5:2379 from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)",
      ],
      findings: [],
    });
  });

  test("is told that two voters cannot spare one", () => {
    const two = [member(1), member(2)];
    expect(planMembership(two, [node(1), at(2, 9)], none)).toMatchObject({
      plan: [
        "members: 2 voters, 2 healthy; etcd02 moves from 192.0.2.2 to 192.0.2.9 and restarts there; the cluster is unavailable while it restarts (quorum is 2); afterwards: 2 voters, quorum 2, tolerates 0 failures",
        "clients: remove https://192.0.2.2:2379 from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)",
      ],
      findings: [],
    });
  });

  test("is another machine when its host is empty: the old member goes, it joins", () => {
    expect(planMembership(three, [node(1), node(2), at(3, 9)], seen("etcd03"))).toMatchObject({
      plan: [
        "members: 3 voters, 3 healthy; etcd03 moves from 192.0.2.3 to 192.0.2.9, where the host is empty: its old member is removed, it rejoins as a learner and is promoted; what still runs at 192.0.2.3 is not removed; afterwards: 3 voters, quorum 2, tolerates 1 failure",
        "clients: remove https://192.0.2.3:2379 from their endpoint lists, and restart those that read the list only at startup (such as kube-apiserver)",
      ],
      findings: [],
      joining: ["etcd03"],
      leaving: [],
      moving: new Map(),
    });
  });

  test("cannot move to where nobody answers", () => {
    const hosts = { ...seen(), silent: new Map([["etcd03", "timed out"]]) };
    expect(planMembership(three, [node(1), node(2), at(3, 9)], hosts).findings).toEqual([
      "etcd03: cannot join or move while its host is unreachable: timed out",
    ]);
  });

  test("has moved when the list has its new address, whatever else bears its name", () => {
    const live = [...three, { ...member(3), peerUrls: "https://192.0.2.9:2380" }];
    expect(planMembership(live, [node(1), node(2), at(3, 9)], none)).toMatchObject({
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
      "of a member that is to have its own in exchange",
      [node(1), at(2, 3), at(3, 2)],
      "etcd02, etcd03: cannot swap their addresses in one edit, because no two members can ever have the same one; first give etcd02 an unused address, then move etcd03 to 192.0.2.2, and finally etcd02 to 192.0.2.3, each in an edit of its own; or, if the hosts still have their old addresses, restore those in the configuration",
    ],
    [
      "of a member in a ring of three",
      [at(1, 2), at(2, 3), at(3, 1)],
      "etcd01, etcd02, etcd03: cannot swap their addresses in one edit, because no two members can ever have the same one; first give etcd01 an unused address, then move etcd03 to 192.0.2.1, then etcd02 to 192.0.2.3, and finally etcd01 to 192.0.2.2, each in an edit of its own; or, if the hosts still have their old addresses, restore those in the configuration",
    ],
    [
      "of a member that is to leave",
      [node(1), at(2, 3)],
      "etcd02: 192.0.2.3 is the address of the member etcd03; remove etcd03 in an edit of its own first",
    ],
    [
      "under a new name",
      [node(1), node(2), at(4, 3)],
      "etcd04: 192.0.2.3 is the address of the member etcd03; name the node etcd03, or remove etcd03 in one edit and add etcd04 in the next",
    ],
  ])("is refused one %s", (_, nodes, finding) => {
    expect(planMembership(three, nodes, none)).toMatchObject({ plan: [], findings: [finding] });
  });
});

describe("an exchange of addresses", () => {
  test("is done by the edits that its refusal names", () => {
    const three = [1, 2, 3].map((number) => member(number));
    const at = (number: number, last: number) => ({
      ...node(number),
      address: `192.0.2.${last}`,
    });
    const none = { empty: new Set<string>(), silent: new Map(), running: new Map() };
    let live = three;
    for (const nodes of [
      [node(1), at(2, 9), node(3)],
      [node(1), at(2, 9), at(3, 2)],
      [node(1), at(2, 3), at(3, 2)],
    ]) {
      const { findings, moving } = planMembership(live, nodes, none);
      expect({ findings, moving: moving.size }).toEqual({ findings: [], moving: 1 });
      live = live.map((one) => ({
        ...one,
        peerUrls: `https://${nodes.find(({ name }) => name === one.name)?.address}:2380`,
      }));
    }
  });
});

describe("when no node has a member", () => {
  const former = [node(1), node(2)];

  test("no second cluster is formed beside the one that lives on elsewhere", () => {
    const finding =
      "none of the nodes is a member of the existing cluster (etcd01, etcd02): this would bootstrap a second cluster; keep one of its members until the new ones have joined, or run `pulumi destroy` first";
    for (const empty of [new Set<string>(), new Set(["etcd01", "etcd02", "etcd03"])]) {
      expect(refuseSecondCluster(former, [node(3)], empty)).toEqual([finding]);
      expect(refuseSecondCluster(former, [node(1), node(3)], empty)).toEqual([finding]);
      expect(refuseSecondCluster(former, [node(1), node(2, true)], empty)).toEqual([finding]);
    }
  });

  test("no empty one takes the place of one whose hosts have all lost their data, whatever others have", () => {
    const finding =
      "all members of the existing cluster (etcd01, etcd02) have lost their data: refusing to bootstrap an empty cluster in its place; restore it from a snapshot with etcd:recover (docs/recovery.md), or, to discard its data, run `pulumi destroy` first";
    const nodes = [node(2), node(1), node(3)];
    expect(refuseSecondCluster(former, nodes, new Set(["etcd01", "etcd02"]))).toEqual([finding]);
    expect(refuseSecondCluster(former, nodes, new Set(["etcd01", "etcd02", "etcd03"]))).toEqual([
      finding,
    ]);
  });

  test("one is formed where there never was one, and a half made one is finished", () => {
    expect(refuseSecondCluster([], [node(1)], new Set(["etcd01"]))).toEqual([]);
    expect(refuseSecondCluster(former, [node(2), node(1)], new Set(["etcd02"]))).toEqual([]);
  });
});

describe("without a quorum nobody can say who the members are", () => {
  const before = new Set(["192.0.2.1", "192.0.2.2", "192.0.2.3"]);

  test("so an edit of the list is refused, and says who would come and go", () => {
    const { findings } = planWithoutQuorum(before, [node(1), node(2, true), node(4)]);
    expect(findings).toEqual([
      "the cluster has no quorum, so members can be neither added nor removed: start its members before etcd04 joins, etcd02 is removed, 192.0.2.3 is removed",
    ]);
  });

  test("the same list may go on, and so may a cluster that never was", () => {
    const nothing = { plan: [], findings: [] };
    expect(planWithoutQuorum(before, [node(1), node(2), node(3)])).toMatchObject(nothing);
    expect(planWithoutQuorum(new Set(), [node(1)])).toMatchObject(nothing);
  });
});
