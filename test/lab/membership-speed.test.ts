/**
 * How long a change of the members takes with a database of 30 MB, under the judging load. Too long, and too much a matter of the
 * machine, for every run: `npm run campaign -- membership-speed` prints the figures.
 */
import { beforeAll, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { ETCDCTL } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { unnoticed } from "./support/load";
import { hosts, on, succeed } from "./support/stack";

const stack = freshStack("membership-speed", { hosts: 5 });
const { lab } = stack;

const configure = (...names: readonly string[]) =>
  stack.configure({ nodes: names.map((name) => ({ name, address: hostAddress(name) })) });

beforeAll(async () => {
  await succeed(stack.up());
  await on(
    lab,
    "etcd01",
    `for number in $(seq 30); do head -c 1000000 /dev/urandom | ${ETCDCTL} put "ballast$number" >/dev/null; done`,
  );
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
