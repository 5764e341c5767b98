/** Hosts that could not be asked. */
import { printable } from "../components/hosts/printable";

export interface NotAsked {
  readonly host: string;
  readonly reason: string;
}

/** Those of which there is a reason. */
export function notAskedOf<Said extends object>(
  hosts: ReadonlyMap<string, Said>,
): readonly NotAsked[] {
  return [...hosts].flatMap(([host, said]) =>
    "reason" in said ? [{ host, reason: printable(String(said.reason)) }] : [],
  );
}

export function reasonsOf(notAsked: readonly NotAsked[]): string {
  return notAsked.map(({ host, reason }) => `${host}: ${reason}`).join("; ");
}
