import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const LAB = join(__dirname, "../../../lab");

/** What the lab says before it boots hosts on a machine where root has so many inotify instances of 128. */
function said(used: number, hosts: number): string {
  const script = `. "$1/common.sh"; . "$1/hosts.sh"; cat() { echo 128; }; find() { seq "$IN_USE"; }; warn_of_inotify "$HOSTS_TO_COME"`;
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-euc", script, "bash", LAB], {
    encoding: "utf8",
    env: { ...process.env, IN_USE: String(used), HOSTS_TO_COME: String(hosts), LAB_NAME: "test" },
  });
  expect({ stdout, status }).toEqual({ stdout: "", status: 0 });
  return stderr;
}

test("the lab says when hosts are more than the machine's inotify instances suffice for", () => {
  expect(said(108, 4)).toBe("");
  expect(said(109, 4)).toBe(
    "lab: root has 109 of the 128 inotify instances that this machine allows, and a host takes 5: it may not come up; take another lab down, or: sysctl fs.inotify.max_user_instances=1024\n",
  );
});
