import { describe, expect, test } from "vitest";
import { FIRST_CA } from "../../../components/config/types";
import type { HostState } from "../../../components/hosts/host-state";
import { planRotation } from "../../../components/plan/ca-rotation";
import { bare, judged, settled, silent } from "../../support/looks";

/** A member whose process trusts these CAs and whose certificates are of that one. */
const host = (trusts: string, issuer: string) =>
  settled({}, { trusts: trusts.split(" ").filter((name) => name !== ""), issuer });

const rotation = (looks: readonly HostState[], target = "new") =>
  planRotation(new Map(looks.map((look, index) => [`etcd0${index + 1}`, look])), target);

/** The number of the run, or "done", or "refused"; and what certificates are made with. */
const decided = (looks: readonly HostState[], target = "new") => {
  const { signer, beside, plan, findings } = rotation(looks, target);
  const run = /, (\d) of 3: /.exec(plan.join())?.[1] ?? "done";
  return findings.length > 0 ? "refused" : `${run}: ${[signer, ...beside].join(" ")}`;
};

const [OLD, BOTH, SIGNED, NEW] = [
  host(FIRST_CA, FIRST_CA),
  host(`${FIRST_CA} new`, FIRST_CA),
  host(`${FIRST_CA} new`, "new"),
  host("new", "new"),
];

describe("without a rotation", () => {
  test.each([
    ["a cluster that never had one", [OLD, OLD, OLD], FIRST_CA, `done: ${FIRST_CA}`],
    ["one that is done", [NEW, NEW, NEW], "new", "done: new"],
    ["hosts without data", [bare(), bare()], "new", "done: new"],
    ["a host that does not answer", [OLD, silent(), OLD], FIRST_CA, `done: ${FIRST_CA}`],
    [
      "a rebuilt host",
      [NEW, bare({ trusts: [FIRST_CA], issuer: FIRST_CA }), NEW],
      "new",
      "done: new",
    ],
    ["hosts that say nothing", [settled(), settled()], "new", "done: new"],
  ])("%s has one CA", (_, looks, target, expected) => {
    expect(decided(looks, target)).toBe(expected);
    expect(rotation(looks, target).plan).toEqual([]);
  });
});

describe("a rotation", () => {
  test.each([
    ["trust both, the old one signs", [OLD, OLD, OLD], `1: ${FIRST_CA} new`],
    ["go on where some do not trust both yet", [BOTH, OLD, BOTH], `1: ${FIRST_CA} new`],
    ["sign when all trust both", [BOTH, BOTH, BOTH], `2: new ${FIRST_CA}`],
    ["go on signing where some are of the old one", [SIGNED, BOTH, SIGNED], `2: new ${FIRST_CA}`],
    ["forget when all are signed", [SIGNED, SIGNED, SIGNED], "3: new"],
    ["go on forgetting", [NEW, SIGNED, SIGNED], "3: new"],
  ])("makes the members %s", (_, looks, expected) => {
    expect(decided(looks)).toBe(expected);
  });

  test.each([
    ["is not seen to trust both", [BOTH, silent(), BOTH], `1: ${FIRST_CA} new`],
    ["has lost its marks", [BOTH, settled(), BOTH], `1: ${FIRST_CA} new`],
    ["is not seen while one of two is signed", [SIGNED, silent(), BOTH], `1: ${FIRST_CA} new`],
    ["is not seen while most are signed", [SIGNED, silent(), SIGNED, BOTH], `2: new ${FIRST_CA}`],
    ["is not seen to be signed", [SIGNED, silent(), SIGNED], `2: new ${FIRST_CA}`],
    [
      "has lost the mark of its issuer",
      [SIGNED, settled({}, { trusts: [FIRST_CA, "new"] })],
      "2: ",
    ],
    ["is not seen while others have forgotten", [NEW, silent(), SIGNED], "3: new"],
  ])("waits, or goes on, for a host that %s", (_, looks, expected) => {
    expect(decided(looks)).toContain(expected);
  });

  test("names the host that it waits for", () => {
    expect(rotation([BOTH, silent(), BOTH]).plan.join()).toContain("; waits for etcd02; ");
    expect(rotation([BOTH, OLD, BOTH]).plan.join()).not.toContain("waits");
  });

  test.each([
    ["before all trust both", [OLD, bare()], `1: ${FIRST_CA} new`],
    ["when all others do", [BOTH, bare(), BOTH], `2: new ${FIRST_CA}`],
    ["when all others are signed", [SIGNED, bare(), SIGNED], "3: new"],
  ])("takes a new or rebuilt host along, %s", (_, looks, expected) => {
    expect(decided(looks)).toBe(expected);
  });

  test("never has the old CA sign again when a host comes back from an old copy of its disk", () => {
    expect(decided([NEW, NEW, OLD])).toBe("3: new");
  });

  test.each([
    ["before anybody trusts both", [NEW, OLD, OLD], "etcd01"],
    ["before anybody is signed", [BOTH, NEW, BOTH], "etcd02"],
    ["while one host is not seen", [BOTH, NEW, silent()], "etcd02"],
  ])(
    "is not ended by one host that has forgotten the old CA %s, and names it",
    (_, looks, name) => {
      const { findings, signer, beside } = rotation(looks);
      expect(findings.join()).toContain(`${name}: reports trusting "new" alone`);
      expect(findings).toHaveLength(1);
      // The run is refused, so nothing is made with these.
      expect([signer, ...beside]).toEqual(["new"]);
    },
  );

  test.each([
    ["before anyone trusts both", [OLD, OLD], `done: ${FIRST_CA}`],
    ["while some do", [BOTH, OLD], `3: ${FIRST_CA}`],
    ["when all do and none is signed", [BOTH, BOTH], `3: ${FIRST_CA}`],
    ["when some are signed", [SIGNED, BOTH], `2: ${FIRST_CA} new`],
    ["when some have forgotten: they learn anew", [NEW, SIGNED], `1: new ${FIRST_CA}`],
  ])("can be taken back %s", (_, looks, expected) => {
    expect(decided(looks, FIRST_CA)).toBe(expected);
  });

  test("to a third CA waits for the one that is under way", () => {
    expect(rotation([BOTH, OLD], "third").findings).toEqual([
      'etcd:pki.rotate is "third", but a CA rotation is in progress between the first CA and "new"; set it to one of these until it is done',
    ]);
    expect(decided([NEW, NEW], "third")).toBe("1: new third");
  });

  test("comes with the findings, the plan and the CAs of the survey", () => {
    expect(judged({ a: OLD, b: OLD }, { authority: "new" })).toMatchObject({
      findings: [],
      rotation: { signer: FIRST_CA, beside: ["new"] },
      summary: [expect.stringContaining("1 of 3: members trust both CAs")],
    });
    expect(judged({ a: BOTH }, { authority: "third" }).findings).toHaveLength(1);
  });
});
