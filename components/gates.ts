/** What the gates of an earlier run said is checked by every run that has nothing to do there: the state has it. */
import { agreedView } from "./cluster-view";
import { formatRevision } from "./scripts/revision";

/** A gate as the state has it. */
export interface Gate {
  /** Name of its node. */
  readonly node: string;
  readonly revision: string;
  readonly stdout: string;
}

/**
 * The revision of every gate: the recorded one, or one that has all of them run again, where what they said is not
 * understood or does not agree.
 *
 * @param nodes whose gates are checked.
 * @param mark what the lines around the gates' own have in them.
 * @param time of this run (`revisionTime`).
 */
export function gateRevisions(
  recorded: readonly Gate[],
  nodes: ReadonlySet<string>,
  mark: string,
  time: string,
): (node: string) => string {
  const checked = recorded.filter(({ node }) => nodes.has(node));
  if (checked.length > 0 && !agrees(checked, mark)) {
    const reason = "what the gates said before is not understood or does not agree";
    return () => formatRevision("health", { mode: "gate", time, reason });
  }
  return (node) =>
    recorded.find((gate) => gate.node === node)?.revision ??
    formatRevision("health", { mode: "gate" });
}

function agrees(gates: readonly Gate[], mark: string): boolean {
  try {
    agreedView(
      gates.map(({ node, stdout }) => [node, stdout]),
      mark,
    );
    return true;
  } catch {
    return false;
  }
}
