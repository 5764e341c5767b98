/** Another release of this program than the one that the last `up` on a host was of. */
import type { HostState } from "../hosts/host-state";

/** A release of a number, or of a part of one, before or after another. */
const order = new Intl.Collator("en", { numeric: true });

/**
 * @param wanted by node name, the digest of what its member is to be; the one that a host has tells whether etcd restarts.
 * @returns what the preview says of it, and a warning on hosts where a newer release ran.
 */
export function planProgramChange(
  hosts: ReadonlyMap<string, HostState>,
  version: string,
  wanted: ReadonlyMap<string, string>,
): { readonly plan: readonly string[]; readonly warnings: readonly string[] } {
  const others = [...hosts].flatMap(([name, host]) =>
    host.inspected && host.program !== undefined && host.program !== version
      ? [{ name, host, program: host.program }]
      : [],
  );
  const newer = others.filter(({ program }) => order.compare(program, version) > 0);
  const older = others.filter((one) => !newer.includes(one));
  const from = [...new Set(older.map(({ program }) => program))].sort(order.compare);
  const restarts = older.flatMap(({ name, host }) =>
    host.desiredDigest === undefined || host.desiredDigest === wanted.get(name) ? [] : [name],
  );
  const members =
    restarts.length === 0 ? "no member restarts" : `etcd restarts on ${restarts.join(", ")}`;
  return {
    plan:
      older.length === 0
        ? []
        : [`program upgraded ${from.join(" and ")} -> ${version}: steps run again, ${members}`],
    warnings: newer.map(
      ({ name, program }) =>
        `${name}: the last pulumi up was of version ${program} of this program, and this one is ${version}; use ${program} or newer, or what it has set up there may be taken back`,
    ),
  };
}
