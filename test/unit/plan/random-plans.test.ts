/** Random edits in random worlds: the program's verdict at the look is the one that a model of the rules predicts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NodeConfig } from "../../../components/config/index";
import type { HostState } from "../../../components/hosts/host-state";
import type { Desired } from "../../../components/plan/plan";
import { bare, judged, type Seen } from "../../support/looks";
import { anyWorld, edit, pick } from "../../support/plan-generator";
import { addressOf, looksOf, nameAt, nodesOf } from "../../support/plan-looks";
import {
  type Plan,
  type Prediction,
  predict,
  quorumOf,
  reasonOf,
  type World,
} from "../../support/plan-model";

const SEEDS = Array.from({ length: 10 }, (_, index) => index + 1);
const PLANS = 1000;

interface Case {
  readonly world: World;
  readonly plan: Plan;
  readonly leader: string | undefined;
}

/** More numbers than any case takes; a failing case shrinks by numbers that become 0, which means fewer members and nothing wrong. */
const DRAWS = 150;
const numbers = fc.noBias(
  fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: DRAWS, maxLength: DRAWS }),
);

const aCase: fc.Arbitrary<Case> = numbers.map((drawn) => {
  let next = 0;
  const random = () => {
    const number = (drawn[next] ?? 0) / 2 ** 32;
    next += 1;
    return number;
  };
  const world = anyWorld(random);
  const spares = [...world.conditions.keys()].filter((name) => !world.voters.includes(name));
  const leader = pick<string | undefined>(random, quorumOf(world), undefined);
  return { world, plan: edit(random, world.voters, spares), leader };
});

const cases = (seed: number): readonly Case[] => fc.sample(aCase, { seed, numRuns: PLANS });

/** What a wrong program would see. */
interface Doctor {
  readonly look?: (look: HostState) => HostState;
  readonly nodes?: (nodes: readonly NodeConfig[]) => readonly NodeConfig[];
  readonly former?: Desired["former"];
}

/** The program's verdict in the model's words. */
function verdict(
  { world, plan, leader }: Case,
  doctor: Doctor = {},
): Omit<Prediction, "completes"> {
  const { look = (it: HostState) => it, nodes = (it: readonly NodeConfig[]) => it } = doctor;
  const looks = [...looksOf(world, plan, leader)].map(([name, it]) => [name, look(it)] as const);
  const { findings, summary: lines } = judged(Object.fromEntries(looks), {
    nodes: nodes(nodesOf(plan)),
    former: doctor.former ?? world.voters.map((name) => ({ name, address: addressOf(name) })),
  });
  const nameOf = (words: string) =>
    words === "an unstarted member" ? (world.learner ?? words) : nameAt(words);
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
        part.startsWith("an unstarted member") ? (world.learner ?? "") : (part.split(" ")[0] ?? ""),
      )
      .sort();
  return {
    change: {
      joining: who(/ joins as a learner/),
      rebuilt: who(/ is rebuilt/),
      leaving: who(/ is removed(?:$|,? (?:as lost|and is unhealthy))/),
    },
  };
}

/** The same words for a plan that changes nobody. */
function predicted({ world, plan }: Case): Omit<Prediction, "completes"> {
  const { refusals, change } = predict(world, plan);
  const changes = change !== undefined && Object.values(change).some(({ length }) => length > 0);
  return changes ? { refusals, change } : { refusals };
}

/** What the program says to a case beside what the model predicts, equal when the program is right. */
function both(one: Case, doctor?: Doctor): readonly [object, object] {
  const { world, plan, leader } = one;
  const words = { ...world, conditions: Object.fromEntries(world.conditions), leader, plan };
  return [
    { ...words, verdict: verdict(one, doctor) },
    { ...words, verdict: predicted(one) },
  ];
}

const agrees = (doctor?: Doctor) =>
  fc.property(aCase, (one) => {
    const [said, expected] = both(one, doctor);
    expect(said).toEqual(expected);
  });

test.each(SEEDS)(`${PLANS} plans of seed %i are judged as the model predicts`, (seed) => {
  fc.assert(agrees(), { seed, numRuns: PLANS });
});

test("every reason to refuse, and every size, is among them", () => {
  const counts = new Map<string, number>();
  const add = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const one of SEEDS.flatMap((seed) => cases(seed))) {
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
  ].filter((kind) => (counts.get(kind) ?? 0) < (kind === "nothing" ? 30 : 100));
  const sizes = [1, 2, 3, 4, 5, 6, 7].filter(
    (size) => (counts.get(`allowed with ${size}`) ?? 0) < 100,
  );
  expect({ rare, sizes }, JSON.stringify([...counts])).toEqual({ rare: [], sizes: [] });
});

describe("a program that is wrong is found out:", () => {
  const seen = (change: (look: Seen) => Partial<Seen>): Doctor => ({
    look: (look) => (look.inspected ? { ...look, ...change(look) } : look),
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
    ["it dials nobody who is off", { look: (look) => (look.inspected ? look : bare()) }],
  ])("%s", (_, doctor) => {
    const { failed, numShrinks, counterexample } = fc.check(agrees(doctor), {
      seed: 1,
      numRuns: PLANS,
    });
    expect(failed).toBe(true);
    // And told by a plan that a person can read.
    expect(numShrinks).toBeGreaterThan(0);
    expect(counterexample?.[0].world.voters.length).toBeLessThanOrEqual(5);
  });
});
