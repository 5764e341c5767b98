/** The situations that hosts are in. */
import { DISKS } from "./disks";
import { LOGINS } from "./logins";
import type { Situation } from "./situation";
import { SYSTEMS } from "./systems";

/** In the order in which they are made: a login that is refused, or limited, shows no other one. */
export const SITUATIONS: readonly Situation[] = [...DISKS, ...SYSTEMS, ...LOGINS];

/** By host. */
export type Given = ReadonlyMap<string, readonly Situation[]>;

/** Those whose names have these words; each names one. */
export function situations(...words: readonly string[]): readonly Situation[] {
  return words.map((text) => {
    const [found, ...others] = SITUATIONS.filter(({ name }) => name.includes(text));
    if (found === undefined || others.length > 0) {
      throw new Error(`${others.length + (found === undefined ? 0 : 1)} situations have "${text}"`);
    }
    return found;
  });
}
