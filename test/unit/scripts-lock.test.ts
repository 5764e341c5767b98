import { describe, expect, test } from "vitest";
import { hostForEach, whyNot } from "../support/paper-host";

const reason = whyNot();
const ALICE = "alice@laptop (stack dev, process 7) since 2026-11-25 12:03:04 UTC";
const BOB = "bob@desk (stack dev, process 9) since 2026-11-25 12:05:00 UTC";

describe.skipIf(reason !== undefined)(`lock.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const good = { status: 0, stdout: "", stderr: "" };
  const run = (call: string, HOLDER = "") =>
    host.run("probe", ["eval", `LOCK=/var/paper/lock; ${call}`], { HOLDER });
  /** While somebody has the lock in a process of their own. */
  const beside = (call: string, HOLDER = "") =>
    run(
      `(exec 7<>$LOCK; flock 7; echo '${ALICE}' >$LOCK; exec sleep 30) >/dev/null 2>&1 & holder=$!
      until [ -s $LOCK ]; do sleep 0.05; done
      code=0; (${call}) || code=$?
      kill $holder; exit $code`,
      HOLDER,
    );

  test("is free where nobody ever was, for a look and for an up", () => {
    expect(run("take_lock")).toEqual(good);
    expect(run("take_lock; cat $LOCK", ALICE)).toEqual({ ...good, stdout: `${ALICE}\n` });
    expect(host.sh("stat -c %a /var/paper/lock")).toBe("600");
  });

  test("of one that has ended is free, whatever the file says", () => {
    run("take_lock", ALICE);
    expect(run("take_lock")).toEqual(good);
    expect(run("take_lock; cat $LOCK", BOB)).toEqual({ ...good, stdout: `${BOB}\n` });
  });

  test.each([
    ["a look", ""],
    ["another up", BOB],
  ])("that somebody has is named to %s", (_, holder) => {
    expect(beside("take_lock; cat $LOCK", holder)).toEqual({
      ...good,
      stdout: `held ${ALICE}\n${ALICE}\n`,
    });
  });

  test("is kept until the program says nothing more, or is silent for long", () => {
    const wait = (input: string) =>
      run(`SILENCE_SECONDS=1; exec {lock}<>$LOCK; flock $lock; keep_lock < <(${input}); echo over`);
    expect(wait("echo; echo")).toEqual({ ...good, stdout: "end\nover\n" });
    expect(wait("echo; exec sleep 3 2>/dev/null")).toEqual({ ...good, stdout: "end\nover\n" });
  });

  test("keeps a member from leaving while an up is at work on its host", () => {
    expect(beside("refuse_if_held")).toMatchObject({
      status: 1,
      stderr: `etcd01: not touched, because an up of ${ALICE} is at work on this host; wait until it is done\n`,
    });
    expect(run("refuse_if_held")).toEqual(good);
  });
});
