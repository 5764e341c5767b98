import { describe, expect, test } from "vitest";
import type { HostState } from "../../../components/hosts/host-state";
import { rolloutOrder, uninspectedPlans } from "../../../components/plan/node-plan";
import { makePlan } from "../../../components/plan/plan";
import { STEPS } from "../../../components/scripts/steps";
import { node } from "../../support/fixtures";
import { BEFORE, bare, EXPECTED, judged, NOW, STAMP, settled, silent } from "../../support/looks";

const revisions = (looks: Record<string, HostState>, name: string) =>
  judged(looks).nodePlans.get(name)?.revisions;

describe("revisions", () => {
  test("of bare hosts say that they are made, and why the member starts", () => {
    expect(revisions({ a: bare() }, "a")).toEqual({
      install: `create ${STAMP}`,
      member: `bootstrap ${STAMP}`,
      health: "gate",
    });
  });

  test("of a host in order are those of its receipts: a preview has nothing to say", () => {
    const looks = { a: settled(), b: settled() };
    const { nodePlans, findings, warnings, repairs } = judged(looks);
    expect({ findings, warnings, repairs }).toEqual({ findings: [], warnings: [], repairs: [] });
    for (const { freeze, revisions: all } of nodePlans.values()) {
      expect(freeze).toBe("none");
      expect(all).toEqual({
        install: BEFORE.install,
        member: BEFORE.member,
        health: "gate",
      });
    }
  });

  test("do not depend on the time when all is in order", () => {
    const later = makePlan(new Map([["a", settled()]]), new Date("2030-01-01T00:00:00Z"), EXPECTED);
    expect(later.nodePlans).toEqual(judged({ a: settled() }).nodePlans);
  });

  test("of a step with drift say what drifted; the other steps keep theirs", () => {
    const drifted = settled({ files: ["/etc/etcd.env changed", "/etc/x removed"] });
    expect(revisions({ a: drifted, b: settled() }, "a")).toEqual({
      install: `repair ${STAMP} # /etc/etcd.env changed; /etc/x removed`,
      member: BEFORE.member,
      health: "gate",
    });
  });

  test.each([
    ["another operator's clock was ahead", "2026-11-22T11:00:00Z", "2026-11-22T11:00:01Z"],
    ["it was in this very second", STAMP, "2026-11-22T10:20:31Z"],
    ["it is of no run, but of a host that lies", "9999-12-31T23:59:59Z", STAMP],
  ])("are later than every receipt of the host, where %s", (_, last, next) => {
    const drifted = settled({ files: ["/etc/etcd.env changed"] });
    const receipts = new Map(drifted.receipts);
    receipts.set("member", { revision: `join ${last}`, drift: [] });
    const plan = { a: { ...drifted, receipts }, b: settled({ host: ["/etc/x changed"] }) };
    expect(revisions(plan, "a")?.install).toBe(`repair ${next} # /etc/etcd.env changed`);
    expect(revisions(plan, "b")?.install).toBe(`repair ${STAMP} # /etc/x changed`);
  });

  test("of the member also say what is wrong with the unit", () => {
    const stopped = settled({}, { unit: ["etcd.service is inactive"] });
    expect(revisions({ a: stopped }, "a")?.member).toBe(
      `repair ${STAMP} # etcd.service is inactive`,
    );
  });

  test("of another release of this program are repaired, not taken for what they are not", () => {
    const receipts = new Map(settled().receipts).set("member", {
      revision: "rebuild a2, 2026-11-01T10:00:00Z",
      drift: [],
    });
    const words = "its receipt was written by another release of this program";
    const looks = { a: settled({}, { receipts }) };
    expect(revisions(looks, "a")).toMatchObject({
      install: BEFORE.install,
      member: `repair ${STAMP} # ${words}`,
    });
    expect(judged(looks).repairs).toEqual([`a: ${words}`]);
  });

  test("differ between two repairs of the same thing", () => {
    const looks = new Map([["a", settled({ files: ["/etc/etcd.env changed"] })]]);
    const again = makePlan(looks, new Date("2026-11-23T10:00:00Z"), EXPECTED);
    expect(again.nodePlans.get("a")?.revisions.install).not.toBe(
      makePlan(looks, NOW, EXPECTED).nodePlans.get("a")?.revisions.install,
    );
  });

  test("of a half-made host finish what is missing and leave the rest", () => {
    const half = bare({ receipts: new Map([["host", { revision: BEFORE.install, drift: [] }]]) });
    expect(revisions({ a: half }, "a")).toMatchObject({
      install: `create ${STAMP}`,
      member: `bootstrap ${STAMP}`,
    });
  });

  test("of a step that was interrupted between two of its receipts have it run again", () => {
    const receipts = new Map(settled().receipts).set("host", {
      revision: "repair 2026-11-03T10:00:00Z # /etc/x removed",
      drift: [],
    });
    expect(revisions({ a: settled({}, { receipts }) }, "a")).toMatchObject({
      install: `repair ${STAMP} # its last run was interrupted`,
      member: BEFORE.member,
    });
  });

  test("of a bare host join when any host bears the mark of a formed cluster", () => {
    expect(revisions({ a: bare(), b: settled() }, "a")?.member).toBe(`join ${STAMP}`);
    expect(revisions({ a: bare({ bootstrapped: true }), b: bare() }, "b")?.member).toBe(
      `join ${STAMP}`,
    );
  });

  test("of a bare host do not join because another one could not be reached", () => {
    expect(revisions({ a: bare(), b: silent() }, "a")?.member).toBe(`bootstrap ${STAMP}`);
  });

  test("have every step of every host, in the order of the configuration", () => {
    const { nodePlans } = judged({ c: bare(), a: silent(), b: settled() });
    expect([...nodePlans.keys()]).toEqual(["c", "a", "b"]);
    for (const verdict of nodePlans.values()) {
      expect(Object.keys(verdict.revisions)).toEqual(STEPS.filter((step) => step !== "leave"));
    }
  });
});

describe("several hosts without a running member", () => {
  const live = (number: number, healthy: boolean) => ({
    name: `etcd0${number}`,
    peerUrls: `https://192.168.1.${82 + number}:2380`,
    learner: false,
    healthy,
  });
  const members = [1, 2, 3, 4, 5].map((number) => live(number, number < 4));
  const nodes = [5, 4, 3, 2, 1].map((number) => node(number));

  test("know of each other's loss when they were rebuilt, for etcd lets nobody in before both are out", () => {
    const well = settled({}, { version: "3.6.14" });
    const { nodePlans } = judged(
      {
        ...{ etcd05: bare(), etcd04: bare(), etcd03: well, etcd02: well },
        etcd01: { ...well, leader: true, members },
      },
      { nodes },
    );
    expect(nodePlans.get("etcd05")?.revisions.member).toBe(`join ${STAMP} rebuilt=etcd04`);
    expect(nodePlans.get("etcd04")?.revisions.member).toBe(`join ${STAMP} rebuilt=etcd05`);
  });

  test("are begun with those that have data: without them there may be no quorum to join", () => {
    const verdicts = judged({
      etcd02: bare(),
      etcd03: settled({}, { version: "3.6.14" }),
      etcd01: settled(),
    }).nodePlans;
    expect(rolloutOrder([...verdicts], ([, { phase }]) => phase).map(([name]) => name)).toEqual([
      "etcd01",
      "etcd02",
      "etcd03",
    ]);
  });
});

test("a new cluster is refused when the one of the last run has hosts elsewhere, or has lost all", () => {
  const former = [node(1), node(2)];
  const finding = [
    expect.stringMatching(/^none of the nodes is a member of the existing cluster \(etcd01, /),
  ];
  expect(judged({ etcd03: bare() }, { nodes: [node(3)], former }).findings).toEqual(finding);
  const both = { etcd01: bare(), etcd02: bare() };
  expect(judged(both, { nodes: former, former }).findings).toEqual([
    expect.stringMatching(
      /^all members of the existing cluster \(etcd01, etcd02\) have lost their data: /,
    ),
  ]);
  // Steps that ran on the new hosts change nothing; data of a new cluster does, which is half made.
  const begun = { ...both, etcd01: settled({}, { bootstrapped: false, empty: true }) };
  expect(judged(begun, { nodes: former, former }).findings).toHaveLength(1);
  const half = { ...both, etcd01: settled({}, { bootstrapped: false }) };
  expect(judged(half, { nodes: former, former }).findings).toEqual([]);
  // One that bears the mark has been there.
  const marked = { etcd01: bare({ bootstrapped: true }) };
  expect(judged(marked, { nodes: [node(1)], former }).findings).toEqual([]);
});

test("repairs are told with their node's name; what was never made is no repair", () => {
  const looks = {
    a: settled({ files: ["/etc/x removed"], member: ["/etc/y changed"] }, { unit: ["it is off"] }),
    b: bare(),
    c: silent(),
  };
  expect(judged(looks).repairs).toEqual(["a: /etc/x removed", "a: /etc/y changed", "a: it is off"]);
});

test("the leader is the one that says so, on a host that was seen", () => {
  const { nodePlans } = judged({
    a: settled({}, { version: "3.6.14" }),
    b: settled({}, { version: "3.6.14", leader: true }),
    c: silent(),
  });
  expect([...nodePlans].map(([name, { phase }]) => [name, phase])).toEqual([
    ["a", "roll"],
    ["b", "roll-last"],
    ["c", "roll"],
  ]);
});

describe("a member that moves", () => {
  const members = [1, 2, 3].map((number) => ({
    name: `etcd0${number}`,
    peerUrls: `https://192.168.1.${82 + number}:2380`,
    learner: false,
    healthy: true,
  }));
  const nodes = [node(1), node(2), { ...node(3), address: "192.168.1.99" }];
  const look = settled({}, { members, version: "3.6.14" });

  test("has its turn first, and its step is told why", () => {
    const looks = { etcd01: { ...look, leader: true }, etcd02: look, etcd03: look };
    const { nodePlans } = judged(looks, { nodes });
    expect([...nodePlans].map(([name, { phase }]) => [name, phase])).toEqual([
      ["etcd01", "roll-last"],
      ["etcd02", "roll"],
      ["etcd03", "move"],
    ]);
    expect(rolloutOrder([...nodePlans], ([, { phase }]) => phase).map(([name]) => name)).toEqual([
      "etcd03",
      "etcd02",
      "etcd01",
    ]);
    expect(nodePlans.get("etcd03")?.revisions.member).toBe(
      `move ${STAMP} # 192.168.1.85 to 192.168.1.99`,
    );
    expect(nodePlans.get("etcd01")?.revisions.member).toBe(BEFORE.member);
  });

  test("may lead and see nobody from its new address: whoever answers anybody is healthy", () => {
    const alone = members.map((one) => ({ ...one, healthy: one.name === "etcd03" }));
    const moving = { ...look, leader: true, members: alone };
    const { findings, summary } = judged({ etcd01: look, etcd02: look, etcd03: moving }, { nodes });
    expect(findings).toEqual([]);
    expect(summary.join()).toContain("3 voters, 3 healthy; etcd03 moves");
    const cutOff = { ...look, members: alone };
    expect(judged({ etcd01: cutOff, etcd02: cutOff, etcd03: moving }, { nodes }).findings).toEqual([
      expect.stringContaining("3 voters, 1 healthy: moving etcd03"),
    ]);
  });

  test("is stopped by what its host finds, which elsewhere is a warning", () => {
    const findings = [{ text: "reaches etcd01 from elsewhere" }];
    const looks = {
      etcd01: { ...look, findings },
      etcd02: settled(),
      etcd03: { ...look, findings },
    };
    expect(judged(looks, { nodes })).toMatchObject({
      findings: ["etcd03: reaches etcd01 from elsewhere"],
      warnings: ["etcd01: reaches etcd01 from elsewhere"],
    });
  });
});

test("a member whose host has seen another configuration last is changed, whatever the state says", () => {
  const look = settled({}, { desiredDigest: "of a killed run" });
  const member = (wanted?: string) =>
    judged(
      { a: look },
      { ...EXPECTED, wanted: new Map(wanted === undefined ? [] : [["a", wanted]]) },
    ).nodePlans.get("a")?.revisions;
  expect(member("as configured")).toMatchObject({
    member: `change ${STAMP}`,
    install: BEFORE.install,
  });
  expect(member("of a killed run")?.member).toBe(BEFORE.member);
  expect(member()?.member).toBe(BEFORE.member);
});

test("without an inspection the member's step is told so", () => {
  const verdicts = uninspectedPlans(["a", "b"], NOW);
  expect([...verdicts.keys()]).toEqual(["a", "b"]);
  for (const verdict of verdicts.values()) {
    expect(verdict).toEqual({
      freeze: "revision",
      phase: "roll",
      revisions: {
        install: `create ${STAMP}`,
        member: `uninspected ${STAMP}`,
        health: "gate",
      },
    });
  }
});
