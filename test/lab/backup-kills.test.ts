/**
 * Backups of three hosts, killed at random moments: the next one is good, and nothing is left of the killed one. KILLS drawn from SEED;
 * `npm run campaign -- backup-kills` takes fifty.
 */
import { beforeAll, expect, test } from "vitest";
import { generator } from "../support/random";
import { BackedUp } from "./support/backed-up";
import { freshStack } from "./support/fresh";
import { onAll } from "./support/stack";

const seed = Number(process.env.SEED ?? 1);
const random = generator(seed);
/** Each with the moment at which it is killed, in seconds: a whole run takes about three. */
const KILLS = Array.from({ length: Number(process.env.KILLS ?? 2) }, () => random() * 3.5);

const stack = freshStack("backup-kills");
const { lab } = stack;
let cluster: BackedUp;

beforeAll(async () => {
  cluster = await BackedUp.begin(stack, "versitygw");
});

test.each(KILLS)(
  `a backup that is killed after %f s (seed ${seed}) is followed by a good one`,
  async (seconds) => {
    await cluster.put("before", String(seconds));
    const before = (await cluster.snapshots()).length;
    await onAll(
      lab,
      `systemctl start --no-block etcd-backup.service; sleep ${seconds.toFixed(3)}; systemctl kill --signal KILL etcd-backup.service || true`,
    );
    await cluster.jobsEnded("backup");
    await cluster.backUp();
    await cluster.expectClean();
    const after = await cluster.snapshots();
    expect(after.length - before).toBeGreaterThanOrEqual(1);
    expect(after.length - before).toBeLessThanOrEqual(2);
  },
);
