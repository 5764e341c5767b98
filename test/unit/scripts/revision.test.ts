/** What TypeScript writes for a step is what the step reads, and a reason changes nothing. */
import { describe, expect, test } from "vitest";
import {
  formatRevision,
  isRevision,
  MODES,
  type Mode,
  type RevisedStep,
  type Revision,
  revisionTime,
} from "../../../components/scripts/revision";
import { PaperCluster, type PaperMember, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";
import { generator } from "../../support/random";

const whyNone = whyNot();
const STEPS: readonly RevisedStep[] = ["install", "member", "health", "lost"];
const TIME = "2026-11-22T10:20:30Z";
const ROUNDS = 5;

const random = generator(20261122);
const below = (limit: number) => Math.floor(random() * limit);
const some = (letters: string, most: number) =>
  Array.from({ length: 1 + below(most) }, () => letters[below(letters.length)]).join("");
const id = () => some("0123456789abcdef", 16);
const path = () => `/${some("abzAZ09_.+-/", 200)}`;
const names = () => Array.from({ length: 1 + below(5) }, () => some("abz09-", 60));
const time = () => revisionTime(new Date(below(4e12)));
const reason = () => some("ab #='\"$`\\*?[]{}!;&|<>~\u00e9, ", 60);

function written<Step extends RevisedStep>(step: Step, revision: Revision<Step>) {
  const { mode, time: when = "", values = {} } = revision;
  const pairs = Object.entries(values).map(([name, value]) => [name, String(value)].join(" "));
  return { step, mode, text: formatRevision(step, revision), read: [mode, when, ...pairs] };
}

const round = () => [
  written("install", { mode: "create", time: time() }),
  written("install", { mode: "repair", time: time(), reason: reason() }),
  written("install", { mode: "renew", time: time(), reason: reason() }),
  written("member", { mode: "bootstrap", time: time() }),
  written("member", { mode: "uninspected", time: time(), reason: reason() }),
  written("member", { mode: "join", time: time() }),
  written("member", { mode: "join", time: time(), values: { rebuilt: names() } }),
  written("member", { mode: "start-unchecked", time: time(), reason: reason() }),
  written("member", { mode: "move", time: time(), reason: reason() }),
  written("member", { mode: "rebuild", time: time(), values: { member: id() } }),
  written("member", { mode: "recover", time: time(), values: { cluster: id() } }),
  written("member", {
    ...{ mode: "recover", time: time(), reason: reason() },
    values: { cluster: id(), snapshot: path() },
  }),
  written("member", { mode: "join-recovered", time: time(), values: { cluster: id() } }),
  written("member", { mode: "snapshot-first", time: time(), reason: reason() }),
  written("member", { mode: "change", time: time() }),
  written("member", { mode: "repair", time: time(), reason: reason() }),
  written("member", { mode: "renew", time: time(), reason: reason() }),
  written("health", { mode: "gate" }),
  written("health", { mode: "gate", time: time(), reason: reason() }),
  written("lost", { mode: "lost" }),
];
const CASES = Array.from({ length: ROUNDS }, round).flat();

/** What no step takes, or not this one. */
const WRONG: readonly (readonly [RevisedStep, string])[] = [
  ["member", ""],
  ["member", "join"],
  ["member", `create ${TIME}`],
  ["install", `bootstrap ${TIME}`],
  ["install", "create"],
  ["member", `Join ${TIME}`],
  ["member", ` join ${TIME}`],
  ["member", `join  ${TIME}`],
  ["member", `join ${TIME} `],
  ["member", "join now"],
  ["member", `joined ${TIME}`],
  ["member", `join ${TIME} rebuilt=`],
  ["member", `join ${TIME} rebuilt=etcd02 rebuilt=etcd03`],
  ["member", `join ${TIME} cluster=cafe`],
  ["member", `recover ${TIME}`],
  ["member", `recover ${TIME} snapshot=/root/s.db`],
  ["member", `recover ${TIME} snapshot=/root/s.db cluster=cafe`],
  ["member", `recover ${TIME} cluster=$(id)`],
  ["member", `join ${TIME}# a reason`],
  ["member", `join ${TIME} a reason`],
  // Of an earlier release.
  ["member", `new cluster, ${TIME}`],
  ["member", `join, ${TIME}`],
  ["member", `recover first cafe /root/s.db, ${TIME}`],
  ["member", `rebuild a2, ${TIME}`],
  ["member", `move: 192.168.1.85 to 192.168.1.99, ${TIME}`],
  ["install", `repair: /etc/hosts changed, ${TIME}`],
  ["health", `gate again: what it said before is not understood, ${TIME}`],
];

test("every mode is among the cases", () => {
  const modes = (step: RevisedStep) =>
    new Set(CASES.filter((one) => one.step === step).map(({ mode }) => mode));
  expect(STEPS.map((step) => [...modes(step)].sort())).toEqual(
    STEPS.map((step) => Object.keys(MODES[step]).sort()),
  );
});

test("nothing is written that no step takes", () => {
  expect(() => formatRevision("member", { mode: "join" })).toThrow('"join" is no revision of');
  expect(() =>
    formatRevision("member", { mode: "recover", time: TIME, values: { cluster: "a b" } }),
  ).toThrow("is no revision of the step member");
  expect(() =>
    formatRevision("member", { mode: "join", time: TIME, values: { cluster: "cafe" } }),
  ).toThrow("is no revision of the step member");
  for (const [step, text] of WRONG) {
    expect({ text, taken: isRevision(step, text) }).toEqual({ text, taken: false });
  }
});

describe.skipIf(whyNone !== undefined)(`read_revision${whyNone ? ` (${whyNone})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);

  /** What the step's script says of each of these, with `call` for each. */
  const each = (step: RevisedStep, texts: readonly string[], call: string): readonly string[] => {
    host.write("/var/paper/revisions", `${texts.join("\n")}\n`);
    const { stdout } = host.run(step, [
      "eval",
      `while IFS= read -r text; do ${call}; done </var/paper/revisions`,
    ]);
    return stdout.trimEnd().split("\n");
  };

  test.each(STEPS)("of the step %s finds the mode, time and values that were written", (step) => {
    const own = CASES.filter((one) => one.step === step);
    const found = each(
      step,
      own.map(({ text }) => text),
      `read_revision "$text"; printf '%s' "\${REVISION[mode]}|\${REVISION[time]}"
        for name in cluster member rebuilt snapshot; do [ -z "\${REVISION[$name]-}" ] || printf '|%s' "$name \${REVISION[$name]}"; done; echo`,
    );
    expect(found).toEqual(own.map(({ read }) => read.join("|")));
  });

  test.each(STEPS)("of the step %s refuses all else", (step) => {
    const wrong = WRONG.filter(([of]) => of === step).map(([, text]) => text);
    const texts = [
      ...wrong,
      ...CASES.filter((one) => one.step !== step && one.step !== "install").map(({ text }) => text),
    ].filter((text) => !isRevision(step, text));
    expect(texts.length).toBeGreaterThan(5);
    const found = each(
      step,
      texts,
      `if (read_revision "$text") 2>/dev/null; then echo "$text"; else echo; fi`,
    );
    expect(found.join("")).toBe("");
  });

  test.each(STEPS)(
    "of the step %s knows the modes and values of the table, and no other",
    (step) => {
      const modes: Readonly<Record<string, Mode>> = MODES[step];
      const known = Object.entries(modes).map(([mode, { values = [], time }]) =>
        [`${mode}${time === undefined ? "" : "?"}`, ...values].join(":"),
      );
      const { stdout } = host.run(step, ["eval", 'echo "$STEP_MODES"']);
      expect(stdout.trim().split(" ").sort()).toEqual(known.sort());
    },
  );

  test.each([
    ["member", "new cluster, 2026-11-22T10:20:30Z"],
    ["install", "create, 2026-11-22T10:20:30Z"],
    ["health", "gate again: x"],
    ["lost", "member"],
  ] as const)("has the step %s end before it does anything, with a clear message", (step, text) => {
    const before = host.sh("find /var/lib /etc -newer /var/paper | sort");
    // The preflight comes first, and has its own words.
    const call = `refuse_unfit() { :; }; apply '${text}'`;
    expect(host.run(step, ["eval", call], { ...RUNNING, MARK: "0badcafe" })).toEqual({
      status: 1,
      stdout: "",
      stderr: `etcd01: cannot apply "${text}", which is none of this step's revisions, so nothing was changed. Another release of this program wrote it; run pulumi up with etcd:drift true, which inspects the hosts and makes a new one\n`,
    });
    expect(host.sh("find /var/lib /etc -newer /var/paper | sort")).toBe(before);
    expect(host.sh("cat /var/paper/systemctl 2>/dev/null || true")).toBe("");
  });

  const REASONS = [
    "x",
    "join 2026-11-22T10:20:30Z rebuilt=etcd01,etcd02 # snapshot-first, recover first cafe; move: a to b",
  ];
  const own: PaperMember = { id: "a4", name: "etcd04", address: "192.168.1.86" };
  const FOURTH = { ...RUNNING, NODE: "etcd04", ADDRESS: "192.168.1.86" };
  const now = revisionTime(new Date());
  const stubs =
    "install_files() { :; }; bootstrap_recovered() { echo bootstrap_recovered $*; }; join_recovered() { echo join_recovered $*; };";

  test.each([
    ["first_start of a new cluster", { mode: "bootstrap", time: now }, "first_start", {}],
    ["first_start without an inspection", { mode: "uninspected", time: now }, "first_start", {}],
    ["first_start of a repair", { mode: "repair", time: now }, "first_start", {}],
    [
      "first_start beside a cluster",
      { mode: "join", time: now },
      "first_start",
      { members: THREE, leader: "a2" },
    ],
    [
      "first_start and remove_blockers beside rebuilt hosts",
      { mode: "join", time: now, values: { rebuilt: ["etcd03"] } },
      "first_start",
      { members: [...THREE, own], leader: "a2", sick: ["192.168.1.86", "192.168.1.85"] },
    ],
    [
      "recover",
      { mode: "recover", time: now, values: { cluster: "cafe", snapshot: "/root/s.db" } },
      `${stubs} recover`,
      {},
    ],
    [
      "recover of another host",
      { mode: "join-recovered", time: now, values: { cluster: "cafe" } },
      `${stubs} recover`,
      {},
    ],
    [
      "rebuild",
      { mode: "rebuild", time: now, values: { member: "a1" } },
      "data_identity() { echo cafe a1; }; rebuild",
      { members: THREE, leader: "a2", sick: ["192.168.1.85"] },
    ],
    ["address_changes", { mode: "change", time: now }, "if address_changes; then echo yes; fi", {}],
    [
      "a snapshot before a change of the version",
      { mode: "repair", time: now },
      "if mode snapshot-first; then echo yes; fi",
      {},
    ],
  ] satisfies readonly (readonly [string, Revision<"member">, string, object])[])(
    "another reason changes nothing in %s",
    (_, revision, call, state) => {
      const outcomes = REASONS.map((reason) => {
        cluster.is(state);
        host.sh(`rm -rf /var/lib/etcd /var/lib/etcd.* ${STATE}; mkdir -p ${STATE} /var/lib/etcd/member/snap
          printf '%s\\n' 'etcd01 192.168.1.83' 'etcd02 192.168.1.84' 'etcd03 192.168.1.85' 'etcd04 192.168.1.86' >${STATE}/nodes
          cd /var/paper; : >systemctl; echo 0 >property-NRestarts; echo inactive >property-ActiveState
          echo 'echo active >/var/paper/property-ActiveState' >on-start`);
        const text = formatRevision("member", { ...revision, reason });
        const outcome = cluster.run("member", `read_revision '${text}'; ${call}`, FOURTH);
        return {
          outcome,
          changes: cluster.changes(),
          systemctl: host.sh("cat /var/paper/systemctl"),
          files: host.sh(`cd /; find var/lib/etcd* ${STATE} -type f -exec sha256sum {} + | sort`),
        };
      });
      expect(outcomes[1]).toEqual(outcomes[0]);
    },
  );
});
