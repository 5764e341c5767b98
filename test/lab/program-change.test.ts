/** Another release of this program on a running cluster: a script and a message of it have changed. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PROGRAM_VERSION } from "../../components/scripts/program";
import { checkout } from "../support/lab";
import { freshCluster } from "./support/fresh";
import { hosts, MAIN_PID, onAll, printed, resources, succeed } from "./support/stack";

const stack = freshCluster("program-change");
const { lab } = stack;
const NEXT = "999.0.0";
const SAYS = "saving the list of nodes";

/** This program as its next release, in a directory of its own. */
function nextRelease(): string {
  const directory = join(lab.directory, "next");
  mkdirSync(directory);
  for (const part of [
    "components",
    "tools",
    "program.cjs",
    "index.ts",
    "Pulumi.yaml",
    "package.json",
  ]) {
    cpSync(join(checkout, part), join(directory, part), { recursive: true });
  }
  symlinkSync(join(checkout, "node_modules"), join(directory, "node_modules"));
  const change = (file: string, from: string, to: string) => {
    const path = join(directory, file);
    const text = readFileSync(path, "utf8");
    expect(text).toContain(from);
    writeFileSync(path, text.replace(from, to));
  };
  change("package.json", `"version": "${PROGRAM_VERSION}"`, `"version": "${NEXT}"`);
  change("components/scripts/lib/host.sh", SAYS, `${SAYS} of the cluster`);
  return directory;
}

const scripts = () =>
  onAll(lab, "cd /var/lib/etcd-on-pulumi/scripts && ls install-*.sh && cat ../version");

test("takes the cluster over: the steps whose scripts have changed run again, and no member restarts", async () => {
  const before = { pids: await onAll(lab, MAIN_PID), scripts: await scripts() };
  const next = { args: ["--cwd", nextRelease()] };
  const upgraded = `program upgraded ${PROGRAM_VERSION} -> ${NEXT}: steps run again, no member restarts`;
  const preview = printed(await succeed(stack.preview({ args: next.args })));
  expect(preview).toContain(upgraded);
  expect(preview.match(/ etcd-etcd0\d-install update \[diff: ~create,stdin\]/g)).toHaveLength(
    hosts.length,
  );
  const up = await succeed(stack.up(next));
  expect(printed(up)).toContain(upgraded);
  expect(resources(up)).toMatchObject({ created: 0, updated: hosts.length });
  expect(await onAll(lab, MAIN_PID)).toEqual(before.pids);
  // The one of before stays too: a step that had not run again would have it in the state.
  for (const [index, now] of (await scripts()).entries()) {
    const [first = "", second = ""] = now.split("\n");
    expect([first, second].every((name) => name.startsWith("install-"))).toBe(true);
    expect(now).toContain(before.scripts[index]?.split("\n")[0]);
    expect(now.split("\n").at(-1)).toBe(NEXT);
  }
  await succeed(stack.preview({ args: [...next.args, "--expect-no-changes"] }));
});

test("that is older than the last one is warned of, and a destroy needs neither", async () => {
  expect(printed(await succeed(stack.preview()))).toContain(
    `etcd02: the last pulumi up was of version ${NEXT} of this program, and this one is ${PROGRAM_VERSION}; use ${NEXT} or newer`,
  );
  // As after a reboot.
  await onAll(lab, "rm -r /run/etcd-on-pulumi.scripts");
  await succeed(stack.destroy());
  expect(
    await onAll(lab, "ls -d /var/lib/etcd-on-pulumi /opt/etcd-on-pulumi 2>&1 || true"),
  ).toEqual(hosts.map(() => expect.stringMatching(/No such file[\s\S]*No such file/)));
});
