/** The report of the load: errors, gaps, traffic, leaders and members that were down. */
import { expect, test } from "vitest";
import type { Attempt } from "../../load/history";
import { complaints, judge } from "../../load/report";
import { cleanScript, doctored, ENDPOINTS, Script } from "../support/history";

const [A, B, C] = ENDPOINTS;

test("a run that nobody has anything to say against", () => {
  const report = judge(cleanScript().end());
  expect(complaints(report)).toEqual([]);
  expect(report).toMatchObject({
    operations: 600,
    ok: 600,
    retried: 0,
    kinds: { put: 150, get: 150, cas: 300, swapped: 150 },
    leaderChanges: 0,
    mostVotersDown: 0,
  });
});

test("a final client error", () => {
  const script = cleanScript();
  script.failed("load/k0", "lost");
  const found = complaints(judge(script.end()));
  expect(found).toEqual(["no endpoint answered a put of load/k0 in 1 attempts: undefined"]);
});

test("what was answered by a second attempt is no error", () => {
  const script = cleanScript();
  script.retriedPut("load/k0", "again", false);
  const report = judge(script.end());
  expect(complaints(report)).toEqual([]);
  expect(report.retried).toBe(1);
});

test("a request that failed, where none may, unless it never left or was not begun", () => {
  const script = cleanScript();
  const kinds: readonly [Attempt["outcome"], string][] = [
    ["unknown", "2 UNKNOWN: raft: stopped"],
    ["unknown", "2 UNKNOWN: raft: stopped"],
    ["unknown", "14 UNAVAILABLE: Connection dropped"],
    ["unknown", "14 UNAVAILABLE: Stream refused by server"],
    ["fail", "14 UNAVAILABLE: No connection established"],
  ];
  for (const [outcome, error] of kinds) {
    script.retriedPut("load/k0", `after ${script.now}`, false, {
      ...script.attempt(outcome),
      error,
    });
  }
  const report = judge(script.end());
  expect(complaints(report)).toEqual([]);
  expect(complaints(report, { failedRequests: false })).toEqual([
    `2 requests failed at ${A}: 2 UNKNOWN: raft: stopped`,
    `1 requests failed at ${A}: 14 UNAVAILABLE: Connection dropped`,
  ]);
});

test("a request that a change of the leader cost", () => {
  const lost = [
    "14 UNAVAILABLE: etcdserver: leader changed",
    "2 UNKNOWN: raft proposal dropped",
    "4 DEADLINE_EXCEEDED: Deadline exceeded after 1.5s",
  ];
  const failed = (during: (script: Script, fail: () => void) => void) => {
    const script = cleanScript();
    script.sample(A, true, 2);
    during(script, () => {
      for (const error of lost) {
        const attempt = { ...script.attempt("unknown", 5), error };
        script.retriedPut("load/k0", `after ${script.now}`, false, attempt);
      }
    });
    return judge(script.end()).failedRequests;
  };
  const change = (script: Script, fail: () => void) => {
    fail();
    script.now += 10;
    script.sample(B, true, 3);
  };
  expect(failed(change)).toEqual([]);
  const without = [
    `1 requests failed at ${A}: 14 UNAVAILABLE: etcdserver: leader changed`,
    `1 requests failed at ${A}: 2 UNKNOWN: raft proposal dropped`,
    `1 requests failed at ${A}: 4 DEADLINE_EXCEEDED: Deadline exceeded`,
  ];
  expect(failed((_, fail) => fail())).toEqual(without);
  // One that began when the change was over is the removal's, not the transfer's.
  const later = (script: Script, fail: () => void) => {
    script.now += 10;
    script.sample(B, true, 3);
    script.now += 10;
    fail();
  };
  expect(failed(later)).toEqual(without);
  const stopped = (script: Script) => {
    const attempt = { ...script.attempt("unknown", 5), error: "2 UNKNOWN: raft: stopped" };
    script.retriedPut("load/k0", "stopped", false, attempt);
    script.sample(B, true, 3);
  };
  expect(failed(stopped)).toEqual([`1 requests failed at ${A}: 2 UNKNOWN: raft: stopped`]);
});

test("a gap between two writes, at the end and at the beginning", () => {
  const between = cleanScript();
  between.now += 300;
  between.put("load/k0", "late");
  const report = judge(between.end());
  expect(report.longestWriteGap.ms).toBeGreaterThan(300);
  expect(report.longestWriteGap.ms).toBeLessThan(315);
  expect(complaints(report).join("\n")).toMatch(/no write was acknowledged for 3\d\d ms/);
  expect(complaints(report, { writeGapMs: 400 })).toEqual([]);

  const last = cleanScript();
  last.now += 300;
  expect(complaints(judge(last.end()))).toHaveLength(1);

  const first = cleanScript().end();
  const early = doctored(first, (entry) =>
    entry.record === "end" ? { ...entry, from: entry.from - 300 } : entry,
  );
  expect(complaints(judge(early))).toHaveLength(1);
});

test("a gap in which the load itself did not run is not the cluster's", () => {
  const gap = (pause: number) => {
    const script = cleanScript();
    const start = script.now + 10;
    script.now += 300;
    script.entries.push({ record: "pause", start, end: start + pause });
    script.put("load/k0", "late");
    return judge(script.end());
  };
  expect(gap(80).longestWriteGap.pausedMs).toBe(80);
  expect(complaints(gap(80))).toEqual([]);
  expect(complaints(gap(20)).join("\n")).toContain("not counted are 20 ms");
});

test("reads alone do not end a write gap", () => {
  const script = cleanScript();
  for (let read = 0; read < 100; read++) {
    script.get("load/k0");
  }
  const report = judge(script.end());
  expect(report.longestWriteGap.ms).toBeGreaterThan(300);
  expect(report.longestReadGap.ms).toBeLessThan(20);
});

test("too little traffic, and none of a kind", () => {
  const script = cleanScript();
  for (let second = 0; second < 100; second++) {
    script.now += 200;
    script.put("load/k0", `slow${second}`);
  }
  expect(complaints(judge(script.end())).join("\n")).toMatch(/only \d+\.\d operations per second/);

  const writes = new Script();
  for (let step = 0; step < 100; step++) {
    writes.put("load/k0", `${step}`);
  }
  const found = complaints(judge(writes.end())).join("\n");
  expect(found).toContain("no operation of the kind get was answered");
  expect(found).toContain("no operation of the kind swapped was answered");
  expect(found).toContain("no member was ever looked at");
});

test("more changes of the leader than one", () => {
  const script = cleanScript();
  script.sample(A, true, 3);
  expect(complaints(judge(script.end()))).toEqual([]);
  script.sample(B, true, 4);
  const found = complaints(judge(script.entries));
  expect(found).toEqual(["the leader changed 2 times, at most 1 allowed"]);
  expect(complaints(judge(script.entries), { leaderChanges: 2 })).toEqual([]);
});

test("two voters down at once", () => {
  const script = cleanScript();
  script.sample(A, false);
  script.now += 20;
  script.sample(B, false);
  script.now += 20;
  script.sample(A, false);
  script.sample(A, true);
  script.sample(B, true);
  const report = judge(script.end());
  expect(report.mostVotersDown).toBe(2);
  expect(complaints(report).join("\n")).toContain("2 voters were down at the same time");
});

test("two voters down after each other are not two at once", () => {
  const script = cleanScript();
  for (const endpoint of [A, B, C]) {
    script.sample(endpoint, false);
    script.now += 20;
    script.sample(endpoint, false);
    script.now += 20;
    script.sample(endpoint, true);
  }
  const report = judge(script.end());
  expect(report.mostVotersDown).toBe(1);
  expect(report.absences.map(({ endpoint, from, to }) => [endpoint, to - from])).toEqual([
    [A, 21],
    [B, 21],
    [C, 21],
  ]);
});

test("a member that has left or is not yet promoted is no voter", () => {
  const script = cleanScript();
  script.members([B, C], [A]);
  script.sample(A, false);
  script.now += 20;
  script.sample(B, false);
  script.now += 20;
  script.sample(A, false);
  script.members([B, C], [A]);
  script.members([B, C, A]);
  script.sample(A, true);
  script.sample(B, true);
  expect(judge(script.end()).mostVotersDown).toBe(1);
});

test("a voter that never came back counts until the end", () => {
  const script = cleanScript();
  script.sample(A, false);
  script.now += 40;
  script.sample(B, false);
  script.sample(A, false);
  expect(judge(script.end()).mostVotersDown).toBe(2);
});

test("a history that was cut short is none", () => {
  const script = cleanScript();
  expect(() => judge(script.entries)).toThrow("the history is not whole");
});

test("a gap tells what was seen in it: calls, terms, members that did not serve", () => {
  const script = cleanScript();
  script.now += 50;
  script.sample(B, false);
  script.now += 50;
  script.sample(C, true, 3);
  script.now += 200;
  script.retriedPut("load/k0", "late", true);
  const [complaint] = complaints(judge(script.end()));
  expect(complaint).toContain("no write was acknowledged for 3");
  expect(complaint).toContain(`; 1 calls to ${A}: unknown, up to 5 ms; `);
  expect(complaint).toContain(`${B} did not serve: no reason; after `);
  expect(complaint).toContain(`${C} was in term 3`);
});
