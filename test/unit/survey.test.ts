import { describe, expect, test } from "vitest";
import type { Look } from "../../components/probe";
import { judge, STEPS, type StepName, unseen } from "../../components/survey";

const NOW = new Date("2026-11-22T10:20:30.456Z");
const STAMP = "2026-11-22T10:20:30Z";
const LASTING: readonly StepName[] = ["host", "binaries", "files", "member"];

type Seen = Extract<Look, { seen: true }>;

/** A host that nothing was ever done to. */
const bare = (change: Partial<Seen> = {}): Seen => ({
  seen: true,
  formed: false,
  findings: [],
  receipts: new Map(),
  unit: ["etcd.service is inactive", "etcd.service is not-found"],
  ...change,
});

/** A host with a running member, as all steps left it, but for this drift. */
const settled = (
  drift: Partial<Record<StepName, readonly string[]>> = {},
  change: Partial<Seen> = {},
): Seen => ({
  seen: true,
  formed: true,
  findings: [],
  receipts: new Map(
    LASTING.map((step) => [step, { revision: `${step} before`, drift: drift[step] ?? [] }]),
  ),
  unit: [],
  ...change,
});

const silent = (distrusted = false): Look => ({
  seen: false,
  distrusted,
  reason: "no SSH session as root@192.0.2.1:22: Connection timed out",
});

const judged = (looks: Record<string, Look>) => judge(new Map(Object.entries(looks)), NOW);
const revisions = (looks: Record<string, Look>, name: string) =>
  judged(looks).verdicts.get(name)?.revisions;

describe("revisions", () => {
  test("of bare hosts say that they are made, and why the member starts", () => {
    expect(revisions({ a: bare() }, "a")).toEqual({
      host: `create, ${STAMP}`,
      binaries: `create, ${STAMP}`,
      files: `create, ${STAMP}`,
      member: `new cluster, ${STAMP}`,
      health: "gate",
    });
  });

  test("of a host in order are those of its receipts: a preview has nothing to say", () => {
    const looks = { a: settled(), b: settled() };
    const { verdicts, findings, warnings } = judged(looks);
    expect({ findings, warnings }).toEqual({ findings: [], warnings: [] });
    for (const { seen, revisions: all } of verdicts.values()) {
      expect(seen).toBe(true);
      expect(all).toEqual({
        host: "host before",
        binaries: "binaries before",
        files: "files before",
        member: "member before",
        health: "gate",
      });
    }
  });

  test("do not depend on the time when all is in order", () => {
    const later = judge(new Map([["a", settled()]]), new Date("2030-01-01T00:00:00Z"));
    expect(later.verdicts).toEqual(judged({ a: settled() }).verdicts);
  });

  test("of a step with drift say what drifted; the other steps keep theirs", () => {
    const drifted = settled({ files: ["/etc/etcd.env changed", "/etc/x removed"] });
    expect(revisions({ a: drifted, b: settled() }, "a")).toEqual({
      host: "host before",
      binaries: "binaries before",
      files: `repair: /etc/etcd.env changed; /etc/x removed, ${STAMP}`,
      member: "member before",
      health: "gate",
    });
  });

  test("of the member also say what is wrong with the unit", () => {
    const stopped = settled({}, { unit: ["etcd.service is inactive"] });
    expect(revisions({ a: stopped }, "a")?.member).toBe(
      `repair: etcd.service is inactive, ${STAMP}`,
    );
  });

  test("differ between two repairs of the same thing", () => {
    const looks = new Map([["a", settled({ files: ["/etc/etcd.env changed"] })]]);
    const again = judge(looks, new Date("2026-11-23T10:00:00Z"));
    expect(again.verdicts.get("a")?.revisions.files).not.toBe(
      judge(looks, NOW).verdicts.get("a")?.revisions.files,
    );
  });

  test("of a half-made host finish what is missing and leave the rest", () => {
    const half = bare({ receipts: new Map([["host", { revision: "host before", drift: [] }]]) });
    expect(revisions({ a: half }, "a")).toMatchObject({
      host: "host before",
      binaries: `create, ${STAMP}`,
      member: `new cluster, ${STAMP}`,
    });
  });

  test("of a bare host join when any host bears the mark of a formed cluster", () => {
    expect(revisions({ a: bare(), b: settled() }, "a")?.member).toBe(`join, ${STAMP}`);
    expect(revisions({ a: bare({ formed: true }), b: bare() }, "b")?.member).toBe(`join, ${STAMP}`);
  });

  test("of a bare host do not join because another one could not be reached", () => {
    expect(revisions({ a: bare(), b: silent() }, "a")?.member).toBe(`new cluster, ${STAMP}`);
  });

  test("have every step of every host, in the order of the configuration", () => {
    const { verdicts } = judged({ c: bare(), a: silent(), b: settled() });
    expect([...verdicts.keys()]).toEqual(["c", "a", "b"]);
    for (const verdict of verdicts.values()) {
      expect(Object.keys(verdict.revisions)).toEqual([...STEPS]);
    }
  });
});

describe("a host that cannot be reached", () => {
  test("stops the making of a cluster", () => {
    const { findings, warnings, verdicts } = judged({ a: bare(), b: silent() });
    expect(findings).toEqual(["b: no SSH session as root@192.0.2.1:22: Connection timed out"]);
    expect(warnings).toEqual([]);
    expect(verdicts.get("b")?.seen).toBe(false);
  });

  test("is a warning that says what was not checked once there is a cluster", () => {
    const { findings, warnings } = judged({ a: settled(), b: silent() });
    expect(findings).toEqual([]);
    expect(warnings).toEqual([
      "b: cannot be reached, so nothing on it could be checked: no SSH session as root@192.0.2.1:22: Connection timed out",
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
      a: bare({ findings: [finding, { text: "has port 2379 taken by x" }] }),
      b: bare({ findings: [finding] }),
    };
    expect(judged(looks).findings).toEqual([
      "a: has 512 MiB of memory",
      "a: has port 2379 taken by x",
      "b: has 512 MiB of memory",
    ]);
  });

  test("on a host that is ours already are warnings", () => {
    const { findings, warnings } = judged({ a: settled({}, { findings: [finding] }) });
    expect(findings).toEqual([]);
    expect(warnings).toEqual(["a: has 512 MiB of memory"]);
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
});

test("without a look every host counts as unseen, and the member's step is told so", () => {
  const verdicts = unseen(["a", "b"], NOW);
  expect([...verdicts.keys()]).toEqual(["a", "b"]);
  for (const verdict of verdicts.values()) {
    expect(verdict).toEqual({
      seen: false,
      revisions: {
        host: `create, ${STAMP}`,
        binaries: `create, ${STAMP}`,
        files: `create, ${STAMP}`,
        member: `unseen, ${STAMP}`,
        health: "gate",
      },
    });
  }
});
