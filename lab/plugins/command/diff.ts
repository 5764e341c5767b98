import type { DiffAnswer, DiffKind, DiffRequest } from "../shared/plugin";
import { equal, isProps, isSecret, type Props, present, type Value } from "../shared/values";

/** A step of a property path as the engine writes it. */
function member(path: string, key: string): string {
  const simple = /^[A-Za-z_$][\w$]*$/.test(key);
  if (!simple) return `${path}["${key.replace(/"/g, '\\"')}"]`;
  return path === "" ? key : `${path}.${key}`;
}

type Details = Record<string, DiffKind>;

function diffProps(path: string, olds: Props, news: Props, details: Details): void {
  const before = present(olds);
  const after = present(news);
  for (const [key, value] of Object.entries(before)) {
    const next = after[key];
    if (next === undefined) details[member(path, key)] = "DELETE";
    else diffValue(member(path, key), value, next, details);
  }
  for (const key of Object.keys(after)) {
    if (before[key] === undefined) details[member(path, key)] = "ADD";
  }
}

function diffValue(path: string, old: Value, next: Value, details: Details): void {
  if (Array.isArray(old) && Array.isArray(next)) {
    for (let index = 0; index < Math.max(old.length, next.length); index += 1) {
      const before = old[index];
      const after = next[index];
      const place = `${path}[${index}]`;
      if (before === undefined) details[place] = "ADD";
      else if (after === undefined) details[place] = "DELETE";
      else diffValue(place, before, after, details);
    }
  } else if (isProps(old) && isProps(next) && !isSecret(old) && !isSecret(next)) {
    diffProps(path, old, next, details);
  } else if (!equal(old, next)) {
    details[path] = "UPDATE";
  }
}

/** Compares inputs with inputs. Only `triggers` as a whole, added or taken away, replaces on its
 * own; a changed element is an update here, which the SDK turns into a replacement. */
export function diffInputs(request: DiffRequest, inputKeys: readonly string[]): DiffAnswer {
  const olds =
    request.oldInputs ??
    Object.fromEntries(Object.entries(request.olds).filter(([key]) => inputKeys.includes(key)));
  const news = Object.fromEntries(
    Object.entries(request.news).filter(([key]) => key !== "version" && !key.startsWith("__")),
  );
  for (const key of request.ignoreChanges) {
    const kept = request.olds[key];
    if (kept !== undefined) news[key] = kept;
  }
  const details: Details = {};
  diffProps("", olds, news, details);
  if (details.triggers === "ADD") details.triggers = "ADD_REPLACE";
  if (details.triggers === "DELETE") details.triggers = "DELETE_REPLACE";
  const head = (path: string) => /^[\w$]+/.exec(path)?.[0] ?? path;
  const paths = Object.keys(details);
  return {
    diffs: [...new Set(paths.map(head))],
    replaces: details.triggers?.endsWith("_REPLACE") ? ["triggers"] : [],
    detailed: details,
  };
}
