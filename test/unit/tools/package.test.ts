/** The npm package: what is in it, and that it works where only it is. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
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
import { afterAll, beforeAll, expect, test } from "vitest";
import { plain, STEP_SCRIPTS } from "../../../components/scripts/bundle";
import { PROGRAM_VERSION } from "../../../components/scripts/program";

/** The compiler takes its time beside other tests. */
const MINUTE = 60_000;

const BESIDE = ["CHANGELOG.md", "LICENSE", "README.md", "package.json"];
/** What the package is built from. */
const SOURCES = [
  ...BESIDE,
  ...["tsconfig.json", "tsconfig.build.json", "components", "plugin", "tools"],
];

const directory = mkdtempSync(join(tmpdir(), "etcd-package-"));
const project = join(directory, "project");
const consumer = join(directory, "consumer");
const { name } = JSON.parse(readFileSync("package.json", "utf8"));

beforeAll(() => {
  mkdirSync(project);
  for (const source of SOURCES) {
    cpSync(source, join(project, source), { recursive: true });
  }
  symlinkSync(join(process.cwd(), "node_modules"), join(project, "node_modules"));
  // Left from a build of before, and no part of this one.
  mkdirSync(join(project, "dist"));
  writeFileSync(join(project, "dist/old.js"), "");
  execFileSync("npm", ["pack", "--silent"], { cwd: project });
  const modules = join(consumer, "node_modules");
  mkdirSync(join(modules, name), { recursive: true });
  const [tarball = ""] = readdirSync(project).filter((file) => file.endsWith(".tgz"));
  execFileSync("tar", [
    ...["-xzf", join(project, tarball)],
    ...["-C", join(modules, name), "--strip-components=1"],
  ]);
  const dependencies = readdirSync("node_modules").filter((each) => !each.startsWith("."));
  for (const dependency of dependencies) {
    symlinkSync(join(process.cwd(), "node_modules", dependency), join(modules, dependency));
  }
}, 5 * MINUTE);

afterAll(() => rmSync(directory, { recursive: true }));

function filesBelow(root: string): readonly string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

function run(script: string) {
  return spawnSync(process.execPath, ["-e", script], { cwd: consumer, encoding: "utf8" });
}

test("has the components, their types and scripts, the plugin, and nothing else", () => {
  const built = filesBelow("components").flatMap((file) => {
    const base = file.replace(/\.ts$/, "");
    return base === file ? [`dist/${file}`] : [`dist/${base}.js`, `dist/${base}.d.ts`];
  });
  expect(filesBelow(join(consumer, "node_modules", name))).toEqual(
    [...BESIDE, ...built, "plugin/pulumi-resource-etcd-on-pulumi", "plugin/schema.json"].sort(),
  );
});

test("exports the component, and knows its release", () => {
  const script = `
    const { PROGRAM_VERSION } = require("./node_modules/${name}/dist/scripts/program.js");
    console.log(JSON.stringify({ names: Object.keys(require("${name}")), PROGRAM_VERSION }));`;
  const { stdout, stderr } = run(script);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ names: ["EtcdCluster"], PROGRAM_VERSION });
});

test("has a plugin that starts, says its port and ends when its engine does", async () => {
  const file = join(consumer, "node_modules", name, "plugin/pulumi-resource-etcd-on-pulumi");
  // A process of its own stands for the engine.
  const engine = spawn("sh", ["-c", '"$0" 127.0.0.1:1 & echo $!; read -r _', file]);
  // Its standard output is closed when the plugin has ended too.
  const ended = once(engine, "close");
  let said = "";
  engine.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  try {
    await expect.poll(() => said, { timeout: MINUTE / 2 }).toMatch(/^\d+\n\d+\n$/);
  } finally {
    engine.stdin.end("\n");
  }
  await ended;
});

test("has a plugin that ends when its engine ended before it was ready", async () => {
  const file = join(consumer, "node_modules", name, "plugin/pulumi-resource-etcd-on-pulumi");
  // The shell that stands for the engine ends at once, and with it whoever would read the port.
  const engine = spawn("sh", ["-c", '"$0" 127.0.0.1:1 | : & echo $! >&2', file]);
  const ended = once(engine, "close");
  engine.stdout.destroy();
  let said = "";
  engine.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await ended;
  expect(said).toMatch(/^\d+\n$/);
});

test("has every script that is sent to a host, as it is", () => {
  const scripts = [...STEP_SCRIPTS, "probe"] as const;
  const script = `
    const { plain, stepInput } = require("./node_modules/${name}/dist/scripts/bundle.js");
    stepInput("member", {});
    console.log(JSON.stringify(${JSON.stringify(scripts)}.map(plain)));`;
  const { stdout, stderr } = run(script);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual(scripts.map(plain));
});

test(
  "needs no compiler where it runs, and types its arguments where one is",
  () => {
    const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(Object.keys(dependencies)).not.toContain("typescript");
    const program = (address: string) => `
    import * as pulumi from "@pulumi/pulumi";
    import type { EtcdClusterArgs } from "${name}";
    export const args: EtcdClusterArgs = { nodes: [{ name: "etcd01", address: ${address} }] };
    export const all = pulumi.output(args);`;
    const said = (address: string) => {
      writeFileSync(join(consumer, "index.ts"), program(address));
      const options = ["--noEmit", "--strict", "--module", "nodenext", "--types", "node"];
      const words = ["node_modules/typescript/bin/tsc", ...options, "--skipLibCheck", "index.ts"];
      return spawnSync(process.execPath, words, { cwd: consumer, encoding: "utf8" }).stdout;
    };
    expect(said('pulumi.secret("192.168.1.83")')).toBe("");
    expect(said("83")).toContain("Type 'number' is not assignable to type 'Input<string>'");
  },
  5 * MINUTE,
);
