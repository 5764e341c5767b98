import { describe, expect, test } from "vitest";
import type { RecoverConfig } from "../../components/config";
import { readIdentity } from "../../components/identity";
import type { Look } from "../../components/look";
import { inTurn } from "../../components/verdict";
import { changed, graphOf, settled as settledHosts } from "../support/cluster-graph";
import { cluster, node } from "../support/fixtures";
import { bare, judged, STAMP, settled, silent } from "../support/looks";

const KNOWN = [1, 2, 3].map((number) => `https://192.168.1.${82 + number}:2380`);
/** A host whose member of cluster cafe knows as much, and has no quorum. */
const left = (number: number, revision?: number, change: Parameters<typeof settled>[1] = {}) =>
  settled(
    {},
    {
      data: readIdentity(`cafe a${number}`),
      identity: readIdentity(`cafe a${number}`),
      known: KNOWN,
      nodes: [1, 2, 3].map((one) => `192.168.1.${82 + one}`),
      installed: "3.6.16",
      ...(revision === undefined ? {} : { revision }),
      ...change,
    },
  );
const EDIT: RecoverConfig = { node: "etcd01", confirm: "cafe" };
const survey = (
  looks: readonly Look[],
  recover?: RecoverConfig,
  nodes = [1, 2, 3].map((n) => node(n)),
) =>
  judged(Object.fromEntries(looks.map((look, index) => [`etcd0${index + 1}`, look])), {
    ...(recover === undefined ? {} : { recover }),
    nodes,
  });
const members = (survey: ReturnType<typeof judged>) =>
  [...survey.verdicts.values()].map(({ revisions }) => revisions.member);

describe("a cluster that has lost its quorum for good", () => {
  test("is refused: who is gone, what is left, what to write", () => {
    expect(survey([left(1, 7), bare(), bare()]).findings).toEqual([
      "the cluster cafe has lost its quorum for good: of its 3 members etcd02, etcd03 have no data any more. Left is etcd01 up to revision 7. To begin anew with that, set etcd:recover.node to etcd01 and etcd:recover.confirm to cafe; or from a snapshot, with etcd:recover.snapshot: docs/recovery.md",
    ]);
  });

  test("counts lost nodes among the gone, and names the one that knows most", () => {
    const nodes = [1, 2, 3, 4, 5].map((number) => node(number, { lost: number > 3 }));
    const known = [1, 2, 3, 4, 5].map((number) => `https://192.168.1.${82 + number}:2380`);
    const looks = [left(1, 7, { known }), left(2, 9, { known }), bare()];
    const [finding] = survey(looks, undefined, nodes).findings;
    expect(finding).toContain("of its 5 members etcd03, etcd04, etcd05 have no data any more");
    expect(finding).toContain("etcd01 up to revision 7, etcd02 up to revision 9");
    expect(finding).toContain("set etcd:recover.node to etcd02");
  });

  test.each([
    ["one of three is gone", [left(1), left(2), bare()]],
    ["two do not answer the operator", [left(1), silent(), silent()]],
    ["all were stopped", [left(1), left(2), left(3)]],
    ["all are gone: nothing of it is known", [bare(), bare(), bare()]],
    [
      "only one of three was ever a member",
      [left(1, 7, { known: KNOWN.slice(0, 1) }), bare(), bare()],
    ],
  ])("is not seen where %s", (_, looks) => {
    expect(survey(looks).findings.join()).not.toContain("for good");
  });
});

describe("etcd:recover", () => {
  test("has its node begin and the others join, the first one first", () => {
    const result = survey([bare(), left(2, 7), bare()], { ...EDIT, node: "etcd02" });
    expect(result.findings).toEqual([]);
    expect(members(result)).toEqual([
      `recover join cafe, ${STAMP}`,
      `recover first cafe, ${STAMP}`,
      `recover join cafe, ${STAMP}`,
    ]);
    expect(inTurn([...result.verdicts], ([, verdict]) => verdict).map(([name]) => name)).toEqual([
      "etcd02",
      "etcd01",
      "etcd03",
    ]);
    expect(result.plan).toEqual([
      "recovery: etcd02 begins a new cluster with its own data; etcd01, etcd03 join it afresh; data of the old cluster is kept on each host as /var/lib/etcd.before-recovery-TIME",
      "recovery: what cluster cafe acknowledged after revision 7 and that reached only members which are gone is lost; revisions go up by 1000000000, and watches begin anew",
    ]);
  });

  test("from a snapshot says its age, and what is given up for it", () => {
    const offered = { taken: new Date("2026-11-20T08:00:00Z"), revision: 5 };
    const edit = { ...EDIT, snapshot: "/root/s.db" };
    const result = survey([left(1, 7, { offered }), bare(), bare()], edit);
    expect(result.findings).toEqual([]);
    expect(members(result)[0]).toBe(`recover first cafe /root/s.db, ${STAMP}`);
    expect(result.plan.join("\n")).toContain("with /root/s.db (revision 5); etcd02, etcd03 join");
    expect(result.plan.join("\n")).toContain(
      "what was written to cluster cafe after 2026-11-20 08:00 UTC, when the snapshot was taken, is lost; etcd01 up to revision 7 is given up for it",
    );
    const wiped = survey([bare({ offered: { taken: offered.taken } }), bare(), bare()], edit);
    expect(wiped.findings).toEqual([]);
    expect(members(wiped)[1]).toBe(`recover join cafe, ${STAMP}`);
  });

  test.each<[string, readonly Look[], Partial<RecoverConfig>, string]>([
    [
      "another cluster than the one there",
      [left(1, 7), bare(), bare()],
      { confirm: "f0" },
      "etcd:recover.confirm is f0, but the cluster here is cafe; write its ID to give it up",
    ],
    [
      "a node without data",
      [bare(), left(2, 7), bare()],
      {},
      "etcd:recover.node is etcd01, which has no data; left is etcd02 up to revision 7",
    ],
    [
      "no data anywhere",
      [bare(), bare(), bare()],
      {},
      "etcd:recover.node is etcd01, which has no data; no host has: write etcd:recover.snapshot",
    ],
    [
      "a node that knows less",
      [left(1, 7), left(2, 9), bare()],
      {},
      "etcd:recover.node is etcd01, but others know more: etcd01 up to revision 7, etcd02 up to revision 9; write etcd02, and when it is not known how far one goes, stop etcd there (systemctl stop etcd.service) and look again",
    ],
    [
      "a node of which nothing is known while another is known",
      [left(1), left(2, 9), bare()],
      {},
      "etcd:recover.node is etcd01, but others know more: etcd01 up to an unknown revision, etcd02",
    ],
    [
      "another release than the data's",
      [left(1, 7, { installed: "3.5.35" }), bare(), bare()],
      {},
      "etcd:version is 3.6.16, but etcd01 has the data of etcd 3.5.35; recover with that release, and change it afterwards",
    ],
    [
      "no file at the snapshot's path",
      [left(1, 7), bare(), bare()],
      { snapshot: "/root/s.db" },
      "etcd:recover.snapshot: etcd01 has no snapshot of etcd at /root/s.db",
    ],
    [
      "a host that may still run a member",
      [left(1, 7), bare(), silent()],
      {},
      "etcd:recover: etcd03 cannot be reached (no SSH session as root@192.0.2.1:22: Connection timed out), and a member that still runs there would be of another cluster then; bring it back or mark it lost",
    ],
  ])("is refused with %s", (_, looks, edit, words) => {
    const result = survey(looks, { ...EDIT, ...edit });
    expect(result.findings.join("\n")).toContain(words);
    expect(members(result).join()).not.toContain("recover");
  });

  test("is refused while a quorum of that cluster answers, and nothing to any other", () => {
    const live = KNOWN.map((peerUrls, index) => ({
      name: `etcd0${index + 1}`,
      peerUrls,
      learner: false,
      healthy: true,
      id: `a${index + 1}`,
    }));
    const looks = [left(1, 7, { members: live, leader: true }), left(2, 7), left(3, 7)];
    expect(survey(looks, EDIT).findings).toEqual([
      "etcd:recover.confirm is cafe, but a quorum of that cluster answers: there is nothing to recover; take etcd:recover out of the configuration",
    ]);
    const after = survey(looks, { ...EDIT, confirm: "f0" });
    expect(after).toMatchObject({ findings: [], plan: [] });
    expect(members(after)).toEqual(["member before", "member before", "member before"]);
  });

  test("is done once, also when the new cluster does not answer", () => {
    const stopped = [1, 2, 3].map((number) => left(number, 7, { recovered: "f0" }));
    expect(survey(stopped, { ...EDIT, confirm: "f0" })).toMatchObject({ findings: [], plan: [] });
    const lost = survey([left(1, 7, { recovered: "f0" }), bare(), bare()], {
      ...EDIT,
      confirm: "f0",
    });
    expect(lost.findings.join()).toContain(
      "set etcd:recover.node to etcd01 and etcd:recover.confirm to cafe",
    );
  });

  test("goes on after a kill, with the edit and without it", () => {
    const begun = left(1, 7, {
      data: readIdentity("f00d b1"),
      identity: undefined,
      recovered: "cafe",
    });
    for (const edit of [EDIT, undefined]) {
      const result = survey([begun, left(2, 7), bare()], edit);
      expect(result.findings).toEqual([]);
      expect(members(result)[1]).toBe(`recover join cafe, ${STAMP}`);
      expect(result.plan.join()).toContain(
        "etcd02 still has data of the cluster that was given up",
      );
    }
    // Killed between the two renames: the file that it begins with is there already.
    const between = survey([bare({ recovering: "cafe" }), left(2, 9), bare()], EDIT);
    expect(between.findings).toEqual([]);
    expect(members(between)[0]).toBe(`recover first cafe, ${STAMP}`);
  });

  test("has the others join when its first member was restored and never got ready", () => {
    const restored = settled(
      {},
      { formed: false, recovered: "cafe", data: readIdentity("f00d b3") },
    );
    for (const edit of [{ ...EDIT, node: "etcd03", snapshot: "/root/s.db" }, undefined]) {
      const result = survey([bare(), bare(), restored], edit);
      expect(result.findings).toEqual([]);
      expect(members(result).slice(0, 2)).toEqual([`join, ${STAMP}`, `join, ${STAMP}`]);
      expect(inTurn([...result.verdicts], ([, verdict]) => verdict)[0]?.[0]).toBe("etcd03");
    }
  });

  test("takes the stack's word for which cluster it was when no host knows it", () => {
    const looks = [bare({ offered: { taken: new Date(0) } }), bare(), bare()];
    const recover = { ...EDIT, snapshot: "/root/s.db" };
    const findings = (formerCluster?: string) =>
      judged(Object.fromEntries(looks.map((look, index) => [`etcd0${index + 1}`, look])), {
        recover,
        formerCluster,
      }).findings;
    expect(findings("cafe")).toEqual([]);
    expect(findings()).toEqual([]);
    expect(findings("f0")).toEqual([
      "etcd:recover.confirm is cafe, but the cluster here is f0; write its ID to give it up",
    ]);
  });

  test("has lost members taken out after it, not before", async () => {
    const config = cluster([node(1), node(2), node(3, { lost: true })]);
    const verdicts = settledHosts(config);
    const recovering = new Map(
      [...verdicts].map(([name, verdict]) => [name, { ...verdict, first: name === "etcd02" }]),
    );
    const [before, after] = [await graphOf(config, verdicts), await graphOf(config, recovering)];
    expect(before.get("etcd01-member").dependsOn).toContain("lost");
    expect(after.get("lost").dependsOn).toContain("etcd01-member");
    expect(after.get("etcd01-member").dependsOn).toContain("etcd02-member");
    expect(after.get("etcd02-member").dependsOn).not.toContain("etcd01-member");
    expect(changed(before, after)).toEqual([]);
  });
});
