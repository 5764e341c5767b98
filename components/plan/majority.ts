/** Who says the same. */
export interface Party {
  readonly nodes: readonly string[];
  readonly value: string;
}

/** Parties of those who say the same, the largest first, in their order. */
export function groupByValue(said: readonly (readonly [string, string])[]): readonly Party[] {
  const parties = new Map<string, string[]>();
  for (const [node, value] of said) {
    parties.set(value, [...(parties.get(value) ?? []), node]);
  }
  return [...parties]
    .map(([value, nodes]): Party => ({ nodes, value }))
    .sort((a, b) => b.nodes.length - a.nodes.length);
}
