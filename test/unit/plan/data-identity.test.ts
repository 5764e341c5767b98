import { describe, expect, test } from "vitest";
import type { LiveMember } from "../../../components/etcd/members";
import type { HostState } from "../../../components/hosts/host-state";
import { readIdentity } from "../../../components/hosts/probe-fields";
import { planDataIdentity } from "../../../components/plan/data-identity";
import { bare, judged, settled, silent } from "../../support/looks";

const DO =
  "it is neither used nor deleted: move it away (mv /var/lib/etcd/member /var/lib/etcd/member.foreign), and the next pulumi up rejoins this host";
const of = (data: string, own = data, change: Parameters<typeof settled>[1] = {}) =>
  settled({}, { data: readIdentity(data), identity: readIdentity(own), ...change });
const members: readonly LiveMember[] = [1, 2, 3].map((number) => ({
  name: `etcd0${number}`,
  peerUrls: `https://192.168.1.${82 + number}:2380`,
  learner: false,
  healthy: true,
  id: `a${number}`,
}));
const judge = (...looks: readonly HostState[]) =>
  planDataIdentity(new Map(looks.map((look, index) => [`etcd0${index + 1}`, look])));
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
      `etcd02: has data in /var/lib/etcd of member b7 of cluster f0, but etcd01 is in cluster cafe; ${DO}`,
    ],
    [
      "another member than before",
      [of("cafe a2", "cafe a1")],
      `etcd01: has data in /var/lib/etcd of member a2 of cluster cafe; its own member is a1 of cluster cafe; ${DO}; if it was restored by hand and is correct, remove /var/lib/etcd-on-pulumi/identity instead`,
    ],
    [
      "nobody's",
      [LEADER, settled({}, { bootstrapped: false, data: readIdentity("cafe a2 unmanaged") })],
      `etcd02: has data in /var/lib/etcd of member a2 of cluster cafe, which this program did not create; ${DO}`,
    ],
  ])("of %s is refused", (_, looks, finding) => {
    expect(judge(...looks).findings).toEqual([finding]);
  });

  test("of one member on two hosts is refused on both", () => {
    const { findings } = judge(of("cafe a1"), of("cafe a1"));
    expect(findings).toEqual([
      expect.stringContaining(
        "etcd01: has data in /var/lib/etcd of member a1 of cluster cafe, and so does etcd02",
      ),
      expect.stringContaining("and so does etcd01: one of them is a copy"),
    ]);
  });

  test("of different clusters, none of which answers, is refused", () => {
    expect(judge(of("cafe a1"), of("f0 b2")).findings).toEqual([
      "the hosts have data of different clusters, and none of those clusters has a quorum: etcd01 of cafe, etcd02 of f0; move away what does not belong here (mv /var/lib/etcd/member /var/lib/etcd/member.foreign)",
    ]);
  });

  test("of a first start that is not finished is left to the step", () => {
    const half = settled({}, { bootstrapped: false, data: readIdentity("f0 b2") });
    expect(judge(LEADER, half)).toEqual({ findings: [], plan: [] });
  });

  test("of a member that was removed is put aside, and the preview says so", () => {
    expect(judge(LEADER, of("cafe a9"))).toEqual({
      findings: [],
      plan: [
        "etcd02: its member a9 was removed from the cluster; its data will be moved aside, and the host rejoins",
      ],
    });
  });

  test("of a member that its own host has taken out is known by one host's word", () => {
    expect(judge(LEADER, of("cafe a9 left"), bare())).toEqual({
      findings: [],
      plan: [
        "etcd02: its member a9 was removed from the cluster; its data will be moved aside, and the host rejoins",
      ],
    });
    expect(judge(LEADER, of("cafe a9"), bare()).findings).not.toEqual([]);
  });

  test("comes with the findings and the plan of the survey", () => {
    const looks = { etcd01: LEADER, etcd02: of("cafe a9"), etcd03: of("f0 b3", "f0 b3") };
    const also = of("cafe a3", "cafe a3", { members });
    const { findings, summary } = judged({ ...looks, etcd04: also });
    expect(findings.join()).toContain(
      "member b3 of cluster f0, but etcd01, etcd04 are in cluster cafe",
    );
    expect(summary.join()).toContain("its member a9 was removed");
    // One host's word is not enough where others could say it too.
    expect(judged(looks).findings.join("\n")).toContain(
      "etcd02: its member a9 of cluster cafe is no longer in the member list, but only etcd01 reports this, and 2 hosts must: nothing is moved aside",
    );
  });
});
