import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkout, testLab } from "../../support/lab";

test("no two tests have one lab, in one process or in several", () => {
  const [one, other] = [testLab(), testLab()];
  expect(other.name).not.toBe(one.name);
  for (const { name } of [one, other]) {
    const lock = join(checkout, ".lab", `${name}.lock`);
    expect(spawnSync("flock", ["--nonblock", lock, "true"]).status).toBe(1);
  }
});
