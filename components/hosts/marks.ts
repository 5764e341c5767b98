import { randomBytes } from "node:crypto";

/** What no host says by accident. */
export function newMark(): string {
  return randomBytes(16).toString("hex");
}

/** The line of a script whose answer begins later than usual (scripts/lib/base.sh, say_waiting). */
export const waitOf = (mark: string): string => `\nwait ${mark}\n`;

/** Lines between which an answer of a script stands (scripts/lib/base.sh, begin_answer). */
export const beginOf = (mark: string): string => `\nbegin ${mark}\n`;
export const endOf = (mark: string): string => `\nend ${mark}\n`;

/**
 * A script's answer without what the host's shell or anybody else printed before and after it.
 *
 * @returns its lines; undefined when one of the marks is missing.
 */
export function between(output: string, mark: string): readonly string[] | undefined {
  // A recorded output has lost the line ends around it.
  const whole = `\n${output}\n`;
  const begin = whole.indexOf(beginOf(mark));
  // The line end of the begin mark may be that before the end mark.
  const from = begin + beginOf(mark).length;
  const end = begin === -1 ? -1 : whole.indexOf(endOf(mark), from - 1);
  return end === -1 ? undefined : whole.slice(from, Math.max(from, end)).split("\n");
}
