/**
 * Proves from the revisions of a history that etcd kept its promises (etcd docs, "KV API
 * guarantees"). The watch from the first revision on is the one order of all changes, and every
 * answer carries the revision it was given at, so nothing has to be searched for: each operation is
 * compared with its place in that order. Every value is written by one operation only.
 */
import { answered, entries, type History, type Operation, type State, wrote } from "./history";
import { Timeline } from "./timeline";

/** @returns a text for each broken promise; none when all were kept. */
export function violations(history: History): string[] {
  const operations = entries(history, "operation");
  const timeline = new Timeline(entries(history, "event"));
  return [
    ...oneCluster(history),
    ...timeline.disorder,
    ...changes(operations, timeline),
    ...acknowledgements(operations, timeline),
    ...observations(operations, timeline),
    ...realTime(operations, timeline),
    ...ending(history, timeline),
  ];
}

function oneCluster(history: History): string[] {
  const clusters = new Set(
    history.flatMap((entry) => {
      if (entry.record === "members") {
        return [entry.cluster];
      }
      return entry.record === "operation" && entry.answer ? [entry.answer.cluster] : [];
    }),
  );
  return clusters.size > 1 ? [`more than one cluster answered: ${[...clusters].join(" ")}`] : [];
}

/** Every change was asked for, no more often than it was asked, and where a swap expected it. */
function changes(operations: readonly Operation[], timeline: Timeline): string[] {
  const writers = new Map(
    operations
      .filter(({ value }) => value !== undefined)
      .map((operation) => [`${operation.key} ${operation.value}`, operation]),
  );
  const seen = new Map<Operation, number>();
  return timeline.events.flatMap((event) => {
    const what = `${event.key} = ${event.value} at revision ${event.revision}`;
    const writer = writers.get(`${event.key} ${event.value}`);
    if (writer === undefined || event.type !== "Put") {
      return [`the watch shows a change that nobody made: ${event.type} ${what}`];
    }
    const times = (seen.get(writer) ?? 0) + 1;
    seen.set(writer, times);
    const found: string[] = [];
    // Only an attempt whose outcome is unknown may have been applied besides the answered one.
    if (times > writer.attempts.filter(({ outcome }) => outcome !== "fail").length) {
      found.push(`a value was written more often than it was sent: ${what}`);
    }
    if (writer.kind === "cas") {
      const before = timeline.before(event.key, event.revision)?.revision ?? 0;
      if (before !== writer.expected) {
        found.push(
          `a compare-and-swap was applied to another change than the expected one: ${what}` +
            ` follows revision ${before}, expected ${writer.expected}`,
        );
      }
      const refused = writer.answer?.swapped === false;
      if (refused && writer.attempts.every(({ outcome }) => outcome !== "unknown")) {
        found.push(`a refused compare-and-swap was applied: ${what}`);
      }
    }
    return found;
  });
}

/** Each acknowledged write is in the watch, at the revision of its answer. */
function acknowledgements(operations: readonly Operation[], timeline: Timeline): string[] {
  return operations.filter(wrote).flatMap(({ key, value, answer }) => {
    const revision = answer?.revision ?? 0;
    const event = timeline.at(key, revision);
    return event?.revision === revision && event.value === value
      ? []
      : [`an acknowledged write is not in the watch: ${key} = ${value} at revision ${revision}`];
  });
}

/** What was read is the state of the key at the revision of the answer. */
function observations(operations: readonly Operation[], timeline: Timeline): string[] {
  return operations.flatMap(({ key, answer }) => {
    if (answer?.state === undefined) {
      return [];
    }
    const real = timeline.at(key, answer.revision) ?? null;
    return sameState(answer.state, real)
      ? []
      : [
          `a read at revision ${answer.revision} of ${key} returned ${words(answer.state)},` +
            ` where the watch shows ${words(real)}`,
        ];
  });
}

function sameState(one: State | null, other: State | null): boolean {
  return (
    one?.value === other?.value &&
    one?.revision === other?.revision &&
    one?.version === other?.version
  );
}

function words(state: State | null): string {
  return state === null
    ? "nothing"
    : `${state.value} of revision ${state.revision}, version ${state.version}`;
}

/**
 * Nothing goes back in time: an operation comes after each revision that was known before it was
 * sent, a write strictly so. For reads that means: not stale.
 */
function realTime(operations: readonly Operation[], timeline: Timeline): string[] {
  const known = operations
    .flatMap((operation) => {
      const end = answered(operation)?.end;
      const revision = operation.answer?.revision;
      return end === undefined || revision === undefined ? [] : [{ end, revision }];
    })
    .sort((one, other) => one.end - other.end);
  const sent = operations
    .flatMap((operation) => {
      const start = answered(operation)?.start ?? operation.attempts[0]?.start;
      return start === undefined ? [] : [{ start, operation }];
    })
    .sort((one, other) => one.start - other.start);
  let newest = 0;
  let next = 0;
  return sent.flatMap(({ start, operation }) => {
    for (let ack = known[next]; ack !== undefined && ack.end < start; ack = known[next]) {
      newest = Math.max(newest, ack.revision);
      next += 1;
    }
    const { kind, key, value, answer } = operation;
    // Without an answer the watch says where the write is, if it is anywhere.
    const written = answer === undefined || wrote(operation);
    const revision = answer?.revision ?? timeline.firstOf(key, value)?.revision;
    if (revision === undefined || (written ? revision > newest : revision >= newest)) {
      return [];
    }
    return [
      `a stale ${kind} of ${key} through ${answered(operation)?.endpoint ?? "an endpoint"}:` +
        ` revision ${revision}, when ${newest} was known before it was sent`,
    ];
  });
}

/** After the last operation: every key as the watch left it, and the same on all members. */
function ending(history: History, timeline: Timeline): string[] {
  const final = entries(history, "final")[0];
  if (final === undefined) {
    return ["the keys could not be read after the last operation"];
  }
  const keys = new Map(final.keys.map((state) => [state.key, state]));
  const found = [...new Set([...keys.keys(), ...timeline.keys])].flatMap((key) => {
    const [read, real] = [keys.get(key) ?? null, timeline.at(key, final.revision) ?? null];
    return sameState(read, real)
      ? []
      : [`at the end ${key} is ${words(read)}, where the watch shows ${words(real)}`];
  });
  const hashes = entries(history, "hash");
  const voters = (entries(history, "members").at(-1)?.members ?? []).filter((m) => !m.learner);
  for (const { endpoint } of voters) {
    if (!hashes.some((hash) => hash.endpoint === endpoint)) {
      found.push(`${endpoint} gave no hash of its keys at revision ${final.revision}`);
    }
  }
  if (new Set(hashes.map(({ hash, compacted }) => `${hash} ${compacted}`)).size > 1) {
    const each = hashes.map(({ endpoint, hash }) => `${endpoint} ${hash}`).join(", ");
    found.push(`the members differ at revision ${final.revision}: ${each}`);
  }
  return found;
}
