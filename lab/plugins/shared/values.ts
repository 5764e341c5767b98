/** Property values as they travel between the Pulumi engine and a plugin (plain JSON in a Struct). */
export type Value = null | boolean | number | string | Value[] | Props;
export interface Props {
  [key: string]: Value;
}

const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const outputSignature = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

/** What stands for a value that is only known after the update (used in previews). */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export function isProps(value: Value | undefined): value is Props {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isSecret(value: Value | undefined): boolean {
  return isProps(value) && value[signatureKey] === secretSignature;
}

/** Wraps a value as a secret; a secret stays as it is. */
export function secret(value: Value): Value {
  return isSecret(value) ? value : { [signatureKey]: secretSignature, value };
}

/** The value inside a secret or an output wrapper, one level deep. */
export function unwrap(value: Value): Value {
  if (!isProps(value)) return value;
  if (isSecret(value)) return unwrap(value.value ?? null);
  if (value[signatureKey] === outputSignature) {
    return value.value === undefined ? unknown : unwrap(value.value);
  }
  return value;
}

/** The same value with every secret and output wrapper taken off, however deep. */
export function plain(value: Value): Value {
  const inner = unwrap(value);
  if (Array.isArray(inner)) return inner.map(plain);
  return isProps(inner) ? plainProps(inner) : inner;
}

export function plainProps(props: Props): Props {
  return Object.fromEntries(Object.entries(props).map(([key, value]) => [key, plain(value)]));
}

/** The properties that have a value: the engine and the official plugins treat null as absent. */
export function present(props: Props): Props {
  return Object.fromEntries(Object.entries(props).filter(([, value]) => value !== null));
}

/** Marks the named properties secret where they are present. */
export function withSecrets(props: Props, keys: readonly string[]): Props {
  return Object.fromEntries(
    Object.entries(props).map(([key, value]) => [key, keys.includes(key) ? secret(value) : value]),
  );
}

export function equal(a: Value | undefined, b: Value | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => equal(item, b[index]));
  }
  if (isProps(a) && isProps(b)) {
    const left = present(a);
    const right = present(b);
    const keys = Object.keys(left);
    return (
      keys.length === Object.keys(right).length && keys.every((key) => equal(left[key], right[key]))
    );
  }
  return (a ?? null) === (b ?? null);
}

export function text(props: Props, key: string): string | undefined {
  const value = props[key];
  return typeof value === "string" ? value : undefined;
}

export function number(props: Props, key: string): number | undefined {
  const value = props[key];
  return typeof value === "number" ? value : undefined;
}

export function flag(props: Props, key: string): boolean | undefined {
  const value = props[key];
  return typeof value === "boolean" ? value : undefined;
}

export function texts(props: Props, key: string): string[] {
  const value = props[key];
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** True for a value that is unknown itself or holds an unknown. */
export function hasUnknown(value: Value): boolean {
  const inner = unwrap(value);
  if (inner === unknown) return true;
  if (Array.isArray(inner)) return inner.some(hasUnknown);
  return isProps(inner) && Object.values(inner).some(hasUnknown);
}
