/** What the jobs of the hosts' timers have left behind, read without an inspection. */
import type { ClusterConfig } from "../config";
import { ask, askAll } from "./ask";
import type { HostState } from "./host-state";
import { unread } from "./probe-output";
import { PROBE_WORDS } from "./probe-words";

const { bootstrapped, receipt, job, "job-good": good } = PROBE_WORDS;

/** The words of the answers (scripts/steps/results.sh). */
export const RESULT_WORDS = { bootstrapped, receipt, job, "job-good": good };

/** Somebody waits for the answer, and asks again soon. */
const QUESTION = {
  script: "results",
  grammar: RESULT_WORDS,
  seconds: 7,
  patience: { pauses: [] },
} as const;

/** Nobody's clock is looked at. */
const ASKED = { started: 0, ended: 0, maximumClockSkew: 0 };

/** Asks all hosts at once, by node name. Never fails. @returns of each what its jobs have done, and nothing else. */
export function askResults({
  connections,
}: Pick<ClusterConfig, "connections">): Promise<ReadonlyMap<string, HostState>> {
  return askAll(connections, [...connections.keys()], async (name, connection) => {
    const lines = await ask(name, connection, QUESTION);
    if ("reason" in lines) {
      return { inspected: false, ...lines };
    }
    const host = unread();
    for (const { word, rest } of lines) {
      RESULT_WORDS[word].read(host, rest, ASKED);
    }
    return host;
  });
}
