/**
 * Hosts that are reached as many are: at an address of their own for SSH, behind a limit of new connections, with proxies and
 * options of tools in the environment of every login, and a shell that is slow and prints.
 */
import { expect, test } from "vitest";
import { freshStack } from "./support/fresh";
import { situations } from "./support/situations/library";
import { bring, configureFor } from "./support/situations/scene";
import { hosts, MAIN_PID, onAll, printed, succeed } from "./support/stack";

const stack = freshStack("connections");
const { lab } = stack;

const all = situations(
  "another address and port",
  "a proxy that answers nobody",
  "sets `BASH_ENV`",
  "a locale that is not installed",
  "prints a line without an end",
  "two seconds for a login",
  "more than six new SSH connections",
);
const given = new Map(hosts.map((host) => [host, all]));

test("six new connections in thirty seconds are enough for all that is done in a row", async () => {
  await bring(lab, given);
  await configureFor(stack, given);
  await succeed(stack.preview());
  await succeed(stack.up());
  await succeed(stack.previewNothing());
  await configureFor(stack, given, { settings: { "heartbeat-interval": 90 } });
  const pids = () => onAll(lab, MAIN_PID);
  const before = await pids();
  const rolled = await succeed(stack.up());
  expect(printed(rolled)).not.toContain("not restarted");
  for (const [index, pid] of (await pids()).entries()) {
    expect(pid).not.toBe(before[index]);
  }
  await succeed(stack.destroy());
}, 300_000);
