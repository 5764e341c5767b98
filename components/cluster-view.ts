import { OperatorError } from "./errors";
import { GATE_WORDS, parse } from "./hosts/answer-grammar";
import { between } from "./hosts/marks";
import { groupByValue } from "./plan/majority";

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
 * @param mark what the lines around the gate's own have in them.
 * @throws OperatorError naming the members that see it differently.
 */
export function agreedView(outputs: readonly (readonly [string, string])[], mark: string): View {
  const views = outputs.map(([node, output]) => ({ node, ...read(node, output, mark) }));
  const [first] = views;
  if (first === undefined) {
    throw new OperatorError("the cluster has no members");
  }
  for (const key of ["cluster", "version", "list"] as const) {
    const said = groupByValue(views.map((view) => [view.node, view[key]]));
    if (said.length > 1) {
      const who = said.map(
        ({ nodes, value }) => `${nodes.join(", ")} ${nodes.length === 1 ? "sees" : "see"} ${value}`,
      );
      throw new OperatorError(
        `the members disagree about the ${WORDS[key]}: ${who.join(", ")}${odd(said)}`,
      );
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

function odd(said: readonly { readonly nodes: readonly string[] }[]): string {
  const [most, ...others] = said;
  const rest = others.flatMap(({ nodes }) => nodes);
  return most !== undefined && most.nodes.length > rest.length
    ? `; inspect ${rest.join(", ")} first, which disagrees with the others`
    : "";
}

function read(node: string, output: string, mark: string) {
  const gate = `the gate of ${node} did not answer as expected`;
  const remedy = "the host is faulty or compromised: inspect it before anything else";
  const lines = parse(between(output, mark) ?? [], GATE_WORDS);
  if (typeof lines === "string") {
    throw new OperatorError(`${gate}: it printed ${lines}; ${remedy}`);
  }
  const value = (word: keyof typeof GATE_WORDS): string => {
    const found = lines.find((line) => line.word === word)?.rest;
    if (found === undefined) {
      throw new OperatorError(`${gate}: it printed no ${word}; ${remedy}`);
    }
    return found;
  };
  const view = {
    cluster: value("cluster"),
    version: value("version"),
    list: lines.flatMap(({ word, rest }) => (word === "peer" ? [rest] : [])).join("; "),
  };
  // A list without members would pass for one member without a name.
  value("peer");
  return view;
}
