import { describe, expect, test } from "vitest";
import { judgeIdentity, readIdentity } from "../../components/identity";
import type { Look } from "../../components/look";
import type { LiveMember } from "../../components/membership";
import { bare, judged, settled, silent } from "../support/looks";

const DO =
  "nothing is started on it or deleted: move it away (mv /var/lib/etcd /var/lib/etcd.foreign), and the next up lets this host join afresh";
const of = (data: string, own = data, change: Parameters<typeof settled>[1] = {}) =>
  settled({}, { data: readIdentity(data), identity: readIdentity(own), ...change });
const members: readonly LiveMember[] = [1, 2, 3].map((number) => ({
  name: `etcd0${number}`,
  peerUrls: `https://192.168.1.${82 + number}:2380`,
  learner: false,
  healthy: true,
  id: `a${number}`,
}));
const judge = (...looks: readonly Look[]) =>
  judgeIdentity(new Map(looks.map((look, index) => [`etcd0${index + 1}`, look])));
const LEADER = of("cafe a1", "cafe a1", { members });

describe("data on the hosts", () => {
  test("of three members of one cluster is in order, with and without a quorum", () => {
    const nothing = { findings: [], plan: [] };
    expect(judge(LEADER, of("cafe a2"), of("cafe a3"))).toEqual(nothing);
    expect(judge(of("cafe a1"), of("cafe a2"), silent(), bare())).toEqual(nothing);
    // Hosts of a cluster from before the gate kept the identity.
    expect(judge(settled({}, { data: readIdentity("cafe a1") }))).toEqual(nothing);
  });

  test.each([
    [
      "another cluster than the one that answers",
      [LEADER, settled({}, { data: readIdentity("f0 b7") })],
      `etcd02: has data in /var/lib/etcd of member b7 of cluster f0, but etcd01 is of cluster cafe; ${DO}`,
    ],
    [
      "another member than before",
      [of("cafe a2", "cafe a1")],
      `etcd01: has data in /var/lib/etcd of member a2 of cluster cafe; its own member is a1 of cluster cafe; ${DO}; if it was restored by hand and is right, remove /var/lib/etcd-on-pulumi/identity instead`,
    ],
    [
      "nobody's",
      [LEADER, settled({}, { formed: false, data: readIdentity("cafe a2 nobody's") })],
      `etcd02: has data in /var/lib/etcd of member a2 of cluster cafe, which no start by this program made; ${DO}`,
    ],
  ])("of %s is refused", (_, looks, finding) => {
    expect(judge(...looks).findings).toEqual([finding]);
  });

  test("of one member on two hosts is refused on both", () => {
    const { findings } = judge(of("cafe a1"), of("cafe a1"));
    expect(findings).toEqual([
      expect.stringContaining(
        "etcd01: has data in /var/lib/etcd of member a1 of cluster cafe, and so has etcd02",
      ),
      expect.stringContaining("and so has etcd01: one of them is a copy"),
    ]);
  });

  test("of different clusters, none of which answers, is refused", () => {
    expect(judge(of("cafe a1"), of("f0 b2")).findings).toEqual([
      "the hosts have data of different clusters, and none of these answers: etcd01 of cafe, etcd02 of f0; move away what does not belong here (mv /var/lib/etcd /var/lib/etcd.foreign)",
    ]);
  });

  test("of a first start that is not finished is left to the step", () => {
    const half = settled({}, { formed: false, data: readIdentity("f0 b2") });
    expect(judge(LEADER, half)).toEqual({ findings: [], plan: [] });
  });

  test("of a member that was removed is put aside, and the preview says so", () => {
    expect(judge(LEADER, of("cafe a9"))).toEqual({
      findings: [],
      plan: [
        "etcd02: its member a9 was removed from the cluster meanwhile; the data is put aside, and the host joins afresh",
      ],
    });
  });

  test("comes with the findings and the plan of the survey", () => {
    const looks = { etcd01: LEADER, etcd02: of("cafe a9"), etcd03: of("f0 b3", "f0 b3") };
    const { findings, plan } = judged(looks);
    expect(findings.join()).toContain("member b3 of cluster f0, but etcd01 is of cluster cafe");
    expect(plan.join()).toContain("its member a9 was removed");
  });
});
