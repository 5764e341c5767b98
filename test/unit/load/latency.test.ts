import { describe, expect, test } from "vitest";
import type { History, Operation } from "../../load/history";
import { latency } from "../../load/latency";
import { ENDPOINTS } from "../support/history";

const [A, B] = ENDPOINTS;

type Attempts = readonly (readonly [start: number, end: number])[];

/** A put whose last attempt was answered. */
function put(attempts: Attempts): Operation {
  return {
    record: "operation",
    worker: 0,
    kind: "put",
    key: "key",
    value: "value",
    attempts: attempts.map(([start, end], index) => ({
      endpoint: A,
      start,
      end,
      outcome: index === attempts.length - 1 ? "ok" : "unknown",
    })),
    answer: { cluster: "1", revision: 2 },
  };
}

const END = { record: "end", from: 1000, to: 3000 } as const;
const members = (at: number) =>
  ({
    record: "members",
    at,
    cluster: "1",
    members: [A, B].map((endpoint) => ({ id: endpoint, endpoint, learner: false })),
  }) as const;
const sample = (endpoint: string, start: number, term?: number) =>
  ({
    record: "sample",
    endpoint,
    start,
    end: start + 10,
    serving: term !== undefined,
    ...(term === undefined ? {} : { term }),
  }) as const;

describe("latency", () => {
  test("puts writes together by the time when they were sent, from the first attempt to the answer", () => {
    const history: History = [
      put([[1010, 1012]]),
      put([[1020, 1030]]),
      put([
        [1099, 1100],
        [1150, 1199.04],
      ]),
      put([[1100, 1104]]),
      END,
    ];
    expect(latency(history, 100)).toEqual([
      { record: "writes", at: 0, count: 3, median: 10, slowest: 100 },
      { record: "writes", at: 100, count: 1, median: 4, slowest: 4 },
    ]);
  });

  test("leaves out reads, writes that nobody answered, and what lies outside of the run", () => {
    const { answer: _, ...unanswered } = put([[1010, 1020]]);
    const history: History = [
      put([[900, 1100]]),
      put([[3000, 3010]]),
      { ...put([[1010, 1020]]), kind: "get" },
      {
        ...put([[1010, 1020]]),
        kind: "cas",
        answer: { cluster: "1", revision: 2, swapped: false },
      },
      unanswered,
      END,
    ];
    expect(latency(history, 100)).toEqual([]);
  });

  test("says when a voter did not answer, and when a term began", () => {
    const history: History = [
      members(0),
      sample(A, 900, 4),
      sample(B, 1500),
      sample(B, 1600),
      sample(B, 1700, 4),
      sample(A, 1800, 5),
      sample(B, 1900, 4),
      members(2500),
      END,
    ];
    expect(latency(history, 100)).toEqual([
      { record: "restart", endpoint: B, from: 500, to: 610 },
      { record: "election", at: 810 },
    ]);
  });

  test("refuses a history without an end", () => {
    expect(() => latency([put([[1010, 1012]])], 100)).toThrow("lacks its end");
  });
});
