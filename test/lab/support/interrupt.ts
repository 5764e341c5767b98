/** Runs of the program that end as at a power cut of the operator's machine, and what must be true after the next one. */
import { expect } from "vitest";
import type { Result } from "../../support/lab";
import { hosts, printed, type Stack, succeed } from "./stack";

/**
 * Runs the command that follows until it has printed a line with one of the words so many times, and some seconds on. This shell is the
 * first process of a process namespace: with it engine, program, plugins and ssh end at once, as at a power cut.
 */
const UNTIL = `through=" ($1) [(]" events=$2 delay=$3; shift 3
if [ "$events" -gt 0 ]; then
  exec 3< <("$@")
  while read -r line <&3; do
    if [[ $line =~ $through ]]; then events=$((events - 1)); fi
    if [ "$events" -eq 0 ]; then break; fi
  done
else
  "$@" >/dev/null &
fi
sleep "$delay"
if [ "$events" -eq 0 ]; then exit 99; fi`;

export interface Moment {
  /** What the engine says of a resource that is through. */
  readonly word: "created" | "updated" | "created|updated|replaced" | "created|updated|deleted";
  /** Resources that are through before. */
  readonly events: number;
  /** Seconds that it goes on then. */
  readonly delay: number;
}

/** An `up` that is killed; then the stack's lock is freed, as docs/troubleshooting.md says. */
export async function killedUp(stack: Stack, { word, events, delay }: Moment): Promise<void> {
  const namespace = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"];
  const until = ["bash", "-c", UNTIL, "bash", word, String(events), delay.toFixed(2)];
  const up = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color", "never"];
  const killed: Result = await stack.run([
    ...[...namespace, ...until, ...up, "--stack", stack.name],
    ...["--config-file", stack.configFile],
  ]);
  expect(killed.code, printed(killed)).toBe(99);
  await succeed(stack.cancel());
}

/** One cluster of started voters, in the stack's outputs and as each member sees it, and nothing left to do. */
export async function expectOneCluster(
  stack: Stack,
  names: readonly string[] = hosts,
): Promise<string> {
  const { clusterId, members } = await stack.outputs();
  expect(members.map(({ name }) => name)).toEqual([...names].sort());
  const list = await succeed(stack.etcdctl(["member", "list"]));
  expect(list.stdout.match(/, started, .*, false$/gm)).toHaveLength(names.length);
  expect(list.stdout.trim().split("\n")).toHaveLength(names.length);
  const status = await succeed(stack.etcdctl(["endpoint", "status", "--write-out", "fields"]));
  const seen = [...status.stdout.matchAll(/"ClusterID" : (\d+)/g)].map(([, id]) =>
    BigInt(id ?? 0).toString(16),
  );
  expect(seen).toEqual(names.map(() => clusterId));
  await succeed(stack.previewNothing());
  return clusterId;
}
