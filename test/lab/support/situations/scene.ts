/** Hosts that are brought into situations of the library, several at once, and what these make of a run. */
import { expect } from "vitest";
import { hostAddress, type Lab, type Result } from "../../../support/lab";
import { hosts, on, refuse, type Stack, type Values } from "../stack";
import { type Given, SITUATIONS } from "./library";
import { type Finding, type Place, type Situation, textOf } from "./situation";

/** Makes them on all hosts at once. @throws with those that are not in force then */
export async function bring(lab: Lab, given: Given): Promise<void> {
  await Promise.all(
    [...given].map(async ([host, all]) => {
      const place = { lab, host };
      for (const one of SITUATIONS.filter((each) => all.includes(each))) {
        await one.prepare?.(place);
        await on(lab, host, `set -e\n${textOf(one.make, place)}`);
        await expectInForce(place, one, true);
      }
    }),
  );
}

/** Takes them away again. @throws with those that are in force even then */
export async function takeAway(lab: Lab, given: Given): Promise<void> {
  await Promise.all(
    [...given].map(async ([host, all]) => {
      const place = { lab, host };
      for (const one of SITUATIONS.filter((each) => all.includes(each)).reverse()) {
        await on(lab, host, textOf(one.undo, place));
        await expectInForce(place, one, false);
      }
    }),
  );
}

/** @throws when one of them is not there any more */
export async function expectAllInForce(lab: Lab, given: Given): Promise<void> {
  for (const [host, all] of given) {
    for (const one of all.filter(({ passing }) => passing === undefined)) {
      await expectInForce({ lab, host }, one, true);
    }
  }
}

async function expectInForce(place: Place, one: Situation, wanted: boolean): Promise<void> {
  if ((await one.inForce(place)) !== wanted) {
    throw new Error(`${place.host} ${one.name}: ${wanted ? "not in force" : "still in force"}`);
  }
}

/** Configures the stack for hosts in these situations, with `values` on top. */
export async function configureFor(stack: Stack, given: Given, values: Values = {}): Promise<void> {
  const { lab } = stack;
  const all = [...given.values()].flat();
  const node = (host: string) =>
    merged((given.get(host) ?? []).map(({ ssh }) => ssh?.({ lab, host })));
  stack.configure({
    ...merged(all.map(({ values: own }) => own)),
    nodes: hosts.map((name) => ({ name, address: hostAddress(name), ssh: node(name) })),
    ...values,
  });
  for (const [name, word] of Object.entries(merged(all.map(({ secrets }) => secrets)))) {
    await stack.secret(`ssh.${name}`, word);
  }
}

function merged<T>(parts: readonly (Readonly<Record<string, T>> | undefined)[]) {
  return Object.fromEntries(parts.flatMap((part) => Object.entries(part ?? {})));
}

/** All that a refused preview says of hosts in these situations. */
export function findingsOf(given: Given): readonly Finding[] {
  const hidden = new Set(
    [...given].filter(([, all]) => all.some(({ hides }) => hides)).map(([host]) => host),
  );
  return [...given].flatMap(([host, all]) =>
    all.flatMap(({ refused, hides }) => {
      const others = hosts.filter((other) => other !== host);
      const findings = refused?.(host, others) ?? [];
      return hides === true
        ? findings
        : findings.filter(({ host: by, about }) => !hidden.has(by) && !hidden.has(about ?? by));
    }),
  );
}

/** The run fails before it touches anything, and says all that hosts in these situations want said and nothing else. */
export async function expectRefused(running: Promise<Result>, given: Given): Promise<void> {
  const message = await refuse(running);
  expect(message).toContain("preflight checks failed; no host was changed:");
  const wanted = findingsOf(given).map(({ host, says }) =>
    typeof says === "string"
      ? `${host}: ${says}`
      : expect.stringMatching(
          new RegExp(says.source.replace(/^\^?/, (start) => `^${host}: ${start ? "" : ".*"}`)),
        ),
  );
  const listed = [...new Set([...message.matchAll(/^ *- (.*)$/gm)].map(([, line = ""]) => line))];
  expect(listed).toHaveLength(wanted.length);
  expect(listed).toEqual(expect.arrayContaining(wanted));
}
