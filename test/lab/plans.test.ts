/**
 * Random edits of the list of nodes while random things happen to the hosts, one after another on one cluster of 1 to 7: a model of
 * the rules predicts the verdict, nothing takes the quorum away, and what was stopped half way is finished by the next `up`. PLANS
 * of them (3) from SEED (1); `npm run campaign -- plans` takes a hundred, and a new seed each time.
 */
import { afterAll, describe, expect, test } from "vitest";
import { hostAddress, testLab } from "../support/lab";
import { below, edit, misfortunes } from "../support/plan-generator";
import { nameAt } from "../support/plan-looks";
import {
  type Plan,
  type Prediction,
  predict,
  quorumOf,
  reasonOf,
  type World,
} from "../support/plan-model";
import { generator } from "../support/random";
import { ask } from "./support/etcdctl";
import { relieve, Sampler, see, strike } from "./support/plan-lab";
import { freshLab, printed, Stack, succeed } from "./support/stack";

const lab = testLab();
const seed = Number(process.env.SEED ?? 1);
const plans = Number(process.env.PLANS ?? 3);
const random = generator(seed);
const ALL = Array.from({ length: 7 }, (_, index) => `etcd0${index + 1}`);
/** Longer than an election on a busy machine. */
const GAP_MS = 10_000;

let stack: Stack | undefined;
/** In the order of the configuration. */
let voters: readonly string[] = [];
let clusterId = "";
let written = "";

afterAll(async () => {
  await lab.down(true);
});

const nodes = (plan: Plan) => ({
  nodes: plan.map((node) => ({ ...node, address: hostAddress(node.name) })),
});
const kept = (names: readonly string[]): Plan => names.map((name) => ({ name, lost: false }));

/** The cluster of the plan before; after a plan that failed, another one of another lab. */
async function cluster(number: number): Promise<Stack> {
  const [resize, size] = [number % 8 === 0, 1 + below(random, ALL.length)];
  if (stack !== undefined) {
    if (resize) {
      // A walk of small steps would hardly come to the largest and back.
      const others = ALL.filter((name) => !voters.includes(name));
      voters = [...voters, ...others].slice(0, size);
      stack.configure(nodes(kept(voters)));
      await succeed(stack.up({ timeoutMs: 300_000 }));
    }
    return stack;
  }
  voters = ALL.slice(0, 3);
  await freshLab(lab, ALL.length);
  const made = new Stack(lab, `plans-${number}`);
  await made.create(nodes(kept(voters)));
  await succeed(made.up());
  ({ clusterId } = await made.outputs());
  await write("etcd01", "0");
  return made;
}

/** What was acknowledged last is there, and another write is acknowledged. */
async function write(host: string, text: string): Promise<void> {
  if (text !== "0") {
    expect(await ask(lab, host, "get --print-value-only plans")).toBe(written);
  }
  await ask(lab, host, `put plans ${text}`);
  written = text;
}

/** The verdict of a run in the model's words. */
function verdict(said: string): Pick<Prediction, "refusals"> {
  // The engine says it twice, the first time cut short.
  const [, ...parts] = said.split("preflight checks failed; no host was changed:");
  const findings = parts.at(-1);
  const lines = [...(findings ?? "").matchAll(/^ *- (.*)$/gm)].map(([, line = ""]) => line);
  return { refusals: [...new Set(lines.map((line) => reasonOf(line, nameAt)))].sort() };
}

function words(number: number, { voters, conditions }: World, plan: Plan): string {
  const ill = [...conditions].filter(([, condition]) => condition !== "healthy");
  return [
    `plan ${number} of seed ${seed}: members ${voters.join(" ")}`,
    `hosts ${ill.length === 0 ? "all well" : ill.map((one) => one.join(" ")).join(", ")}`,
    `list ${plan.map(({ name, lost }) => (lost ? `${name} (lost)` : name)).join(" ")}`,
  ].join("; ");
}

describe(`${plans} plans of seed ${seed}`, () => {
  test.each(Array.from({ length: plans }, (_, index) => index + 1))("plan %i", async (number) => {
    const current = await cluster(number);
    // Until all of it has come out well.
    stack = undefined;
    const spares = ALL.filter((name) => !voters.includes(name));
    const world = { voters, conditions: misfortunes(random, voters, spares, true) };
    const plan = edit(random, voters, spares);
    const prediction = predict(world, plan);
    const about = words(number, world, plan);
    const began = Date.now();
    await strike(lab, world);
    const wanted = plan.filter(({ lost }) => !lost).map(({ name }) => name);
    const quorum = quorumOf(world);
    const witness = quorum.find((name) => wanted.includes(name)) ?? quorum[0];
    const sampler = witness === undefined ? undefined : Sampler.start(lab, witness);
    current.configure(nodes(plan));
    const up = await current.up({ timeoutMs: 500_000 });
    const gap = await sampler?.stop();
    const said = `${about}\n${printed(up).replace(/^Outputs:.*?^Resources:/ms, "Resources:")}`;
    const outcome = { ...verdict(printed(up)), completes: up.code === 0 };
    process.stdout.write(
      `${about}: ${outcome.refusals.length > 0 ? `refused, ${outcome.refusals.join("; ")}` : outcome.completes ? "done" : "stopped half way"}; ${Math.round((Date.now() - began) / 1000)} s, longest write gap ${gap ?? "-"} ms\n`,
    );
    expect(outcome, said).toEqual({
      refusals: prediction.refusals,
      completes: prediction.completes,
    });
    if (witness !== undefined) {
      await write(witness, String(number));
      expect(gap, said).toBeLessThan(GAP_MS);
    }
    await converge(current, world, plan, prediction, said);
    stack = current;
  });
});

/** Afterwards the hosts are well again and the cluster is one, as the configuration has it. */
async function converge(
  current: Stack,
  world: World,
  plan: Plan,
  { refusals, completes }: Prediction,
  said: string,
): Promise<void> {
  await relieve(lab, world);
  const allowed = refusals.length === 0;
  const lost = plan.filter((node) => node.lost).map(({ name }) => name);
  if (allowed) {
    voters = plan.filter((node) => !node.lost).map(({ name }) => name);
    for (const name of lost) {
      // Nobody has cleaned it.
      await lab.wipe(name);
    }
  }
  current.configure(nodes(allowed ? plan : kept(voters)));
  const wiped = world.voters.some((name) => world.conditions.get(name) === "wiped");
  if (allowed ? !completes : wiped) {
    await succeed(current.up({ timeoutMs: 500_000 }));
  }
  const [host = ""] = voters;
  const all = {
    names: [...voters].sort(),
    whole: true,
    clusterIds: [clusterId],
  };
  await expect
    .poll(() => see(lab, host).catch(() => undefined), { timeout: 60_000, message: said })
    .toEqual(all);
}
