import * as pulumi from "@pulumi/pulumi";
import type { EtcdClusterArgs } from "./args";
import { isMap } from "./check";
import type { Path } from "./problems";
import { UNKNOWN } from "./unknown";
import { pathText } from "./wording";

/** Arguments without outputs and promises. */
export interface ResolvedArgs {
  /** Plain values, without those that are undefined or null; `UNKNOWN` where only the `up` will know. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** Where secrets are, such as `nodes[0].address`; what is below one is secret too. */
  readonly secrets: ReadonlySet<string>;
  /** Where `UNKNOWN` is. */
  readonly unknown: readonly string[];
  /** Every resource that a value comes from, for `dependsOn`: plain values depend on nothing. */
  readonly dependencies: readonly pulumi.Resource[];
}

/** What is known of arguments without waiting: `UNKNOWN` stands for every output and promise. */
export function plainPart(args: EtcdClusterArgs): Pick<ResolvedArgs, "raw" | "secrets"> {
  const plain = (value: unknown): unknown => {
    if (pulumi.Output.isInstance(value) || value instanceof Promise) {
      return UNKNOWN;
    }
    if (Array.isArray(value)) {
      return value.map(plain);
    }
    if (!isMap(value)) {
      return value ?? undefined;
    }
    return isPlain(value)
      ? Object.fromEntries(
          Object.entries(value).flatMap(([key, field]) => {
            const found = plain(field);
            return found === undefined ? [] : [[key, found]];
          }),
        )
      : Symbol(kindOf(value));
  };
  const raw = plain(args);
  return { raw: isMap(raw) ? raw : {}, secrets: new Set() };
}

/** Waits for every value. @throws what a promise or an output failed with. */
export async function resolveArgs(args: object): Promise<ResolvedArgs> {
  const secrets = new Set<string>();
  const unknown: string[] = [];
  const resolve = async (value: unknown, path: Path): Promise<unknown> => {
    if (pulumi.Output.isInstance(value)) {
      if (await pulumi.isSecret(value)) {
        secrets.add(pathText(path));
      }
      return resolve(await settled(value), path);
    }
    if (value instanceof Promise) {
      return resolve(await value, path);
    }
    if (pulumi.isUnknown(value)) {
      unknown.push(pathText(path));
      return UNKNOWN;
    }
    if (Array.isArray(value)) {
      return Promise.all(value.map((item, index) => resolve(item, [...path, index])));
    }
    return isMap(value) ? resolveMap(value, path) : (value ?? undefined);
  };
  const resolveMap = async (map: Readonly<Record<string, unknown>>, path: Path) => {
    if (!isPlain(map)) {
      return Symbol(kindOf(map));
    }
    const fields = Object.entries(map).map(
      async ([key, value]) => [key, await resolve(value, [...path, key])] as const,
    );
    return Object.fromEntries(
      (await Promise.all(fields)).filter(([, value]) => value !== undefined),
    );
  };
  const raw = await resolve(args, []);
  return {
    raw: isMap(raw) ? raw : {},
    secrets,
    // Which value was there first is of no interest.
    unknown: unknown.sort(),
    dependencies: await resourcesOf(pulumi.output(args)),
  };
}

/**
 * The value of an output, with the SDK's mark where it is not known, or parts of it are not. `apply` would not be
 * called then; these two members are what outputs of several copies of the SDK know each other by.
 */
async function settled(output: pulumi.Output<unknown>): Promise<unknown> {
  const known: unknown = await Reflect.get(output, "isKnown");
  const value: unknown = await Reflect.apply(Reflect.get(output, "promise"), output, [true]);
  return known === false && !pulumi.containsUnknowns(value) ? pulumi.unknown : value;
}

/** Also of an output that is not known; as outputs of several copies of the SDK know each other. */
async function resourcesOf(output: pulumi.Output<unknown>): Promise<readonly pulumi.Resource[]> {
  const found: unknown = await Reflect.apply(Reflect.get(output, "allResources"), output, []);
  return found instanceof Set ? [...found].filter((one) => pulumi.Resource.isInstance(one)) : [];
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** What messages call something that is no plain value; it is not looked into. */
function kindOf(value: object): string {
  return pulumi.Resource.isInstance(value) ? "a resource" : `a ${value.constructor.name}`;
}
