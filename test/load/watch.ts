/**
 * A watch over all keys of the run from its first revision on, resumed after the last event seen.
 * etcd3's own watcher resumes after the revision of the last answer's header, which is the store's
 * and not the last event's: while it catches up it would skip events. So this one is written on the
 * stream itself, as etcd's Go client does it.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { IWatchResponse } from "etcd3";
import { stateOf } from "./client";
import type { Endpoint, Endpoints } from "./endpoints";
import type { Entry } from "./history";

/** The load writes all the time: a stream that says nothing for so long is dead. */
const SILENT_MS = 1500;
const PAUSE_MS = 50;

export class Watch {
  /** Revision of the last event. */
  seen: number;
  #stopped = false;
  #cancel: (reason: string) => void = () => undefined;

  constructor(
    private readonly endpoints: Endpoints,
    private readonly prefix: string,
    from: number,
    private readonly record: (entry: Entry) => void,
  ) {
    this.seen = from - 1;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel("stopped");
  }

  async run(): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      const endpoint = this.endpoints.inOrder(turn)[0];
      const reason = endpoint === undefined ? "no endpoint" : await this.#follow(endpoint);
      if (!this.#stopped) {
        this.record({
          record: "resumed",
          at: performance.now(),
          endpoint: endpoint?.url ?? "",
          revision: this.seen + 1,
          reason,
        });
        await sleep(PAUSE_MS);
      }
    }
  }

  /** Until the stream ends, and why it did. */
  async #follow(endpoint: Endpoint): Promise<string> {
    const stream = await endpoint.services.watch.watch();
    return new Promise((resolve) => {
      const silence = setTimeout(() => this.#cancel("silent"), SILENT_MS);
      const end = (reason: string) => {
        clearTimeout(silence);
        endpoint.answering &&= reason === "stopped";
        resolve(reason);
      };
      this.#cancel = (reason) => {
        end(reason);
        stream.cancel();
      };
      stream.on("error", (error: Error) => end(error.message));
      stream.on("end", () => end("ended"));
      stream.on("data", (response: IWatchResponse) => {
        silence.refresh();
        if (response.canceled) {
          this.#cancel(`canceled: ${response.cancel_reason}`);
        } else {
          this.#take(response);
        }
      });
      stream.write({
        create_request: { ...range(this.prefix), start_revision: this.seen + 1 },
      });
    });
  }

  #take({ events }: IWatchResponse): void {
    for (const { type, kv } of events) {
      const event = { ...stateOf(kv), type, key: kv.key.toString(), at: performance.now() };
      this.record({ record: "event", ...event });
      this.seen = Math.max(this.seen, event.revision);
    }
  }
}

/** The range of all keys with this prefix, which ends in a character below 255. */
export function range(prefix: string): { key: Buffer; range_end: Buffer } {
  const end = Buffer.from(prefix);
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  return { key: Buffer.from(prefix), range_end: end };
}
