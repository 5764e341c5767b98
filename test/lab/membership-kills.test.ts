/**
 * Additions, removals and replacements of members, each killed at random points: the next `up` finishes them, and there is one
 * cluster all the time. KILLS of each (1) drawn from SEED (1); `npm run campaign -- membership-kills` takes more, and a new seed
 * each time.
 */
import { beforeAll, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { pick } from "../support/plan-generator";
import { generator } from "../support/random";
import { ask } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { expectOneCluster, killedUp, type Moment } from "./support/interrupt";
import { clusterIds } from "./support/plan-lab";
import { succeed } from "./support/stack";

const stack = freshStack("membership-kills", { hosts: 4 });
const { lab } = stack;
const seed = Number(process.env.SEED ?? 1);
const points = Number(process.env.KILLS ?? 1);
const random = generator(seed);
const FOUR = ["etcd01", "etcd02", "etcd03", "etcd04"];

/** In the order of the configuration. */
let members: readonly string[] = FOUR.slice(0, 3);
let clusterId: string;

function configure(names: readonly string[]): void {
  stack.configure({ nodes: names.map((name) => ({ name, address: hostAddress(name) })) });
}

beforeAll(async () => {
  await succeed(stack.up());
  ({ clusterId } = await stack.outputs());
  await ask(lab, "etcd01", "put clavePrueba prueba");
});

interface Change {
  readonly name: string;
  /** Does what is not the program's work, and says who the members will be. */
  readonly prepare: () => Promise<readonly string[]>;
  /** How many resources are through when a part begins that changes the members, and how long it takes at least. */
  readonly parts: readonly (readonly [events: number, seconds: number])[];
}

const CHANGES: readonly Change[] = [
  {
    name: "an addition",
    prepare: async () => [...members, ...FOUR.filter((name) => !members.includes(name))],
    // Three installs, six resources of certificates, two steps of the new host.
    parts: [[11, 5]],
  },
  {
    name: "a removal",
    prepare: async () => {
      const leaver = pick(random, members, "");
      if (random() < 0.5) {
        await lead(leaver);
      }
      return members.filter((name) => name !== leaver);
    },
    // The gates follow the installs; the leave follows the deletes of the leaver's other steps, which do nothing.
    parts: [
      [3, 3],
      [9, 2],
    ],
  },
  {
    name: "a replacement",
    prepare: async () => {
      await lab.wipe(pick(random, members, ""));
      return members;
    },
    parts: [[1, 6]],
  },
];

/** The host's member leads afterwards. */
async function lead(name: string): Promise<void> {
  const { members: all } = await stack.outputs();
  const id = all.find((member) => member.name === name)?.id ?? "";
  // Only the leader itself obeys.
  await Promise.all(all.map((one) => ask(lab, one.name, `move-leader ${id}`).catch(() => "")));
}

/** Half of the points lie in a part that changes the members, for most of what can go wrong is there. */
function moment({ parts }: Change): Moment {
  const [begin, seconds] = pick(random, parts, [0, 0]);
  const inside = random() < 0.5;
  const events = inside ? begin : Math.floor(random() * (begin + 1));
  const delay = random() * (inside ? seconds : 0.5);
  // Without anything to wait for the program itself has to start first.
  return {
    word: "created|updated|deleted",
    events,
    delay: events === 0 ? 4 + delay : delay,
    cliAlone: random() < 0.5,
  };
}

const rounds = Array.from({ length: points }, (_, index) => index + 1);
const kills = rounds.flatMap((round) => CHANGES.map((change) => ({ ...change, round })));

test.each(kills)(`$name is finished after kill $round of seed ${seed}`, async (change) => {
  // What a failure before this left is not this one's.
  configure(members);
  await succeed(stack.up());
  const wanted = await change.prepare();
  configure(wanted);
  const when = moment(change);
  const about = `${change.name}, from ${members} to ${wanted}, killed after ${when.events} resources and ${when.delay.toFixed(2)} s${when.cliAlone ? " (the CLI alone)" : ""}`;
  process.stdout.write(`${about}\n`);
  await killedUp(stack, when);
  expect(await clusterIds(lab, FOUR), about).toEqual([clusterId]);
  await succeed(stack.up());
  members = wanted;
  expect(await expectOneCluster(stack, members), about).toBe(clusterId);
  expect(await clusterIds(lab, FOUR), about).toEqual([clusterId]);
  const [host = ""] = members;
  expect(await ask(lab, host, "get --print-value-only clavePrueba")).toBe("prueba");
});
