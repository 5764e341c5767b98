/** Runs of the program that end as at a power cut of the operator's machine, and what must be true after the next one. */
import { expect } from "vitest";
import type { Lab, Result } from "../../support/lab";
import { hosts, onAll, printed, type Stack, succeed } from "./stack";

/**
 * Runs the command that follows until it has printed a line with one of the words so many times, and some seconds on; then kills it, or
 * interrupts it so many times, as Ctrl-C does: with all that is in its process group. Exit code 99 when it came to that.
 */
const UNTIL = `through=" ($1) [(]" events=$2 delay=$3 interrupts=$4; shift 4
lines=$(mktemp -u); mkfifo "$lines"
if [ "$interrupts" -gt 0 ]; then set -m; fi
"$@" >"$lines" & cli=$!
exec 3<"$lines"; rm "$lines"
while [ "$events" -gt 0 ] && read -r line <&3; do
  if [[ $line =~ $through ]]; then events=$((events - 1)); fi
done
if [ "$events" -gt 0 ]; then exit 0; fi
cat <&3 >/dev/null &
sleep "$delay"
if [ "$interrupts" -eq 0 ]; then kill -KILL "$cli"; exit 99; fi
for ((; interrupts > 0; interrupts--)); do kill -INT -- "-$cli"; sleep 1; done
wait "$cli" && exit 0
exit 99`;

type Command = "up" | "destroy";

/** A process namespace with that shell as its first process: with it program, plugins and ssh end at once too, as at a power cut. */
const ALL = ["unshare", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"];

export interface Moment {
  /** What the engine says of a resource that is through. */
  readonly word:
    | "created"
    | "updated"
    | "created|updated|replaced"
    | "created|updated|deleted"
    | "deleted"
    | "deleted original"
    | "deleting original";
  /** Resources that are through before. */
  readonly events: number;
  /** Seconds that it goes on then. */
  readonly delay: number;
  /**
   * Only the CLI is killed, as by a shortage of memory: its plugins finish what they are at. Else everything ends, as at a power
   * cut of the operator's machine. @default false
   */
  readonly cliAlone?: boolean;
}

/**
 * An `up` that is killed; then the stack's lock is freed, as docs/troubleshooting.md says.
 *
 * @param args further ones of the CLI.
 */
export async function killedUp(
  stack: Stack,
  moment: Moment,
  args: readonly string[] = [],
): Promise<void> {
  await killed(stack, "up", moment, args);
}

/** The same of a `destroy`. */
export async function killedDestroy(stack: Stack, moment: Moment): Promise<void> {
  await killed(stack, "destroy", moment, []);
}

async function killed(
  stack: Stack,
  command: Command,
  { cliAlone = false, ...moment }: Moment,
  args: readonly string[],
): Promise<void> {
  await runUntil(stack, command, moment, 0, cliAlone ? [] : ALL, args);
  await succeed(stack.cancel());
}

/**
 * An `up` that is interrupted with Ctrl-C once, after which the engine finishes the steps that run, or twice, after which it does not
 * and the stack's lock stays.
 */
export async function interruptedUp(
  stack: Stack,
  moment: Omit<Moment, "cliAlone">,
  times: 1 | 2,
): Promise<void> {
  await runUntil(stack, "up", moment, times, [], []);
}

/** The run has not come to its end. */
async function runUntil(
  stack: Stack,
  command: Command,
  { word, events, delay }: Moment,
  interrupts: number,
  inside: readonly string[],
  args: readonly string[],
): Promise<void> {
  const until = ["bash", "-c", UNTIL, "bash", word, String(events), delay.toFixed(2)];
  const run = ["pulumi", command, "--yes", "--skip-preview", "--non-interactive"];
  const ended: Result = await stack.run([
    ...[...inside, ...until, String(interrupts), ...run, "--color", "never"],
    ...["--stack", stack.name],
    ...["--config-file", stack.configFile, ...args],
  ]);
  expect(ended.code, printed(ended)).toBe(99);
}

/**
 * As if an `up` that was killed or failed had ended minutes ago: no step of it can be on its way to these hosts any more, and what is
 * there may be removed. Its last sign of life comes when its session ends, which is waited for.
 */
export async function longAgo(lab: Lab, names: readonly string[] = hosts): Promise<void> {
  const script = `if [ -e /run/etcd-on-pulumi.lock ]; then flock -w 90 -s /run/etcd-on-pulumi.lock true; fi
    cd /var/lib/etcd-on-pulumi 2>/dev/null || exit 0
    if [ -e configured ]; then touch -d '-4 minutes' configured; fi`;
  await onAll(lab, script, names);
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
