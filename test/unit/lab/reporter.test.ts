import { expect, test } from "vitest";
import { type Counted, failure, progress, summary } from "../../support/reporter";

/** A test file with tests in these states. */
function file(
  states: readonly ("passed" | "failed" | "skipped" | "pending")[],
  errors: { readonly load?: number; readonly hooks?: number } = {},
): Counted {
  const list = (length = 0) => Array.from({ length }, () => ({ message: "" }));
  const result = (state: (typeof states)[number]) =>
    state === "failed"
      ? { state, errors: [] }
      : state === "skipped"
        ? { state, note: undefined, errors: undefined }
        : { state, errors: undefined };
  return {
    errors: () => list(errors.load),
    children: {
      allTests: () => states.map((state) => ({ result: () => result(state) })),
      allSuites: () => [{ errors: () => list(errors.hooks) }],
    },
  };
}

test("counts the tests of all files", () => {
  expect(summary([file(["passed", "passed"]), file(["passed", "failed"])], 0)).toBe(
    "3 passed, 1 failed",
  );
});

test("names skipped tests only when there are some", () => {
  expect(summary([file(["passed", "skipped"])], 0)).toBe("1 passed, 0 failed, 1 skipped");
});

test.each([
  ["a file that does not load", file([], { load: 1 }), 0],
  ["a hook that fails", file([], { hooks: 1 }), 0],
  ["a test that was cut short", file(["pending"]), 0],
  ["an error outside of all tests", file([]), 1],
])("counts %s as a failure", (_, module, unhandled) => {
  expect(summary([module], unhandled)).toBe("0 passed, 1 failed");
});

test("tells how far the run is", () => {
  expect(progress("test/lab/create.test.ts", 754.9)).toBe(
    "after 12 min 34 s: test/lab/create.test.ts\n",
  );
});

test("tells a failure with where it was, and of a long one the beginning and the end", () => {
  expect(failure("a.test.ts > b", [{ message: "exit code 1\nwhy" }])).toBe(
    "FAILED a.test.ts > b: exit code 1\nwhy\n",
  );
  const long = Array.from({ length: 100 }, (_, index) => `line ${index}`).join("\n");
  const lines = failure("a", [{ message: long }]).split("\n");
  expect(lines.slice(0, 7)).toEqual([
    "FAILED a: line 0",
    ...["line 1", "line 2", "line 3", "line 4", "...", "line 66"],
  ]);
  expect(lines.slice(-2)).toEqual(["line 99", ""]);
  expect(failure("a", [])).toBe("");
});
