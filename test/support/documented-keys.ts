/** The keys of a tool's JSON, as the tool prints it and as a page documents it. */
import { readFileSync } from "node:fs";

/** `a`, `a.b` and `a[].b` of a value, sorted. Whatever is null or empty shows no keys within. */
export function keysOf(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) {
    const within = value.flatMap((element: unknown) => keysOf(element, `${path}[]`));
    return [...new Set(within.length === 0 ? [`${path}[]`] : within)].sort();
  }
  if (typeof value !== "object" || value === null) {
    return [path];
  }
  const fields = Object.entries(value).flatMap(([key, field]) =>
    keysOf(field, path === "" ? key : `${path}.${key}`),
  );
  const own = path === "" || path.endsWith("[]") ? [] : [path];
  return [...new Set([...own, ...fields])].sort();
}

/**
 * First cells of the tables of keys in a section, sorted.
 *
 * @param table which one of them. @default the first
 */
export function keysIn(page: string, section: string, table = 0): string[] {
  const [, text = ""] =
    new RegExp(`^## ${section}\\n([^]*?)(?=^## )`, "m").exec(readFileSync(page, "utf8")) ?? [];
  const found = text.split("| key |")[table + 1] ?? "";
  const [rows = ""] = found.split("\n\n");
  return [...rows.matchAll(/^\| `([^`]+)` \|/gm)].map(([, key = ""]) => key).sort();
}
