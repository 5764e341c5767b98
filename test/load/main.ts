/**
 * The load as a process of its own. Standard input carries JSON lines: first the configuration,
 * later new credentials when they change; its end, or SIGTERM, ends the load. It prints `running`
 * once everything works, and leaves its history in a file.
 */
import { createWriteStream } from "node:fs";
import { constants, setPriority } from "node:os";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { generator } from "../support/random";
import { Client, stateOf } from "./client";
import { Endpoints } from "./endpoints";
import { throughAny } from "./failover";
import type { Entry } from "./history";
import { Sampler } from "./sampler";
import { range, Watch } from "./watch";
import { sharedKey, Worker } from "./worker";

const credentialsSchema = z.object({
  caCertificate: z.string(),
  clientCertificate: z.string(),
  clientKey: z.string(),
});

const configSchema = credentialsSchema.extend({
  endpoints: z.array(z.string()).min(1),
  /** Path of the history to write. */
  history: z.string(),
  seed: z.number(),
  workers: z.number(),
  /** Steps of all workers together, per second; some are two operations. */
  rate: z.number(),
  /**
   * To see the checker find something: an endpoint that is asked without asking its quorum, and
   * whose answers are recorded as if it had been.
   */
  staleReads: z.string().optional(),
});

type Config = z.output<typeof configSchema>;

const READY_MS = 30_000;
const DRAIN_MS = 15_000;
const PAUSE_MS = 50;
const TICK_MS = 20;

async function main(): Promise<void> {
  try {
    // What it measures is the cluster's time, not its own wait for a busy processor.
    setPriority(constants.priority.PRIORITY_HIGH);
  } catch {
    // Then the report says how long it did not run.
  }
  const input = createInterface({ input: process.stdin });
  const lines = input[Symbol.asyncIterator]();
  const config = configSchema.parse(JSON.parse((await lines.next()).value ?? ""));
  const endpoints = new Endpoints(config.endpoints, config);
  const ended = new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve);
    void (async () => {
      for await (const line of lines) {
        endpoints.renew(credentialsSchema.parse(JSON.parse(line)));
      }
      resolve();
    })();
  });

  const file = createWriteStream(config.history, { mode: 0o600 });
  const record = (entry: Entry) => {
    file.write(`${JSON.stringify(entry)}\n`);
  };
  const prefix = `load/${Date.now()}-${config.seed}/`;
  record({ record: "begin", prefix, epoch: performance.timeOrigin });
  const pauses = setInterval(pauseMeter(record), TICK_MS);

  // Keys of its own mark the first revision and the last one.
  const marker = new Client(endpoints, 0, record);
  const first = (await marker.put(`${prefix}begin`, "begin")).answer;
  if (first === undefined) {
    throw new Error(`no endpoint answers: ${config.endpoints.join(" ")}`);
  }
  const watch = new Watch(endpoints, prefix, first.revision, record);
  const sampler = new Sampler(endpoints, record);
  const workers = Array.from({ length: config.workers }, (_, number) => {
    const client = new Client(endpoints, number, record);
    return new Worker(client, number, prefix, (1000 * config.workers) / config.rate, config.seed);
  });
  const working = new Set<number>();
  const runs = workers.map((worker, number) => worker.run(() => working.add(number)));
  const background = [watch.run(), sampler.run()];
  const ready = () => working.size === workers.length && watch.seen > first.revision;
  if (!(await until(ready, READY_MS))) {
    throw new Error(`not every client was answered within ${READY_MS} ms`);
  }
  const from = performance.now();
  const stopReads = staleReads(config, prefix, record);
  console.log("running");

  await ended;
  input.close();
  const to = performance.now();
  for (const worker of workers) {
    worker.stop();
  }
  await Promise.all([...runs, stopReads()]);
  const last = (await marker.put(`${prefix}end`, "end")).answer;
  if (last !== undefined) {
    await until(() => watch.seen >= last.revision, DRAIN_MS);
    await finish(endpoints, prefix, record);
  }
  watch.stop();
  sampler.stop();
  await Promise.all(background);
  clearInterval(pauses);
  endpoints.close();
  record({ record: "end", from, to });
  file.end();
  await finished(file);
}

/** @returns what ends it. */
function staleReads(
  config: Config,
  prefix: string,
  record: (entry: Entry) => void,
): () => Promise<void> {
  if (config.staleReads === undefined) {
    return async () => undefined;
  }
  const only = new Endpoints([config.staleReads], config);
  const client = new Client(only, config.workers, record);
  const random = generator(config.seed);
  let stopped = false;
  const run = async () => {
    while (!stopped) {
      await client.get(sharedKey(prefix, random), true);
      await sleep(PAUSE_MS);
    }
    only.close();
  };
  const running = run();
  return () => {
    stopped = true;
    return running;
  };
}

/** All keys in one read, and the hash of all keys up to there from every member. */
async function finish(
  endpoints: Endpoints,
  prefix: string,
  record: (entry: Entry) => void,
): Promise<void> {
  const { answer: all } = await throughAny(endpoints, 0, (endpoint, options) =>
    endpoint.services.kv.range(range(prefix), options),
  );
  if (all === undefined) {
    return;
  }
  const revision = Number(all.header.revision);
  const keys = all.kvs.map((pair) => ({ key: pair.key.toString(), ...stateOf(pair) }));
  record({ record: "final", revision, keys });
  for (const endpoint of endpoints.list()) {
    const deadline = performance.now() + DRAIN_MS;
    // A member that lags does not have the revision yet.
    while (performance.now() < deadline) {
      try {
        const options = { deadline: Date.now() + 5000 };
        const answer = await endpoint.services.hashKV(revision, options);
        const { hash, compact_revision: compacted } = answer;
        record({ record: "hash", endpoint: endpoint.url, revision, hash: String(hash), compacted });
        break;
      } catch {
        await sleep(PAUSE_MS);
      }
    }
  }
}

/** Called every `TICK_MS`, or later when the process did not get to run. */
function pauseMeter(record: (entry: Entry) => void): () => void {
  let due = performance.now() + TICK_MS;
  return () => {
    const now = performance.now();
    if (now - due > PAUSE_MS) {
      record({ record: "pause", start: due, end: now });
    }
    due = now + TICK_MS;
  };
}

async function until(condition: () => boolean, milliseconds: number): Promise<boolean> {
  const deadline = performance.now() + milliseconds;
  while (!condition() && performance.now() < deadline) {
    await sleep(10);
  }
  return condition();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(`load: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  },
);
