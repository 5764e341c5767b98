import type { ScriptName } from "./bundle";

/** The steps of a node in the order they depend on each other. */
export const STEPS = ["host", "binaries", "files", "member", "health"] as const;

export type StepName = (typeof STEPS)[number];

export function isStepName(text: string): text is StepName {
  return STEPS.some((step) => step === text);
}

/**
 * Minutes that a step may take at most, whatever its host does: packages that are upgraded, a release over a slow line, a database
 * of gigabytes that a new member is sent. Scripts that wait for etcd give up a few minutes earlier (WAIT_LIMIT), to say why.
 */
export const MINUTES: Readonly<Record<ScriptName, number>> = {
  host: 30,
  binaries: 20,
  files: 5,
  member: 60,
  lost: 5,
  health: 10,
  probe: 1,
  drain: 2,
};

/**
 * How much of a step that exists already stays as the state has it: nothing, its revision (the
 * hosts were not inspected), everything (its host does not answer, so nothing is planned there),
 * or everything for good (its host is lost, and is not dialled for the removal either).
 */
export type Freeze = "none" | "revision" | "all" | "retained";
