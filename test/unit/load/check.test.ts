/** The checker of the load finds each kind of broken promise, and none where none is broken. */
import { expect, test } from "vitest";
import { violations } from "../../load/check";
import { type Entry, entries, type Operation, type WatchEvent } from "../../load/history";
import { cleanScript, doctored, ENDPOINTS, Script } from "../support/history";

const clean = cleanScript().end();

function operation(value: string): Operation {
  const found = entries(clean, "operation").find((entry) => entry.value === value);
  if (found === undefined) {
    throw new Error(`no operation writes ${value}`);
  }
  return found;
}

/** The clean history with the watch event of this value changed or taken away. */
function withEvent(value: string, change: (event: WatchEvent) => Entry | undefined): Entry[] {
  return doctored(clean, (entry) =>
    entry.record === "event" && entry.value === value ? change(entry) : entry,
  );
}

function withOperation(value: string, change: (entry: Operation) => Entry | undefined): Entry[] {
  return doctored(clean, (entry) =>
    entry.record === "operation" && entry.value === value ? change(entry) : entry,
  );
}

/** The events of the history in another order. */
function reordered(order: (events: WatchEvent[]) => WatchEvent[]): Entry[] {
  const others = doctored(clean, (entry) => (entry.record === "event" ? undefined : entry));
  return [...others, ...order(entries(clean, "event"))];
}

test("a store that keeps its promises is not accused", () => {
  expect(violations(clean)).toEqual([]);
});

test("an acknowledged write that the watch does not have", () => {
  const found = violations(withEvent("p70", () => undefined));
  expect(found.join("\n")).toContain("an acknowledged write is not in the watch: load/k1 = p70");
});

test("the last acknowledged write of all is missed as well", () => {
  const script = new Script();
  script.put("load/a", "1");
  script.put("load/a", "2");
  const history = doctored(script.end(), (entry) =>
    entry.record === "event" && entry.value === "2" ? undefined : entry,
  );
  expect(violations(history).join("\n")).toContain("not in the watch: load/a = 2");
});

test("an acknowledged write that the watch has at another revision", () => {
  const found = violations(withEvent("p70", (event) => ({ ...event, value: "p7" })));
  expect(found.join("\n")).toContain("an acknowledged write is not in the watch: load/k1 = p70");
  expect(found.join("\n")).toContain("a value was written more often than it was sent");
});

test("a watch event that is missing shows in the versions, whoever wrote it", () => {
  const script = new Script();
  script.put("load/a", "1");
  script.failed("load/a", "lost");
  script.put("load/a", "2");
  // The write without an answer was applied, which only its version tells.
  const history = doctored(script.end(), (entry) => {
    const shifted = entry.record === "event" && entry.value === "2";
    return shifted ? { ...entry, version: 3 } : entry;
  });
  expect(violations(history).join("\n")).toContain("watch events are missing: load/a version 3");
});

test("a watch event that came twice", () => {
  const twice = reordered((events) => events.flatMap((e) => (e.value === "p70" ? [e, e] : [e])));
  expect(violations(twice).join("\n")).toContain("a watch event came twice: load/k1");
});

test("watch events out of order", () => {
  const swapped = reordered((events) => {
    const [one, two] = [events[20], events[21]];
    return events.map((event, index) => (index === 20 ? two : index === 21 ? one : event) ?? event);
  });
  expect(violations(swapped).join("\n")).toContain("a watch event came out of order");
});

test("a change that nobody made, and a key that was deleted", () => {
  const foreign = violations(withEvent("p70", (event) => ({ ...event, value: "x" })));
  expect(foreign.join("\n")).toContain("a change that nobody made: Put load/k1 = x");
  const gone = violations(withEvent("p70", (event) => ({ ...event, type: "Delete" })));
  expect(gone.join("\n")).toContain("a change that nobody made: Delete load/k1");
});

test("a value twice is in place after an attempt without an answer, and only then", () => {
  const script = new Script();
  const { answer } = script.put("load/a", "1");
  script.retriedPut("load/a", "2", true);
  script.retriedPut("load/a", "3", false);
  script.cas("load/a", "4", answer?.revision ?? 0);
  const history = script.end();
  expect(violations(history)).toEqual([]);
  const certain = doctored(history, (entry) =>
    entry.record === "operation"
      ? { ...entry, attempts: entry.attempts.filter(({ outcome }) => outcome === "ok") }
      : entry,
  );
  expect(violations(certain)).toEqual([
    "a value was written more often than it was sent: load/a = 2 at revision 13",
  ]);
});

test("a write without any answer may be there or not", () => {
  const script = new Script();
  script.put("load/a", "1");
  script.failed("load/a", "2");
  script.get("load/a");
  expect(violations(script.end())).toEqual([]);
});

test("a read that returns what the key was before", () => {
  const old = operation("p67").answer;
  const history = doctored(clean, (entry) => {
    const { answer } = operation("p70");
    const read = entry.record === "operation" && entry.kind === "get" && entry.answer;
    return read && old && read.revision === answer?.revision
      ? { ...entry, answer: { ...read, state: { ...old, value: "p67", version: 1 } } }
      : entry;
  });
  expect(violations(history).join("\n")).toMatch(/a read at revision \d+ of load\/k1 returned p67/);
});

test("a stale read: true of its revision, when a newer one was known before it was sent", () => {
  const script = new Script();
  const first = script.put("load/a", "1");
  const seen = script.get("load/a");
  script.put("load/a", "2");
  // As a member that lags would answer it.
  script.entries.push({ ...script.get("load/b"), ...seen, attempts: [script.attempt("ok")] });
  expect(violations(script.end())).toEqual([
    `a stale get of load/a through ${ENDPOINTS[0]}: revision ${first.answer?.revision},` +
      " when 12 was known before it was sent",
  ]);
});

test("a stale read beside a write in flight is none", () => {
  const script = new Script();
  script.put("load/a", "1");
  const seen = script.get("load/a");
  const before = script.now;
  const write = script.put("load/a", "2");
  const [attempt] = write.attempts;
  const inFlight = { ...script.attempt("ok"), start: before, end: (attempt?.end ?? 0) + 1 };
  script.entries.push({ ...seen, attempts: [inFlight] });
  expect(violations(script.end())).toEqual([]);
});

test("a write that is put before one that was acknowledged earlier", () => {
  const late = operation("p70");
  const history = withOperation("p70", (entry) => ({
    ...entry,
    attempts: late.attempts.map((a) => ({ ...a, start: a.start + 100, end: a.end + 100 })),
  }));
  expect(violations(history).join("\n")).toContain("a stale put of load/k1");
});

test("a compare-and-swap that was applied to another change than the expected one", () => {
  const history = withOperation("c70", (entry) => ({ ...entry, expected: 3 }));
  expect(violations(history).join("\n")).toMatch(/follows revision \d+, expected 3/);
});

test("a refused compare-and-swap that was applied nevertheless", () => {
  const { answer } = operation("c70");
  const history = withOperation("c70", (entry) => ({
    ...entry,
    answer: { cluster: "1", revision: answer?.revision ?? 0, swapped: false },
  }));
  expect(violations(history).join("\n")).toContain("a refused compare-and-swap was applied");
});

test("a refused compare-and-swap may be applied by its attempt without an answer", () => {
  const { answer } = operation("c70");
  const history = withOperation("c70", (entry) => ({
    ...entry,
    attempts: entry.attempts.flatMap((a) => [
      { ...a, outcome: "unknown" as const, end: a.start },
      { ...a },
    ]),
    answer: { cluster: "1", revision: answer?.revision ?? 0, swapped: false },
  }));
  expect(violations(history)).toEqual([]);
});

test("keys that are not at the end what the watch made of them", () => {
  const other = doctored(clean, (entry) =>
    entry.record === "final"
      ? { ...entry, keys: entry.keys.map((key) => ({ ...key, version: key.version + 1 })) }
      : entry,
  );
  expect(violations(other).join("\n")).toContain("at the end load/k0 is");
  const emptied = doctored(clean, (entry) =>
    entry.record === "final" ? { ...entry, keys: [] } : entry,
  );
  expect(violations(emptied).join("\n")).toContain("at the end load/k0 is nothing");
});

test("no last read, a member without a hash, and members that differ", () => {
  const unread = doctored(clean, (entry) => (entry.record === "final" ? undefined : entry));
  expect(violations(unread)).toEqual(["the keys could not be read after the last operation"]);
  const silent = doctored(clean, (entry) =>
    entry.record === "hash" && entry.endpoint === ENDPOINTS[1] ? undefined : entry,
  );
  expect(violations(silent).join("\n")).toContain(`${ENDPOINTS[1]} gave no hash`);
  const different = doctored(clean, (entry) =>
    entry.record === "hash" && entry.endpoint === ENDPOINTS[1] ? { ...entry, hash: "1" } : entry,
  );
  expect(violations(different).join("\n")).toContain("the members differ at revision");
});

test("an answer of another cluster", () => {
  const history = withOperation("p70", (entry) => ({
    ...entry,
    answer: { cluster: "2", revision: entry.answer?.revision ?? 0 },
  }));
  expect(violations(history)).toEqual(["more than one cluster answered: 1 2"]);
});
