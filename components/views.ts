import { Refusal } from "./refusal";

/** A member as the cluster lists it. */
export interface Member {
  readonly name: string;
  /** Peer URLs, comma separated, as etcd prints them. */
  readonly peerUrls: string;
  /** Hexadecimal. */
  readonly id: string;
}

/** The cluster as all its members see it. */
export interface View {
  readonly clusterId: string;
  readonly version: string;
  readonly members: readonly Member[];
}

/**
 * Compares what every member's gate printed: one cluster, one member list, one version.
 *
 * @param outputs pairs of node name and the gate's standard output.
 * @throws Refusal naming the members that see it differently.
 */
export function agree(outputs: readonly (readonly [string, string])[]): View {
  const views = outputs.map(([node, output]) => ({ node, ...parse(node, output) }));
  const [first, ...others] = views;
  if (first === undefined) {
    throw new Refusal("the cluster has no members");
  }
  for (const key of ["cluster", "version", "list"] as const) {
    for (const other of others) {
      if (other[key] !== first[key]) {
        throw new Refusal(
          `the members disagree about the ${WORDS[key]}: ${first.node} sees ${first[key]}, ${other.node} sees ${other[key]}`,
        );
      }
    }
  }
  const members = first.list.split("; ").map((line): Member => {
    const [id = "", name = "", peerUrls = ""] = line.split(" ");
    return { name, peerUrls, id };
  });
  return {
    clusterId: first.cluster,
    version: first.version,
    members: members.sort((a, b) => a.name.localeCompare(b.name)),
  };
}

const WORDS = {
  cluster: "cluster ID",
  version: "version",
  list: "member list",
} as const;

function parse(node: string, output: string) {
  const lines = output.split("\n").map((line) => line.split(" "));
  const value = (word: string): string => {
    const found = lines.find(([first]) => first === word)?.[1];
    if (found === undefined || found === "") {
      throw new Refusal(`the gate of ${node} printed no ${word}: ${output}`);
    }
    return found;
  };
  const view = {
    cluster: value("cluster"),
    version: value("version"),
    list: lines
      .filter(([first]) => first === "peer")
      .map(([, ...rest]) => rest.join(" "))
      .join("; "),
  };
  // A list without members would pass for one member without a name.
  value("peer");
  return view;
}
