/** Random edits of the list of nodes, and random misfortunes of the hosts. */
import type { Condition, Plan, World } from "./plan-model";
import { majority } from "./plan-model";

export type Random = () => number;

export const below = (random: Random, limit: number): number => Math.floor(random() * limit);

export function pick<T>(random: Random, things: readonly T[], fallback: T): T {
  return things[below(random, things.length)] ?? fallback;
}

/** In random order. */
export function shuffled<T>(random: Random, things: readonly T[]): readonly T[] {
  return things
    .map((thing): [number, T] => [random(), thing])
    .sort(([a], [b]) => a - b)
    .map(([, thing]) => thing);
}

const MISFORTUNES: readonly Condition[] = [
  ...(["stopped", "stopped", "stopped"] as const),
  ...(["cut", "cut", "cut"] as const),
  ...(["wiped", "wiped", "wiped"] as const),
  "off",
];

/**
 * What befalls the hosts.
 *
 * @param curable a majority of the voters keeps its data, so that the cluster can be put right
 *   without a backup.
 */
export function misfortunes(
  random: Random,
  voters: readonly string[],
  spares: readonly string[],
  curable: boolean,
): ReadonlyMap<string, Condition> {
  const conditions = new Map<string, Condition>(
    [...voters, ...spares].map((name) => [name, "healthy"]),
  );
  // Mostly what the cluster survives. One that survives nothing is spared more often, or it would never grow.
  const minority = Math.floor((voters.length - 1) / 2);
  const lucky = random() < (voters.length < 3 ? 0.6 : 0.25);
  const most = random() < 0.6 ? minority : random() < 0.6 ? minority + 1 : voters.length;
  const hit = lucky || most === 0 ? 0 : 1 + below(random, most);
  // Several hosts often share their fate: a rack, a switch.
  const shared = random() < 0.4 ? pick(random, MISFORTUNES, "stopped") : undefined;
  let data = voters.length;
  for (const name of shuffled(random, voters).slice(0, hit)) {
    const condition = shared ?? pick(random, MISFORTUNES, "stopped");
    const fatal = condition === "wiped" && data - 1 < majority(voters.length);
    data -= condition === "wiped" && !fatal ? 1 : 0;
    conditions.set(name, fatal && curable ? "stopped" : condition);
  }
  for (const name of spares) {
    if (random() < 0.07) {
      conditions.set(name, random() < 0.5 ? "off" : "cut");
    }
  }
  return conditions;
}

/** An edit of the list: some leave, some come, some are lost, or none of it; in an order of its own. */
export function edit(random: Random, voters: readonly string[], spares: readonly string[]): Plan {
  const kind = random();
  if (kind < 0.06) {
    return voters.map((name) => ({ name, lost: false }));
  }
  const some = (most: number) => below(random, most + 1);
  const [small, large] = [voters.length < 3, voters.length > 5];
  const [gone, come, lost] =
    kind < 0.12
      ? [0, 0, 0]
      : kind < 0.85
        ? [
            // Wherever it is, it drifts to the middle.
            pick(random, small ? [0, 0, 1] : large ? [1, 1, 2, 3] : [0, 0, 1, 1, 2], 0),
            pick(random, small ? [1, 2, 3] : large ? [0, 1] : [0, 1, 1, 2], 0),
            random() < 0.25 ? 1 + some(1) : 0,
          ]
        : [some(small ? 1 : voters.length), some(spares.length), some(1)];
  const old = shuffled(random, voters);
  // Someone has to be there.
  const leaving = Math.min(gone, old.length - (come > 0 && spares.length > 0 ? 0 : 1));
  const rest = old.slice(leaving);
  const joining = shuffled(random, spares).slice(0, come);
  const away = Math.min(lost, rest.length - (joining.length > 0 ? 0 : 1));
  return shuffled(random, [
    ...rest.map((name, index) => ({ name, lost: index < away })),
    ...joining.map((name) => ({ name, lost: false })),
  ]);
}

/** A cluster of 1 to 7 with anything wrong, some bare hosts beside it and perhaps a half-added member. */
export function anyWorld(random: Random): World {
  const names = shuffled(
    random,
    Array.from({ length: 9 }, (_, index) => `etcd0${index + 1}`),
  );
  const size = 1 + below(random, 7);
  const voters = names.slice(0, size);
  const spares = names.slice(size, size + below(random, 4));
  const conditions = misfortunes(random, voters, spares, false);
  const learner =
    random() < 0.15 ? spares.find((name) => conditions.get(name) === "healthy") : undefined;
  return { voters, conditions, ...(learner === undefined ? {} : { learner }) };
}
