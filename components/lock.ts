/** One up at a time: this program's side of scripts/lib/lock.sh. */
import { hostname, userInfo } from "node:os";
import * as pulumi from "@pulumi/pulumi";
import { OperatorError } from "./errors";
import type { HostState } from "./hosts/host-state";
import { printable } from "./hosts/printable";
import type { Holding } from "./hosts/probe";
import type { Voice } from "./voice";

/** What ends the program as an error that was told already (the SDK's own code for that). */
const TOLD = 32;

/** For an up: its words on the hosts, and what it says when a host makes it wait, or is lost to it. */
export function beginHolding(now: Date, voice: Voice): Holding {
  const since = now.toISOString().slice(0, 19).replace("T", " ");
  return {
    held: [],
    words: `${userInfo().username}@${hostname()} (stack ${pulumi.getStack()}, process ${process.pid}) since ${since} UTC`,
    onWait: (name) =>
      void voice.info(
        `${name}: steps of an earlier run, or a job, are still in progress there; waiting up to 3 minutes`,
      ),
    onLost: (name, words) => void endRun(name, words, voice),
  };
}

/**
 * Another run could begin on that host now, so this one registers no further step. Those that run go on to their end, and hold their
 * hosts until then.
 */
async function endRun(name: string, words: string, voice: Voice): Promise<void> {
  const reason = words === "" ? "the SSH session ended" : printable(words, 200);
  await voice.error(
    `${name}: lost the SSH session that holds this run's lock (${reason}): power or network failure, a reboot, or this machine was asleep. Another run could start on that host now, so this one stops here. Steps already in progress run to their end; one on an unreachable host fails within three minutes. Behind a bastion, or if it does not fail, press Ctrl-C twice and run pulumi cancel. Bring the host back and run pulumi up again, which waits for those steps; see docs/troubleshooting.md`,
  );
  process.exit(TOLD);
}

/** @throws OperatorError in an up when another one has a host, or has left steps at work there, or a job is. */
export async function refuseBeside(
  hosts: ReadonlyMap<string, HostState>,
  up: boolean,
  voice: Voice,
): Promise<void> {
  const seen = [...hosts].flatMap(([name, host]) => (host.inspected ? [{ name, ...host }] : []));
  const held = seen.flatMap(({ name, lockedBy: by }) =>
    by === undefined ? [] : [`${name}: locked by ${by}`],
  );
  const unfinished = seen.flatMap(({ name, unfinished: whose }) =>
    whose === undefined ? [] : [`${name}: still in progress: ${whose}`],
  );
  if (up && held.length > 0) {
    throw refusal(
      "another pulumi up is in progress",
      [...held, ...unfinished],
      "wait until it is done; the lock is released when that run and its steps on the host have ended, or 60 s after its machine disappears",
    );
  }
  if (up && unfinished.length > 0) {
    throw refusal(
      "the hosts are still at work",
      unfinished,
      "run pulumi up again when that is done; ps -ef | grep 'bash -p' on the host shows it",
    );
  }
  for (const line of [...held, ...unfinished]) {
    await voice.warn(line);
  }
}

function refusal(what: string, lines: readonly string[], remedy: string): OperatorError {
  return new OperatorError(
    [`${what}; nothing was changed:`, ...lines.map((line) => `  - ${line}`), remedy].join("\n"),
  );
}
