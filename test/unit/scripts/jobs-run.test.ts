/** What the jobs of a host's timers share: their results, their turn, the lock that keeps them and the steps apart. */
import { homedir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { jobValues } from "../../../components/scripts/jobs";
import { ARCH } from "../../support/artifacts";
import { cluster as clusterConfig } from "../../support/fixtures";
import { Lab } from "../../support/lab";
import { PaperCluster, PKI, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const VALUES = { ADDRESS: "127.0.0.1", TOKEN: "etcd-cluster-0badcafe", PKI };
const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
const ALICE = "alice@laptop (stack dev, process 7) since 2026-11-25 12:03:04 UTC";

describe.skipIf(reason !== undefined)(`jobs-run.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const run = (call: string) => host.run("backup", ["eval", `JOB_PAUSE=0.2; ${call}`], VALUES);
  /** A job that does this. */
  const job = (does: string, call = "run") =>
    run(`run() { ${does}; }; check() { ${does}; }; run_job ${call}`);
  const result = (name = "backup") =>
    host.sh(`cat ${STATE}/results/${name} 2>/dev/null || echo none`);
  const good = { status: 0, stdout: "", stderr: "" };

  describe("a result", () => {
    test("is a line, kept beside the last good one, and told to the journal", () => {
      expect(job("job_result ok 7 20480 77 0a1b2c3d")).toEqual({
        ...good,
        stderr: expect.stringMatching(
          new RegExp(`^etcd01: backup: ok ${TIME} 0 7 20480 77 0a1b2c3d\n$`),
        ),
      });
      const well = result();
      expect(well).toMatch(new RegExp(`^ok ${TIME} \\d+ 7 20480 77 0a1b2c3d$`));
      expect(result("backup.good")).toBe(well);
      expect(job("job_result failed - - - - no room:$'\\t'3 % 'is free\nthere'").status).toBe(0);
      expect(result()).toMatch(
        new RegExp(`^failed ${TIME} \\d+ - - - - # no room: 3 % is free there$`),
      );
      expect(result("backup.good")).toBe(well);
    });

    test("has the name of the call, when it is not the job's own", () => {
      job("job_result ok - - - -", "check");
      expect(result("backup-check")).toMatch(/^ok /);
      expect(result()).toBe("none");
    });

    test.each([
      ["that says why", "fail there is no room", "there is no room"],
      ["in a subshell", "x=$(fail there is no room)", "there is no room"],
      ["of a tool", "doing 'counting'; false", "failed while counting: false exited with status 1"],
      ["of an answer that ends all", "x=$(end_step no such member)", "no such member"],
      ["without a word", "exit 3", "ended with status 3"],
    ])("is failed after a failure %s", (_, does, words) => {
      const { status } = job(does);
      expect(status).not.toBe(0);
      expect(result()).toMatch(new RegExp(`^failed ${TIME} \\d+ - - - - # ${words}$`));
      expect(host.sh(`ls ${STATE}/results`)).toBe("backup");
    });

    test("is failed when the job is stopped", () => {
      const stopped = job("doing 'copying it'; kill -INT $$; sleep 5");
      expect(stopped.status).toBe(1);
      expect(result()).toMatch(/ # was stopped while copying it$/);
    });

    test("that a job has given stays when it fails after that", () => {
      expect(job("job_result ok 7 1 77 x; fail too late").status).toBe(1);
      expect(result()).toMatch(/^ok /);
    });

    test("is none when a job has nothing to do", () => {
      expect(job("info nothing to do")).toEqual({ ...good, stderr: "etcd01: nothing to do\n" });
      expect(result()).toBe("none");
    });

    test("does not grow with what others say", () => {
      job(`fail "$(printf '%5000s' x; printf '\\033]0;title\\007')"`);
      expect(result().length).toBeLessThan(500);
      expect(result()).not.toMatch(/[^ -~]/);
    });
  });

  test("takes its values from the host's file, whatever is in them", () => {
    const config = clusterConfig(undefined, {
      backup: {
        ...{ schedule: "hourly", keep: { hourly: 24, daily: 7, weekly: 4, monthly: 12 }, local: 3 },
        ...{ repository: "/mnt/it's $(id)", password: "a'b\n\"$c`d", prune: true },
        environment: { AWS_ACCESS_KEY_ID: "x'y", B: "z" },
      },
    });
    const [node] = config.nodes;
    if (node === undefined) {
      throw new Error("a configuration without nodes");
    }
    host.sh(`mkdir -p ${STATE}/jobs`);
    host.write(`${STATE}/jobs/values`, `${jobValues(config, node, "a token")}\n`);
    const names =
      "NODE TOKEN BACKUP_LOCAL BACKUP_KEEP BACKUP_PRUNE REPOSITORY REPOSITORY_PASSWORD REPOSITORY_ENVIRONMENT REPOSITORY_KEY DEFRAG HEAL_NOSPACE";
    const { stdout } = job(`for name in ${names}; do printf '%s\\0' "\${!name}"; done`);
    expect(stdout.split("\0").slice(0, -1)).toEqual([
      ...[node.name, "a token", "3", "24 7 4 12", "yes", "/mnt/it's $(id)", "a'b\n\"$c`d"],
      ...["AWS_ACCESS_KEY_ID=x'y\nB=z", "", "no", "no"],
    ]);
  });

  test("of a host without them says so", () => {
    const { status, stderr } = host.run("backup", ["eval", "unset NODE; run_job run"], {});
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /the job backup has no values in \/var\/lib\/etcd-on-pulumi\/jobs\/values; run pulumi up, which writes them again\n$/,
    );
  });

  describe("its turn", () => {
    const turn = (interval: string, elapsed: string) => {
      host.sh(`mkdir -p ${STATE}/jobs; echo '${interval}' >${STATE}/jobs/etcd-backup.interval
        echo '${elapsed}' >/var/paper/property-LastTriggerUSec`);
      return run('sleep() { echo "for $1 s"; }; run() { :; }; run_job run').stdout;
    };
    const now = () => host.sh("date");

    test("comes later for the whole cluster, by the same time on each of its hosts", () => {
      expect(turn("3600", now())).toBe("for 237 s\n");
      expect(turn("86400", now())).toBe("for 237 s\n");
      const offset = (token: string) => Number(run(`offset_of '${token}'`).stdout);
      const offsets = Array.from({ length: 20 }, (_, index) => offset(`etcd-cluster-${index}`));
      expect(Math.max(...offsets)).toBeLessThanOrEqual(240);
      expect(new Set(offsets).size).toBeGreaterThan(12);
    });

    test.each([
      ["by hand", "3600", "Sat 2026-11-21 10:00:00 UTC"],
      ["where its timer never elapsed", "3600", ""],
      ["by the timer of a fine schedule", "600", "now"],
      ["where nobody knows its schedule", "often", "now"],
    ])("comes at once when it is started %s", (_, interval, elapsed) => {
      expect(turn(interval, elapsed === "now" ? now() : elapsed)).toBe("");
    });
  });

  describe("and an up or its steps", () => {
    /** While somebody has these locks in a process of their own, for so many seconds. */
    const beside = (locks: string, call: string, seconds = 30) =>
      run(
        `rm -f /var/paper/locked; echo '${ALICE}' >$LOCK; chmod 600 $LOCK
        (${locks}; touch /var/paper/locked; exec sleep ${seconds}) >/dev/null 2>&1 & holder=$!
        until [ -e /var/paper/locked ]; do sleep 0.05; done
        run() { begin_job; echo at work; head -n 1 "$JOB"; end_job; }
        code=0; (${call}; run_job run) || code=$?
        kill $holder 2>/dev/null || true; exit $code`,
      );
    const AN_UP = "exec 7<>$LOCK; flock 7";
    const WHOSE = `the pulumi up by ${ALICE}`;

    test("nobody at work, begins at once, with its words for others", () => {
      const begun = beside("true", "true");
      expect(begun).toEqual({
        ...good,
        stdout: expect.stringMatching(new RegExp(`^at work\nbackup since ${TIME}\n$`)),
      });
      expect(host.sh("stat -c %a /run/etcd-on-pulumi.job")).toBe("600");
    });

    test.each([
      ["an up", AN_UP, WHOSE],
      ["a step of one that has ended", "hold $APPLYING", `steps of an earlier run by ${ALICE}`],
      ["a removal", "hold $REMOVING", "steps of a removal"],
    ])("waits for %s, and says so once", (_, locks, whose) => {
      const { stdout, stderr, status } = beside(locks, "true", 1.5);
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: `etcd01: waiting up to 30 minutes for ${whose}\n`,
      });
      expect(stdout).toContain("at work");
    });

    test("gives up after a while, with whose it is", () => {
      const words = `not started, because ${WHOSE} had not ended on this host after 0 minutes; it runs again at its next time, or with systemctl start etcd-backup.service`;
      expect(beside(AN_UP, "JOB_WAITS_FOR_UP=0")).toMatchObject({
        status: 1,
        stdout: "",
        stderr: expect.stringContaining(`etcd01: ${words}\n`),
      });
      expect(result()).toContain(` - - - - # ${words}`);
    });

    test("lets nobody wait while it waits itself", () => {
      const look = "(sleep 0.5; is_locked 0 $JOB || echo free) & true";
      expect(beside(AN_UP, look, 1.5).stdout).toMatch(/^free\nat work\n/);
    });

    test("waits for another job of its host", () => {
      const other = "exec 8<>$JOB; flock 8; echo 'maintenance since noon' >$JOB";
      expect(beside(other, "true", 1)).toMatchObject({ status: 0, stderr: "" });
      const gaveUp = beside(other, "JOB_WAITS_FOR_JOB=0");
      expect(gaveUp.status).toBe(1);
      expect(result()).toContain(
        "# not started, because another job had not ended on this host after 0 minutes: maintenance since noon; systemctl list-units 'etcd-*' shows it",
      );
    });

    test("is free again with end_job, whatever it has started, and with its own end", () => {
      const free = "is_locked 0 $JOB && echo busy || echo free";
      expect(
        job(`begin_job; sleep 2 >/dev/null 2>&1 & ${free}; end_job; ${free}; end_job`).stdout,
      ).toBe("busy\nfree\n");
      expect(job("begin_job; exit 0").status).toBe(0);
      expect(run(free).stdout).toBe("free\n");
    });

    test("hands no lock to the etcd user", () => {
      host.sh("getent passwd etcd >/dev/null || useradd --system --user-group etcd");
      const count = (first: string) =>
        Number(
          host.run(
            "maintenance",
            ["eval", `run() { ${first}; as_etcd ls /proc/self/fd | wc -l; }; run_job run`],
            VALUES,
          ).stdout,
        );
      expect(count("begin_job")).toBe(count("true"));
    });
  });

  describe("who leads", () => {
    const leads = () => {
      host.sh(`mkdir -p ${STATE}; touch ${STATE}/formed`);
      return job("LEADER_SECONDS=1; if is_leader; then echo yes; else echo no; fi");
    };

    test("is asked of this host's member", () => {
      cluster.is({ members: THREE, leader: "a1" });
      expect(leads()).toEqual({ ...good, stdout: "yes\n" });
      cluster.is({ members: THREE, leader: "a2" });
      expect(leads()).toEqual({
        ...good,
        stdout: "no\n",
        stderr: "etcd01: nothing to do: the member a2 leads, and this host's is a1\n",
      });
    });

    test("is nobody here, where there is no member, no leader or no answer", () => {
      expect(job("is_leader || echo no")).toEqual({
        ...good,
        stdout: "no\n",
        stderr: "etcd01: nothing to do: there is no member on this host yet\n",
      });
      const nobody = {
        ...good,
        stdout: "no\n",
        stderr:
          "etcd01: nothing to do: its member does not answer on https://127.0.0.1:2379, or there has been no leader for 1 s\n",
      };
      cluster.is({ members: THREE, sick: ["192.168.1.83"] });
      expect(leads()).toEqual(nobody);
      cluster.is({ members: THREE });
      host.sh("echo 0 >/var/paper/field-a1-Leader");
      expect(leads()).toEqual(nobody);
    });

    describe("of real etcds", () => {
      const cache =
        process.env.LAB_CACHE ??
        join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "etcd-on-pulumi");
      beforeAll(async () => {
        await new Lab("test").release("3.6.14");
      }, 30 * 60_000);

      test("changes, and nobody does without a quorum", () => {
        const maker = join(__dirname, "..", "..", "support", "real-etcd.sh");
        const releases = join(cache, `releases-${ARCH}`);
        host.sh(`bash ${maker} ${releases} 3.6.14 'three that run' - >&2`);
        const lead = (number: number) => host.sh(`bash /var/others/lead ${number} >/dev/null 2>&1`);
        lead(1);
        expect(leads().stdout).toBe("yes\n");
        lead(2);
        expect(leads().stdout).toBe("no\n");
        host.sh("kill -STOP $(cat /var/others/pids); sleep 3");
        expect(leads().stderr).toContain("there has been no leader for 1 s");
      }, 120_000);
    });
  });
});
