/** As much of a line of prose as is kept of what a host says, in characters. */
const LONGEST = 400;

/**
 * What a host said, fit for a terminal, a log and the state: control characters (C0, C1, DEL), line ends and
 * what turns or hides text (Unicode's formats) are replaced, and it is cut.
 *
 * @param longest in characters.
 */
export function printable(text: string, longest = LONGEST): string {
  const clean = text.slice(0, longest + 1).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
  return clean.length <= longest ? clean : `${clean.slice(0, longest)}…`;
}
