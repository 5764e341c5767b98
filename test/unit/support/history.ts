/** Histories of a load by hand: a small store that keeps its promises, to be doctored by the tests. */
import type { Attempt, Entry, Operation, State } from "../../load/history";

export const ENDPOINTS = ["https://a:2379", "https://b:2379", "https://c:2379"] as const;
const CLUSTER = "1";

/** One store; each operation takes 2 ms of the clock unless told otherwise. */
export class Script {
  readonly entries: Entry[] = [];
  now = 0;
  #revision = 10;
  readonly #keys = new Map<string, State>();

  constructor() {
    this.entries.push({ record: "begin", prefix: "load/", epoch: 0 });
    this.members(ENDPOINTS);
  }

  members(voters: readonly string[], learners: readonly string[] = []): void {
    const list = [...voters, ...learners].map((endpoint) => ({
      id: endpoint,
      endpoint,
      learner: learners.includes(endpoint),
    }));
    this.entries.push({ record: "members", at: this.now, cluster: CLUSTER, members: list });
  }

  put(key: string, value: string): Operation {
    const attempts = this.#answered();
    return this.#record({ kind: "put", key, value, attempts, answer: this.#head(key, value) });
  }

  get(key: string): Operation {
    const answer = { ...this.#head(), state: this.#keys.get(key) ?? null };
    return this.#record({ kind: "get", key, attempts: this.#answered(), answer });
  }

  cas(key: string, value: string, expected: number): Operation {
    const attempts = this.#answered();
    const known = this.#keys.get(key) ?? null;
    const answer =
      (known?.revision ?? 0) === expected
        ? { ...this.#head(key, value), swapped: true }
        : { ...this.#head(), swapped: false, state: known };
    return this.#record({ kind: "cas", key, value, expected, attempts, answer });
  }

  /** A write whose first attempt had no answer and may have been applied. */
  retriedPut(
    key: string,
    value: string,
    applied: boolean,
    lost = this.attempt("unknown", 5),
  ): Operation {
    if (applied) {
      this.#head(key, value);
    }
    const attempts = [lost, ...this.#answered()];
    return this.#record({ kind: "put", key, value, attempts, answer: this.#head(key, value) });
  }

  /** An operation that nobody answered. */
  failed(key: string, value: string): Operation {
    return this.#record({ kind: "put", key, value, attempts: [this.attempt("unknown", 5)] });
  }

  attempt(outcome: Attempt["outcome"], ms = 2): Attempt {
    const start = this.now;
    this.now += ms;
    const end = this.now;
    this.now += 1;
    return { endpoint: ENDPOINTS[0], start, end, outcome };
  }

  sample(endpoint: string, serving: boolean, term = 2, ms = 1): void {
    const start = this.now;
    this.entries.push({
      ...{ record: "sample", endpoint, start, end: start + ms, serving },
      ...(serving ? { term } : {}),
    });
  }

  /** The last records of a whole run. */
  end(): readonly Entry[] {
    const revision = this.#revision;
    const keys = [...this.#keys].map(([key, state]) => ({ key, ...state }));
    this.entries.push({ record: "final", revision, keys });
    for (const endpoint of ENDPOINTS) {
      this.entries.push({ record: "hash", endpoint, revision, hash: "77", compacted: "-1" });
    }
    this.entries.push({ record: "end", from: 0, to: this.now });
    return this.entries;
  }

  /** The answer's head; with a key and a value, of a change that the watch shows. */
  #head(key?: string, value?: string): { cluster: string; revision: number } {
    if (key !== undefined && value !== undefined) {
      this.#revision += 1;
      const version = (this.#keys.get(key)?.version ?? 0) + 1;
      const state = { value, revision: this.#revision, version };
      this.#keys.set(key, state);
      this.entries.push({ record: "event", type: "Put", key, at: this.now, ...state });
    }
    return { cluster: CLUSTER, revision: this.#revision };
  }

  #answered(): Attempt[] {
    return [this.attempt("ok")];
  }

  #record(what: Omit<Operation, "record" | "worker">): Operation {
    const operation: Operation = { record: "operation", worker: 0, ...what };
    this.entries.push(operation);
    return operation;
  }
}

/** A run that nobody has anything to say against: all kinds of operations, for 2 s. */
export function cleanScript(): Script {
  const script = new Script();
  for (let step = 0; step < 150; step++) {
    const key = `load/k${step % 3}`;
    const { answer } = script.put(key, `p${step}`);
    script.get(key);
    script.cas(key, `c${step}`, answer?.revision ?? 0);
    script.cas(key, `r${step}`, 1);
    for (const endpoint of ENDPOINTS) {
      script.sample(endpoint, true);
    }
  }
  script.members(ENDPOINTS);
  return script;
}

/** The same history with some entries changed; an entry for which `change` gives nothing goes. */
export function doctored(
  history: readonly Entry[],
  change: (entry: Entry) => Entry | undefined,
): Entry[] {
  return history.flatMap((entry) => change(entry) ?? []);
}
