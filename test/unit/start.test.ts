import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

/** A project with the starter and an index.ts of its own. */
let project: string;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "start-"));
  mkdirSync(join(project, "tools"));
  mkdirSync(join(project, "node_modules"));
  cpSync("tools/start.cjs", join(project, "tools/start.cjs"));
  symlinkSync(
    join(process.cwd(), "node_modules/typescript"),
    join(project, "node_modules/typescript"),
  );
});

afterEach(() => rmSync(project, { recursive: true }));

const kept = () =>
  readdirSync(join(project, "node_modules/.cache/etcd")).filter((name) => name.endsWith(".js"));

/** Prints what the program exports, and which parts of the compiler are in memory afterwards. */
function start(source: string) {
  writeFileSync(join(project, "index.ts"), source);
  const script = `
    const program = require("./tools/start.cjs");
    const compiler = Object.keys(require.cache).filter((file) => file.endsWith("typescript.js"));
    console.log(JSON.stringify({ program, compiler: compiler.length }));`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["-e", script], {
    cwd: project,
    encoding: "utf8",
  });
  return { status, stderr, answer: stdout === "" ? undefined : JSON.parse(stdout) };
}

describe("tools/start.cjs", () => {
  test("loads the compiler for what has changed only", () => {
    const first = "const answer: number = 42;\nexport = { answer };\n";
    expect(start(first).answer).toEqual({ program: { answer: 42 }, compiler: 1 });
    expect(start(first).answer).toEqual({ program: { answer: 42 }, compiler: 0 });
    expect(start(first.replace("42", "43")).answer).toEqual({
      program: { answer: 43 },
      compiler: 1,
    });
    expect(kept()).toHaveLength(2);
  });

  test("names the file and what is wrong in it", () => {
    const { status, stderr } = start("export = {;\n");
    expect(status).not.toBe(0);
    expect(stderr).toContain(
      `SyntaxError: ${join(project, "index.ts")}: Property assignment expected.`,
    );
  });

  test("runs where nothing can be kept", () => {
    writeFileSync(join(project, "node_modules/.cache"), "in the way");
    expect(start("export = { answer: 42 };\n").answer).toEqual({
      program: { answer: 42 },
      compiler: 1,
    });
  });
});

describe("the program", () => {
  test("starts without the compiler and without what only serialized functions need", () => {
    const script = `
      require("./tools/start.cjs");
      const used = Object.keys(require.cache).filter((file) => /typescript[.]js$|arborist/.test(file));
      console.log(JSON.stringify(used));`;
    const run = () => spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    run();
    expect(run()).toMatchObject({ stdout: "[]\n", status: 0 });
  });
});
