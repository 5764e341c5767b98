import { describe, expect, test } from "vitest";
import type { HostState } from "../../../components/hosts/host-state";
import { node } from "../../support/fixtures";
import {
  BEFORE,
  bare,
  EXPECTED,
  judged,
  type Seen,
  STAMP,
  settled,
  silent,
} from "../../support/looks";

describe("a host that cannot be reached", () => {
  test("stops the making of a cluster", () => {
    const { findings, warnings } = judged({ a: bare(), b: silent() });
    expect(findings).toEqual(["b: SSH to root@192.0.2.1:22 failed: Connection timed out"]);
    expect(warnings).toEqual([]);
  });

  test("is a warning that says what was not checked once there is a cluster", () => {
    const { findings, warnings } = judged({ a: settled(), b: silent() });
    expect(findings).toEqual([]);
    expect(warnings).toEqual([
      "b: unreachable, so it was not checked for drift and its steps are left unchanged: SSH to root@192.0.2.1:22 failed: Connection timed out",
    ]);
  });

  test("has nothing planned for it, while the others go on", () => {
    const { nodePlans } = judged({ a: settled(), b: silent(), c: bare() });
    expect([...nodePlans].map(([name, { freeze }]) => [name, freeze])).toEqual([
      ["a", "none"],
      ["b", "all"],
      ["c", "none"],
    ]);
  });

  test("is never a mere warning when its host key was wrong", () => {
    const { findings, warnings } = judged({ a: settled(), b: silent(true) });
    expect(findings).toHaveLength(1);
    expect(warnings).toEqual([]);
  });
});

describe("findings", () => {
  const finding = { text: "has 512 MiB of memory" };

  test("on a host that is not ours stop the run, each with its node's name", () => {
    const looks = {
      a: bare({ findings: [finding, { text: "has port 2379 in use by x" }] }),
      b: bare({ findings: [finding] }),
    };
    expect(judged(looks).findings).toEqual([
      "a: has 512 MiB of memory",
      "a: has port 2379 in use by x",
      "b: has 512 MiB of memory",
    ]);
  });

  test("on a host that is ours already are warnings", () => {
    const { findings, warnings } = judged({ a: settled({}, { findings: [finding] }) });
    expect(findings).toEqual([]);
    expect(warnings).toEqual(["a: has 512 MiB of memory"]);
  });

  test("that hold on every host stop the run on one that is ours too", () => {
    const always = { text: "has a damaged block in /etc/hosts", stops: "every run" };
    const { findings, warnings } = judged({ a: settled({}, { findings: [finding, always] }) });
    expect(findings).toEqual(["a: has a damaged block in /etc/hosts"]);
    expect(warnings).toEqual(["a: has 512 MiB of memory"]);
  });

  describe("that stop a run which has something to do on the host", () => {
    const closed = { text: "has a read-only file system at /usr", stops: "changes" } as const;
    const line = "a: has a read-only file system at /usr";
    const nodes = ["192.168.1.83", "192.168.1.84", "192.168.1.85"];
    const found = { findings: [closed], nodes };

    test("are warnings where it has nothing", () => {
      expect(judged({ a: settled({}, found) })).toMatchObject({ findings: [], warnings: [line] });
    });

    test.each([
      ["on a new host", bare({ findings: [closed] })],
      ["when something is to be repaired", settled({ files: ["x.pem changed"] }, found)],
      ["when its configuration has changed", settled({}, { ...found, desiredDigest: "another" })],
      ["when nodes come or go", settled({}, { ...found, nodes: nodes.slice(1) })],
    ])("are refusals %s", (_, look) => {
      const wanted = new Map([["a", "a digest"]]);
      expect(judged({ a: look }, { wanted })).toMatchObject({
        findings: expect.arrayContaining([line]),
      });
    });
  });

  test("that stop nothing are only said, on a new host too", () => {
    const note = { text: "has drop-ins for all of its services", stops: "nothing" } as const;
    expect(judged({ a: bare({ findings: [note] }) })).toMatchObject({
      findings: [],
      warnings: ["a: has drop-ins for all of its services"],
    });
  });

  test("about a neighbour whose member the others reach are not excused by its receipt", () => {
    const about = { text: "cannot reach etcd02", about: "etcd02" };
    const members = [
      { name: "etcd02", peerUrls: "https://192.168.1.84:2380", learner: false, healthy: true },
    ];
    const looks = (drift: readonly string[]) => ({
      etcd01: bare({ findings: [about] }),
      etcd02: settled({ host: drift }, { members, leader: true }),
    });
    const line = "etcd01: cannot reach etcd02";
    expect(judged(looks([])).findings).toContain(line);
    // Its packet filter is put right by this run.
    expect(judged(looks(["firewall table inet etcd removed"])).findings).not.toContain(line);
  });

  test("about a neighbour that does not answer us either are left to its own line", () => {
    const about = { text: "cannot reach b at 192.0.2.2 port 2380", about: "b" };
    expect(judged({ a: bare({ findings: [about] }), b: bare() }).findings).toEqual([
      "a: cannot reach b at 192.0.2.2 port 2380",
    ]);
    const { findings } = judged({ a: bare({ findings: [about] }), b: silent() });
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatch(/^b: /);
  });

  test("about a neighbour that is ours already are excused: its firewall is opened by this run", () => {
    const toB = { text: "cannot reach b at 192.0.2.2 port 2380", about: "b" };
    const toC = { text: "cannot reach c at 192.0.2.3 port 2380", about: "c" };
    // A newcomer cannot reach the members, whose firewalls do not know it yet.
    const newcomer = bare({ findings: [toB, toC] });
    expect(judged({ a: newcomer, b: settled(), c: bare() })).toMatchObject({
      findings: ["a: cannot reach c at 192.0.2.3 port 2380"],
      warnings: [],
    });
    // Only the receipt of the host step says that the firewall is ours, not any other.
    const half = bare({
      receipts: new Map([["binaries", { revision: BEFORE.install, drift: [] }]]),
    });
    expect(judged({ a: newcomer, b: half, c: settled() }).findings).toEqual([
      "a: cannot reach b at 192.0.2.2 port 2380",
    ]);
  });

  test("of other kinds are not excused by whom they come from", () => {
    const looks = { a: bare({ findings: [finding] }), b: settled() };
    expect(judged(looks).findings).toEqual(["a: has 512 MiB of memory"]);
  });
});

describe("the members", () => {
  const member = (number: number, healthy = true) => ({
    name: `etcd0${number}`,
    peerUrls: `https://192.168.1.${82 + number}:2380`,
    learner: false,
    healthy,
  });
  const led = (change: Partial<Seen>) => settled({}, { leader: true, ...change });

  test("as configured plan nothing", () => {
    const looks = { etcd01: led({ members: [member(1), member(2), member(3)] }) };
    expect(judged(looks)).toMatchObject({ summary: [], findings: [] });
  });

  test("that come or go are told, and an edit that leaves no quorum stops the run", () => {
    const looks = { etcd01: led({ members: [member(1), member(2, false), member(3)] }) };
    const edit = { ...EXPECTED, nodes: [node(1), node(2)] };
    const { summary, findings } = judged(looks, edit);
    expect(summary[0]).toContain("etcd03 is removed");
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain("removing etcd03 would leave 1 healthy of 2");
  });

  test("are those that another host lists when the leader is the one that leaves", () => {
    const others = settled({}, { members: [member(1), member(2), member(3)] });
    const edit = { ...EXPECTED, nodes: [node(2), node(3)] };
    const { summary } = judged({ etcd02: others, etcd03: others }, edit);
    expect(summary[0]).toContain("etcd01 is removed; afterwards: 2 voters");
  });

  test("that leave are seen off while they serve: no lost one, no learner, none that is silent", () => {
    const members = [
      ...[member(1), member(2), member(3), member(4, false), member(6)],
      { ...member(5), learner: true },
    ];
    const looks = { etcd01: led({ members }), etcd02: settled({}, { members }) };
    const edit = { ...EXPECTED, nodes: [node(1), node(2), node(3, { lost: true })] };
    expect(judged(looks, edit).leaving.map(({ name }) => name)).toEqual(["etcd06"]);
  });

  test("stay who they are while no quorum answers", () => {
    const nodes = [1, 2, 3].map((number) => node(number).address);
    const looks = { etcd01: settled({}, { nodes }), etcd02: settled({}, { nodes }) };
    const edit = { ...EXPECTED, nodes: [node(1), node(2)] };
    expect(judged(looks, edit).findings.join()).toContain("the cluster has no quorum");
    expect(judged({ ...looks, etcd03: silent() }).findings).toEqual([]);
  });

  test("on an empty host are known to join again", () => {
    const looks = {
      etcd01: led({ members: [member(1), member(2), member(3, false)] }),
      etcd03: bare(),
    };
    expect(judged(looks).summary.join()).toContain("etcd03 is rebuilt");
  });
});

describe("another release", () => {
  const TO = { ...EXPECTED, version: "3.7.2" };
  const running = (version: string, change: Partial<Seen> = {}) =>
    settled({}, { version, installed: version, ...change });
  const leading = (version: string, change: Partial<Seen> = {}) =>
    running(version, { leader: true, members: LIVE, ...change });
  const LIVE = [1, 2, 3].map((number) => ({
    name: `etcd0${number}`,
    peerUrls: `https://192.168.1.${82 + number}:2380`,
    learner: false,
    healthy: true,
  }));
  const sick = LIVE.map((one) => ({ ...one, healthy: one.name !== "etcd02" }));
  const saved = { from: "3.6.14", to: "3.7.2", path: "/var/backups/etcd/x.db" };
  const three = (a: Seen, b: HostState, c: HostState) => ({ etcd01: a, etcd02: b, etcd03: c });

  test("is planned in words: the order with the leader last, and the snapshot", () => {
    const { summary, findings } = judged(
      three(leading("3.6.14"), running("3.6.14"), running("3.6.14")),
      TO,
    );
    expect(findings).toEqual([]);
    expect(summary).toEqual([
      "version: 3.6.14 to 3.7.2 on etcd02, etcd03, etcd01, one at a time in this order; a snapshot is taken on etcd02 first",
    ]);
  });

  test("a series down is planned with the cluster's consent", () => {
    const looks = three(leading("3.7.2"), running("3.7.2"), running("3.7.2"));
    expect(judged(looks).summary.join()).toMatch(/; then the downgrade to 3\.6 is enabled$/);
  });

  test("that cannot follow stops the run, naming each member", () => {
    const looks = three(leading("3.5.31"), running("3.6.14"), running("3.5.31"));
    const words =
      "runs etcd 3.5.31: 3.6 can follow only 3.5.32 or later (with an earlier one, removed members can come back and learners cannot be promoted); go there first (etcd:version is 3.6.14)";
    expect(judged(looks).findings).toEqual([`etcd03: ${words}`, `etcd01: ${words}`]);
  });

  const stops: [string, ReturnType<typeof three>, string][] = [
    [
      "a member that does not answer the leader",
      three(leading("3.6.14", { members: sick }), running("3.6.14"), running("3.6.14")),
      "etcd02 is unhealthy; start it first",
    ],
    [
      "a member whose etcd is stopped",
      three(leading("3.6.14"), settled({}, { installed: "3.6.14" }), running("3.6.14")),
      "etcd02 is unhealthy; start it first",
    ],
    [
      "a host that does not answer",
      three(leading("3.6.14"), silent(), running("3.6.14")),
      "etcd02 cannot be reached; bring it back first, or set lost: true",
    ],
    [
      "an alarm",
      three(
        leading("3.6.14", { alarms: [{ kind: "NOSPACE", member: "7" }] }),
        running("3.6.14"),
        running("3.6.14"),
      ),
      "the cluster reports NOSPACE of member 7; clear it first",
    ],
    [
      "a learner",
      three(
        leading("3.6.14", {
          members: LIVE.map((one) => ({ ...one, learner: one.name === "etcd03" })),
        }),
        running("3.6.14"),
        running("3.6.14"),
      ),
      "etcd03 is a learner",
    ],
    [
      "a rebuilt host",
      three(leading("3.6.14", { members: sick }), bare(), running("3.6.14")),
      "etcd02 is to join; change the nodes first",
    ],
    [
      "no quorum",
      three(running("3.6.14"), running("3.6.14"), running("3.6.14")),
      "the cluster has no quorum; start the stopped members first",
    ],
  ];

  test.each(stops)("is refused with %s", (_, looks, words) => {
    const { findings } = judged(looks, TO);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain(`etcd:version 3.7.2: refused while ${words}`);
    // The same situation is none of the release's business when it stays.
    expect(judged(looks).findings).toEqual([]);
  });

  test("goes on midway, also past a stopped member, whose turn comes first", () => {
    const looks = three(
      leading("3.7.2", { members: sick, snapshot: saved }),
      settled({}, { installed: "3.6.14" }),
      running("3.6.14"),
    );
    const { summary, findings, nodePlans } = judged(looks, TO);
    expect(findings).toEqual([]);
    expect(summary).toEqual([
      "version: 3.6.14 to 3.7.2 on etcd02, etcd03, one at a time in this order; snapshot from before the change: etcd01:/var/backups/etcd/x.db",
    ]);
    expect([...nodePlans].map(([, { phase }]) => phase === "start")).toEqual([false, true, false]);
    expect(nodePlans.get("etcd02")?.revisions.member).not.toContain("snapshot-first");
  });

  test.each([
    ["no host has a snapshot", {}],
    [
      "the only snapshot is of another roll",
      { snapshot: { ...saved, from: "3.6.14", to: "3.6.15" } },
    ],
  ])("takes a snapshot midway when %s", (_, change) => {
    const looks = three(leading("3.7.2", change), running("3.6.14"), running("3.6.14"));
    const { summary, nodePlans } = judged(looks, TO);
    expect(summary.join()).toContain("; a snapshot is taken on etcd02 first");
    expect([...nodePlans].map(([, { revisions }]) => revisions.member)).toEqual([
      BEFORE.member,
      `snapshot-first ${STAMP} # no host has a snapshot from before the change`,
      BEFORE.member,
    ]);
  });

  test("the other way is a change of mind: the downgrade in progress was cancelled", () => {
    const looks = three(
      leading("3.7.2", { downgrade: "3.6", snapshot: saved }),
      running("3.6.14"),
      running("3.7.2"),
    );
    expect(judged(looks, TO).summary.join()).toContain(
      "; the downgrade to 3.6 in progress is cancelled",
    );
    expect(judged(looks).summary.join()).not.toContain("cancelled");
  });

  test("down does not let anybody in", () => {
    const looks = three(leading("3.7.2", { members: sick }), bare(), running("3.6.14"));
    expect(judged(looks).findings.join()).toContain(
      "etcd02 is to join; etcd rejects new members during a downgrade",
    );
  });

  test("on hosts without a cluster is nobody's business", () => {
    expect(judged({ etcd01: bare({ installed: "3.5.21" }) }, TO)).toMatchObject({
      summary: [],
      findings: [],
    });
  });
});
