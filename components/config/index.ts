import * as pulumi from "@pulumi/pulumi";
import { unwrap } from "./check";
import { readValues } from "./read";
import { schema } from "./schema";
import { currentSurroundings, type Surroundings } from "./surroundings";
import type { ClusterConfig } from "./types";
import { pathText, stackWording } from "./wording";

export { ConfigError } from "./problems";
export * from "./types";

/**
 * Reads the whole configuration of the program, with the files it names.
 *
 * @param source decides the namespace of the keys; its values come from the running program.
 * @throws ConfigError with all mistakes, before any resource exists.
 */
export function loadConfig(source: pulumi.Config): ClusterConfig {
  const prefix = `${source.name}:`;
  return readStackConfig(
    pulumi.runtime.allConfig(),
    source.name,
    secretKeys(prefix),
    currentSurroundings(),
  );
}

/**
 * As `loadConfig`, from the texts that the engine and its CLI have: by keys with their namespace.
 *
 * @param secrets keys of the namespace, without it.
 */
export function readStackConfig(
  texts: Readonly<Record<string, string>>,
  namespace: string,
  secrets: ReadonlySet<string>,
  surroundings: Surroundings,
): ClusterConfig {
  const prefix = `${namespace}:`;
  const raw: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(texts)) {
    if (key.startsWith(prefix)) {
      raw[key.slice(prefix.length)] = decode(key.slice(prefix.length), value);
    }
  }
  return readConfig(raw, namespace, secrets, surroundings);
}

/** As `loadConfig`, from plain values: `raw` has one entry for each key of the namespace. */
export function readConfig(
  raw: Readonly<Record<string, unknown>>,
  namespace: string,
  secrets: ReadonlySet<string>,
  surroundings: Surroundings,
): ClusterConfig {
  const paths = new Set([...secrets].map((key) => pathText([key])));
  return readValues(raw, paths, stackWording(namespace), surroundings);
}

/** Lists and maps arrive as JSON; a key that was left empty counts as not given. */
function decode(key: string, value: string): unknown {
  if (value === "" || value === "null") {
    return undefined;
  }
  const known = Object.entries(schema.shape).find(([name]) => name === key)?.[1];
  const holds = known === undefined ? "" : unwrap(known)._zod.def.type;
  if (!["object", "array", "record"].includes(holds)) {
    return value;
  }
  try {
    const parsed: unknown = JSON.parse(value);
    // A digest of digits alone is a text, not a number.
    return typeof parsed === "object" ? parsed : value;
  } catch {
    return value;
  }
}

/** The engine tells a program which keys are secret only through its environment. */
function secretKeys(prefix: string): ReadonlySet<string> {
  const listed: unknown = JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS || "[]");
  const keys = Array.isArray(listed) ? listed.map(String) : [];
  return new Set(
    keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
  );
}
