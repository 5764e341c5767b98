import {
  isProps,
  isSecret,
  type Props,
  secret,
  unwrap,
  type Value,
} from "../../../lab/plugins/shared/values";

export interface Mutant {
  readonly place: string;
  readonly answer: Props;
}

function mutateValue(value: Value, kind: string): Value | undefined {
  if (kind === "another secretness") return isSecret(value) ? unwrap(value) : secret(value);
  if (kind !== "another value") return undefined;
  if (typeof value === "string") return `${value} and more`;
  if (typeof value === "number") return value + 1;
  return typeof value === "boolean" ? !value : undefined;
}

/** Every answer that differs from the given one in one place in the given way. */
export function mutants(props: Props, kind: string, path = ""): Mutant[] {
  const found: Mutant[] = [];
  if (kind === "an added property") {
    found.push({ place: path, answer: { ...props, added: true } });
  }
  for (const [key, value] of Object.entries(props)) {
    const place = path === "" ? key : `${path}.${key}`;
    if (kind === "a missing property") {
      const { [key]: _, ...rest } = props;
      found.push({ place, answer: rest });
    }
    const changed = mutateValue(value, kind);
    if (changed !== undefined) found.push({ place, answer: { ...props, [key]: changed } });
    if (isProps(value) && !isSecret(value)) {
      for (const inner of mutants(value, kind, place)) {
        found.push({ place: inner.place, answer: { ...props, [key]: inner.answer } });
      }
    }
  }
  return found;
}
