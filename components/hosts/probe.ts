import type { Connection } from "../config/types";
import { assemble, hostScript, type JobScript, packed, STEP_SCRIPTS } from "../scripts/bundle";
import { PROGRAM_VERSION } from "../scripts/program";
import type { HostState } from "./host-state";
import { logIn, PATIENCE, type Patience } from "./login";
import { between, newMark } from "./marks";
import { readAnswer } from "./probe-output";
import type { Kept } from "./session";
import { explain, notAsExpected } from "./ssh-errors";
import { WATCHED } from "./ssh-options";

/**
 * Ends the text of an inspection that stays. In one line with `exit`: after a minute of silence bash would read on in its standard input,
 * which never ends when the operator's machine is gone, and the lock with it.
 */
export const KEEP_LOCK = "keep_lock; exit\n";

export interface ProbeTarget {
  readonly connection: Connection;
  /** Values of the probe's script. */
  readonly values: Readonly<Record<string, string>>;
  /** After so many a host that has not answered is given up. @default 20 */
  readonly seconds?: number;
}

/** An up locks the hosts that it inspects, until this program ends. */
export interface Holding {
  /** Is given the hosts that it has locked. */
  readonly held: HeldHost[];
  /** Who is at work, for others to read. */
  readonly words: string;
  /** Told of a host where steps of a run that has ended are waited for. */
  readonly onWait: (name: string) => void;
  /** Told of a host that is lost before this program ends, with the last words of ssh. */
  readonly onLost: (name: string, words: string) => void;
}

/** The same with several hosts. */
export interface NamedPatience {
  readonly pauses: Patience["pauses"];
  readonly onWait?: (name: string, words: string) => void;
}

/**
 * Inspects all hosts at once, one read-only SSH session each. Never fails: a host that cannot be
 * inspected is reported as such.
 *
 * @param maximumClockSkew seconds.
 * @param holding for an up.
 * @param patience with hosts that turn new connections away; told of their names too.
 */
export async function probeHosts(
  targets: ReadonlyMap<string, ProbeTarget>,
  maximumClockSkew: number,
  holding?: Holding,
  { pauses, onWait }: NamedPatience = PATIENCE,
): Promise<ReadonlyMap<string, HostState>> {
  const hosts = [...targets].map(
    async ([name, target]): Promise<[string, HostState]> => [
      name,
      await lookAt(
        name,
        target,
        maximumClockSkew,
        { pauses, onWait: (words) => onWait?.(name, words) },
        holding,
      ),
    ],
  );
  return new Map(await Promise.all(hosts));
}

/** A host that an up has locked, and the scripts that it has. */
export interface HeldHost {
  readonly session: Kept;
  readonly scripts: readonly string[];
}

/**
 * The hosts are this stack's and their nodes stay, so nothing is removed there before this program has come to its end (scripts/lib/keep.sh);
 * and they are sent the scripts that they lack (scripts/lib/scripts.sh). Reaches the hosts that an up has locked.
 *
 * @param finished resolves when all steps have ended well.
 * @param jobs those that are configured.
 */
export function keepNodes(
  held: readonly HeldHost[],
  finished: Promise<unknown>,
  jobs: readonly JobScript[] = [],
): void {
  for (const { session } of held) {
    session.tell(`keep ${PROGRAM_VERSION}\n`);
  }
  let ended = false;
  void finished.then(() => {
    ended = true;
  });
  // What ends with an error, wherever it came from, may leave steps at work.
  process.on("exit", (code) => {
    for (const { session } of ended && (process.exitCode ?? code) === 0 ? held : []) {
      session.tell("done\n");
    }
  });
  // The step that installs a job takes its script.
  for (const { name, text } of [...jobs, ...STEP_SCRIPTS].map(hostScript)) {
    const lacking = held.filter(({ scripts }) => !scripts.includes(name));
    if (lacking.length > 0) {
      const base64 = packed(text);
      for (const { session } of lacking) {
        session.tell(`script ${name} ${base64.length}\n${base64}`);
      }
    }
  }
}

async function lookAt(
  name: string,
  { connection, values, seconds }: ProbeTarget,
  maximumClockSkew: number,
  patience: Patience,
  holding?: Holding,
): Promise<HostState> {
  const mark = newMark();
  const script = { ...values, MARK: mark };
  const text =
    holding === undefined
      ? assemble("probe", script)
      : `${assemble("probe", { ...script, HOLDER: holding.words })}${KEEP_LOCK}`;
  const answer = await logIn(
    connection,
    { call: "probe", text },
    { mark, keep: holding !== undefined, seconds, onWait: () => holding?.onWait(name) },
    holding === undefined ? [] : WATCHED,
    patience,
  );
  const nonsense = (why: string): HostState => ({
    inspected: false,
    answered: true,
    reason: notAsExpected(connection, why, answer),
  });
  if (answer.flooded) {
    return nonsense("it printed more than 1 MiB");
  }
  if (answer.code !== 0) {
    return { inspected: false, ...explain(connection, answer) };
  }
  const lines = between(answer.stdout, mark);
  if (lines === undefined) {
    return nonsense("its output is missing");
  }
  void answer.kept?.lost.then((words) => holding?.onLost(name, words));
  const { started, begun: ended } = answer;
  const host = readAnswer(lines, { started, ended, maximumClockSkew });
  if (typeof host === "string") {
    return nonsense(`it printed ${host}`);
  }
  if (answer.kept !== undefined && host.inspected) {
    holding?.held.push({ session: answer.kept, scripts: host.scripts ?? [] });
  }
  return host;
}
