import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "../shared/plugin";

const first = 100;
const factor = 1.5;
const longest = 5000;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Tries until it works or more than `limit` tries have failed (-1: for ever), waiting 0.1 s after
 * the first failure and half as long again after each further one, 5 s at most. Each failure but
 * the last is shown as a status. Errors: `after N failed attempts: ...`, or the reason of the abort.
 */
export async function retry<T>(
  what: string,
  limit: number,
  context: Context,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let dials = 1, delay = first; ; dials += 1, delay = Math.min(delay * factor, longest)) {
    context.signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      context.signal.throwIfAborted();
      if (limit > -1 && dials > limit) {
        throw new Error(`after ${dials - 1} failed attempts: ${messageOf(error)}`, {
          cause: error,
        });
      }
      const limitText = limit === -1 ? "inf" : limit;
      context.log("info", `${what} ${dials}/${limitText} failed: retrying`, true);
    }
    await sleep(delay, undefined, { signal: context.signal }).catch(() => undefined);
  }
}
