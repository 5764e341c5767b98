import { type Expectation, judge } from "../../components/judge";
import type { Look } from "../../components/look";
import { FIRST } from "../../components/rotation";
import type { StepName } from "../../components/step";
import { node } from "./fixtures";

/** When these looks were taken. */
export const NOW = new Date("2026-11-22T10:20:30.456Z");
/** The same, as revisions have it. */
export const STAMP = "2026-11-22T10:20:30Z";
const LASTING: readonly StepName[] = ["host", "binaries", "files", "member"];

export type Seen = Extract<Look, { seen: true }>;
export type Certificates = Seen["certificates"];

/** A host that nothing was ever done to. */
export const bare = (change: Partial<Seen> = {}): Seen => ({
  seen: true,
  formed: false,
  findings: [],
  receipts: new Map(),
  unit: ["etcd.service is inactive", "etcd.service is not-found"],
  leader: false,
  empty: true,
  members: [],
  nodes: [],
  known: [],
  certificates: [],
  ...change,
});

/** A host with a running member, as all steps left it, but for this drift. */
export const settled = (
  drift: Partial<Record<StepName, readonly string[]>> = {},
  change: Partial<Seen> = {},
): Seen => ({
  seen: true,
  formed: true,
  findings: [],
  receipts: new Map(
    LASTING.map((step) => [step, { revision: `${step} before`, drift: drift[step] ?? [] }]),
  ),
  unit: [],
  leader: false,
  empty: false,
  members: [],
  nodes: [],
  known: [],
  certificates: [],
  ...change,
});

/** A host that does not answer, or with another key. */
export const silent = (distrusted = false): Look => ({
  seen: false,
  distrusted,
  reason: "no SSH session as root@192.0.2.1:22: Connection timed out",
});

export const EXPECTED: Expectation = {
  nodes: [node(1), node(2), node(3)],
  version: "3.6.16",
  wanted: new Map(),
  former: [],
  warnHours: 720,
  renewalHours: 48,
  authority: FIRST,
  subject: {},
};

export const judged = (looks: Record<string, Look>, expected: Partial<Expectation> = {}) =>
  judge(new Map(Object.entries(looks)), NOW, { ...EXPECTED, ...expected });
