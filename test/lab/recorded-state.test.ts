/**
 * States that earlier releases of this program made, of a cluster of three in the lab, are taken over by this one. With RECORD=1
 * this one's is kept for later releases (test/data/states).
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { PROGRAM_VERSION } from "../../components/scripts/program";
import { checkout } from "../support/lab";
import { freshStack } from "./support/fresh";
import { printed, resources, succeed } from "./support/stack";

const STATES = join(checkout, "test/data/states");
const stack = freshStack("recorded-state");
const releases = readdirSync(STATES).map((file) => file.replace(/\.json\.gz$/, ""));

test.runIf(process.env.RECORD === "1")("this release's state is recorded, once", async () => {
  const file = join(STATES, `${PROGRAM_VERSION}.json.gz`);
  expect(existsSync(file)).toBe(false);
  await succeed(stack.up());
  writeFileSync(file, gzipSync(await stack.exportState()));
  await succeed(stack.destroy());
});

test("there is one of each release that is to be taken over", () => {
  expect(releases).toContain("0.2.0");
});

// The hosts of that time are gone, so nobody is dialled. That no member restarts is held by program-change.test.ts.
test.each(releases)("of a state of %s nothing is created, replaced or deleted", async (release) => {
  const file = join(stack.lab.directory, `${release}.json`);
  writeFileSync(file, gunzipSync(readFileSync(join(STATES, `${release}.json.gz`))));
  stack.configure({ drift: false });
  await succeed(stack.pulumi(["stack", "import", "--file", file]));
  const preview = await succeed(stack.preview());
  const { created, updated, unchanged } = resources(preview);
  expect(printed(preview)).not.toMatch(/to (create|delete|replace)/);
  const all = (await stack.stateResources()).filter(
    ({ urn }) => !urn.includes("pulumi:providers:"),
  );
  expect([created, updated + unchanged]).toEqual([0, all.length]);
});
