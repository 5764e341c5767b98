import { ARCHITECTURES, DEFAULT_VERSION, OFFICIAL_DOWNLOADS } from "../etcd/versions";
import { isInRepository } from "./backup";
import { isMap } from "./check";
import type { Problems } from "./problems";
import { nodeSchema } from "./schema";
import type { NodeConfig, PkiConfig, RecoverConfig, ReleaseConfig } from "./types";
import type { UnknownPaths } from "./unknown";

/** Rules that span nodes. Works on raw nodes, so that a wrong one does not hide another. */
export function checkNodes(raw: readonly unknown[], problems: Problems): void {
  if (raw.length === 0) {
    problems.add(
      ["nodes"],
      `there is no node; write at least one such as ${problems.wording.node}`,
    );
  }
  for (const field of ["name", "address"] as const) {
    const firstWith = new Map<string, number>();
    raw.forEach((node, index) => {
      const value = isMap(node) ? nodeSchema.shape[field].safeParse(node[field]).data : undefined;
      if (value === undefined) {
        return;
      }
      const first = firstWith.get(field === "address" ? canonicalAddress(value) : value);
      const path = ["nodes", index, field];
      if (first !== undefined) {
        problems.add(
          path,
          `${problems.show(path, value)} is the ${field} of nodes[${first}] too; every node needs its own`,
        );
        return;
      }
      firstWith.set(field === "address" ? canonicalAddress(value) : value, index);
      if (value === "localhost") {
        problems.add(path, `"localhost" is every machine's name for itself; write another name`);
      }
    });
  }
}

/** One spelling for each IPv6 address. */
function canonicalAddress(address: string): string {
  return address.includes(":") ? new URL(`http://[${address}]`).hostname : address;
}

/** At least one machine must be left to take the lost ones out. */
export function checkLost(nodes: readonly NodeConfig[], problems: Problems): void {
  if (nodes.length > 0 && nodes.every((node) => node.lost)) {
    problems.add(
      ["nodes"],
      `all ${nodes.length} nodes are lost; leave out "lost: true" where the machine still exists`,
    );
  }
}

/** What is rebuilt is rebuilt from the others, and only where they were inspected. */
export function checkRebuild(
  nodes: readonly NodeConfig[],
  drift: boolean,
  problems: Problems,
): void {
  const others = nodes.filter(({ lost, rebuild }) => !lost && rebuild === undefined);
  nodes.forEach(({ lost, rebuild }, index) => {
    if (rebuild === undefined) {
      return;
    }
    const path = ["nodes", index, "rebuild"];
    const shown = problems.show(path, rebuild);
    if (lost) {
      problems.add(path, `${shown} has no effect on a node that is lost; leave out one of the two`);
    } else if (others.length === 0) {
      problems.add(
        path,
        `${shown} leaves no node to rebuild from; recover from a snapshot instead (docs/recovery.md)`,
      );
    } else if (!drift) {
      problems.add(
        path,
        `${shown} needs the inspection of the hosts, which "drift: false" turns off; remove "drift"`,
      );
    }
  });
}

/** Warnings about the number of members, with the arithmetic behind them. */
export function sizeWarnings(members: number, problems: Problems): string[] {
  const nodes = problems.key(["nodes"]);
  const quorum = Math.floor(members / 2) + 1;
  const survives = members - quorum;
  if (members === 1) {
    return [`${nodes}: 1 member survives no failure; 3 members survive 1`];
  }
  const warnings: string[] = [];
  if (members > 0 && members % 2 === 0) {
    const fewer = members - 1;
    warnings.push(
      `${nodes}: ${members} members need ${quorum} for a quorum and survive ${survives} ` +
        `${survives === 1 ? "failure" : "failures"}, no more than ${fewer} ` +
        `${fewer === 1 ? "member does" : "members do"}; use an odd number`,
    );
  }
  if (members > 7) {
    warnings.push(
      `${nodes}: with ${members} members every write waits for ${quorum}; ` +
        "7 members survive 3 failures and are the most that the etcd project advises",
    );
  }
  return warnings;
}

/** Times that must stand in order; fields that are wrong by themselves are left out. */
export function checkPki(pki: PkiConfig, wrong: ReadonlySet<string>, problems: Problems): void {
  const order = [
    ["renewalHours", "validityHours", "a new certificate would be due for renewal at once"],
    ["warnHours", "validityHours", "every preview would warn"],
    ["validityHours", "caValidityHours", "certificates would outlive their CA"],
  ] as const;
  for (const [smaller, larger, reason] of order) {
    if (wrong.has(smaller) || wrong.has(larger)) {
      continue;
    }
    const fits =
      smaller === "validityHours" ? pki[smaller] <= pki[larger] : pki[smaller] < pki[larger];
    if (!fits) {
      const path = ["pki", smaller];
      const bound = smaller === "validityHours" ? "at most" : "less than";
      const limit = problems.show(["pki", larger], pki[larger]);
      problems.add(
        path,
        `${problems.show(path, pki[smaller])} must be ${bound} ${larger}, which is ${limit}; ${reason}`,
      );
    }
  }
}

/** How far a rotation has come is known from the hosts alone. */
export function checkRotation(pki: PkiConfig, drift: boolean, problems: Problems): void {
  if (pki.rotate !== undefined && !drift) {
    const path = ["pki", "rotate"];
    problems.add(
      path,
      `${problems.show(path, pki.rotate)} needs the inspection of the hosts, which "drift: false" turns off; remove "drift"`,
    );
  }
}

/** What a recovery is checked against. */
interface Recovering {
  readonly nodes: readonly NodeConfig[];
  readonly drift: boolean;
  /** There is one. */
  readonly repository: boolean;
  readonly unknown: UnknownPaths;
}

/** A recovery says which node and which cluster; the rest is checked against what the hosts show. */
export function checkRecover(
  recover: Partial<RecoverConfig>,
  wrong: ReadonlySet<string>,
  problems: Problems,
  beside: Recovering,
): RecoverConfig | undefined {
  const { node, snapshot, snapshotCluster, confirm } = recover;
  if ([node, snapshot, snapshotCluster, confirm].every((value) => value === undefined)) {
    return undefined;
  }
  const { nodes, drift } = beside;
  if (wrong.has("node")) {
    // It was said already.
  } else if (node === undefined) {
    problems.add(["recover", "node"], "missing; write the name of the node to recover from");
  } else if (nodes.find(({ name, lost }) => name === node && !lost) === undefined) {
    const known = nodes.filter(({ lost }) => !lost).map(({ name }) => name);
    problems.add(
      ["recover", "node"],
      `${problems.show(["recover", "node"], node)} is not a configured node that is not lost; known are ${known.join(", ")}`,
    );
  }
  if (confirm === undefined && !wrong.has("confirm")) {
    problems.add(
      ["recover", "confirm"],
      "missing; write the ID of the cluster that is discarded, which the refusal and `pulumi stack output clusterId` name",
    );
  }
  if (!wrong.has("snapshot")) {
    checkSnapshot(recover, problems, beside);
  }
  if (!drift) {
    problems.add(
      ["recover"],
      'needs the inspection of the hosts, which "drift: false" turns off; remove "drift"',
    );
  }
  return node === undefined || confirm === undefined
    ? undefined
    : {
        ...{ node, confirm },
        ...(snapshot === undefined ? {} : { snapshot }),
        ...(snapshotCluster === undefined ? {} : { snapshotCluster }),
      };
}

/** A snapshot in the repository needs one, and only such a one says whose it is. */
function checkSnapshot(
  { snapshot, snapshotCluster }: Partial<RecoverConfig>,
  problems: Problems,
  { repository, unknown }: Recovering,
): void {
  const remote = snapshot !== undefined && isInRepository(snapshot);
  const path = ["recover", "snapshot"];
  const key = problems.key(["backup", "repository"]);
  const missing = unknown.first(([first]) => first === "backup");
  if (remote && !repository) {
    problems.add(
      path,
      `${problems.show(path, snapshot)} is looked for in ${key}, which is not set; set it, or write the path of a file on the node`,
    );
  } else if (remote && missing !== undefined) {
    problems.add(
      path,
      `${problems.show(path, snapshot)} is looked for before anything else, and ${problems.key(missing)} is not known before the up; write a value that the program knows by itself`,
    );
  }
  if (snapshotCluster !== undefined && !remote) {
    problems.add(
      ["recover", "snapshotCluster"],
      `has an effect only on a snapshot in the repository; set ${problems.key(path)} to latest or a snapshot ID, or leave it out`,
    );
  }
}

/** A mirror's word on its own tarballs is no check of them. */
export function checkRelease(release: ReleaseConfig, problems: Problems): void {
  if (release.listedSums || Object.keys(release.sha256).length > 0) {
    return;
  }
  const key = problems.key(["version"]);
  const version = `${key} ${problems.show(["version"], release.version)}`;
  const mirror = `${problems.key(["downloadUrl"])} ${problems.show(["downloadUrl"], release.downloadUrl)}`;
  problems.add(
    ["sha256"],
    `missing: this program knows no digest for ${version}, and what ${mirror} says of ` +
      `its own tarballs is no check of them; write the digest that the etcd project publishes, set ${key} to a ` +
      `release whose digest is known, such as ${DEFAULT_VERSION}, or write "trustMirrorChecksums: true"`,
  );
}

/** Says whose word a release without a digest is taken on. */
export function releaseWarnings(
  { version, downloadUrl, sha256, listedSums }: ReleaseConfig,
  problems: Problems,
): string[] {
  if (!listedSums || ARCHITECTURES.every((name) => sha256[name] !== undefined)) {
    return [];
  }
  const pin = `write ${problems.key(["sha256"])} to pin it`;
  const release = `etcd ${problems.conceal(["version"], version)}`;
  const mirror = problems.conceal(["downloadUrl"], downloadUrl);
  if (downloadUrl === OFFICIAL_DOWNLOADS) {
    return [
      `${problems.key(["version"])}: this program knows no digest of ${release}; each host takes it from the SHA256SUMS at ${mirror}; ${pin}`,
    ];
  }
  const plain = downloadUrl.startsWith("http:") ? "plain http, and " : "";
  return [
    `${problems.key(["trustMirrorChecksums"])}: ${plain}the digest of ${release} comes from the same place as the tarball, ${mirror}; ${pin}`,
  ];
}
