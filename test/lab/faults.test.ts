/**
 * The fault matrix: each fault strikes one host in each operation, before it or at a random moment. The run does its work or says
 * which host stopped it and why; no acknowledged write is lost, no second cluster is formed, and when the fault is gone the next `up`
 * finishes. SAMPLE cells (2) drawn from SEED (3), or those that CELLS names ("create/*,*\/NOSPACE"); `npm run campaign -- faults` takes all,
 * in LABS (1) labs side by side: a cell waits more than it works.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type CellResult,
  cellName,
  isWanted,
  rawLine,
  readResults,
  reasonOf,
} from "../support/fault-results";
import { checkout, type Lab, type Result, runCommand, testLab } from "../support/lab";
import { below, pick, shuffled } from "../support/plan-generator";
import { generator } from "../support/random";
import { ask, ETCDCTL } from "./support/etcdctl";
import {
  configure,
  expectDestroyed,
  FAULT_OPERATIONS,
  type FaultOperation,
  up,
} from "./support/fault-operations";
import { FAULTS, type Fault } from "./support/faults";
import { NEWER } from "./support/operations";
import { clusterIds } from "./support/plan-lab";
import { eventually, freshLab, on, printed, Stack, succeed } from "./support/stack";

const labs = Array.from({ length: Number(process.env.LABS ?? 1) }, () => testLab());
const idle = [...labs];
const seed = Number(process.env.SEED ?? 3);
const HOSTS = ["etcd01", "etcd02", "etcd03", "etcd04"];
const MINUTE = 60_000;
/** Between two looks for the moment to strike: each costs the machine some processes. */
const POLL_MS = 150;
/** One file for each seed, so that a campaign can go on where it was stopped. */
const file = join(checkout, ".lab", `faults-${seed}.jsonl`);
/** What the runs that were struck printed, a file for each cell. */
const said = join(checkout, ".lab", `faults-${seed}`);

interface Cell {
  readonly operation: FaultOperation;
  readonly fault: Fault;
  readonly name: string;
  readonly number: number;
}

const all: readonly Cell[] = FAULT_OPERATIONS.flatMap((operation, row) =>
  FAULTS.map((fault, column) => ({
    operation,
    fault,
    name: cellName({ operation: operation.name, fault: fault.name }),
    number: row * FAULTS.length + column,
  })),
);

function chosen(): readonly Cell[] {
  const { CELLS, CAMPAIGN, SAMPLE = "2" } = process.env;
  if (CELLS !== undefined) {
    return all.filter(({ name }) => isWanted(name, CELLS));
  }
  if (CAMPAIGN === undefined) {
    return shuffled(generator(seed), all).slice(0, Number(SAMPLE));
  }
  const known = new Set(
    existsSync(file) ? readResults(readFileSync(file, "utf8")).map(cellName) : [],
  );
  return all.filter(({ name }) => !known.has(name));
}

/** With new hosts and both releases. */
async function renew(lab: Lab): Promise<void> {
  await freshLab(lab, HOSTS.length);
  await lab.release(NEWER);
}

let commit = "";

beforeAll(async () => {
  const { stdout } = await runCommand(["git", "rev-parse", "--short", "HEAD"]);
  commit = stdout.trim();
  for (const lab of labs) {
    await renew(lab);
  }
});

afterAll(async () => {
  for (const lab of labs) {
    await lab.down(true);
  }
});

/**
 * Writes one key after the other through a member, and keeps those that were acknowledged. Each only once: a write that nobody
 * acknowledged may be applied late, after others.
 */
const WRITER = `rm -f /tmp/faults-stop; n=1
until [ -e /tmp/faults-stop ]; do
  n=$((n + 1))
  if ${ETCDCTL} --command-timeout 3s put "faults/$n" x >/dev/null 2>&1; then echo "faults/$n" >>/tmp/faults-acked; fi
  sleep 0.5
done`;

/** While the work is done, if there is a member that takes writes all the while. */
async function written(
  lab: Lab,
  witness: string | undefined,
  work: () => Promise<void>,
): Promise<void> {
  const writer =
    witness === undefined ? undefined : lab.exec(witness, WRITER, { timeoutMs: 10 * MINUTE });
  try {
    await work();
  } finally {
    if (witness !== undefined) {
      await lab.exec(witness, "touch /tmp/faults-stop");
      await writer;
    }
  }
}

/** Strikes when the host is ready and a step runs there; says when, or nothing when the run was over before that. */
async function strike(
  lab: Lab,
  cell: Cell,
  host: string,
  delay: number,
  ended: () => boolean,
): Promise<string | undefined> {
  const began = Date.now();
  const ready = `pgrep -f '^(sudo -n )?bash -p -s -- (apply|delete)' >/dev/null && { ${cell.fault.ready}; }`;
  while (!ended()) {
    if ((await lab.exec(host, ready)).code === 0) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      if (ended() || (await lab.exec(host, ready)).code !== 0) {
        continue;
      }
      await cell.fault.strike(lab, host);
      return `${((Date.now() - began) / 1000).toFixed(1)} s into the run`;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return undefined;
}

interface Struck {
  readonly result: Result;
  readonly host: string;
  /** Nothing when the fault came too late. */
  readonly moment: string | undefined;
}

async function runUnder(
  cell: Cell,
  stack: Stack,
  random: () => number,
  late: boolean,
): Promise<Struck> {
  const { operation, fault } = cell;
  const { lab } = stack;
  const host = pick(random, operation.victims, "etcd01");
  const run = () => (operation.run ?? up)(stack);
  const before = !fault.passing && operation.before.length > 0 && random() < 0.5;
  const drawn = below(random, 3000);
  if (before && (await lab.exec(host, fault.ready)).code === 0) {
    await fault.strike(lab, host);
    return { result: await run(), host, moment: "before the run" };
  }
  let ended = false;
  const running = run().finally(() => {
    ended = true;
  });
  // What it throws is told where it is awaited.
  running.catch(() => undefined);
  const moment = await strike(lab, cell, host, late ? drawn : 0, () => ended);
  return { result: await running, host, moment };
}

/** Ups until nothing is left to do, none if the run has done it all; a CA rotation takes three. */
async function converge({ operation }: Cell, stack: Stack, last: Result): Promise<void> {
  if (operation.run !== undefined) {
    let result = last;
    for (let left = 5; result.code !== 0 && left > 0; left -= 1) {
      if (printed(result).includes("start the others first")) {
        await succeed(up(stack));
      }
      // The data of a cluster that has lost its quorum is given up host by host, as the message says.
      const alone =
        /(etcd0\d): cannot leave: the cluster has no quorum.* run touch (\S+) on this host/g;
      for (const [, host = "", file] of printed(result).matchAll(alone)) {
        await on(stack.lab, host, `touch ${file}`);
      }
      result = await operation.run(stack);
    }
    await expectDestroyed(stack);
    return;
  }
  let result = last;
  for (let left = 4; left >= 0; left -= 1) {
    if (result.code === 0) {
      configure(stack, operation.after, operation.settled ?? operation.edit);
      if ((await stack.previewNothing()).code === 0) {
        return;
      }
    }
    if (/etcd:version \S+: refused while/.test(printed(result))) {
      // As it says: what is to be repaired first is repaired with the release that runs.
      configure(stack, operation.before);
      await succeed(up(stack));
      configure(stack, operation.after, operation.edit);
    }
    result = await up(stack);
    if (printed(result).includes("another pulumi up is in progress")) {
      // That of the run whose session was cut: its host waits a minute before it gives it up.
      await new Promise((resolve) => setTimeout(resolve, MINUTE / 3));
    }
  }
  throw new Error(`does not converge: ${printed(result)}`);
}

/** Every acknowledged write is there, and one cluster is all there is. */
async function expectOne(lab: Lab, cell: Cell, before: string): Promise<void> {
  const { operation } = cell;
  const ids = await clusterIds(lab, HOSTS);
  expect(ids, "one cluster").toHaveLength(1);
  if (before !== "" && operation.name !== "recover") {
    expect(ids, "the cluster of before").toEqual([before]);
  }
  if (operation.before.length > 0) {
    const acked = (await on(lab, "etcd01", "cat /tmp/faults-acked")).split("\n");
    const keys = (await ask(lab, "etcd01", "get --prefix --keys-only faults/")).split("\n");
    const lost = acked.filter((key) => !keys.includes(key));
    expect(lost, `lost of ${acked.length} acknowledged writes`).toEqual([]);
    expect(acked.length).toBeGreaterThan(0);
  }
}

interface Made {
  readonly stack: Stack;
  /** The cluster's ID; empty where the run is to make it. */
  readonly cluster: string;
}

/** By lab and image: clusters that were made once, of which each cell gets a copy. */
const made = new Map<string, Made>();

/** The hosts' disks, where the fault asks for others. */
async function makeReady(lab: Lab, { operation, fault }: Cell): Promise<void> {
  await Promise.all(operation.victims.map((host) => fault.prepare?.(lab, host)));
}

/** Bare hosts, and a stack of their own. */
async function bare(lab: Lab, cell: Cell, random: () => number): Promise<Made> {
  await lab.heal();
  await lab.reset();
  const { operation, number } = cell;
  if (operation.prepare === undefined) {
    await makeReady(lab, cell);
  }
  const stack = new Stack(lab, `faults-${number}-${below(random, 1_000_000)}`);
  await stack.create();
  if (operation.before.length === 0) {
    return { stack, cluster: "" };
  }
  configure(stack, operation.before);
  await succeed(up(stack));
  return { stack, cluster: (await stack.outputs()).clusterId };
}

/** Hosts, stack and cluster that no cell before has touched. */
async function untouched(lab: Lab, cell: Cell, random: () => number): Promise<Made> {
  const { operation, fault } = cell;
  const disksFirst = fault.prepare !== undefined && operation.prepare === undefined;
  if (operation.before.length === 0 || disksFirst) {
    return bare(lab, cell, random);
  }
  const image = `members-${operation.before.length}`;
  const key = `${lab.name}/${image}`;
  const known = made.get(key);
  const begun = known ?? (await bare(lab, cell, random));
  await (known === undefined ? lab.save(image) : lab.load(image));
  made.set(key, begun);
  await eventually("the members are back after the power cut", async () => {
    const answers = await Promise.all(
      operation.before.map((host) => lab.exec(host, `${ETCDCTL} endpoint health`)),
    );
    return answers.every(({ code }) => code === 0);
  });
  return begun;
}

async function begin(lab: Lab, cell: Cell, random: () => number): Promise<Made> {
  let begun: Made;
  try {
    begun = await untouched(lab, cell, random);
  } catch {
    for (const key of made.keys()) {
      if (key.startsWith(`${lab.name}/`)) {
        made.delete(key);
      }
    }
    await renew(lab);
    begun = await untouched(lab, cell, random);
  }
  const { stack } = begun;
  const { operation } = cell;
  if (operation.before.length === 0) {
    configure(stack, operation.after);
    return begun;
  }
  await on(lab, "etcd01", `${ETCDCTL} put faults/1 x; echo faults/1 >/tmp/faults-acked`);
  configure(stack, operation.before);
  const more = (await operation.prepare?.(stack)) ?? {};
  if (operation.prepare !== undefined) {
    // It has wiped them.
    await makeReady(lab, cell);
  }
  configure(stack, operation.after.length === 0 ? operation.before : operation.after, {
    ...operation.edit,
    ...more,
  });
  return begun;
}

type Played = Pick<CellResult, "outcome" | "moment" | "words">;

/** @param late some time after the host is ready; @returns nothing when that is too late. */
async function play(lab: Lab, cell: Cell, late: boolean): Promise<Played | undefined> {
  const random = generator(seed * 1000 + cell.number);
  const { stack, cluster } = await begin(lab, cell, random);
  let struck: Struck | undefined;
  const { operation, fault } = cell;
  try {
    await written(lab, operation.witness, async () => {
      struck = await runUnder(cell, stack, random, late);
    });
  } finally {
    for (const host of operation.victims) {
      if (struck === undefined || struck.host === host) {
        await fault.relieve(lab, host);
      }
    }
  }
  if (struck === undefined) {
    throw new Error("the run did not end");
  }
  const { result } = struck;
  if (struck.moment === undefined) {
    return undefined;
  }
  const moment = `${struck.host}, ${struck.moment}`;
  const text = printed(result);
  mkdirSync(said, { recursive: true });
  writeFileSync(join(said, `${cell.name.replace("/", "-")}.txt`), `struck ${moment}\n${text}`);
  await converge(cell, stack, result);
  if (operation.after.length > 0) {
    await expectOne(lab, cell, cluster);
  }
  if (result.code === 0) {
    return { outcome: "done", moment, words: "" };
  }
  const reason = reasonOf(text);
  const raw = rawLine(text);
  return reason === undefined || raw !== undefined
    ? { outcome: "broken", moment, words: `says not what to do: ${raw ?? text.slice(-1500)}` }
    : { outcome: "stopped", moment, words: reason };
}

function keep(
  cell: Cell,
  result: Omit<CellResult, "operation" | "fault" | "seed" | "commit">,
): void {
  const { operation, fault } = cell;
  const line: CellResult = {
    operation: operation.name,
    fault: fault.name,
    seed,
    commit,
    ...result,
  };
  const words = line.words.replace(/\s+/g, " ").slice(0, 300);
  process.stdout.write(
    `cell ${cell.name}: ${line.outcome}, struck ${line.moment}, ${line.seconds} s; ${words}\n`,
  );
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

describe(`faults of seed ${seed}`, () => {
  test.concurrent.each(chosen())("$name", { timeout: 12 * MINUTE }, async (cell) => {
    const lab = idle.shift();
    if (lab === undefined) {
      throw new Error("vitest runs more tests at once than there are labs");
    }
    const began = Date.now();
    const seconds = () => Math.round((Date.now() - began) / 1000);
    let result: Played;
    try {
      const played = (await play(lab, cell, true)) ?? (await play(lab, cell, false));
      const words = "the run is over before the fault can strike";
      result = played ?? { outcome: "broken", moment: "-", words };
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      result = { outcome: "broken", moment: "-", words };
    } finally {
      idle.push(lab);
    }
    keep(cell, { ...result, seconds: seconds() });
    expect(result.outcome, result.words).not.toBe("broken");
  });
});
