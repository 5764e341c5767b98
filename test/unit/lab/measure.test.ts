import { spawn, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { descendants } from "../../../lab/bench/measure";

test("a bench measures processes of its own alone", () => {
  const table = `    1       0 init
  100       1 tsx lab/bench/bench.ts
  120     100 pulumi up
  121     120 node @pulumi/pulumi/cmd/run
  122     120 node something else
  200       1 pulumi up
  201     200 node @pulumi/pulumi/cmd/run
`;
  expect(descendants(table, 100, "@pulumi/pulumi/cmd/run")).toEqual([121]);
  expect(descendants(table, 1, "@pulumi/pulumi/cmd/run")).toEqual([121, 201]);
});

test("real processes are found by what ps prints", async () => {
  const words = `bash -c read ${process.pid}`;
  const [own, other] = [1, 2].map(() => spawn("bash", ["-c", `${words}; true`]));
  const found = (ancestor = -1) => {
    const { stdout } = spawnSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" });
    // The shell around it has the words too.
    return descendants(stdout, ancestor, words).filter((pid) => pid !== ancestor);
  };
  try {
    await expect.poll(() => found(own?.pid), { timeout: 10_000 }).toHaveLength(1);
    await expect.poll(() => found(other?.pid), { timeout: 10_000 }).toHaveLength(1);
    expect(found(own?.pid)).not.toEqual(found(other?.pid));
  } finally {
    own?.stdin.end();
    other?.stdin.end();
  }
});
