import { describe, expect, test } from "vitest";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const ALICE = "alice@laptop (stack dev, process 7) since 2026-11-25 12:03:04 UTC";
const BOB = "bob@desk (stack dev, process 9) since 2026-11-25 12:05:00 UTC";
const FILES =
  "LOCK=/var/paper/lock APPLYING=/var/paper/applying REMOVING=/var/paper/removing JOB=/var/paper/job UP_WAITS=3 REMOVAL_WAITS=1 JOB_WAITS=3";
const LOOK = `take_lock; echo "<$(tell_lock)>"; cat $LOCK 2>/dev/null || true`;

describe.skipIf(reason !== undefined)(`lock.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const good = { status: 0, stdout: "", stderr: "" };
  const run = (call: string, HOLDER = "") =>
    host.run(
      call.includes("refuse_if_held") ? "leave" : "probe",
      ["eval", `${FILES}; ${call}`],
      HOLDER === "" ? { MARK: "x" } : { HOLDER, MARK: "x" },
    );
  /** While somebody has these locks in a process of their own, for so many seconds. */
  const beside = (locks: string, call: string, HOLDER = "", seconds = 30) =>
    run(
      `rm -f /var/paper/locked; echo '${ALICE}' >$LOCK
      (${locks}; touch /var/paper/locked; exec sleep ${seconds}) >/dev/null 2>&1 & holder=$!
      until [ -e /var/paper/locked ]; do sleep 0.05; done
      code=0; (${call}) || code=$?
      kill $holder 2>/dev/null || true; exit $code`,
      HOLDER,
    );
  const AN_UP = "exec 7<>$LOCK; flock 7";
  const A_STEP = "hold $APPLYING";
  const A_REMOVAL = "hold $REMOVING";

  test("is free where nobody ever was, for a look and for an up", () => {
    expect(run(LOOK)).toEqual({ ...good, stdout: "<>\n" });
    expect(run(LOOK, ALICE)).toEqual({ ...good, stdout: `<>\n${ALICE}\n` });
    expect(host.sh("stat -c %a /var/paper/lock")).toBe("600");
  });

  test("of one that has ended is free, whatever the file says", () => {
    run("take_lock", ALICE);
    expect(run(LOOK)).toEqual({ ...good, stdout: `<>\n${ALICE}\n` });
    expect(run(LOOK, BOB)).toEqual({ ...good, stdout: `<>\n${BOB}\n` });
  });

  test.each([
    ["a look", ""],
    ["another up", BOB],
  ])("that somebody has is named to %s", (_, holder) => {
    expect(beside(AN_UP, LOOK, holder)).toEqual({
      ...good,
      stdout: `<locked-by ${ALICE}>\n${ALICE}\n`,
    });
  });

  test("is kept until the program says nothing more, or is silent for long", () => {
    const wait = (input: string) =>
      run(`SILENCE_SECONDS=1; exec {lock}<>$LOCK; flock $lock; keep_lock < <(${input}); echo over`);
    expect(wait("echo; echo")).toEqual({ ...good, stdout: "over\n" });
    expect(wait("echo; exec sleep 3 2>/dev/null")).toEqual({ ...good, stdout: "over\n" });
  });

  test("keeps a member from leaving while an up is at work on its host", () => {
    expect(beside(AN_UP, "refuse_if_held")).toMatchObject({
      status: 1,
      stderr: `etcd01: not touched: this host is locked by ${ALICE}; wait until that run is done\n`,
    });
    expect(run("refuse_if_held")).toEqual(good);
  });

  describe("a step of a run that has ended", () => {
    const WHOSE = `steps of an earlier run by ${ALICE}`;

    test("is named to a look, which waits for nothing", () => {
      expect(beside(A_STEP, LOOK)).toEqual({
        ...good,
        stdout: `<unfinished ${WHOSE}>\n${ALICE}\n`,
      });
      expect(beside(A_REMOVAL, LOOK).stdout).toContain("<unfinished steps of a removal>\n");
    });

    test("is waited for by an up, which says so", () => {
      const waited = beside(A_STEP, LOOK, BOB, 1.5);
      expect(waited).toEqual({ ...good, stdout: `\nwait x\n<>\n${BOB}\n` });
    });

    test("is named to an up that has waited for long, and the lock is left free", () => {
      expect(beside(A_STEP, `${LOOK}; flock -n $LOCK echo free`, BOB)).toEqual({
        ...good,
        stdout: `\nwait x\n<unfinished ${WHOSE}>\n${ALICE}\nfree\n`,
      });
    });

    test("keeps what is on its host from being removed", () => {
      expect(beside(A_STEP, "refuse_if_held")).toMatchObject({
        status: 1,
        stderr: `etcd01: not touched: ${WHOSE} are still in progress on this host; wait until they are done\n`,
      });
      expect(beside(A_STEP, "refuse_if_held", "", 0.5)).toEqual(good);
    });
  });

  describe("a job", () => {
    const AT_WORK =
      "exec 8<>$JOB; flock 8; echo 'backup since 2026-11-28T08:00:00Z' >$JOB; rm -f $LOCK";
    const WHOSE = "a job (backup since 2026-11-28T08:00:00Z)";

    test("is no matter to a look", () => {
      expect(beside(AT_WORK, LOOK)).toEqual({ ...good, stdout: "<>\n" });
    });

    test("is waited for by an up, which says so", () => {
      expect(beside(AT_WORK, LOOK, BOB, 1.5)).toEqual({
        ...good,
        stdout: `\nwait x\n<>\n${BOB}\n`,
      });
    });

    test("is named to an up that has waited for long, and the lock is left free", () => {
      expect(beside(AT_WORK, `JOB_WAITS=1; ${LOOK}; flock -n $LOCK echo free`, BOB)).toEqual({
        ...good,
        stdout: `\nwait x\n<unfinished ${WHOSE}>\nfree\n`,
      });
    });

    test("keeps what is on its host from being removed", () => {
      expect(beside(AT_WORK, "JOB_WAITS=1; refuse_if_held")).toMatchObject({
        status: 1,
        stderr: `etcd01: not touched: ${WHOSE} is still in progress on this host; wait until it is done (systemctl list-units 'etcd-*' shows it)\n`,
      });
      expect(beside(AT_WORK, "refuse_if_held", "", 0.5)).toEqual(good);
    });
  });

  describe("a step", () => {
    const step = (call: string) => `apply() { ${call}; }; delete() { ${call}; }`;
    const BUSY =
      'is_locked 0 $APPLYING && echo "applying"; is_locked 0 $REMOVING && echo "removing"; true';

    test("holds its host for as long as it runs, with what it has started, and with others of its kind", () => {
      expect(beside(AN_UP, `${step(BUSY)}; run_step apply x`).stdout).toBe("applying\n");
      expect(beside(`${AN_UP}; ${A_STEP}`, `${step(BUSY)}; run_step apply x`).stdout).toBe(
        "applying\n",
      );
      expect(run(`${step(BUSY)}; run_step delete`).stdout).toBe("removing\n");
      const left = `${step("sleep 1 >/dev/null 2>&1 & :")}; (run_step apply x); ${BUSY}`;
      expect(beside(AN_UP, left).stdout).toBe("applying\n");
      expect(run(BUSY)).toEqual(good);
    });

    test("of a removal waits for another one, which a destroy that was killed has left", () => {
      const removal = `${step("echo begun")}; run_step delete`;
      expect(beside(A_REMOVAL, removal)).toMatchObject({
        status: 1,
        stdout: "",
        stderr:
          "etcd01: not touched: another removal is still in progress on this host; wait until it is done\n",
      });
      expect(beside(A_REMOVAL, removal, "", 0.5)).toEqual({ ...good, stdout: "begun\n" });
    });

    test("does not begin on a host that its run has lost", () => {
      expect(run(`${step("echo begun")}; run_step apply x`)).toEqual({
        ...good,
        status: 1,
        stderr:
          "etcd01: not started, because no run holds the lock on this host any more: the run that started this step was killed, or its SSH session to this host ended. Nothing was changed; run pulumi up again\n",
      });
    });

    test("that comes while its run ends there waits, and does not begin", () => {
      const ends = "exec {lock}<>$LOCK; flock $lock; exec 8>$APPLYING; flock 8";
      const ended = `(${ends}; touch /var/paper/locked; sleep 0.5; exec {lock}>&-; sleep 0.2; exec 8>&-)`;
      const came = run(
        `rm -f /var/paper/locked; ${ended} & until [ -e /var/paper/locked ]; do sleep 0.05; done
        ${step("echo begun")}; run_step apply x`,
      );
      expect(came).toMatchObject({ status: 1, stdout: "" });
      expect(came.stderr).toContain("no run holds the lock on this host any more");
    });

    test("hands no lock to the etcd user", () => {
      const held = `${step("as_etcd ls /proc/self/fd | wc -l")}; run_step apply x`;
      const open = Number(run("as_etcd ls /proc/self/fd | wc -l").stdout);
      expect(Number(beside(AN_UP, held).stdout)).toBe(open);
    });
  });
});
