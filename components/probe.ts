import type { Connection } from "./connection";
import type { Look } from "./look";
import { destination, explain, sshOptions } from "./openssh";
import { readAnswer } from "./probe-answer";
import { run } from "./session";
import { assemble, packScripts } from "./shell";
import { STEPS } from "./step";

export interface ProbeTarget {
  readonly connection: Connection;
  /** Values of the probe's script. */
  readonly values: Readonly<Record<string, string>>;
}

/**
 * Looks at all hosts at once, one read-only SSH session each. Never fails: a host that cannot be
 * looked at is reported as such.
 *
 * @param maximumClockSkew seconds.
 * @param holder who is at work, for an up: the hosts are locked until this program ends.
 */
export async function lookAtHosts(
  targets: ReadonlyMap<string, ProbeTarget>,
  maximumClockSkew: number,
  holder?: string,
): Promise<ReadonlyMap<string, Look>> {
  const looks = [...targets].map(
    async ([name, target]): Promise<[string, Look]> => [
      name,
      await lookAt(target, maximumClockSkew, holder),
    ],
  );
  // While the hosts answer.
  setImmediate(packScripts, STEPS);
  return new Map(await Promise.all(looks));
}

async function lookAt(
  target: ProbeTarget,
  maximumClockSkew: number,
  holder?: string,
): Promise<Look> {
  const { connection } = target;
  const shell = connection.sudo ? "sudo -n bash -s -- probe" : "bash -s -- probe";
  const started = Date.now();
  const answer = await run(
    "ssh",
    [...sshOptions(connection), "-T", destination(connection), shell],
    holder === undefined
      ? assemble("probe", target.values)
      : `${assemble("probe", { ...target.values, HOLDER: holder })}keep_lock\n`,
    holder !== undefined,
  );
  if (answer.code !== 0) {
    return {
      seen: false,
      distrusted: answer.stderr.includes("Host key verification failed"),
      reason: explain(connection, answer),
    };
  }
  return readAnswer(answer.stdout, { started, ended: answer.firstByte }, maximumClockSkew);
}
