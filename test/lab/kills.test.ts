/**
 * Changes of a running cluster, each killed at random points: the next `up` finishes them. KILLS points for each operation, or one for
 * each of the first three, drawn from SEED (1); `npm run campaign -- kills` takes more, and a new seed each time.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { generator } from "../support/random";
import { freshStack } from "./support/fresh";
import { expectOneCluster, killedUp } from "./support/interrupt";
import { NEWER, NEWEST, OLDER, OLDEST, OPERATIONS } from "./support/operations";
import { onAll, printed, succeed } from "./support/stack";

const stack = freshStack("kills", {
  releases: [OLDEST, NEWER, NEWEST],
  config: { version: OLDEST },
});
const { lab } = stack;
const seed = Number(process.env.SEED ?? 1);
const points = Number(process.env.KILLS ?? 1);
const random = generator(seed);
let clusterId: string;

beforeAll(async () => {
  await succeed(stack.up());
  ({ clusterId } = await stack.outputs());
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
});

/** The cluster that was there before, its key, the release asked for, and nothing left to do. */
async function expectWhole(version: string): Promise<void> {
  expect(await expectOneCluster(stack)).toBe(clusterId);
  expect((await stack.outputs()).version).toBe(version);
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
  // The snapshot before a roll is no mark of one any more.
  expect(await onAll(lab, "ls /var/lib/etcd-on-pulumi/version-snapshot 2>&1 || true")).toEqual(
    Array(3).fill(expect.stringContaining("No such file")),
  );
}

const operations = OPERATIONS.slice(0, process.env.KILLS === undefined ? 3 : undefined);

describe.each(operations)(`$name (seed ${seed})`, (operation) => {
  const { before, beforeOptions, after, progress, part } = operation;
  const moments = Array.from({ length: points }, (_, index) => ({
    events: Math.floor(((index + random()) / points) * (progress.events + 1)),
    delay: random() * part,
    cliAlone: random() < 0.5,
  }));

  test.each(moments)(
    "killed after $events resources and $delay s (the CLI alone: $cliAlone) is finished by the next up",
    async ({ events, delay, cliAlone }) => {
      stack.configure(before);
      await succeed(stack.up(beforeOptions));
      stack.configure(after);
      // Without anything to wait for the program itself has to start first.
      const wait = events === 0 ? 4 + 2 * delay : delay;
      await killedUp(stack, { ...progress, events, delay: wait, cliAlone });
      await succeed(stack.up());
      await expectWhole(String(after.version));
    },
  );
});

test("a downgrade that was killed is taken back by the release from before", async () => {
  stack.configure({ version: NEWER });
  await succeed(stack.up());
  stack.configure({ version: OLDER });
  // The first member is down a series, the others are not.
  await killedUp(stack, { word: "updated", events: 4, delay: 0 });
  stack.configure({ version: NEWER });
  const preview = printed(await succeed(stack.preview()));
  expect(preview).toMatch(/the downgrade to 3\.6 in progress is cancelled/);
  expect(printed(await succeed(stack.up()))).toContain("the downgrade in progress was cancelled");
  await expectWhole(NEWER);
});
