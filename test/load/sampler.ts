/** Looks at every member all the time: whether it serves, in which term, and who the members are. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Endpoint, Endpoints } from "./endpoints";
import type { Entry } from "./history";

const PERIOD_MS = 50;
/** A member that has stopped refuses at once; a busy machine answers late. */
const STATUS_DEADLINE_MS = 3000;
const MEMBERS_MS = 500;
const MEMBERS_DEADLINE_MS = 1000;

export class Sampler {
  #stopped = false;
  readonly #watched = new Map<Endpoint, Promise<void>>();

  constructor(
    private readonly endpoints: Endpoints,
    private readonly record: (entry: Entry) => void,
  ) {}

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#members();
      for (const endpoint of this.endpoints.list()) {
        if (!this.#watched.has(endpoint)) {
          this.#watched.set(endpoint, this.#samples(endpoint));
        }
      }
      await sleep(MEMBERS_MS);
    }
    await Promise.all(this.#watched.values());
  }

  /** Follows the member list, as the first member that answers has it. */
  async #members(): Promise<void> {
    for (const endpoint of this.endpoints.inOrder(0)) {
      try {
        const options = { deadline: Date.now() + MEMBERS_DEADLINE_MS };
        const { header, members } = await endpoint.services.cluster.memberList({}, options);
        const started = members.flatMap(({ ID: id, isLearner: learner, clientURLs }) =>
          clientURLs.slice(0, 1).map((url) => ({ id, endpoint: url, learner })),
        );
        this.record({
          record: "members",
          at: performance.now(),
          cluster: header.cluster_id,
          members: started,
        });
        this.endpoints.follow(started.filter((m) => !m.learner).map((m) => m.endpoint));
        return;
      } catch {
        // The next one may answer; if none does, the samples show it.
      }
    }
  }

  /**
   * A status is answered by the member itself, without a quorum: an election is not an absence.
   * etcd listens to clients only once it has joined its quorum.
   */
  async #samples(endpoint: Endpoint): Promise<void> {
    while (!this.#stopped && !endpoint.closed) {
      const start = performance.now();
      const options = { deadline: Date.now() + STATUS_DEADLINE_MS };
      let error: string | undefined;
      const status = await endpoint.observed.maintenance
        .status(options)
        .catch((reason: unknown) => {
          error = String(reason);
        });
      const serving = typeof status === "object";
      const term = serving ? Number(status.raftTerm) : undefined;
      // Without a leader it would keep an operation until its deadline.
      endpoint.answering = serving && status.leader !== "0";
      if (!endpoint.closed) {
        const end = performance.now();
        this.record({ record: "sample", endpoint: endpoint.url, start, end, serving, term, error });
      }
      await sleep(PERIOD_MS);
    }
  }
}
