import { describe, expect, test } from "vitest";
import type { RecoverConfig } from "../../../components/config/index";
import { FIRST_CA } from "../../../components/config/types";
import type { HostState } from "../../../components/hosts/host-state";
import { readIdentity } from "../../../components/hosts/probe-fields";
import { withoutRotation } from "../../../components/plan/ca-rotation";
import { rolloutOrder } from "../../../components/plan/node-plan";
import { changed, clusterOf, graphOf, settled as settledHosts } from "../../support/cluster-graph";
import { cluster, node } from "../../support/fixtures";
import { record } from "../../support/graph";
import { BEFORE, bare, judged, STAMP, settled, silent } from "../../support/looks";

const KNOWN = [1, 2, 3].map((number) => `https://192.168.1.${82 + number}:2380`);
/** A host whose member of cluster cafe knows as much, and has no quorum. */
const left = (number: number, revision?: number, change: Parameters<typeof settled>[1] = {}) =>
  settled(
    {},
    {
      data: readIdentity(`cafe a${number}`),
      identity: readIdentity(`cafe a${number}`),
      peerUrlsSeen: KNOWN,
      nodes: [1, 2, 3].map((one) => `192.168.1.${82 + one}`),
      installed: "3.6.14",
      ...(revision === undefined ? {} : { revision }),
      ...change,
    },
  );
const EDIT: RecoverConfig = { node: "etcd01", confirm: "cafe" };
const survey = (
  looks: readonly HostState[],
  recover?: RecoverConfig,
  nodes = [1, 2, 3].map((n) => node(n)),
) =>
  judged(Object.fromEntries(looks.map((look, index) => [`etcd0${index + 1}`, look])), {
    ...(recover === undefined ? {} : { recover }),
    nodes,
  });
const members = (survey: ReturnType<typeof judged>) =>
  [...survey.nodePlans.values()].map(({ revisions }) => revisions.member);

describe("a cluster that has permanently lost its quorum", () => {
  test("is refused: who is gone, what is left, what to write", () => {
    expect(survey([left(1, 7), bare(), bare()]).findings).toEqual([
      "the cluster cafe has permanently lost its quorum: of its 3 members etcd02, etcd03 have lost their data. Survivors: etcd01 (revision 7). To restore from it, set etcd:recover.node to etcd01 and etcd:recover.confirm to cafe; to restore from a snapshot, set etcd:recover.snapshot too (docs/recovery.md)",
    ]);
  });

  test("counts lost nodes among the gone, and names the one that knows most", () => {
    const nodes = [1, 2, 3, 4, 5].map((number) => node(number, { lost: number > 3 }));
    const peerUrlsSeen = [1, 2, 3, 4, 5].map((number) => `https://192.168.1.${82 + number}:2380`);
    const looks = [left(1, 7, { peerUrlsSeen }), left(2, 9, { peerUrlsSeen }), bare()];
    const [finding] = survey(looks, undefined, nodes).findings;
    expect(finding).toContain("of its 5 members etcd03, etcd04, etcd05 have lost their data");
    expect(finding).toContain("etcd01 (revision 7), etcd02 (revision 9)");
    expect(finding).toContain("set etcd:recover.node to etcd02");
  });

  test.each([
    ["one of three is gone", [left(1), left(2), bare()]],
    ["two do not answer the operator", [left(1), silent(), silent()]],
    ["all were stopped", [left(1), left(2), left(3)]],
    ["all are gone: nothing of it is known", [bare(), bare(), bare()]],
    [
      "only one of three was ever a member",
      [left(1, 7, { peerUrlsSeen: KNOWN.slice(0, 1) }), bare(), bare()],
    ],
  ])("is not seen where %s", (_, looks) => {
    expect(survey(looks).findings.join()).not.toContain("permanently lost");
  });
});

describe("etcd:recover", () => {
  test("has its node begin and the others join, the first one first", () => {
    const result = survey([bare(), left(2, 7), bare()], { ...EDIT, node: "etcd02" });
    expect(result.findings).toEqual([]);
    expect(members(result)).toEqual([
      `join-recovered ${STAMP} cluster=cafe`,
      `recover ${STAMP} cluster=cafe`,
      `join-recovered ${STAMP} cluster=cafe`,
    ]);
    expect(
      rolloutOrder([...result.nodePlans], ([, { phase }]) => phase).map(([name]) => name),
    ).toEqual(["etcd02", "etcd01", "etcd03"]);
    expect(result.summary).toEqual([
      "recovery: etcd02 bootstraps a new cluster from its own data; etcd01, etcd03 join it with empty data; data of the old cluster is kept on each host as /var/lib/etcd.before-recovery-TIME",
      "recovery: writes that cluster cafe acknowledged after revision 7 and that only the lost members had are lost; revisions are bumped by 1000000000; watchers must re-list",
    ]);
  });

  test("from a snapshot says its age, and what is given up for it", () => {
    const snapshotFile = { taken: new Date("2026-11-20T08:00:00Z"), revision: 5 };
    const edit = { ...EDIT, snapshot: "/root/s.db" };
    const result = survey([left(1, 7, { snapshotFile }), bare(), bare()], edit);
    expect(result.findings).toEqual([]);
    expect(members(result)[0]).toBe(`recover ${STAMP} cluster=cafe snapshot=/root/s.db`);
    expect(result.summary.join("\n")).toContain(
      "from /root/s.db (revision 5); etcd02, etcd03 join",
    );
    expect(result.summary.join("\n")).toContain(
      "writes to cluster cafe after 2026-11-20 08:00 UTC, when the snapshot was taken, are lost; etcd01 (revision 7) is discarded",
    );
    const wiped = survey(
      [bare({ snapshotFile: { taken: snapshotFile.taken } }), bare(), bare()],
      edit,
    );
    expect(wiped.findings).toEqual([]);
    expect(members(wiped)[1]).toBe(`join-recovered ${STAMP} cluster=cafe`);
    // The others' steps wait for the one that begins.
    const order = rolloutOrder([...wiped.nodePlans], ([, { phase }]) => phase);
    expect(order.map(([name, { phase }]) => [name, phase])).toEqual([
      ["etcd01", "recover"],
      ["etcd02", "roll"],
      ["etcd03", "roll"],
    ]);
  });

  describe("from a snapshot of the repository", () => {
    const REMOTE = {
      ...{ id: "0badcafe", taken: new Date("2026-11-20T08:00:00Z"), revision: 5 },
      ...{ size: 20_000_000, cluster: "cafe", release: "3.6.9" },
    };
    const edit = { ...EDIT, snapshot: "latest" };

    test("says when it was taken, how far it goes, how large it is, and of what", () => {
      const result = survey([left(1, 7, { snapshotRemote: REMOTE }), bare(), bare()], edit);
      expect(result.findings).toEqual([]);
      expect(members(result)[0]).toBe(`recover ${STAMP} cluster=cafe snapshot=0badcafe of=cafe`);
      expect(result.summary).toEqual([
        "recovery: etcd01 bootstraps a new cluster from the snapshot 0badcafe of the repository (2026-11-20 08:00 UTC, revision 5, 19.1 MiB, of cluster cafe with etcd 3.6.9); etcd02, etcd03 join it with empty data; data of the old cluster is kept on each host as /var/lib/etcd.before-recovery-TIME",
        "recovery: writes to cluster cafe after 2026-11-20 08:00 UTC, when the snapshot was taken, are lost; etcd01 (revision 7) is discarded; revisions are bumped by 1000000000; watchers must re-list",
      ]);
    });

    test("leaves it to the up where the host cannot look", () => {
      const result = survey([bare(), bare(), bare()], edit);
      expect(result.findings).toEqual([]);
      expect(members(result)[0]).toBe(`recover ${STAMP} cluster=cafe snapshot=latest of=cafe`);
      expect(result.summary.join("\n")).toContain(
        "from the snapshot latest of the repository, which this host cannot look up before restic is installed on it; its step does that, and refuses one of another cluster; etcd02",
      );
      expect(result.summary.join("\n")).toContain(
        "recovery: writes after the snapshot was taken are lost; revisions",
      );
    });

    test("is refused when the host cannot tell of it, while there is something to recover", () => {
      const snapshotUnread = "the repository x cannot be read: EOF";
      expect(survey([bare({ snapshotUnread }), bare(), bare()], edit).findings).toEqual([
        "etcd:recover.snapshot is latest, and as etcd01 says, the repository x cannot be read: EOF",
      ]);
      const done = { recovered: "cafe", snapshotUnread };
      expect(survey([left(1, 7, done), left(2, 7), left(3, 7)], edit).findings).toEqual([]);
    });

    test.each<[string, readonly string[], Partial<RecoverConfig>, string]>([
      ["gave up before", ["beef"], {}, "cafe,beef"],
      ["names", [], { snapshotCluster: "beef" }, "cafe,beef"],
    ])("of a cluster that the stack %s is taken", (_, retired, more, of) => {
      const snapshotRemote = { ...REMOTE, cluster: "beef" };
      const looks = { etcd01: bare({ snapshotRemote }), etcd02: bare(), etcd03: bare() };
      const result = judged(looks, {
        recover: { ...edit, ...more },
        nodes: [1, 2, 3].map((n) => node(n)),
        retired,
      });
      expect(result.findings).toEqual([]);
      expect(members(result)[0]).toBe(`recover ${STAMP} cluster=cafe snapshot=0badcafe of=${of}`);
      expect(result.summary.join("\n")).toContain(
        "writes to cluster beef after 2026-11-20 08:00 UTC, when the snapshot was taken, are lost, and all data of cluster cafe;",
      );
    });

    test.each([
      [
        "another cluster",
        { cluster: "f0" },
        "etcd:recover.snapshot is latest, which is the snapshot 0badcafe of the repository (2026-11-20 08:00 UTC, revision 5, 19.1 MiB, of cluster f0 with etcd 3.6.9): that cluster is neither etcd:recover.confirm nor one that a recovery of this stack discarded; if it is the right one, set etcd:recover.snapshotCluster to f0",
      ],
      [
        "another minor version",
        { release: "3.5.21" },
        "etcd:version is 3.6.14, but the snapshot 0badcafe is of etcd 3.5.21; recover with that minor version, and change it afterwards",
      ],
    ])("of %s is refused", (_, change, finding) => {
      const result = survey(
        [bare({ snapshotRemote: { ...REMOTE, ...change } }), bare(), bare()],
        edit,
      );
      expect(result.findings).toEqual([finding]);
      expect(result.summary).toEqual([]);
    });
  });

  test.each<[string, readonly HostState[], Partial<RecoverConfig>, string]>([
    [
      "another cluster than the one there",
      [left(1, 7), bare(), bare()],
      { confirm: "f0" },
      "etcd:recover.confirm is f0, but the cluster on these hosts is cafe; write its ID to discard it",
    ],
    [
      "a node without data",
      [bare(), left(2, 7), bare()],
      {},
      "etcd:recover.node is etcd01, which has no data; survivors: etcd02 (revision 7)",
    ],
    [
      "no data anywhere",
      [bare(), bare(), bare()],
      {},
      "etcd:recover.node is etcd01, which has no data; no host has any: set etcd:recover.snapshot",
    ],
    [
      "a node that knows less",
      [left(1, 7), left(2, 9), bare()],
      {},
      "etcd:recover.node is etcd01, but other hosts have newer data: etcd01 (revision 7), etcd02 (revision 9); write etcd02; where the revision is unknown, stop etcd (systemctl stop etcd.service) and preview again",
    ],
    [
      "a node of which nothing is known while another is known",
      [left(1), left(2, 9), bare()],
      {},
      "etcd:recover.node is etcd01, but other hosts have newer data: etcd01 (revision unknown), etcd02",
    ],
    [
      "another release than the data's",
      [left(1, 7, { installed: "3.5.35" }), bare(), bare()],
      {},
      "etcd:version is 3.6.14, but etcd01 has the data of etcd 3.5.35; recover with that release, and change the release afterwards",
    ],
    [
      "no file at the snapshot's path",
      [left(1, 7), bare(), bare()],
      { snapshot: "/root/s.db" },
      "etcd:recover.snapshot: etcd01 has no etcd snapshot at /root/s.db; copy the file there",
    ],
    [
      "a host that may still run a member",
      [left(1, 7), bare(), silent()],
      {},
      "etcd:recover: etcd03 is unreachable (SSH to root@192.0.2.1:22 failed: Connection timed out), and a member may still run there in the old cluster; bring it back, or set lost: true",
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
      "etcd:recover.confirm is cafe, but that cluster has a quorum: there is nothing to recover; remove etcd:recover from the configuration",
    ]);
    const after = survey(looks, { ...EDIT, confirm: "f0" });
    expect(after).toMatchObject({ findings: [], summary: [] });
    expect(members(after)).toEqual([BEFORE.member, BEFORE.member, BEFORE.member]);
  });

  test("is done once, also when the new cluster does not answer", () => {
    const stopped = [1, 2, 3].map((number) => left(number, 7, { recovered: "f0" }));
    expect(survey(stopped, { ...EDIT, confirm: "f0" })).toMatchObject({
      findings: [],
      summary: [],
    });
    const lost = survey([left(1, 7, { recovered: "f0" }), bare(), bare()], {
      ...EDIT,
      confirm: "f0",
    });
    expect(lost.findings.join()).toContain(
      "set etcd:recover.node to etcd01 and etcd:recover.confirm to cafe",
    );
  });

  test("goes on after a kill, and for a host that comes back when it is long done", () => {
    const begun = left(1, 7, {
      data: readIdentity("f00d b1"),
      identity: undefined,
      recovered: "cafe",
    });
    const looks = { etcd01: begun, etcd02: left(2, 7), etcd03: bare() };
    // Confirmed by the configuration, or in a recovery that came to its end.
    for (const expected of [{ recover: EDIT }, { retired: ["cafe"] }]) {
      const result = judged(looks, expected);
      expect(result.findings).toEqual([]);
      expect(members(result)[1]).toBe(`join-recovered ${STAMP} cluster=cafe`);
      expect(result.summary.join()).toContain("etcd02 still has data of the discarded cluster");
    }
    // Nobody else's word is one.
    for (const expected of [{}, { retired: ["f0"] }, { recover: { ...EDIT, confirm: "f0" } }]) {
      const result = judged(looks, expected);
      expect(result.findings.join("\n")).toContain(
        "etcd01: reports that cluster cafe was discarded by a recovery, which the operator has not confirmed, and etcd02 still has its data: nothing was discarded; if it is true, set etcd:recover.confirm to cafe and etcd:recover.node to etcd01; if not, that host is faulty or compromised",
      );
      expect(members(result).join()).not.toContain("recover");
    }
    // Killed between the two renames: the file that it begins with is there already.
    const between = survey([bare({ recovering: "cafe" }), left(2, 9), bare()], EDIT);
    expect(between.findings).toEqual([]);
    expect(members(between)[0]).toBe(`recover ${STAMP} cluster=cafe`);
  });

  test("whose cluster has lost its quorum before the last one joined it says what to give up next", () => {
    const peerUrlsSeen = KNOWN.slice(0, 2);
    const begun = left(1, 9, {
      data: readIdentity("beef b1"),
      identity: readIdentity("beef b1"),
      recovered: "cafe",
      peerUrlsSeen,
    });
    const late = left(3, 7);
    const [finding] = survey([begun, bare(), late], EDIT).findings;
    expect(finding).toContain(
      "the cluster beef has permanently lost its quorum: of its 2 members etcd02 has lost its data. Survivors: etcd01 (revision 9). To restore from it, set etcd:recover.node to etcd01 and etcd:recover.confirm to beef;",
    );
    expect(finding).toContain(
      "move the data of the cluster that was discarded first out of the way on etcd03 (",
    );
    // Which makes the next edit go through.
    const next: RecoverConfig = { node: "etcd01", confirm: "beef" };
    const moved = survey([begun, bare(), bare()], next);
    expect(moved.findings).toEqual([]);
    expect(members(moved)[0]).toBe(`recover ${STAMP} cluster=beef`);
    // One that is merely down is waited for.
    const down = survey([begun, silent(), late], EDIT);
    expect(down.findings.join()).not.toContain("permanently lost");
  });

  test("has nobody join while the cluster that was given up has a quorum, confirmed or not", () => {
    const live = KNOWN.map((peerUrls, index) => ({
      name: `etcd0${index + 1}`,
      ...{ peerUrls, learner: false, healthy: true, id: `a${index + 1}` },
    }));
    const runs = (number: number) => ({ cluster: "cafe", member: `a${number}`, leader: "a2" });
    const forged = left(1, 7, {
      data: readIdentity("f00d b1"),
      identity: readIdentity("f00d b1"),
      recovered: "cafe",
      members: [
        {
          ...live[0],
          id: "b1",
          name: "etcd01",
          peerUrls: KNOWN[0] ?? "",
          learner: false,
          healthy: true,
        },
      ],
      leader: true,
    });
    for (const told of [{ members: live }, {}]) {
      const looks = {
        etcd01: forged,
        etcd02: left(2, 7, { runs: runs(2), ...told }),
        etcd03: left(3, 7, { runs: runs(3), ...told }),
      };
      for (const expected of [{}, { recover: EDIT }, { retired: ["cafe"] }]) {
        const { findings, nodePlans } = judged(looks, expected);
        expect(findings.join("\n")).toContain(
          "etcd01: reports that cluster cafe was discarded by a recovery, but that cluster has a quorum (on etcd02, etcd03): nothing was discarded",
        );
        expect(nodePlans.get("etcd02")?.revisions.member).toBe(BEFORE.member);
        expect(nodePlans.get("etcd03")?.revisions.member).toBe(BEFORE.member);
      }
    }
    const alone = judged(
      { etcd01: left(1, 7, { runs: runs(1) }), etcd02: bare(), etcd03: bare() },
      { recover: EDIT },
    );
    expect(alone.findings.join()).toContain("but etcd01 reports a quorum of that cluster");
  });

  test("has the others join when its first member was restored and never got ready", () => {
    const restored = settled(
      {},
      { bootstrapped: false, recovered: "cafe", data: readIdentity("f00d b3") },
    );
    for (const edit of [{ ...EDIT, node: "etcd03", snapshot: "/root/s.db" }, undefined]) {
      const result = survey([bare(), bare(), restored], edit);
      expect(result.findings).toEqual([]);
      expect(members(result).slice(0, 2)).toEqual([`join ${STAMP}`, `join ${STAMP}`]);
      expect(rolloutOrder([...result.nodePlans], ([, { phase }]) => phase)[0]?.[0]).toBe("etcd03");
    }
  });

  test("takes the stack's word for which cluster it was when no host knows it", () => {
    const looks = [bare({ snapshotFile: { taken: new Date(0) } }), bare(), bare()];
    const recover = { ...EDIT, snapshot: "/root/s.db" };
    const findings = (formerCluster?: string) =>
      judged(Object.fromEntries(looks.map((look, index) => [`etcd0${index + 1}`, look])), {
        recover,
        formerCluster,
      }).findings;
    expect(findings("cafe")).toEqual([]);
    expect(findings()).toEqual([]);
    expect(findings("f0")).toEqual([
      "etcd:recover.confirm is cafe, but the cluster on these hosts is f0; write its ID to discard it",
    ]);
  });

  test("is remembered in the outputs when it is done; the cluster that lives is not among them", async () => {
    const outputs = async (recover: RecoverConfig | undefined, before: readonly string[]) => {
      const config = cluster(undefined, recover === undefined ? {} : { recover });
      let retired: readonly string[] = [];
      await record(async (opts) => {
        const made = clusterOf(config, opts);
        const { retiredClusters } = made.converge({
          rotation: withoutRotation(FIRST_CA),
          nodePlans: settledHosts(config),
          retired: before,
        });
        retired = await new Promise<readonly string[]>((resolve) => retiredClusters.apply(resolve));
      });
      return retired;
    };
    expect(await outputs(undefined, [])).toEqual([]);
    expect(await outputs({ ...EDIT, confirm: "f0" }, ["f1"])).toEqual(["f0", "f1"]);
    expect(await outputs(undefined, ["f1"])).toEqual(["f1"]);
    // The gates of these graphs see cluster cafe.
    expect(await outputs(EDIT, [])).toEqual([]);
  });

  test("has lost members taken out after it, not before", async () => {
    const config = cluster([node(1), node(2), node(3, { lost: true })]);
    const verdicts = settledHosts(config);
    const recovering = new Map(
      [...verdicts].map(([name, verdict]) => [
        name,
        { ...verdict, ...(name === "etcd02" ? { phase: "recover" as const } : {}) },
      ]),
    );
    const [before, after] = [await graphOf(config, verdicts), await graphOf(config, recovering)];
    expect(before.get("etcd01-member").dependsOn).toContain("lost");
    expect(after.get("lost").dependsOn).toContain("etcd01-member");
    expect(after.get("etcd01-member").dependsOn).toContain("etcd02-member");
    expect(after.get("etcd02-member").dependsOn).not.toContain("etcd01-member");
    expect(changed(before, after)).toEqual([]);
  });
});
