/**
 * One host of three lies: whatever it says, the steps of the two others are as without it, or the run is refused; and a line
 * names the host that lies or is broken.
 */
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import type { HostState } from "../../../components/hosts/host-state";
import { readAnswer } from "../../../components/hosts/probe-output";
import { refuseOthers } from "../../../components/ownership";
import { node } from "../../support/fixtures";
import { BEFORE, judged } from "../../support/looks";

const CLOCK = 1_795_739_939_000;
const TOKEN = "etcd-cluster-0badcafe";
const url = (number: number) => `https://192.168.1.${82 + number}:2380`;
const member = (number: number, learner = false) =>
  `member etcd0${number} ${url(number)} ${learner} yes a${number}`;

/** What a host in order says; etcd02 leads. */
const honest = (number: number): readonly string[] => [
  `clock ${CLOCK}`,
  "bootstrapped",
  ...[1, 2, 3].map((one) => `node etcd0${one} 192.168.1.${82 + one}`),
  `installed ${DEFAULT_VERSION}`,
  `data cafe a${number}`,
  `identity cafe a${number}`,
  ...[1, 2, 3].map((one) => `peer-urls-seen ${url(one)}`),
  `token ${TOKEN}`,
  "trusts - 2027",
  "issuer -",
  "revision 7",
  `version ${DEFAULT_VERSION}`,
  `runs cafe a${number} a2`,
  ...(number === 2 ? ["leader"] : []),
  ...[1, 2, 3].map((one) => member(one)),
  ...(["host", "binaries", "files", "member"] as const).map(
    (name) => `receipt ${name} ${BEFORE[name === "member" ? name : "install"]}`,
  ),
];

/** The lines of etcd01 without those of some words, and with others. */
const lie = (words: string, ...lines: readonly string[]): readonly string[] =>
  honest(1)
    .filter((line) => !words.split(" ").includes(line.split(" ")[0] ?? ""))
    .concat(lines);

const FORGED: readonly (readonly [string, readonly string[]])[] = [
  ["nothing", []],
  ["only noise", ["Welcome to etcd01"]],
  ["a word of no grammar", lie("", "reboot etcd02")],
  ["an escape sequence for a word", lie("", "\u001b[2J")],
  ["a flood of findings", lie("").concat(Array<string>(300_000).fill("finding x"))],
  ["a flood of members", lie("", ...Array<string>(100).fill(member(4)))],
  ["a line without an end", lie("", `unit ${"x".repeat(900_000)}`)],
  ["escape sequences in prose", lie("", "unit \u001b]0;no changes\u0007\u009b2J")],
  [
    "that the cluster was given up",
    lie("recovered data identity", "recovered cafe", "data f00d b1"),
  ],
  [
    "that it was given up for a cluster of its own, which it leads",
    lie(
      "data identity runs member",
      ...["recovered cafe", "data f00d b1", "identity f00d b1", "runs f00d b1 b1", "leader"],
      `member etcd01 ${url(1)} false yes b1`,
    ),
  ],
  [
    "a cluster of its own with the ID of the real one",
    lie("runs member", "runs cafe a1 a1", "leader", member(1)),
  ],
  ["a list without etcd03", lie("member", member(1), member(2))],
  ["a list without the others, as the leader", lie("member", "leader", member(1))],
  [
    "a list in which etcd03 is elsewhere",
    lie("member", member(1), member(2), "member etcd03 https://192.168.1.99:2380 false yes a3"),
  ],
  ["a list in which etcd03 is a learner", lie("member", member(1), member(2), member(3, true))],
  ["a list with one more voter", lie("", "member etcd09 https://192.168.1.91:2380 false yes a9")],
  ["a list with a learner at the address of etcd03", lie("", `member - ${url(3)} true no a9`)],
  [
    "a list with exchanged names",
    lie(
      "member",
      member(1),
      `member etcd03 ${url(2)} false yes a2`,
      `member etcd02 ${url(3)} false yes a3`,
    ),
  ],
  [
    "a list with other IDs",
    lie("member", member(1), member(2), `member etcd03 ${url(3)} false yes a9`),
  ],
  ["a list of another cluster", lie("runs", "runs f00d a1 a2")],
  ["shell text for a peer URL", lie("", "member x https://x'&id>pwned;':2380 false yes a9")],
  ["that it leads", lie("runs", "runs cafe a1 a1", "leader")],
  ["that it leads, with the leader's ID", lie("runs", "runs cafe a2 a2", "leader")],
  ["that it runs etcd03's member", lie("runs", "runs cafe a3 a2")],
  ["data of etcd03's member", lie("data", "data cafe a3")],
  [
    "data and identity of etcd03's member",
    lie("data identity", "data cafe a3", "identity cafe a3"),
  ],
  ["data of another cluster", lie("data identity", "data f00d b1", "identity f00d b1")],
  ["data that nobody made", lie("data identity bootstrapped", "data cafe a1 unmanaged")],
  ["that it is rebuilt", lie("data identity bootstrapped runs version member receipt", "empty")],
  ["that it is empty, though it runs", lie("data", "empty")],
  ["another release", lie("version", "version 3.5.0")],
  ["a release of the future", lie("version", "version 999.0.0")],
  ["another stack's token", lie("token", "token etcd-cluster-deadbeef")],
  ["that the old CA is forgotten", lie("trusts issuer", "trusts 2027", "issuer 2027")],
  ["that it does not trust the new CA", lie("trusts", "trusts -")],
  ["a CA that nobody knows", lie("trusts issuer", "trusts x", "issuer x")],
  ["a clock of yesterday", lie("clock", `clock ${CLOCK - 86_400_000}`)],
  ["that etcd02 is unreachable", lie("", "finding unreachable etcd02: cannot reach etcd02")],
];

/** As the look at a host over SSH has it. */
function lookOf(lines: readonly string[]): HostState {
  const look = readAnswer(lines, { started: CLOCK, ended: CLOCK, maximumClockSkew: 2 });
  return typeof look === "string"
    ? { inspected: false, answered: true, reason: `let us in, but said ${look}` }
    : look;
}

async function run(lines: readonly string[]) {
  const looks = { etcd01: lookOf(lines), etcd02: lookOf(honest(2)), etcd03: lookOf(honest(3)) };
  const survey = judged(looks, {
    ...{ nodes: [node(1), node(2), node(3)], version: DEFAULT_VERSION },
    ...{ authority: "2027", formerCluster: "cafe" },
  });
  const tokens = Object.entries(looks).flatMap(([name, look]): [string, string][] =>
    look.inspected && look.token !== undefined ? [[name, look.token]] : [],
  );
  const stranger = await refuseOthers(pulumi.output(TOKEN), new Map(tokens)).then(
    () => [],
    (error: Error) => error.message.split("\n").filter((line) => line.startsWith("  - ")),
  );
  return { ...survey, findings: [...survey.findings, ...stranger] };
}

/** What the run does on the two others. */
const others = ({ nodePlans, rotation }: Awaited<ReturnType<typeof run>>) => ({
  steps: ["etcd02", "etcd03"].map((name) => {
    const verdict = nodePlans.get(name);
    return { hold: verdict?.freeze, revisions: verdict?.revisions, phase: verdict?.phase };
  }),
  // While nothing forbids to go on, no step of a rotation is taken earlier than without the lie.
  early: rotation.beside.length === 0,
});

describe("etcd01 alone says", () => {
  test.each(FORGED)("%s", async (_, lines) => {
    const survey = await run(lines);
    const said = [survey.findings, survey.warnings, survey.repairs, survey.summary].flat();
    expect(said.filter((line) => line.includes("etcd01"))).not.toEqual([]);
    // Nobody else is blamed for it, and nothing in it reaches a terminal.
    expect(survey.findings.filter((line) => /^(?: {2}- )?etcd0[23]\b/.test(line))).toEqual([]);
    expect(said.join("")).not.toMatch(/\p{Cc}/u);
    expect(said.join("").length).toBeLessThan(20_000);
    if (survey.findings.length === 0) {
      expect(others(survey)).toEqual(others(await run(honest(1))));
    }
  });

  test("at least thirty things, and the truth harms nobody either", async () => {
    expect(FORGED.length).toBeGreaterThanOrEqual(30);
    const { findings, warnings, repairs, summary } = await run(honest(1));
    expect({ findings, warnings, repairs }).toEqual({ findings: [], warnings: [], repairs: [] });
    expect(summary).toEqual([
      expect.stringContaining('CA rotation from the first CA to "2027", 2 of 3'),
    ]);
  });
});
