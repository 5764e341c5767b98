import { parse } from "./answer-grammar";
import type { HostState } from "./host-state";
import type { Asked } from "./probe-fields";
import { type Draft, PROBE_WORDS } from "./probe-words";

/**
 * Turns what the probe (scripts/steps/probe.sh) says, a word and its rest a line, into a host's state.
 *
 * @returns in words what is wrong with the answer, when it is none.
 */
export function readAnswer(output: readonly string[], asked: Asked): HostState | string {
  const lines = parse(output, PROBE_WORDS);
  if (typeof lines === "string") {
    return lines;
  }
  const host = unread();
  for (const { word, rest } of lines) {
    PROBE_WORDS[word].read(host, rest, asked);
  }
  return host;
}

/** Of which no word has been read yet. Exported for the tests. */
export function unread(): Draft {
  return {
    inspected: true,
    bootstrapped: false,
    findings: [],
    receipts: new Map(),
    unit: [],
    leader: false,
    empty: false,
    members: [],
    nodes: [],
    peerUrlsSeen: [],
    certificates: [],
  };
}
