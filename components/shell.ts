import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, strToU8 } from "fflate";

/** Scripts that a host runs, each followed by the ones it calls. */
const PARTS = {
  host: ["lib", "preflight", "cluster", "membership", "firewall", "host"],
  binaries: ["lib", "binaries"],
  files: ["lib", "files"],
  member: [
    ...["lib", "cluster", "identity", "membership", "version", "roll", "move", "learner"],
    ...["recover", "lock", "member"],
  ],
  lost: ["lib", "cluster", "membership", "lost"],
  health: ["lib", "cluster", "identity", "version", "membership", "firewall", "health"],
  probe: ["lib", "preflight", "cluster", "identity", "lock", "probe"],
} as const;

export type ScriptName = keyof typeof PARTS;

/** One word of a POSIX shell command, whatever is in it. */
export function quote(value: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

/**
 * What is sent to `bash -s -- FUNCTION ARGUMENT...` on standard input: the values as quoted
 * assignments, then the script's files as they lie in `scripts/`, packed into one line, then the call.
 *
 * @param values shell variables by name, uppercase.
 */
export function assemble(script: ScriptName, values: Readonly<Record<string, string>>): string {
  const assignments = Object.entries(values).map(([name, value]) => `${name}=${quote(value)}\n`);
  // The call's own standard input is closed: nothing it starts may read on in the script.
  return `${assignments.join("")}${packed(script)}"$@" </dev/null\n`;
}

const kept = new Map<ScriptName, string>();

/** So that the steps find them packed: it takes a while. */
export function packScripts(scripts: readonly ScriptName[]): void {
  scripts.forEach(packed);
}

/** The state keeps every step's text twice and is written at every step: a third of it is enough. */
function packed(script: ScriptName): string {
  const before = kept.get(script);
  if (before !== undefined) {
    return before;
  }
  // Not Node's own: what zlib makes differs between its builds, and would run every step again on another machine.
  const bytes = gzipSync(strToU8(plain(script)), { level: 9, mtime: 0 });
  const base64 = Buffer.from(bytes).toString("base64");
  const line = `eval "$(printf %s ${base64} | base64 -d | gzip -d)"\n`;
  kept.set(script, line);
  return line;
}

/** The script's files, without whole-line comments. Exported for the tests. */
export function plain(script: ScriptName): string {
  return PARTS[script]
    .map((part) =>
      readFileSync(join(__dirname, "scripts", `${part}.sh`), "utf8").replace(/^\s*#.*\n/gm, ""),
    )
    .join("\n");
}
