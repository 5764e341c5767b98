import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";

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

describe("tools/preload.cjs", () => {
  const PRELOAD = ["--require", "./tools/preload.cjs"];
  const node = (args: readonly string[], script: string, env: Readonly<Record<string, string>>) =>
    spawnSync(process.execPath, [...args, "-e", script], {
      encoding: "utf8",
      env: { ...process.env, ...env },
    });
  /** Which modules of the pattern are in memory after these were loaded. */
  const loaded = (
    modules: readonly string[],
    pattern: RegExp,
    args: readonly string[] = PRELOAD,
    env: Readonly<Record<string, string>> = {},
  ): readonly string[] => {
    const script = `
      for (const module of ${JSON.stringify(modules)}) require(module);
      console.log(JSON.stringify(Object.keys(require.cache).filter((file) => ${pattern}.test(file))));`;
    const { stdout, stderr } = node(args, script, env);
    expect(stderr).toBe("");
    return JSON.parse(stdout);
  };
  const SDK = "@pulumi/pulumi/cmd/run/instrumentation";
  const TRACED = { TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };

  test("keeps from the program what only serialized functions need", () => {
    const unneeded = /typescript[.]js$|arborist/;
    // What is compiled once more is compiled by the compiler.
    loaded(["./tools/start.cjs"], unneeded);
    expect(loaded(["./tools/start.cjs"], unneeded)).toEqual([]);
    expect(loaded(["@pulumi/pulumi"], unneeded, [])).not.toEqual([]);
  });

  test("keeps V8's debugger off, which Pulumi waits for", () => {
    const script = `
      require("@pulumi/pulumi/runtime/closure/v8Hooks").isInitializedAsync().then(() => console.log("on"));`;
    expect(node(PRELOAD, script, {})).toMatchObject({ stdout: "on\n", status: 0 });
    expect(loaded(["@pulumi/pulumi/runtime/closure/v8Hooks"], /v8Hooks/)).toEqual([]);
    expect(loaded(["@pulumi/pulumi/runtime/closure/v8Hooks"], /v8Hooks/, [])).toHaveLength(1);
  });

  test("keeps stack traces as they are", () => {
    expect(loaded(["source-map-support/register"], /source-map/)).toEqual([]);
    expect(loaded(["source-map-support/register"], /source-map/, [])).not.toEqual([]);
  });

  test("keeps the SDK from tracing where nobody collects the spans, and only there", () => {
    const tracing = /opentelemetry.sdk-trace/;
    expect(loaded([SDK], tracing, PRELOAD, TRACED)).toEqual([]);
    expect(loaded([SDK], tracing, [], TRACED)).not.toEqual([]);
    const collected = { ...TRACED, PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT: "127.0.0.1:4317" };
    expect(loaded([SDK], tracing, PRELOAD, collected)).not.toEqual([]);
  });

  test("is what Pulumi is told to load first", () => {
    const { runtime } = parse(readFileSync("Pulumi.yaml", "utf8"));
    expect(runtime.options.nodeargs).toBe(PRELOAD.join(" "));
  });
});
