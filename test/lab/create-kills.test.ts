/**
 * Creates of three nodes and destroys of a healthy cluster, each killed at a random moment. Every other one is undone: a `destroy` leaves
 * nothing on any host. The rest are finished: an `up` makes one healthy cluster. KILLS of each (2) drawn from SEED (1);
 * `npm run campaign -- create-kills` takes more, and a new seed each time.
 */
import { expect, test } from "vitest";
import { generator } from "../support/random";
import { ask } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import {
  expectOneCluster,
  killedDestroy,
  killedUp,
  longAgo,
  type Moment,
} from "./support/interrupt";
import { eventually, hosts, onAll, printed, succeed } from "./support/stack";

const stack = freshStack("create-kills");
const { lab } = stack;
const seed = Number(process.env.SEED ?? 1);
const points = Number(process.env.KILLS ?? 2);
const random = generator(seed);
const SNAPSHOTS = "/var/backups/etcd";

/** What the hosts have: unknown where a test has failed. */
let there: "nothing" | "cluster" | "unknown" = "unknown";
/** As they were before the first `up`, but for snapshots. */
let bare: string[][] | undefined;

async function states(): Promise<string[][]> {
  const all = await hostStates(lab, false);
  return all.map((state) => state.filter((line) => !line.startsWith(SNAPSHOTS)));
}

/** What a test begins with. After a failure on new disks. */
async function bring(wanted: "nothing" | "cluster", snapshot: boolean): Promise<void> {
  const before = there;
  there = "unknown";
  if (before === "unknown") {
    if (bare !== undefined) {
      await lab.reset();
      await stack.remove();
      await stack.create();
    }
    bare = await states();
  }
  if (wanted === "nothing" && before === "cluster") {
    await succeed(stack.destroy());
  }
  stack.configure({ destroy: { snapshot } });
  if (wanted === "cluster") {
    if (before !== "cluster") {
      await succeed(stack.up());
    }
    await ask(lab, "etcd01", "put clavePrueba prueba");
  }
}

interface Phase {
  readonly word: "created" | "deleted";
  /** Resources that are through before the first step that works on a host, and so many steps. */
  readonly before: number;
  readonly steps: number;
  /** Seconds that the longest of them takes at least. */
  readonly part: number;
  /** Seconds until the first resource. */
  readonly start: number;
}

/** Keys, certificates and the token come first; then three times leave, install, member and health. */
const CREATE: Phase = { word: "created", before: 24, steps: 12, part: 1.5, start: 4 };
/** The deletes of health, member and install do nothing. Leave comes then, one after the other, and all else last. */
const DESTROY: Phase = { word: "deleted", before: 9, steps: 3, part: 2.5, start: 1 };

/** Most points lie where hosts are worked on, for most of what can go wrong is there. */
function moment({ word, before, steps, part, start }: Phase): Moment {
  const inside = random() < 0.75;
  const events = inside ? before + Math.floor(random() * steps) : Math.floor(random() * before);
  const delay = random() * (inside ? part : 0.5);
  const cliAlone = random() < 0.5;
  return { word, events, delay: events === 0 ? start + 4 * delay : delay, cliAlone };
}

/** Refusals that end by themselves, and say so. */
const REPEAT = /Repeat in \d+ s|wait until that run is done|wait until they are done/;

/** Nothing of this program is on any host, nor in the state. */
async function expectGone(about: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const destroyed = await stack.destroy();
    if (destroyed.code === 0) {
      break;
    }
    expect(tries, `${about}\n${printed(destroyed)}`).toBeLessThan(4);
    expect(printed(destroyed), about).toMatch(REPEAT);
    await longAgo(lab);
  }
  expect(await stack.stateResources(), about).toEqual([]);
  const after = await states();
  for (const [index, host] of hosts.entries()) {
    const left = difference(bare?.[index] ?? [], after[index] ?? []);
    expect(left, `${about}: ${host}`).toEqual({ added: [], gone: [] });
  }
  // The killed run's sessions may not have ended there yet.
  const runtime = "ls -d /run/etcd-on-pulumi.scripts /run/systemd/system/etcd* 2>/dev/null || true";
  await eventually(`${about}: nothing is left in /run`, async () =>
    (await onAll(lab, runtime)).every((paths) => paths === ""),
  );
  there = "nothing";
}

/** Snapshots of this cluster, and nothing else where they are. */
async function expectSnapshot(clusterId: string, asked: boolean, about: string): Promise<void> {
  const files = await onAll(lab, `find ${SNAPSHOTS} -mindepth 1 2>/dev/null || true`);
  const all = files.flatMap((one) => (one === "" ? [] : one.split("\n")));
  expect(all.filter((path) => !/\/etcd0\d-[0-9a-f]{1,16}-\d{8}T\d{6}Z\.db$/.test(path))).toEqual(
    [],
  );
  expect(
    all.some((path) => path.includes(`-${clusterId}-`)),
    about,
  ).toBe(asked);
}

/** The cluster from before, with its data, as long as one of its members was left; else there is none before another destroy. */
async function expectBack(clusterId: string, about: string): Promise<void> {
  const left = (await stack.stateResources()).some(({ urn }) => urn.endsWith("-leave"));
  const up = await stack.up();
  if (up.code === 0) {
    const now = await expectOneCluster(stack);
    if (left) {
      expect(now, about).toBe(clusterId);
      expect(await ask(lab, "etcd01", "get --print-value-only clavePrueba"), about).toBe("prueba");
    }
    there = "cluster";
    return;
  }
  expect(printed(up), `${about}\n${printed(up)}`).toContain("run `pulumi destroy` first");
  const members = "ls -d /var/lib/etcd/member /var/lib/etcd-on-pulumi/formed 2>/dev/null || true";
  expect(await onAll(lab, members), about).toEqual(hosts.map(() => ""));
  await expectGone(about);
}

const words = (when: Moment) =>
  `killed after ${when.events} resources and ${when.delay.toFixed(2)} s${when.cliAlone ? " (the CLI alone)" : ""}`;

/** In an order in which the next test begins with what the one before it has left. */
for (let round = 1; round <= points; round += 2) {
  const snapshot = random() < 0.5;
  const [first, second] = [moment(CREATE), moment(CREATE)];
  const [third, fourth] = [moment(DESTROY), moment(DESTROY)];

  test(`create ${round} of seed ${seed}, ${words(first)}: destroy leaves nothing`, async () => {
    await bring("nothing", snapshot);
    await killedUp(stack, first);
    await expectGone(words(first));
  });

  test.runIf(round < points)(
    `create ${round + 1} of seed ${seed}, ${words(second)}: up makes one cluster`,
    async () => {
      await bring("nothing", snapshot);
      await killedUp(stack, second);
      await succeed(stack.up());
      await expectOneCluster(stack);
      there = "cluster";
    },
  );

  test(`destroy ${round} of seed ${seed}, ${words(third)}: up brings the cluster back`, async () => {
    await bring("cluster", snapshot);
    const { clusterId } = await stack.outputs();
    await killedDestroy(stack, third);
    await expectBack(clusterId, words(third));
  });

  test.runIf(round < points)(
    `destroy ${round + 1} of seed ${seed}, ${words(fourth)}: destroy leaves nothing`,
    async () => {
      await bring("cluster", snapshot);
      const { clusterId } = await stack.outputs();
      await killedDestroy(stack, fourth);
      await expectGone(words(fourth));
      await expectSnapshot(clusterId, snapshot, words(fourth));
    },
  );
}
