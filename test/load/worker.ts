/** One of the load's clients: writes, reads and swaps at a steady pace until it is stopped. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { generator } from "../support/random";
import type { Client } from "./client";
import type { Operation } from "./history";

const SHARED_KEYS = 5;

export class Worker {
  #stopped = false;
  #written = 0;

  constructor(
    private readonly client: Client,
    private readonly number: number,
    private readonly prefix: string,
    /** Time from the start of a step to the start of the next one. */
    private readonly periodMs: number,
    private readonly seed: number,
  ) {}

  stop(): void {
    this.#stopped = true;
  }

  /** @param onAnswer told of each answered operation. */
  async run(onAnswer: () => void): Promise<void> {
    const random = generator(this.seed * 1000 + this.number);
    let next = performance.now() + random() * this.periodMs;
    while (!this.#stopped) {
      await sleep(Math.max(0, next - performance.now()));
      next = Math.max(performance.now(), next) + (0.5 + random()) * this.periodMs;
      const { answer } = await this.#step(random);
      if (answer !== undefined) {
        onAnswer();
      }
    }
  }

  async #step(random: () => number): Promise<Operation> {
    const shared = sharedKey(this.prefix, random);
    const kind = random();
    if (kind < 0.3) {
      return this.client.put(shared, this.#value());
    }
    if (kind < 0.5) {
      return this.client.put(`${this.prefix}own-${this.number}`, this.#value());
    }
    const read = await this.client.get(shared);
    if (kind < 0.75 || read.answer === undefined) {
      return read;
    }
    // What it read may be outdated by now: some swaps succeed, some are refused.
    return this.client.cas(shared, this.#value(), read.answer.state?.revision ?? 0);
  }

  #value(): string {
    this.#written += 1;
    return `${this.number}-${this.#written}`;
  }
}

export function sharedKey(prefix: string, random: () => number): string {
  return `${prefix}shared-${Math.floor(random() * SHARED_KEYS)}`;
}
