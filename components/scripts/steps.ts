import type { JobScript, ScriptName } from "./bundle";

/** The steps of a node in the order they depend on each other. */
export const STEPS = ["leave", "install", "member", "health"] as const;

export type StepName = (typeof STEPS)[number];

/** What a host does from its timers, with no operator around. */
export const JOBS = ["backup", "drill", "maintenance"] as const;

/** What a host has results of: a job, or one of its calls. */
export const JOB_NAMES = [
  "backup",
  "backup-check",
  "drill",
  "maintenance",
  "maintenance-nospace",
] as const;

/** What a host keeps receipts of: the parts of the step `install`, in their order, and the member. */
export const RECEIPTS = ["host", "binaries", "files", "jobs", "member"] as const;

export type ReceiptName = (typeof RECEIPTS)[number];

export function isReceiptName(text: string): text is ReceiptName {
  return RECEIPTS.some((name) => name === text);
}

/** The parts that the step `install` answers for. */
export const INSTALLED = [
  "host",
  "binaries",
  "files",
  "jobs",
] as const satisfies readonly ReceiptName[];

/**
 * Minutes that a step may take at most, whatever its host does: packages that are upgraded, a release over a slow line, a database
 * of gigabytes that a new member is sent. Scripts that wait for etcd give up a few minutes earlier (WAIT_LIMIT), to say why.
 */
export const MINUTES: Readonly<Record<Exclude<ScriptName, JobScript>, number>> = {
  install: 50,
  member: 60,
  leave: 10,
  lost: 5,
  health: 10,
  probe: 1,
  drain: 3,
  results: 1,
  backups: 125,
};

/**
 * How much of a step that exists already stays as the state has it: nothing, its revision (the
 * hosts were not inspected), everything (its host does not answer, so nothing is planned there),
 * or everything for good (its host is lost, and is not dialled for the removal either).
 */
export type Freeze = "none" | "revision" | "all" | "retained";
