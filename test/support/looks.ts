import { FIRST_CA } from "../../components/config/types";
import type { HostState, InspectedHost } from "../../components/hosts/host-state";
import { unread } from "../../components/hosts/probe-output";
import { type Desired, makePlan } from "../../components/plan/plan";
import { RECEIPTS, type ReceiptName } from "../../components/scripts/steps";
import { node } from "./fixtures";

/** When these looks were taken. */
export const NOW = new Date("2026-11-22T10:20:30.456Z");
/** The same, as revisions have it. */
export const STAMP = "2026-11-22T10:20:30Z";
/** The revisions of a host in order. */
export const BEFORE = {
  install: "repair 2026-11-02T10:00:00Z # /etc/x removed",
  member: "bootstrap 2026-11-01T10:00:00Z",
};

export type Seen = InspectedHost;
export type Certificates = Seen["certificates"];

/** A host that nothing was ever done to. */
export const bare = (change: Partial<Seen> = {}): Seen => ({
  inspected: true,
  bootstrapped: false,
  findings: [],
  receipts: new Map(),
  unit: ["etcd.service is inactive", "etcd.service is not-found"],
  leader: false,
  empty: true,
  members: [],
  nodes: [],
  peerUrlsSeen: [],
  certificates: [],
  ...change,
});

/** A host with a running member, as all steps left it, but for this drift. */
export const settled = (
  drift: Partial<Record<ReceiptName, readonly string[]>> = {},
  change: Partial<Seen> = {},
): Seen => ({
  ...unread(),
  bootstrapped: true,
  receipts: new Map(
    RECEIPTS.map((name) => [
      name,
      { revision: BEFORE[name === "member" ? name : "install"], drift: drift[name] ?? [] },
    ]),
  ),
  ...change,
});

/** A host that does not answer, or with another key. */
export const silent = (answered = false): HostState => ({
  inspected: false,
  answered,
  reason: "SSH to root@192.0.2.1:22 failed: Connection timed out",
});

export const EXPECTED: Desired = {
  nodes: [node(1), node(2), node(3)],
  version: "3.6.14",
  program: "0.1.0",
  wanted: new Map(),
  former: [],
  retired: [],
  warnHours: 720,
  renewalHours: 48,
  authority: FIRST_CA,
  subject: {},
};

export const judged = (looks: Record<string, HostState>, expected: Partial<Desired> = {}) =>
  makePlan(new Map(Object.entries(looks)), NOW, { ...EXPECTED, ...expected });
