/**
 * The rules of membership by etcd's documentation and docs/design.md, written apart from the program and by walking through the
 * changes one after another: predicts what becomes of a plan.
 */

/** `cut` hosts reach each other and the operator, nobody else; `wiped` ones run without any data. */
export type Condition = "healthy" | "stopped" | "cut" | "wiped" | "off";

export interface World {
  /** Hosts with a voter. */
  readonly voters: readonly string[];
  /** A host whose member was added and never started. */
  readonly learner?: string;
  /** Of every host; those without a member are bare. */
  readonly conditions: ReadonlyMap<string, Condition>;
}

/** The list of nodes as it is edited. */
export type Plan = readonly { readonly name: string; readonly lost: boolean }[];

export interface Prediction {
  /** Why nothing may be touched, as `reasonOf` spells it; none: the plan is allowed. */
  readonly refusals: readonly string[];
  /** Of an allowed plan whose members are known. */
  readonly change?: {
    readonly joining: readonly string[];
    readonly rebuilt: readonly string[];
    readonly leaving: readonly string[];
  };
  /** The run comes to its end: every host that it works on is reached by the operator and by the others. */
  readonly completes: boolean;
}

export const majority = (voters: number): number => (voters >> 1) + 1;

/** Voters that answer a linearizable read: those of the side that has a majority. */
export function quorumOf({ voters, conditions }: World): readonly string[] {
  const being = (condition: Condition) => voters.filter((it) => conditions.get(it) === condition);
  return (
    [being("healthy"), being("cut")].find(({ length }) => length >= majority(voters.length)) ?? []
  );
}

export function predict(world: World, plan: Plan): Prediction {
  const prediction = membersAfter(world, plan);
  const refusals = [...prediction.refusals, ...apart(world, plan)].sort();
  return refusals.length === 0 ? prediction : { refusals, completes: false };
}

/** New machines must reach each other and the members that serve; those refuse them, which is an answer. */
export function apart(world: World, plan: Plan): readonly string[] {
  const { voters, conditions } = world;
  const bare = plan.flatMap(({ name, lost }) => {
    const condition = conditions.get(name);
    const is = !lost && condition !== "off" && (condition === "wiped" || !voters.includes(name));
    return is ? [{ name, cut: condition === "cut" }] : [];
  });
  const serving = plan.flatMap(({ name, lost }) =>
    !lost && quorumOf(world).includes(name) ? [{ name, cut: conditions.get(name) === "cut" }] : [],
  );
  return bare.flatMap((from) =>
    [...bare, ...serving]
      .filter(({ cut }) => cut !== from.cut)
      .map((to) => `${from.name} apart from ${to.name}`),
  );
}

function membersAfter(world: World, plan: Plan): Prediction {
  const { voters, learner, conditions } = world;
  const known = learner === undefined ? voters : [...voters, learner];
  const wanted = plan.filter(({ lost }) => !lost).map(({ name }) => name);
  const lost = plan.filter((node) => node.lost).map(({ name }) => name);
  const is = (name: string, ...some: readonly Condition[]) =>
    some.some((condition) => conditions.get(name) === condition);
  const voting = (name: string) => voters.includes(name);
  const refused = (...refusals: readonly string[]): Prediction => ({
    refusals: [...refusals].sort(),
    completes: false,
  });
  const added = wanted.filter((name) => !known.includes(name));
  const leaving = known.filter((name) => !wanted.includes(name));

  // A cluster is known by the mark that its members leave on their disks.
  const marked = wanted.filter((name) => voting(name) && is(name, "healthy", "stopped", "cut"));
  if (marked.length === 0) {
    const silent = wanted.filter((name) => is(name, "off"));
    if (silent.length > 0) {
      return refused(...silent.map((name) => `unseen ${name}`));
    }
    // Where the old cluster lives on, or may, a second one must not be formed beside it.
    const elsewhere = leaving.filter(voting);
    if (elsewhere.length > 0) {
      return refused(`nobody stays of ${list(voters)}`);
    }
    // Where all of it is gone, an empty one must not pass for it.
    return refused(`nothing left of ${list(voters)}`);
  }

  const quorum = quorumOf(world);
  if (!wanted.some((name) => quorum.includes(name))) {
    const gone = voters.filter(
      (name) => lost.includes(name) || (wanted.includes(name) && is(name, "wiped")),
    );
    const reasons = [
      ...(added.length + leaving.length > 0 ? [`no quorum +${list(added)} -${list(leaving)}`] : []),
      // No start of anybody brings it back.
      ...(voters.length - gone.length < majority(voters.length) ? ["quorum lost for good"] : []),
    ];
    return reasons.length > 0
      ? refused(...reasons)
      : {
          refusals: [],
          // Those that are only stopped are started first.
          completes: together(wanted, conditions),
        };
  }

  const refusals: string[] = [];
  const up = new Set(quorum);
  let now = [...voters];
  const goes = (gone: readonly string[]): boolean => {
    // Who does not answer is missed by nobody, so goes first.
    const inTurn = [...gone].sort((a, b) => Number(up.has(a)) - Number(up.has(b)));
    return inTurn.every((name) => {
      now = now.filter((other) => other !== name);
      return !up.has(name) || now.filter((it) => up.has(it)).length >= majority(now.length);
    });
  };
  const short = (gone: readonly string[]) =>
    `left ${now.filter((it) => up.has(it)).length}/${now.length} without ${list(gone)}`;
  // 1. Lost members. All of them are out before the result is told.
  const lostVoters = lost.filter(voting);
  const lossHolds = goes(lostVoters);
  now = now.filter((name) => !lostVoters.includes(name));
  if (!lossHolds) {
    refusals.push(short(lost.filter((name) => known.includes(name))));
  }
  // 2. The old members of rebuilt hosts, which do not answer.
  const rebuilt = wanted.filter((name) => voting(name) && is(name, "wiped"));
  goes(rebuilt);
  // 3. Joins: etcd lets nobody in while one of its voters is not connected.
  const half = wanted.filter((name) => name === learner);
  const joining = wanted.filter((name) => [...added, ...half, ...rebuilt].includes(name));
  const missing = now.filter((name) => !up.has(name));
  if (joining.length > 0 && missing.length > 0) {
    refusals.push(`join ${list(joining)} blocked by ${list(missing)}`);
  } else {
    for (const name of joining) {
      up.add(name);
      now.push(name);
    }
  }
  refusals.push(...joining.filter((name) => is(name, "off")).map((name) => `silent ${name}`));
  // 4. Those that the list has no longer.
  const surplus = leaving.filter((name) => voting(name) && !lost.includes(name));
  const removalHolds = goes(surplus);
  now = now.filter((name) => !surplus.includes(name) && !joining.includes(name));
  if (lossHolds && !removalHolds) {
    refusals.push(short(leaving));
  }
  if (refusals.length > 0) {
    return refused(...refusals);
  }
  const cleaned = leaving.filter((name) => !lost.includes(name) && name !== learner);
  return {
    refusals: [],
    change: {
      joining: wanted.filter((name) => [...added, ...half].includes(name)).sort(),
      rebuilt: [...rebuilt].sort(),
      leaving: [...leaving].sort(),
    },
    // Also when there is nothing to do: while a host without power is in the list nobody vouches for the cluster.
    completes: together([...wanted, ...cleaned], conditions),
  };
}

/** All of these have power and reach each other. */
function together(names: readonly string[], conditions: ReadonlyMap<string, Condition>): boolean {
  const cut = names.filter((name) => conditions.get(name) === "cut").length;
  return (
    (cut === 0 || cut === names.length) && names.every((name) => conditions.get(name) !== "off")
  );
}

/** A refusal of the program in the model's words; one that the model does not know as it is. */
export function reasonOf(finding: string, nameOf: (address: string) => string): string {
  const names = (text: string | undefined) => (text ?? "").split(", ").map(nameOf);
  for (const [pattern, words] of REASONS) {
    const match = pattern.exec(finding);
    if (match !== null) {
      return words(match.slice(1), names);
    }
  }
  return finding;
}

type Words = (parts: readonly string[], names: (text?: string) => readonly string[]) => string;

const REASONS: readonly (readonly [RegExp, Words])[] = [
  [/^the cluster \S+ has permanently lost its quorum: /, () => "quorum lost for good"],
  [
    /^\d+ voters?, \d+ healthy: removing (.*) would leave (\d+) healthy of (\d+) voters?; quorum is \d+: start /,
    ([gone, well, all], names) => `left ${well}/${all} without ${list(names(gone))}`,
  ],
  [
    /^\d+ voters?, \d+ healthy: (.*) cannot join while (.*) (?:is|are) unhealthy; start (?:it|them), or set lost: true$/,
    ([who, whom], names) => `join ${list(names(who))} blocked by ${list(names(whom))}`,
  ],
  [
    /^the cluster has no quorum, so members can be neither added nor removed: start its members before (.*)$/,
    ([changes = ""], names) => {
      const those = (word: string) =>
        changes
          .split(", ")
          .filter((change) => change.endsWith(` ${word}`))
          .flatMap((change) => names(change.slice(0, -word.length - 1)));
      return `no quorum +${list(those("joins"))} -${list(those("is removed"))}`;
    },
  ],
  [/^(\S+): cannot join or move while its host is unreachable: /, ([who]) => `silent ${who}`],
  [
    /^(\S+): cannot reach (\S+) at \S+ on port /,
    ([from = "", to = ""]) => `${from} apart from ${to}`,
  ],
  [/^(\S+): SSH to /, ([who]) => `unseen ${who}`],
  [
    /^none of the nodes is a member of the existing cluster \((.*)\): this would bootstrap a second cluster; /,
    ([who], names) => `nobody stays of ${list(names(who))}`,
  ],
  [
    /^all members of the existing cluster \((.*)\) have lost their data: refusing to bootstrap an empty cluster in its place; /,
    ([who], names) => `nothing left of ${list(names(who))}`,
  ],
];

function list(names: readonly string[]): string {
  return [...names].sort().join(",");
}
