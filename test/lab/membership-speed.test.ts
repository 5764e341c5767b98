/**
 * How long a change of the members takes with a database of 30 MB, under the judging load. Too long, and too much a matter of the
 * machine, for every run: `npm run campaign -- membership-speed` prints the figures.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostAddress, Lab } from "../support/lab";
import { ETCDCTL } from "./support/etcdctl";
import { unnoticed } from "./support/load";
import { freshLab, hosts, on, Stack, succeed } from "./support/stack";

const lab = new Lab("test");
const stack = new Stack(lab, "membership-speed");

const configure = (...names: readonly string[]) =>
  stack.configure({ nodes: names.map((name) => ({ name, address: hostAddress(name) })) });

beforeAll(async () => {
  await freshLab(lab, 5);
  await stack.create();
  await succeed(stack.up());
  await on(
    lab,
    "etcd01",
    `for number in $(seq 30); do head -c 1000000 /dev/urandom | ${ETCDCTL} put "ballast$number" >/dev/null; done`,
  );
});

afterAll(async () => {
  await lab.down(true);
});

/** Seconds that an `up` takes while clients work. */
async function timed(what: string): Promise<number> {
  let seconds = 0;
  await unnoticed(what, lab, stack, async () => {
    const begin = Date.now();
    await succeed(stack.up());
    seconds = (Date.now() - begin) / 1000;
  });
  process.stdout.write(`${what}: ${seconds.toFixed(1)} s\n`);
  return seconds;
}

test("three members become five in 20 s", async () => {
  configure(...hosts, "etcd04", "etcd05");
  expect(await timed("3 to 5 with 30 MB")).toBeLessThanOrEqual(20);
});

test("a rebuilt host is replaced in 15 s", async () => {
  await lab.wipe("etcd05");
  expect(await timed("replacement with 30 MB")).toBeLessThanOrEqual(15);
});
