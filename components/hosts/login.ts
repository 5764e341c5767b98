import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "../config/types";
import { prompter } from "./askpass";
import { withKeyFiles } from "./key-files";
import { remoteInput, remoteShell } from "./remote-shell";
import { type Answer, run, type Talk } from "./session";
import { turnedAway } from "./ssh-errors";
import { destination, sshOptions } from "./ssh-options";

/** How a host that turns new connections away is dealt with. */
export interface Patience {
  /** Seconds before each further dial. */
  readonly pauses: readonly number[];
  /** Told once, in ssh's words, when the second dial is turned away too. */
  readonly onWait?: (words: string) => void;
}

/**
 * A limit of new connections, as by `ufw limit ssh`, counts thirty seconds back, those it turns away
 * twice: with less than ten seconds between them it never ends.
 */
export const PATIENCE: Patience = { pauses: [1, 10.5, 10.5, 10.5] };

export interface Script {
  /** Function of the script, and its arguments. */
  readonly call: string;
  readonly text: string;
}

/**
 * Runs a script on a host in a session of OpenSSH's client, and never fails.
 *
 * @param options of ssh, beside those that the connection asks for.
 */
export async function logIn(
  wanted: Connection,
  { call, text }: Script,
  talk: Talk,
  options: readonly string[] = [],
  { pauses, onWait }: Patience = PATIENCE,
): Promise<Answer> {
  const { connection, close } = withKeyFiles(wanted);
  const prompts = await prompter(connection);
  const dial = () =>
    run(
      "ssh",
      [
        ...[...sshOptions(connection), ...options],
        ...["-T", destination(connection), `${remoteShell(connection)} ${call}`],
      ],
      remoteInput(connection, text),
      { ...talk, environment: prompts?.environment },
    );
  try {
    let answer = await dial();
    for (const seconds of pauses) {
      const words = turnedAway(answer);
      if (words === undefined) {
        break;
      }
      if (answer.dials === 2) {
        onWait?.(words);
      }
      await pause(seconds * 1000);
      answer = { ...(await dial()), dials: answer.dials + 1 };
    }
    return answer;
  } finally {
    prompts?.close();
    close();
  }
}
