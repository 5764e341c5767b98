/** How the fault matrix is judged and shown. */
import { describe, expect, test } from "vitest";
import {
  type CellResult,
  cellName,
  isWanted,
  rawLine,
  readResults,
  reasonOf,
  renderMatrix,
  withMatrix,
} from "../../support/fault-results";

const result = (change: Partial<CellResult> = {}): CellResult => ({
  operation: "create",
  fault: "disk full, /",
  seed: 1,
  commit: "0badcafe",
  outcome: "done",
  moment: "etcd01, before the run",
  words: "",
  seconds: 7,
  ...change,
});

describe("a run that failed", () => {
  test("says by the engine's words that a host was lost in a delete, and in nothing else", () => {
    const error = (command: string) =>
      `Diagnostics:\n  command:remote:Command (etcd04-member):\n    error: wait: remote command exited without exit status or exit signal: running "bash -s -- ${command}":\n`;
    expect(reasonOf(error("delete"))).toMatch(
      /^etcd04-member: wait: remote command exited without/,
    );
    expect(reasonOf(error("apply gate"))).toBeUndefined();
    const dial =
      "  command:remote:Command (etcd01-member):\n    error: after 3 failed attempts: dial tcp 192.168.1.83:22: i/o timeout\n";
    expect(reasonOf(`Destroying (x):\n${dial}`)).toMatch(/^etcd01-member: after 3 failed attempts/);
    expect(reasonOf(`Updating (x):\n${dial}`)).toBeUndefined();
  });

  test.each([
    ["etcd02: cannot leave: the cluster has no quorum"],
    ["  - etcd02: cannot leave: the cluster has no quorum"],
  ])("says why where a line names a host and a cause: %s", (line) => {
    expect(reasonOf(`error: update failed\n${line}\nResources:`)).toBe(
      "etcd02: cannot leave: the cluster has no quorum",
    );
  });

  test("says why where a change of the release is refused for a host", () => {
    const line = "etcd:version 3.7.2: refused while etcd02 is to join; change the nodes first";
    expect(reasonOf(`  - ${line}`)).toBe(line);
    expect(reasonOf("  - etcd:version 3.7.2: refused while etcd02 is to join")).toBeUndefined();
  });

  test.each([
    ["no host", "error: no space left on device"],
    ["no cause", "etcd02: failed"],
    ["what went well", "etcd02: member a2 left the cluster"],
    [
      "the shell's own words",
      "etcd02: main: line 142: printf: write error: No space left on device",
    ],
  ])("does not where it has %s", (_, line) => {
    expect(reasonOf(line)).toBeUndefined();
  });

  test("is found to show what only a shell or a tool wrote", () => {
    const said =
      "etcd02: restarting etcd\n    chown: changing ownership of 'a': Read-only file system";
    expect(rawLine(said)).toBe("chown: changing ownership of 'a': Read-only file system");
    const explained = (line: string) =>
      rawLine(`${line}\n    etcd02: failed while removing: rm ended`);
    expect(explained("    rm: cannot remove 'a': Read-only file system")).toBeUndefined();
    expect(explained("    main: line 3: printf: write error")).toBe(
      "main: line 3: printf: write error",
    );
    expect(rawLine("environment: line 3: x: unbound")).toBe("environment: line 3: x: unbound");
    expect(rawLine("etcd02: etcd is not ready after 90 s")).toBeUndefined();
  });
});

test("cells have names that a shell takes, and patterns choose among them", () => {
  const name = cellName(result());
  expect(name).toBe("create/disk-full");
  expect(isWanted(name, undefined)).toBe(true);
  expect(isWanted(name, "add/*,create/*")).toBe(true);
  expect(isWanted(name, "*/NOSPACE")).toBe(false);
  expect(isWanted(name, "create/disk.full")).toBe(false);
});

test("the table has the last result of each cell, and goes between the page's marks", () => {
  const lines = [result(), result({ outcome: "stopped" }), result({ fault: "NOSPACE" })];
  const read = readResults(`${lines.map((line) => JSON.stringify(line)).join("\n")}\n`);
  const matrix = renderMatrix(read, ["create", "add"], ["disk full, /", "NOSPACE", "reboot"]);
  expect(matrix.split("\n")).toEqual([
    "|              | create  | add |",
    "| ------------ | ------- | --- |",
    "| disk full, / | stopped | -   |",
    "| NOSPACE      | done    | -   |",
    "| reboot       | -       | -   |",
  ]);
  const page = "a\n<!-- faults -->\nold\n<!-- end of faults -->\nb\n";
  expect(withMatrix(page, matrix)).toBe(
    `a\n<!-- faults -->\n\n${matrix}\n\n<!-- end of faults -->\nb\n`,
  );
  expect(() => withMatrix("a", matrix)).toThrow("has not the marks");
});
