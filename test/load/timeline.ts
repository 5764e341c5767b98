/** The order of all changes, as the watch delivered them. */
import type { WatchEvent } from "./history";

export class Timeline {
  /** Texts about events that came twice, out of order or with some missing in between. */
  readonly disorder: readonly string[];
  readonly #byKey = new Map<string, WatchEvent[]>();

  constructor(readonly events: readonly WatchEvent[]) {
    const disorder: string[] = [];
    let newest = 0;
    for (const event of events) {
      const { key, revision, version } = event;
      const known = this.#byKey.get(key) ?? [];
      this.#byKey.set(key, known);
      // Each operation changes one key, so no two events share a revision.
      if (revision <= newest) {
        const again = known.some((other) => other.revision === revision);
        disorder.push(
          `a watch event came ${again ? "twice" : "out of order"}: ${key} at revision ${revision}` +
            ` after revision ${newest}`,
        );
      } else if (version !== (known.at(-1)?.version ?? 0) + 1) {
        disorder.push(
          `watch events are missing: ${key} version ${version} at revision ${revision}` +
            ` follows version ${known.at(-1)?.version ?? 0}`,
        );
      }
      newest = Math.max(newest, revision);
      known.push(event);
    }
    for (const known of this.#byKey.values()) {
      known.sort((one, other) => one.revision - other.revision);
    }
    this.disorder = disorder;
  }

  get keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  /** The key's last change at or before the revision. */
  at(key: string, revision: number): WatchEvent | undefined {
    const known = this.#byKey.get(key) ?? [];
    let [low, high] = [0, known.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((known[middle]?.revision ?? 0) <= revision) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return known[low - 1];
  }

  /** The key's last change before the revision. */
  before(key: string, revision: number): WatchEvent | undefined {
    return this.at(key, revision - 1);
  }

  /** The key's first change to the value. */
  firstOf(key: string, value: string | undefined): WatchEvent | undefined {
    return this.#byKey.get(key)?.find((event) => event.value === value);
  }
}
