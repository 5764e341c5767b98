/** What the program makes of alarms, of full databases, and of members that are to be given up. */
import { describe, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import type { Alarm } from "../../../components/hosts/host-state";
import { readAlarm, readDatabase } from "../../../components/hosts/probe-fields";
import { node } from "../../support/fixtures";
import { BEFORE, bare, EXPECTED, judged, type Seen, STAMP, settled } from "../../support/looks";

const LIVE = [1, 2, 3].map((number) => ({
  id: `a${number}`,
  name: `etcd0${number}`,
  peerUrls: `https://192.168.1.${82 + number}:2380`,
  learner: false,
  healthy: true,
}));
const running = (number: number, change: Partial<Seen> = {}) =>
  settled(
    {},
    {
      version: DEFAULT_VERSION,
      data: { cluster: "cafe", member: `a${number}`, unmanaged: false },
      ...(number === 1 ? { leader: true, members: LIVE } : {}),
      ...change,
    },
  );
const three = (change: Partial<Seen> = {}, second: Seen = running(2, change)) => ({
  etcd01: running(1, change),
  etcd02: second,
  etcd03: running(3, change),
});
const NOSPACE: Alarm = { kind: "NOSPACE", member: "a2" };
const CORRUPT: Alarm = { kind: "CORRUPT", member: "a2" };
const NODES = EXPECTED.nodes;
const giving = (id: string, index = 1) => ({
  nodes: NODES.map((one, at) => (at === index ? { ...one, rebuild: id } : one)),
});

describe("an alarm", () => {
  test("NOSPACE is drift that the next up repairs, by the name of its node", () => {
    const { findings, repairs } = judged(three({ alarms: [NOSPACE] }));
    expect(findings).toEqual([]);
    expect(repairs).toEqual([
      "etcd01: the cluster reports NOSPACE of etcd02",
      "etcd02: the cluster reports NOSPACE of etcd02",
      "etcd03: the cluster reports NOSPACE of etcd02",
    ]);
  });

  test("of several members is one line", () => {
    const { repairs } = judged({
      etcd01: running(1, { alarms: [{ ...NOSPACE, member: "a3" }, NOSPACE] }),
    });
    expect(repairs).toEqual(["etcd01: the cluster reports NOSPACE of etcd02, etcd03"]);
  });

  test("NOSPACE does not keep a wiped host from being rebuilt", () => {
    const live = LIVE.map((one) => ({ ...one, healthy: one.name !== "etcd02" }));
    const { findings, summary } = judged({
      ...three({ alarms: [NOSPACE] }, bare()),
      etcd01: running(1, { alarms: [NOSPACE], members: live }),
    });
    expect(findings).toEqual([]);
    expect(summary[0]).toContain("3 voters, 2 healthy; etcd02 is rebuilt");
  });

  test("CORRUPT of a member stops the run, with its node and the one edit that rebuilds it", () => {
    const { findings, repairs } = judged(three({ alarms: [CORRUPT] }));
    expect(findings).toEqual([
      "etcd02: its data differs from that of the other members (etcd reports CORRUPT of a2), and nothing else is changed until that is resolved; rebuild it from them with `pulumi config set --path 'nodes[1].rebuild' a2` and pulumi up; its data is moved aside (docs/alarms.md)",
    ]);
    expect(repairs).toEqual([]);
  });

  test.each([
    ["is given up", three({ alarms: [CORRUPT] }), giving("a2")],
    ["has lost its data", three({ alarms: [CORRUPT] }, bare()), {}],
    ["leaves", three({ alarms: [CORRUPT] }), { nodes: [node(1), node(3)] }],
    [
      "is lost",
      three({ alarms: [CORRUPT] }),
      { nodes: [node(1), node(2, { lost: true }), node(3)] },
    ],
  ])("CORRUPT of a member that %s is in nobody's way", (_, looks, expected) => {
    expect(judged(looks, expected).findings).toEqual([]);
  });

  test("CORRUPT of a member that has left is drift", () => {
    const { findings, repairs } = judged(three({ alarms: [{ kind: "CORRUPT", member: "ff" }] }));
    expect(findings).toEqual([]);
    expect(repairs[0]).toBe(
      "etcd01: the cluster still reports CORRUPT of member ff, which has left",
    );
  });

  test("CORRUPT of nobody knows whom stops the run, unless one is given up", () => {
    const looks = three({ alarms: [{ kind: "CORRUPT", member: "0" }] });
    expect(judged(looks).findings).toEqual([
      expect.stringMatching(
        /^the cluster reports CORRUPT: .* etcd cannot tell which member is right;/,
      ),
    ]);
    expect(judged(looks, giving("a2")).findings).toEqual([]);
  });

  test("of the only member leaves nothing to rebuild it from", () => {
    const [first] = LIVE;
    const looks = {
      etcd01: running(1, {
        alarms: [{ kind: "CORRUPT", member: "a1" }],
        members: first ? [first] : [],
      }),
    };
    expect(judged(looks, { nodes: [node(1)] }).findings).toEqual([
      "etcd01: its data differs from that of the other members (etcd reports CORRUPT of a1), and nothing else is changed until that is resolved; it is the only member: recover from a snapshot (docs/recovery.md)",
    ]);
  });

  test("CORRUPT does not keep a roll that stopped midway from going on once its member is given up", () => {
    const looks = {
      ...three({ alarms: [CORRUPT] }),
      etcd03: running(3, { alarms: [CORRUPT], version: "3.7.2" }),
    };
    const to = { version: "3.7.2" };
    expect(judged(looks, to).findings.join()).toContain(
      "refused while the cluster reports CORRUPT",
    );
    expect(judged(looks, { ...to, ...giving("a2") }).findings).toEqual([]);
  });

  test("is read with its member", () => {
    const alarm = { kind: "CORRUPT", member: "fe9c64eaf3991d47" };
    expect(readAlarm("CORRUPT fe9c64eaf3991d47")).toEqual(alarm);
  });
});

describe("nodes[].rebuild", () => {
  test("that names the member plans it, first of all, and says what becomes of the data", () => {
    const { findings, summary, nodePlans } = judged(three(), giving("a2"));
    expect(findings).toEqual([]);
    expect(summary).toEqual([
      "members: 3 voters, 3 healthy; etcd02 is rebuilt: its member a2 is removed, its data is moved to /var/lib/etcd.rebuilt-a2-TIME, it rejoins as a learner and is promoted; afterwards: 3 voters, quorum 2, tolerates 1 failure",
    ]);
    expect(nodePlans.get("etcd02")).toMatchObject({
      phase: "join",
      revisions: { member: `rebuild ${STAMP} member=a2`, install: BEFORE.install },
    });
  });

  test("that names another one says that it has no effect", () => {
    const { findings, summary, nodePlans } = judged(three(), giving("a9"));
    expect(findings).toEqual([]);
    expect(summary).toEqual([
      "etcd02: etcd:nodes[1].rebuild is a9, but its member is a2: nothing is rebuilt, the key can be removed",
    ]);
    expect(nodePlans.get("etcd02")?.revisions.member).toBe(BEFORE.member);
  });

  test("is refused beside a member that does not answer", () => {
    const live = LIVE.map((one) => ({ ...one, healthy: one.name !== "etcd03" }));
    const looks = { ...three(), etcd01: running(1, { members: live }) };
    expect(judged(looks, giving("a2")).findings).toEqual([
      "3 voters, 2 healthy: removing etcd02 would leave 1 healthy of 2 voters; quorum is 2: start etcd03, or set lost: true",
      "3 voters, 2 healthy: etcd02 cannot join while etcd03 is unhealthy; start it, or set lost: true",
    ]);
  });

  test("starts a member first that does not run: etcd does not start beside data that differs", () => {
    const live = LIVE.map((one) => ({ ...one, healthy: one.name !== "etcd03" }));
    const looks = {
      ...three(),
      etcd01: running(1, { members: live, alarms: [CORRUPT] }),
      etcd03: running(3, { version: undefined, unit: ["etcd.service is activating"] }),
    };
    const { findings, summary, nodePlans } = judged(looks, giving("a2"));
    expect(findings).toEqual([]);
    expect(summary[0]).toContain("3 voters, 2 healthy; etcd03 is started first; etcd02 is rebuilt");
    expect(nodePlans.get("etcd03")).toMatchObject({
      phase: "start",
      revisions: { member: `start-unchecked ${STAMP} # a2 to be rebuilt` },
    });
    expect(judged(looks).nodePlans.get("etcd03")?.revisions.member).toMatch(/^repair /);
  });

  test("is refused when no quorum answers, or of the only member", () => {
    const down = { ...three(), etcd01: running(1, { members: [], leader: false }) };
    expect(judged(down, giving("a2")).findings).toEqual([
      expect.stringMatching(
        /^etcd02: cannot be rebuilt \(etcd:nodes\[1\]\.rebuild\), because the cluster has no quorum/,
      ),
    ]);
    const [first] = LIVE;
    const one = { etcd01: running(1, { members: first ? [first] : [] }) };
    expect(judged(one, { nodes: [node(1, { rebuild: "a1" })] }).findings).toEqual([
      expect.stringMatching(
        /^etcd01: cannot be rebuilt .* because its member is the only one; recover/,
      ),
    ]);
  });

  test("is refused of a node that moves in the same edit", () => {
    const nodes = [node(1), node(2, { address: "192.168.1.99", rebuild: "a2" }), node(3)];
    expect(judged(three(), { nodes }).findings).toContain(
      "etcd02: cannot be rebuilt (etcd:nodes[1].rebuild) while it moves; do that in another edit",
    );
  });

  test("works on a member that ends at every start", () => {
    const live = LIVE.map((one) => ({ ...one, healthy: one.name !== "etcd02" }));
    const looks = {
      ...three({}, running(2, { version: undefined, unit: ["etcd.service is activating"] })),
      etcd01: running(1, { members: live }),
    };
    const { findings, nodePlans } = judged(looks, giving("a2"));
    expect(findings).toEqual([]);
    expect(nodePlans.get("etcd02")?.revisions.member).toBe(`rebuild ${STAMP} member=a2`);
  });
});

describe("a database", () => {
  const fill = (size: number) =>
    judged(three({ database: { size: size * 2 ** 20, quota: 100 * 2 ** 20 } })).warnings;

  test("is warned of from four fifths of the quota on, by both numbers", () => {
    expect(fill(79)).toEqual([]);
    expect(fill(80)).toHaveLength(3);
    expect(fill(93)[1]).toBe(
      "etcd02: its database uses 93.0 of 100.0 MiB, 93 % of etcd's quota; when it is full etcd rejects writes: compact and defragment it (settings.auto-compaction-retention, etcdctl defrag), or raise settings.quota-backend-bytes",
    );
  });

  test("is read as two numbers", () => {
    expect(readDatabase("20480 2147483648")).toEqual({ size: 20480, quota: 2147483648 });
  });
});
