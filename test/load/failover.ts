/** One operation through whichever endpoint answers. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { CallOptions } from "@grpc/grpc-js";
import type { Endpoint, Endpoints } from "./endpoints";
import type { Attempt } from "./history";

const ATTEMPT_MS = 1500;
/** An operation that no endpoint answered within this time has failed for good. */
const GIVE_UP_MS = 10_000;
const ROUND_MS = 50;

/** Errors of calls that never left this process or met no listener. */
const UNSENT = /No connection established|ECONNREFUSED|before call started|Channel has been shut/;

export interface Outcome<Answer> {
  readonly attempts: readonly Attempt[];
  /** Absent when no endpoint answered in time. */
  readonly answer?: Answer;
}

/**
 * @param home the endpoint to ask first. Clients keep to one while it answers, as real ones do.
 */
export async function throughAny<Answer>(
  endpoints: Endpoints,
  home: number,
  call: (endpoint: Endpoint, options: CallOptions) => Promise<Answer>,
): Promise<Outcome<Answer>> {
  const attempts: Attempt[] = [];
  const giveUp = performance.now() + GIVE_UP_MS;
  for (;;) {
    for (const endpoint of endpoints.inOrder(home)) {
      const start = performance.now();
      const deadline = Math.min(ATTEMPT_MS, giveUp - start);
      if (deadline <= 0) {
        return { attempts };
      }
      const seen = { endpoint: endpoint.url, start };
      try {
        const answer = await call(endpoint, { deadline: Date.now() + deadline });
        endpoint.answering = true;
        attempts.push({ ...seen, end: performance.now(), outcome: "ok" });
        return { attempts, answer };
      } catch (error) {
        endpoint.answering = false;
        const words = error instanceof Error ? error.message : String(error);
        const outcome = UNSENT.test(words) ? "fail" : "unknown";
        attempts.push({ ...seen, end: performance.now(), outcome, error: words });
      }
    }
    if (performance.now() + ROUND_MS >= giveUp) {
      return { attempts };
    }
    await sleep(ROUND_MS);
  }
}
