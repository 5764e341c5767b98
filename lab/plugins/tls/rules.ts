import type { Value } from "../shared/values";
import { allowedUses } from "./extensions";

type Rule = (value: Value) => string | undefined;

/** Refuses a text that is not in the list. */
export function oneOf(attribute: string, allowed: readonly string[]): Rule {
  const list = allowed.map((item) => `"${item}"`).join(" ");
  return (value) =>
    typeof value === "string" && allowed.includes(value)
      ? undefined
      : `Attribute ${attribute} value must be one of: [${list}], got: "${value}"`;
}

/** Refuses a number below the limit. */
export function atLeast(attribute: string, limit: number): Rule {
  return (value) =>
    typeof value === "number" && value >= limit
      ? undefined
      : `Attribute ${attribute} value must be at least ${limit}, got: ${value}`;
}

/** Refuses a list with a use that certificates do not have. */
export const knownUses: Rule = (value) => {
  const rule = oneOf("allowed_uses", allowedUses);
  const items = Array.isArray(value) ? value : [value];
  return items.map(rule).find((reason) => reason !== undefined);
};
