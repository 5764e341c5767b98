import { z } from "zod";
import { type Checked, isMap, within } from "./check";
import type { Path, Problems } from "./problems";
import { type nodeSchema, schema } from "./schema";
import { Unknown, UnknownPaths } from "./unknown";

type Raw = Readonly<Record<string, unknown>>;

/**
 * A configuration with a right value in each place where one is not known, so that everything else can be checked,
 * and those places. What has to be known is reported as a problem.
 */
export function withStandIns(
  given: Raw,
  problems: Problems,
): { readonly raw: Raw; readonly unknown: UnknownPaths } {
  const unknown: Path[] = [];
  const replace = (value: unknown, path: Path, part: z.core.$ZodType | undefined): unknown => {
    if (part === undefined) {
      // Nobody knows a key of this name, which is said later.
      return value;
    }
    const inner = (key: string | number) => within(part, key);
    if (value instanceof Unknown) {
      const standIn = part instanceof z.ZodType ? part.meta()?.standIn : undefined;
      if (typeof standIn === "function") {
        return standIn(unknown.push(path) - 1);
      }
      problems.add(
        path,
        "is not known before the up, and a preview needs it; write a value that the program knows by itself",
      );
      return undefined;
    }
    if (Array.isArray(value)) {
      return value.map((item, index) => replace(item, [...path, index], inner(index)));
    }
    return isMap(value)
      ? Object.fromEntries(
          Object.entries(value).map(([key, field]) => [
            key,
            replace(field, [...path, key], inner(key)),
          ]),
        )
      : value;
  };
  const entries = Object.entries(given).map(([key, value]): [string, unknown] => [
    key,
    replace(value, [key], within(schema, key)),
  ]);
  return { raw: Object.fromEntries(entries), unknown: new UnknownPaths(unknown) };
}

/** By node name, the first argument that is not known and that this node cannot do without. */
export function unknownNodes(
  nodes: readonly Checked<z.output<typeof nodeSchema>>[],
  unknown: UnknownPaths,
  problems: Problems,
): ReadonlyMap<string, string> {
  return new Map(
    nodes.flatMap(({ data }, index): [string, string][] => {
      const path = data && unknown.first((each) => concerns(each, data, ["nodes", index]));
      return data === undefined || path === undefined ? [] : [[data.name, problems.key(path)]];
    }),
  );
}

type Node = z.output<typeof nodeSchema>;

function concerns(path: Path, { name, address, lost, ssh }: Node, own: Path): boolean {
  const [first, second, third] = path;
  if (first === own[0]) {
    return second === own[1];
  }
  if (first !== "ssh" || lost) {
    return false;
  }
  const ownKey = ssh.privateKey ?? ssh.privateKeyFile;
  switch (second) {
    case "privateKey":
      return ownKey === undefined;
    case "hostKeys":
      return ssh.hostKey === undefined && [name, address, ssh.host].includes(String(third));
    default:
      return true;
  }
}
