/**
 * What a run of the load leaves behind: one JSON object a line. Times are milliseconds of the
 * load's own monotonic clock, revisions those of etcd.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";

/** One call to one endpoint. `unknown`: it may have been applied, or may be yet; `fail`: never sent. */
const attempt = z.object({
  endpoint: z.string(),
  start: z.number(),
  end: z.number(),
  outcome: z.enum(["ok", "fail", "unknown"]),
  error: z.string().optional(),
});

/** A key as etcd holds it; its revision is the one of its last change. */
const state = z.object({ value: z.string(), revision: z.number(), version: z.number() });

const operation = z.object({
  record: z.literal("operation"),
  worker: z.number(),
  kind: z.enum(["put", "get", "cas"]),
  key: z.string(),
  /** What was to be written; no two operations write the same. */
  value: z.string().optional(),
  /** The revision of the key that a compare-and-swap expects; 0 when the key must not exist. */
  expected: z.number().optional(),
  /** In their order; only the last one can be `ok`. */
  attempts: z.array(attempt),
  answer: z
    .object({
      cluster: z.string(),
      /** Of the answer's header: the store's revision when the operation was applied. */
      revision: z.number(),
      /** Whether a compare-and-swap was applied. */
      swapped: z.boolean().optional(),
      /** Of a read, and of a compare-and-swap that was not applied; null: no such key. */
      state: state.nullable().optional(),
    })
    .optional(),
});

const record = z.discriminatedUnion("record", [
  z.object({
    record: z.literal("begin"),
    prefix: z.string(),
    /** The wall clock at monotonic 0, in milliseconds since 1970. */
    epoch: z.number(),
  }),
  operation,
  state.extend({ record: z.literal("event"), type: z.string(), key: z.string(), at: z.number() }),
  z.object({
    record: z.literal("resumed"),
    at: z.number(),
    endpoint: z.string(),
    revision: z.number(),
    reason: z.string(),
  }),
  z.object({
    record: z.literal("members"),
    at: z.number(),
    cluster: z.string(),
    members: z.array(z.object({ id: z.string(), endpoint: z.string(), learner: z.boolean() })),
  }),
  z.object({
    record: z.literal("sample"),
    endpoint: z.string(),
    start: z.number(),
    end: z.number(),
    serving: z.boolean(),
    term: z.number().optional(),
    error: z.string().optional(),
  }),
  /** The load itself did not run in this time: its machine was busy with others. */
  z.object({ record: z.literal("pause"), start: z.number(), end: z.number() }),
  /** All keys of the run in one linearizable read after the last operation. */
  z.object({
    record: z.literal("final"),
    revision: z.number(),
    keys: z.array(state.extend({ key: z.string() })),
  }),
  z.object({
    record: z.literal("hash"),
    endpoint: z.string(),
    revision: z.number(),
    hash: z.string(),
    compacted: z.string(),
  }),
  z.object({ record: z.literal("end"), from: z.number(), to: z.number() }),
]);

export type Entry = z.output<typeof record>;
export type EntryOf<Kind extends Entry["record"]> = Extract<Entry, { record: Kind }>;
export type Operation = EntryOf<"operation">;
export type WatchEvent = EntryOf<"event">;
export type Attempt = z.output<typeof attempt>;
export type State = z.output<typeof state>;
export type Answer = NonNullable<Operation["answer"]>;

export type History = readonly Entry[];

/**
 * Reads a history; a last line that was cut short by the end of the load is left out.
 *
 * @throws z.ZodError or SyntaxError when it is none
 */
export function readHistory(path: string): History {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.slice(0, -1).map((line) => record.parse(JSON.parse(line)));
}

/** The entries of one kind, in their order. */
export function entries<Kind extends Entry["record"]>(
  history: History,
  kind: Kind,
): EntryOf<Kind>[] {
  return history.filter((entry): entry is EntryOf<Kind> => entry.record === kind);
}

/** The attempt that was answered, if one was. */
export function answered(operation: Operation): Attempt | undefined {
  return operation.attempts.find(({ outcome }) => outcome === "ok");
}

/** Whether the operation is known to have written its value. */
export function wrote({ kind, answer }: Operation): boolean {
  return answer !== undefined && (kind === "put" || (kind === "cas" && answer.swapped === true));
}
