import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const LAB = join(__dirname, "../../../lab");
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "plugins-"));
  mkdirSync(join(directory, "state"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** What an `up` of the lab takes for LAB_PLUGINS, and says. */
function chosen(plugins?: string) {
  const script = `. "$1/common.sh"; . "$1/toolchain.sh"; STATE=$2; PLUGINS=(command:1 tls:1); choose_plugins; echo "$LAB_PLUGINS"`;
  const { LAB_PLUGINS: _, ...env } = process.env;
  const { stdout, stderr, status } = spawnSync(
    "bash",
    ["--norc", "-euc", script, "bash", LAB, join(directory, "state")],
    {
      encoding: "utf8",
      env: { ...env, ...(plugins === undefined ? {} : { LAB_PLUGINS: plugins }) },
    },
  );
  return { stdout: stdout.trimEnd(), stderr, status };
}

function plugin(name: string): void {
  const file = join(directory, `pulumi-resource-${name}`);
  writeFileSync(file, "");
  chmodSync(file, 0o755);
}

test("plugins that were chosen are kept until they are taken back, and named each time", () => {
  plugin("command");
  plugin("tls");
  const kept = {
    stdout: directory,
    stderr: `lab: using the provider plugins in ${directory} until LAB_PLUGINS=none\n`,
    status: 0,
  };
  const none = { stdout: "", stderr: "", status: 0 };
  expect(chosen()).toEqual(none);
  expect(chosen(directory)).toEqual(kept);
  expect(chosen()).toEqual(kept);
  expect(chosen("none")).toEqual(none);
  expect(chosen()).toEqual(none);
});

test("a directory without them is refused, and how to forget it is said", () => {
  plugin("command");
  const refused = (words: string) => ({
    stdout: "",
    stderr: `lab: LAB_PLUGINS is "${words}; LAB_PLUGINS=none forgets it\n`,
    status: 2,
  });
  expect(chosen(directory)).toEqual(
    refused(`${directory}", which has no executable pulumi-resource-tls`),
  );
  expect(chosen(join(directory, "gone"))).toEqual(
    refused(`${directory}/gone", which is no directory`),
  );
  expect(chosen().stdout).toBe("");
});
