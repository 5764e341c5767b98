import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let directory: string;

/** A built CLI whose language host prints what it is called with, one word a line. */
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "language-nodejs-"));
  mkdirSync(join(directory, "bin"));
  mkdirSync(join(directory, "libexec"));
  mkdirSync(join(directory, "project/program"), { recursive: true });
  cpSync("lab/build/language-nodejs.sh", join(directory, "bin/pulumi-language-nodejs"));
  const host = join(directory, "libexec/pulumi-language-nodejs");
  writeFileSync(host, '#!/bin/sh\nprintf "%s\\n" "$@"\n');
  chmodSync(host, 0o755);
});
afterEach(() => rmSync(directory, { recursive: true }));

function started(project: string, cwd = "project"): string[] {
  writeFileSync(join(directory, "project/Pulumi.yaml"), project);
  const { stdout, stderr, status } = spawnSync(
    "bash",
    [join(directory, "bin/pulumi-language-nodejs"), "127.0.0.1:1"],
    { cwd: join(directory, cwd), encoding: "utf8" },
  );
  expect([stderr, status]).toEqual(["", 0]);
  return stdout.trimEnd().split("\n");
}

const PROJECT = `name: a
runtime:
  name: nodejs
  # typescript: true
  options:
    # Why.
    typescript: false   # because

    nodeargs: "--require ./a.cjs: b"
    tsconfig: 'of it/tsconfig.json'
  other: 1
config:
  options:
    type: object
`;

test("the runtime options of a project become the host's flags", () => {
  const flags = [
    "-typescript=false",
    "-nodeargs=--require ./a.cjs: b",
    "-tsconfig=of it/tsconfig.json",
    "127.0.0.1:1",
  ];
  expect(started(PROJECT)).toEqual(flags);
  expect(started(PROJECT, "project/program")).toEqual(flags);
});

test("a project without options, and no project, has none", () => {
  expect(started("name: a\nruntime: nodejs\n")).toEqual(["127.0.0.1:1"]);
  expect(started(PROJECT, "bin")).toEqual(["127.0.0.1:1"]);
});
