/**
 * Random mixtures: clusters on hosts that are each in two to four situations of the library at once. Where one of them is refused, all
 * reasons are named on all hosts, nothing is touched, and once they are mended the rest of the mixture is worked in: a create, a case of drift,
 * a roll and a destroy. CLUSTERS of them (2) from SEED (1); `npm run campaign -- mixture` takes forty, and a new seed each time.
 */
import { describe, expect, test } from "vitest";
import { generator } from "../support/random";
import { DRIFT_CASES, type DriftCase } from "./support/drift-cases";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { type Given, SITUATIONS } from "./support/situations/library";
import {
  bring,
  configureFor,
  expectAllInForce,
  expectRefused,
  takeAway,
} from "./support/situations/scene";
import type { Situation } from "./support/situations/situation";
import { hosts, MAIN_PID, on, onAll, printed, Stack, succeed } from "./support/stack";

const { lab } = freshStack("mixture");
const seed = Number(process.env.SEED ?? 1);
const clusters = Number(process.env.CLUSTERS ?? 2);
const TIMEOUT_MS = 600_000;

/** Left by the program as its documentation has it, by apt, or by the case of drift. */
const MAY_STAY = /^\/(var\/backups\/etcd|var\/lib\/apt|opt\/other)( |\/)/;

interface Mixture {
  readonly given: Given;
  readonly drift: DriftCase;
  readonly driftsOn: string;
}

/** The same for the same number, whichever others are made. */
function mixture(number: number): Mixture {
  const random = generator(seed * 1000 + number);
  const draw = <T>(all: readonly T[]): T | undefined => all[Math.floor(random() * all.length)];
  // In half of them nothing is refused: those have the most of what works at once.
  const all = random() < 0.5 ? SITUATIONS : SITUATIONS.filter(({ refused }) => !refused);
  const given = new Map(
    hosts.map((host): [string, readonly Situation[]] => {
      const drawn: Situation[] = [];
      for (let count = 2 + Math.floor(random() * 3); count > 0; count--) {
        const next = draw(all.filter((one) => fits(one, drawn)));
        drawn.push(...(next === undefined ? [] : [next]));
      }
      return [host, drawn];
    }),
  );
  const driftsOn = draw(hosts) ?? "";
  const here = workedIn(given).get(driftsOn) ?? [];
  const drift = draw(
    DRIFT_CASES.filter(({ change, look }) =>
      here.every(({ of }) => !of.some((thing) => `${change} ${look}`.includes(thing))),
    ),
  );
  if (drift === undefined) {
    throw new Error("no case of drift is left");
  }
  return { given, drift, driftsOn };
}

function fits({ of }: Situation, drawn: readonly Situation[]): boolean {
  return drawn.every((one) => !one.of.some((thing) => of.includes(thing)));
}

function those(given: Given, which: (one: Situation) => boolean): Given {
  return new Map([...given].map(([host, all]) => [host, all.filter(which)]));
}

const workedIn = (given: Given) => those(given, ({ refused }) => refused === undefined);

function words(given: Given): string {
  return [...given]
    .map(([host, all]) => `${host} ${all.map(({ name }) => name).join(", ")}`)
    .join("; ");
}

/** No line of the first is missing in the second, and no line is more, but for what may stay. */
async function expectSame(before: readonly string[][], times: boolean): Promise<void> {
  const after = await hostStates(lab, times);
  for (const [index, host] of hosts.entries()) {
    const { added, gone } = difference(before[index] ?? [], after[index] ?? []);
    const more = added.filter((line) => times || !MAY_STAY.test(line));
    expect({ added: more, gone }, host).toEqual({ added: [], gone: [] });
  }
}

/** What the situations that are refused make of a run; then they are taken away. */
async function refuse(stack: Stack, given: Given): Promise<Given> {
  const before = await hostStates(lab, true);
  await expectRefused(stack.preview(), given);
  await expectRefused(stack.up(), given);
  await expectSame(before, true);
  expect(await stack.exportState()).not.toContain("remote:Command");
  await takeAway(
    lab,
    those(given, ({ refused }) => refused !== undefined),
  );
  return workedIn(given);
}

/** It is seen, and one up takes it back. */
async function drifts(stack: Stack, { drift, driftsOn }: Mixture): Promise<void> {
  const look = async () => (await lab.exec(driftsOn, drift.look)).stdout.trimEnd();
  const before = await look();
  await on(lab, driftsOn, drift.change);
  expect(await look()).not.toBe(before);
  expect(printed(await succeed(stack.preview()))).toContain(`${driftsOn}: ${drift.words}`);
  await succeed(stack.up({ timeoutMs: TIMEOUT_MS }));
  expect(await look()).toBe(before);
}

describe(`${clusters} clusters of seed ${seed}`, () => {
  test.each(Array.from({ length: clusters }, (_, index) => index + 1))(
    "cluster %i",
    async (number) => {
      const drawn = mixture(number);
      const began = Date.now();
      process.stdout.write(
        `cluster ${number} of seed ${seed}: ${words(drawn.given)}; ${drawn.driftsOn} drifts: ${drawn.drift.what}\n`,
      );
      await lab.reset();
      const stack = new Stack(lab, `mixture-${number}`);
      await stack.create();
      const values = { destroy: { snapshot: false } };
      let given = drawn.given;
      await bring(lab, given);
      await configureFor(stack, given, values);
      const refused = [...given.values()].flat().filter((one) => one.refused !== undefined);
      if (refused.length > 0) {
        given = await refuse(stack, given);
        await configureFor(stack, given, values);
      }
      const bare = await hostStates(lab, false);
      await succeed(stack.up({ timeoutMs: TIMEOUT_MS }));
      await succeed(stack.previewNothing());
      await drifts(stack, drawn);
      const before = await onAll(lab, MAIN_PID);
      await configureFor(stack, given, { ...values, settings: { "heartbeat-interval": 90 } });
      await succeed(stack.up({ timeoutMs: TIMEOUT_MS }));
      for (const [index, pid] of (await onAll(lab, MAIN_PID)).entries()) {
        expect(pid).not.toBe(before[index]);
      }
      await succeed(stack.previewNothing());
      await succeed(stack.destroy({ timeoutMs: TIMEOUT_MS }));
      await expectSame(bare, false);
      await expectAllInForce(lab, given);
      process.stdout.write(
        `cluster ${number}: ${refused.length} refused, then made, repaired, rolled and destroyed in ${Math.round((Date.now() - began) / 1000)} s\n`,
      );
    },
    TIMEOUT_MS,
  );
});
