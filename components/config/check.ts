import { z } from "zod";
import { VALUE } from "./fields";
import { nearest, type Path, type Problems } from "./problems";
import type { Wording } from "./wording";

/** What could be read of a value, and which of its fields were wrong. */
export interface Checked<T> {
  /** Absent when not even the right fields make sense alone. A wrong field has its default. */
  readonly data?: T;
  readonly wrong: ReadonlySet<string>;
}

/**
 * Reads `raw` by a schema and reports every mistake in it. Fields that are right are returned
 * even when others are wrong, so that rules which span fields can be checked in the same run.
 */
export function check<S extends z.ZodType>(
  schema: S,
  raw: unknown,
  path: Path,
  problems: Problems,
): Checked<z.output<S>> {
  const first = schema.safeParse(raw);
  if (first.success) {
    return { data: first.data, wrong: new Set() };
  }
  const wrong = new Set<string>();
  for (const issue of first.error.issues) {
    const inner = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    if (issue.code === "unrecognized_keys") {
      const known = keysAt(schema, inner);
      for (const key of issue.keys) {
        problems.add([...path, ...inner, key], unknownKey(key, known));
        wrong.add(String(inner[0] ?? key));
      }
      continue;
    }
    const where = [...path, ...inner];
    const shown = isSecretMap(schemaAt(schema, inner))
      ? "[secret]"
      : problems.show(where, valueAt(raw, inner));
    problems.add(where, explain(issue, shown, problems.wording));
    if (inner[0] !== undefined) {
      wrong.add(String(inner[0]));
    }
  }
  const rest = schema.safeParse(without(raw, wrong));
  return rest.success ? { data: rest.data, wrong } : { wrong };
}

export function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return meant === undefined
    ? `unknown key; known are ${known.join(", ")}`
    : `unknown key; did you mean ${meant}?`;
}

function explain(issue: z.core.$ZodIssue, shown: string, { list, map }: Wording): string {
  if (issue.code === "invalid_type") {
    return issue.expected === "array"
      ? `${shown} is not a list; ${list}`
      : `${shown} is not a map; ${map}`;
  }
  return issue.message.replaceAll(VALUE, shown);
}

function valueAt(raw: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, part) => {
    return isMap(value) || Array.isArray(value) ? Reflect.get(value, part) : value;
  }, raw);
}

function without(raw: unknown, fields: ReadonlySet<string>): unknown {
  return isMap(raw)
    ? Object.fromEntries(Object.entries(raw).filter(([key]) => !fields.has(key)))
    : {};
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The keys that a schema knows at a place inside it. */
function keysAt(schema: z.core.$ZodType, path: Path): readonly string[] {
  const found = schemaAt(schema, path);
  return found instanceof z.ZodObject ? Object.keys(found.shape) : [];
}

function schemaAt(schema: z.core.$ZodType, path: Path): z.core.$ZodType {
  return unwrap(path.reduce((outer, part) => within(outer, part) ?? outer, schema));
}

/** What stands in the place of such a map, as `NAME=VALUE` might, is as secret as its values. */
export function isSecretMap(schema: z.core.$ZodType): boolean {
  return (
    schema instanceof z.ZodRecord &&
    schema.valueType instanceof z.ZodType &&
    schema.valueType.meta()?.type === "secret string"
  );
}

/** The schema of an element or a field; undefined where there is none of that name. */
export function within(
  schema: z.core.$ZodType,
  part: string | number,
): z.core.$ZodType | undefined {
  const outer = unwrap(schema);
  if (outer instanceof z.ZodArray) {
    return outer.element;
  }
  if (outer instanceof z.ZodRecord) {
    return outer.valueType;
  }
  const field: unknown = outer instanceof z.ZodObject ? outer.shape[part] : undefined;
  return field instanceof z.ZodType ? field : undefined;
}

/** The schema below defaults and optionality. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional
  ) {
    return unwrap(schema.unwrap());
  }
  return schema;
}
