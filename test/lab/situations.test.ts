/**
 * Each situation of the library by itself: it is not there before, it is there when it was made, and it leaves the host as it was. One that
 * the program refuses is refused, in the words that the library has for it.
 */
import { beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { type Given, SITUATIONS } from "./support/situations/library";
import { bring, configureFor, expectRefused, takeAway } from "./support/situations/scene";
import type { Situation } from "./support/situations/situation";
import { hosts } from "./support/stack";

const stack = freshStack("situations");
const { lab } = stack;
let bare: string[][];

beforeEach(async () => {
  bare = await hostStates(lab, false);
  // What one that failed has left is not the next one's.
  onTestFailed(async () => {
    await lab.reset();
  });
});

/** One on each host; the hosts look at each other, so those that others speak of have a round of their own. */
function roundsOf(all: readonly Situation[]): Given[] {
  const rounds: Map<string, Situation[]>[] = [];
  const speaksOfOthers = ({ refused }: Situation) =>
    refused?.("etcd01", hosts).some(({ host }) => host !== "etcd01") ?? false;
  const together = all.filter((one) => !speaksOfOthers(one));
  for (let index = 0; index < together.length; index += hosts.length) {
    const round = together.slice(index, index + hosts.length);
    rounds.push(new Map(round.map((one, at) => [hosts[at] ?? "", [one]])));
  }
  return [...rounds, ...all.filter(speaksOfOthers).map((one) => new Map([["etcd02", [one]]]))];
}

const named = (rounds: readonly Given[]) =>
  rounds.map((given) => ({
    given,
    name: [...given].map(([host, [one]]) => `${host} ${one?.name}`).join("; "),
  }));

async function expectBare(): Promise<void> {
  const now = await hostStates(lab, false);
  for (const [index, host] of hosts.entries()) {
    const { added, gone } = difference(bare[index] ?? [], now[index] ?? []);
    expect({ added, gone }, host).toEqual({ added: [], gone: [] });
  }
}

async function expectAbsent(given: Given): Promise<void> {
  for (const [host, all] of given) {
    for (const one of all) {
      expect(await one.inForce({ lab, host }), `${host} ${one.name}`).toBe(false);
    }
  }
}

describe("that the program works in", () => {
  const works = SITUATIONS.filter(({ refused }) => refused === undefined);
  test.each(named(roundsOf(works)))("$name", async ({ given }) => {
    await expectAbsent(given);
    await bring(lab, given);
    await takeAway(lab, given);
    await expectBare();
  });
});

describe("that the program refuses", () => {
  const refused = SITUATIONS.filter((one) => one.refused !== undefined);
  test.each(named(roundsOf(refused)))("$name", async ({ given }) => {
    await expectAbsent(given);
    await bring(lab, given);
    await configureFor(stack, given);
    await expectRefused(stack.preview(), given);
    await takeAway(lab, given);
    await expectBare();
  });
});
