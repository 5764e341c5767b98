import { readFileSync } from "node:fs";
import { join } from "node:path";
import { table } from "./table";

const BEGIN = "<!-- generated: npm run docs -->";
const END = "<!-- end -->";

export interface Cause {
  readonly kind: string;
  /** An extended regular expression. */
  readonly pattern: string;
  readonly meaning: string;
}

/** The table in components/scripts/lib/causes.sh. */
export function readCauses(): readonly Cause[] {
  const script = join(__dirname, "..", "components", "scripts", "lib", "causes.sh");
  const [, lines = ""] = /^causes\(\) \{\n {2}cat <<'END'\n([\s\S]*?)\nEND$/m.exec(
    readFileSync(script, "utf8"),
  ) ?? ["", ""];
  return lines.split("\n").map((line) => {
    const [, kind, pattern, meaning] = /^(rebuild|mend|hint): (.+) => (.+)$/.exec(line) ?? [];
    if (kind === undefined || pattern === undefined || meaning === undefined) {
      throw new Error(`causes.sh has a line that is no cause: ${line}`);
    }
    return { kind, pattern, meaning };
  });
}

const REBUILD =
  " Rebuild the member from the others ([alarms.md](alarms.md#rebuild-a-member)); its data is moved aside.";

/** docs/troubleshooting.md with its table of causes made anew from the script's. */
export function renderCauses(page: string): string {
  const rows = readCauses().map(({ kind, pattern, meaning }) => [
    said(pattern),
    `${meaning.replaceAll("DATA", "/var/lib/etcd").replaceAll("PKI", "`pki.directory`")}${kind === "rebuild" ? REBUILD : ""}`,
  ]);
  return page.replace(
    new RegExp(`${BEGIN}\n[\\s\\S]*?${END}`),
    () =>
      `${BEGIN}\n${table(["etcd or systemd says", "what it is, and what to do"], rows)}\n${END}`,
  );
}

/** A pattern as a reader meets it: its alternatives, without the signs of an expression. */
function said(pattern: string): string {
  return alternatives(pattern)
    .map((text) =>
      text
        .replace(/\[\^[^\]]*\]\*|\.\*|\[0-9\.?\]\+/g, "…")
        .replace(/\[(.)(.)\]/g, "$2")
        .replace(/\.\.\?/g, "")
        .replace(/\\/g, ""),
    )
    .map((text) => `\`${text}\``)
    .join(", ");
}

/** Split where no bracket is open. */
function alternatives(pattern: string): string[] {
  const found = [""];
  let depth = 0;
  for (const sign of pattern) {
    depth += sign === "(" ? 1 : sign === ")" ? -1 : 0;
    if (sign === "|" && depth === 0) {
      found.push("");
    } else {
      found.push(`${found.pop() ?? ""}${sign}`);
    }
  }
  return found;
}
