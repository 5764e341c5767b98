/** Random edits in random worlds: the program's verdict at the look is the one that a model of the rules predicts. */
import { describe, expect, test } from "vitest";
import type { NodeConfig } from "../../components/config";
import type { Expectation } from "../../components/judge";
import type { Look } from "../../components/look";
import { bare, judged, type Seen } from "../support/looks";
import { anyWorld, edit, pick } from "../support/plan-generator";
import { addressOf, looksOf, nameAt, nodesOf } from "../support/plan-looks";
import {
  type Plan,
  type Prediction,
  predict,
  quorumOf,
  reasonOf,
  type World,
} from "../support/plan-model";
import { generator } from "../support/random";

const SEEDS = Array.from({ length: 10 }, (_, index) => index + 1);
const PLANS = 1000;

interface Case {
  readonly world: World;
  readonly plan: Plan;
  readonly leader: string | undefined;
}

function* cases(seed: number): Generator<Case> {
  const random = generator(seed);
  for (let count = 0; count < PLANS; count += 1) {
    const world = anyWorld(random);
    const spares = [...world.conditions.keys()].filter((name) => !world.voters.includes(name));
    const leader = pick<string | undefined>(random, quorumOf(world), undefined);
    yield { world, plan: edit(random, world.voters, spares), leader };
  }
}

/** What a wrong program would see. */
interface Doctor {
  readonly look?: (look: Look) => Look;
  readonly nodes?: (nodes: readonly NodeConfig[]) => readonly NodeConfig[];
  readonly former?: Expectation["former"];
}

/** The program's verdict in the model's words. */
function verdict(
  { world, plan, leader }: Case,
  doctor: Doctor = {},
): Omit<Prediction, "completes"> {
  const { look = (it: Look) => it, nodes = (it: readonly NodeConfig[]) => it } = doctor;
  const looks = [...looksOf(world, plan, leader)].map(([name, it]) => [name, look(it)] as const);
  const { findings, plan: lines } = judged(Object.fromEntries(looks), {
    nodes: nodes(nodesOf(plan)),
    former: doctor.former ?? world.voters.map((name) => ({ name, address: addressOf(name) })),
  });
  const nameOf = (words: string) =>
    words === "a member that never started" ? (world.learner ?? words) : nameAt(words);
  const refusals = findings.map((finding) => reasonOf(finding, nameOf)).sort();
  return refusals.length > 0 ? { refusals } : { refusals, ...changeOf(lines, world) };
}

/** Who joins and leaves by the line that an operator reads. */
function changeOf(lines: readonly string[], world: World): Pick<Prediction, "change"> {
  const line = lines.find((one) => one.startsWith("members: "));
  if (line === undefined) {
    return {};
  }
  const parts = line.slice("members: ".length).split("; ");
  const who = (words: RegExp) =>
    parts
      .filter((part) => words.test(part))
      .map((part) =>
        part.startsWith("a member") ? (world.learner ?? "") : (part.split(" ")[0] ?? ""),
      )
      .sort();
  return {
    change: {
      joining: who(/ joins as a learner/),
      rebuilt: who(/ is rebuilt/),
      leaving: who(/ leaves(?:$|,? (?:as lost|and does not answer))/),
    },
  };
}

/** The same words for a plan that changes nobody. */
function predicted({ world, plan }: Case): Omit<Prediction, "completes"> {
  const { refusals, change } = predict(world, plan);
  const changes = change !== undefined && Object.values(change).some(({ length }) => length > 0);
  return changes ? { refusals, change } : { refusals };
}

test.each(SEEDS)(`${PLANS} plans of seed %i are judged as the model predicts`, (seed) => {
  for (const one of cases(seed)) {
    const { world, plan, leader } = one;
    const words = { ...world, conditions: Object.fromEntries(world.conditions), leader, plan };
    expect({ ...words, verdict: verdict(one) }).toEqual({ ...words, verdict: predicted(one) });
  }
});

test("every reason to refuse, and every size, is among them", () => {
  const counts = new Map<string, number>();
  const add = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const one of SEEDS.flatMap((seed) => [...cases(seed)])) {
    const { refusals } = predict(one.world, one.plan);
    for (const refusal of refusals) {
      add(refusal.includes(" apart from ") ? "apart" : (refusal.split(" ")[0] ?? ""));
    }
    add(refusals.length === 0 ? `allowed with ${one.world.voters.length}` : "refused");
  }
  const rare = [
    "unseen",
    "nobody",
    "nothing",
    "no",
    "left",
    "join",
    "silent",
    "apart",
    "refused",
  ].filter((kind) => (counts.get(kind) ?? 0) < (kind === "nothing" ? 50 : 100));
  const sizes = [1, 2, 3, 4, 5, 6, 7].filter(
    (size) => (counts.get(`allowed with ${size}`) ?? 0) < 100,
  );
  expect({ rare, sizes }, JSON.stringify([...counts])).toEqual({ rare: [], sizes: [] });
});

describe("a program that is wrong is found out:", () => {
  const seen = (change: (look: Seen) => Partial<Seen>): Doctor => ({
    look: (look) => (look.seen ? { ...look, ...change(look) } : look),
  });

  test.each<[string, Doctor]>([
    [
      "it takes every member for healthy",
      seen(({ members }) => ({ members: members.map((one) => ({ ...one, healthy: true })) })),
    ],
    [
      "it takes learners for voters",
      seen(({ members }) => ({ members: members.map((one) => ({ ...one, learner: false })) })),
    ],
    ["it does not see that a host is empty", seen(() => ({ empty: false }))],
    ["it forgets where the cluster was", { former: [] }],
    [
      "it does not know who is lost",
      { nodes: (nodes) => nodes.map((one) => ({ ...one, lost: false })) },
    ],
    ["it dials nobody who is off", { look: (look) => (look.seen ? look : bare()) }],
  ])("%s", (_, doctor) => {
    const wrong = [...cases(1)].filter(
      (one) => JSON.stringify(verdict(one, doctor)) !== JSON.stringify(predicted(one)),
    );
    expect(wrong.length).toBeGreaterThan(0);
  });
});
