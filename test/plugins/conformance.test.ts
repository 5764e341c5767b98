import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Props } from "../../lab/plugins/shared/values";
import { differences } from "./support/compare";
import { mutants } from "./support/mutants";
import { recordings, title } from "./support/recordings";
import { describeFor, Replay } from "./support/replay";

const calls = recordings();
let replay: Replay;

beforeAll(async () => {
  replay = await Replay.start();
}, 60_000);

afterAll(() => replay.stop());

describe("the stand-ins answer as the official plugins did", () => {
  it("finds the recorded calls", () => {
    expect(calls.length).toBe(179);
    expect(new Set(calls.map(({ plugin, method }) => `${plugin} ${method}`)).size).toBe(16);
  });

  it.each(calls.map((call, index) => ({ call, name: `${index + 1}: ${title(call)}` })))(
    "$name",
    async ({ call }) => {
      const answer = await replay.answer(call);
      expect(differences(replay.expected(call), answer, describeFor(call))).toEqual([]);
    },
  );
});

describe("the comparison notices", () => {
  const kinds = ["a missing property", "an added property", "another secretness", "another value"];

  it.each(kinds)(
    "%s, in every recorded answer that has a place for it",
    async (kind) => {
      let made = 0;
      for (const call of calls) {
        const expected = replay.expected(call);
        for (const mutant of mutants(expected, kind)) {
          made += 1;
          expect(
            differences(mutant.answer, expected, describeFor(call)),
            `${title(call)}: ${mutant.place}`,
          ).not.toEqual([]);
        }
      }
      expect(made).toBeGreaterThan(100);
    },
    120_000,
  );

  it("an error in place of a response", () => {
    const response: Props = { response: {} };
    const errors: Props = { errors: ["rpc error: code = Unknown desc = no"] };
    expect(differences(response, errors, (value) => value)).toHaveLength(2);
  });
});
