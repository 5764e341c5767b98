import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Scripts that a host runs, each followed by the ones it calls. */
const PARTS = {
  host: ["lib", "preflight", "cluster", "firewall", "host"],
  binaries: ["lib", "binaries"],
  files: ["lib", "files"],
  member: ["lib", "cluster", "identity", "version", "roll", "learner", "recover", "member"],
  lost: ["lib", "cluster", "membership", "lost"],
  health: ["lib", "cluster", "identity", "version", "membership", "firewall", "health"],
  probe: ["lib", "preflight", "cluster", "identity", "probe"],
} as const;

export type ScriptName = keyof typeof PARTS;

/** One word of a POSIX shell command, whatever is in it. */
export function quote(value: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

/**
 * What is sent to `bash -s -- FUNCTION ARGUMENT...` on standard input: the values as quoted
 * assignments, then the script's files as they lie in `scripts/`, then the call.
 *
 * @param values shell variables by name, uppercase.
 */
export function assemble(script: ScriptName, values: Readonly<Record<string, string>>): string {
  const assignments = Object.entries(values).map(([name, value]) => `${name}=${quote(value)}\n`);
  const parts = PARTS[script].map((part) =>
    // Whole-line comments stay here: the state keeps every step's text twice and is written often.
    readFileSync(join(__dirname, "scripts", `${part}.sh`), "utf8").replace(/^\s*#.*\n/gm, ""),
  );
  // The call's own standard input is closed: nothing it starts may read on in the script.
  return `${assignments.join("")}${parts.join("\n")}\n"$@" </dev/null\n`;
}
