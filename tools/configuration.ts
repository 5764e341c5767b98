/** The configuration of the selected stack, as far as a command has need of it. */
import { z } from "zod";
import { type ClusterConfig, readStackConfig } from "../components/config";
import { currentSurroundings } from "../components/config/surroundings";
import { pulumiJson } from "./stack";

/** As `pulumi config --json` prints it. */
const printed = z.record(
  z.string(),
  z.object({
    value: z.string().default(""),
    objectValue: z.unknown().optional(),
    secret: z.boolean().default(false),
  }),
);

type Printed = z.output<typeof printed>;

/** As the program has it, for a stack whose configuration cannot be read. */
export const WARN_HOURS = 1440;

export interface StackConfiguration {
  /** Whether the stack has these keys, right or wrong. */
  readonly backup: boolean;
  readonly maintenance: boolean;
  /** Certificates that end within so many hours are warned of. */
  readonly warnHours: number;
  /** By the program's own reader. @throws ConfigError with all mistakes. */
  readonly read: () => ClusterConfig;
}

/**
 * @param file where it is not the one that the CLI looks for.
 * @throws Error when there is none, or the CLI cannot say it.
 */
export async function stackConfiguration(file?: string): Promise<StackConfiguration> {
  const option = file === undefined ? [] : ["--config-file", file];
  return configurationOf(await pulumiJson(["config", "--json", "--show-secrets", ...option]));
}

/** Exported for the tests. */
export function configurationOf(json: unknown): StackConfiguration {
  const parsed = printed.safeParse(json);
  if (!parsed.success) {
    throw new Error("pulumi config printed something else than a configuration");
  }
  const all = parsed.data;
  const namespace = namespaceOf(all);
  const given = (key: string) => !["", "null"].includes(all[`${namespace}:${key}`]?.value ?? "");
  const pki = z
    .object({ warnHours: z.coerce.number().nonnegative() })
    .safeParse(all[`${namespace}:pki`]?.objectValue);
  return {
    backup: given("backup"),
    maintenance: given("maintenance"),
    warnHours: pki.data?.warnHours ?? WARN_HOURS,
    read: () => readWhole(all, namespace),
  };
}

/**
 * The project's name, under which the program looks for its keys: that of the one key that every configuration has.
 *
 * @throws Error when there is no such key.
 */
function namespaceOf(all: Printed): string {
  const [name] = Object.entries(all).flatMap(([key, { value }]) =>
    value === "[]" ? [] : (/^(.+):nodes$/.exec(key)?.[1] ?? []),
  );
  if (name === undefined) {
    throw new Error("it has no nodes; if it is in another file, name that with --config-file");
  }
  return name;
}

function readWhole(all: Printed, namespace: string): ClusterConfig {
  const prefix = `${namespace}:`;
  const secrets = Object.entries(all).flatMap(([key, { secret }]) =>
    secret && key.startsWith(prefix) ? [key.slice(prefix.length)] : [],
  );
  return readStackConfig(
    Object.fromEntries(Object.entries(all).map(([key, { value }]) => [key, value])),
    namespace,
    new Set(secrets),
    currentSurroundings(),
  );
}
