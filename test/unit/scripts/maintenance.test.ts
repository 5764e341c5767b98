/** The job "maintenance" on real clusters of three etcds, on loopback: the paper host is etcd01. */
import { homedir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ARCH } from "../../support/artifacts";
import { Lab } from "../../support/lab";
import { PKI, STATE } from "../../support/paper-cluster";
import { type PaperHost, paperHost, whyNot } from "../../support/paper-host";

const reason = whyNot();
const CACHE =
  process.env.LAB_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "etcd-on-pulumi");
const MAKER = join(__dirname, "../../support/real-members.sh");
const QUOTA = 16 * 2 ** 20;
const MIB = 1024;
const VERSION = "3.6.14";
/** How each series is told to answer health checks with NOT_SERVING meanwhile. */
const STOP_GRPC: Readonly<Record<string, string>> = {
  "3.5.35": "--experimental-stop-grpc-service-on-defrag=true",
  [VERSION]: "--feature-gates=StopGRPCServiceOnDefrag=true",
  "3.7.2": "--feature-gates=StopGRPCServiceOnDefrag=true",
};
const VALUES = {
  ...{ NODE: "etcd01", ADDRESS: "127.0.0.1", PKI, TOKEN: "etcd-cluster-0badcafe" },
  ...{ DEFRAG: "yes", DEFRAG_MINIMUM_BYTES: String(2 ** 20), DEFRAG_FRAGMENTATION: "45" },
  ...{ HEAL_NOSPACE: "yes" },
};
/** Nobody waits for what does not come. */
const HASTE = "PATIENCE=0 LEADER_SECONDS=0 JOB_WAITS_FOR_UP=0 JOB_PAUSE=0.2;";
const NOSPACE = "maintenance-nospace";

describe.skipIf(reason !== undefined)(`maintenance${reason ? ` (${reason})` : ""}`, () => {
  let host: PaperHost;
  const made = { version: VERSION, members: 3 };
  const cluster = (verb: string) =>
    host.sh(
      `MEMBERS=${made.members} bash ${MAKER} ${CACHE}/releases-${ARCH}/v${made.version}/bin ${verb}`,
    );
  /** A new cluster, which etcd01 leads. */
  const start = (version = VERSION, members = 3) => {
    Object.assign(made, { version, members });
    host.reset();
    cluster(`start --quota-backend-bytes=${QUOTA} ${STOP_GRPC[version]} >&2`);
    cluster("lead 1");
  };
  /** Databases of about 8 MiB, hardly any of it in use. */
  const fragment = () => {
    cluster("values 10");
    cluster("compact");
  };
  /** Writes until the alarm is raised: old values of one key, or a key for each. */
  const fill = (kind: "values" | "keys") => {
    cluster(`${kind} 600 || [ $? = 3 ]`);
    expect(raised()).toContain("NOSPACE");
  };
  const etcdctl = (number: number, words: string) =>
    host.sh(
      `/usr/local/bin/etcdctl --cacert ${PKI}/ca.pem --cert ${PKI}/client.pem --key ${PKI}/client-key.pem \
        --endpoints https://127.0.0.${number}:2379 ${words} 2>&1 || true`,
    );
  const raised = () => etcdctl(1, "alarm list");

  const run = (call = "run", values: Partial<typeof VALUES> = {}, before = "") => {
    host.sh(": >/var/paper/calls");
    return host.run("maintenance", ["eval", `${HASTE} ${before} run_job ${call}`], {
      ...VALUES,
      ...values,
    });
  };
  const calls = () =>
    host
      .sh("cat /var/paper/calls")
      .split("\n")
      .filter((line) => line !== "");
  const changesIn = (lines: readonly string[]) =>
    lines.flatMap((line) => {
      const [, number, change] =
        /127\.0\.0\.(\d):2379: (defrag|move-leader|compaction|alarm disarm)/.exec(line) ?? [];
      return number === undefined ? [] : [`${number} ${change}`];
    });
  /** What was asked of whom that changes something, in order: `1 defrag` of the first member. */
  const changes = () => changesIn(calls());
  /** Without its time and how long it took. */
  const result = (name = "maintenance") =>
    host
      .sh(`cat ${STATE}/results/${name} 2>/dev/null || true`)
      .trim()
      .replace(/^(\w+) \S+ \d+/, "$1");
  /** Makes the last result older. */
  const ago = (name: string, minutes: number) =>
    host.sh(
      `sed -i "s/ [^ ]*Z / $(date -u -d '${minutes} minutes ago' +%Y-%m-%dT%H:%M:%SZ) /" ${STATE}/results/${name}`,
    );
  const written = (name = "maintenance") => host.sh(`stat -c '%i %y' ${STATE}/results/${name}`);
  const sizes = () =>
    cluster(`size ${made.members === 1 ? 1 : "1 2 3"}`)
      .split("\n")
      .map((line) => Number(line.split(" ")[0]));
  const leads = (number: number) => {
    const status = etcdctl(number, "endpoint status --write-out fields");
    const field = (name: string) => new RegExp(`^"${name}" : (.*)$`, "m").exec(status)?.[1];
    return field("Leader") === field("MemberID");
  };
  /** Bash that is run in front of each call of etcdctl, with the call in its arguments. */
  const beforeCalls = (script: string) => host.write("/var/paper/before-call", script);

  beforeAll(async () => {
    host = await paperHost();
    await new Lab("test").release(...Object.keys(STOP_GRPC));
  }, 30 * 60_000);
  afterAll(() => {
    cluster("end");
    host.close();
  });

  /** Each run is killed in front of a change, behind so many others; then by nobody. It is that of the host whose member leads. */
  const untilDone = (call: string, changesBefore: readonly number[]) => {
    beforeCalls(`case " $* " in *' defrag '* | *' move-leader '* | *' compaction '* | *' disarm '*)
      left=$(cat /var/paper/left)
      if [ "$left" = 0 ]; then kill -KILL "$(cat /var/paper/job)"; exit 1; fi
      echo $((left - 1)) >/var/paper/left ;; esac`);
    const made: string[] = [];
    for (const count of [...changesBefore, 99]) {
      const leader = [1, 2, 3].find(leads) ?? 0;
      host.sh(`echo ${count} >/var/paper/left`);
      const before = `echo $$ >/var/paper/job; LOCAL=https://127.0.0.${leader}:2379;`;
      const { status, stderr } = run(call, { NODE: `etcd0${leader}` }, before);
      expect({ status, stderr }).toMatchObject({ status: count === 99 ? 0 : null });
      made.push(...changes().slice(0, count));
    }
    return made;
  };

  const FOLLOWERS = ["2 defrag", "3 defrag"];
  const expectAll = (changed = changes()) => {
    expect(changed.slice(0, 2).sort()).toEqual(FOLLOWERS);
    expect(changed.slice(2)).toEqual(["1 move-leader", "1 defrag"]);
  };

  test("a history that nothing compacts is told of, in the look at the host whose member leads", () => {
    start(VERSION, 1);
    const told = (COMPACTS: string, before = "MUCH_HISTORY=3") =>
      host.run("probe", ["eval", `${before}; member_differences | grep ^warning || true`], {
        ...VALUES,
        ...{ COMPACTS, VERSION },
      }).stdout;
    for (const value of ["a", "b", "c"]) {
      etcdctl(1, `put key ${value}`);
    }
    expect(told("no")).toBe(
      "warning has the history of all 4 revisions, which nothing compacts, so its database grows until it has reached its quota; set etcd:settings.auto-compaction-retention, for example to 1h, unless what uses etcd is to compact it\n",
    );
    expect([told("yes"), told("no", "true")]).toEqual(["", ""]);
    etcdctl(1, "compact 3");
    expect(told("no")).toBe("");
  });

  describe("defragments", () => {
    test.each(Object.keys(STOP_GRPC))(
      "members of %s that are due: followers first, the leader last, as a follower",
      (version) => {
        start(version);
        fragment();
        expect(Math.min(...sizes())).toBeGreaterThan(5 * MIB);
        const { status, stderr } = run();
        expect({ status, stderr }).toMatchObject({ status: 0 });
        expect(stderr).toMatch(
          /^etcd01: defragmented the database of etcd02: \d+\.\d to 0\.\d MiB$/m,
        );
        expectAll();
        expect(Math.max(...sizes())).toBeLessThan(MIB);
        expect(leads(1)).toBe(false);
        expect(result()).toMatch(
          /^ok - - - - # defragmented (etcd0\d \(\d+\.\d to 0\.\d MiB\)(, )?){3}$/,
        );
        expect(etcdctl(2, "put after it")).toContain("OK");
      },
    );

    test("only who is due: the leader stays the leader when it is not", () => {
      start();
      fragment();
      etcdctl(1, "defrag");
      etcdctl(3, "defrag");
      expect(run()).toMatchObject({ status: 0 });
      expect(changes()).toEqual(["2 defrag"]);
      expect(leads(1)).toBe(true);
      expect(result()).toMatch(/^ok - - - - # defragmented etcd02 \([^,]*$/);
    });

    test("one member alone where it is, with nobody to hand over to", () => {
      start(VERSION, 1);
      fragment();
      expect(run()).toMatchObject({ status: 0 });
      expect(changes()).toEqual(["1 defrag"]);
      expect(sizes()[0]).toBeLessThan(MIB);
    });
  });

  describe("goes on", () => {
    test("where a run was killed, wherever that was", () => {
      start();
      fragment();
      // In front of the first member's turn, of the second one's, of the leader's, between its two halves.
      const seen = untilDone("run", [0, 1, 1, 0, 1]);
      expect(Math.max(...sizes())).toBeLessThan(MIB);
      expect(seen.filter((change) => change.endsWith("defrag")).sort()).toEqual([
        "1 defrag",
        ...FOLLOWERS,
      ]);
      expect(seen.filter((change) => change.endsWith("move-leader"))).toEqual(["1 move-leader"]);
    });

    test("after an up that came between two members: it waits for one of them", () => {
      start();
      fragment();
      // Like take_lock: the host's lock, then the job's.
      beforeCalls(`case " $* " in *' defrag '*)
        if [ ! -e /var/paper/up ]; then
          echo at >/var/paper/up
          setsid flock /run/etcd-on-pulumi.lock bash -c 'flock -w 20 /run/etcd-on-pulumi.job cat /var/paper/calls >/var/paper/seen; sleep 1; echo done >>/var/paper/calls' </dev/null >/dev/null 2>&1 &
          sleep 0.3
        fi ;; esac`);
      const { status, stderr } = run("run", {}, "JOB_WAITS_FOR_UP=60;");
      expect({ status, stderr }).toMatchObject({ status: 0 });
      expect(stderr).toContain("waiting up to 1 minutes for the pulumi up by");
      expect(changesIn(host.sh("cat /var/paper/seen").split("\n"))).toHaveLength(1);
      const done = calls().indexOf("done");
      expect(changesIn(calls().slice(0, done))).toHaveLength(1);
      expectAll();
    });

    test("on another host, when another member leads meanwhile", () => {
      start();
      fragment();
      beforeCalls(`case " $* " in *' defrag '*)
        if [ ! -e /var/paper/moved ]; then touch /var/paper/moved; bash ${MAKER} ${CACHE}/releases-${ARCH}/v${VERSION}/bin lead 3; fi ;; esac`);
      expect(run()).toMatchObject({ status: 0 });
      expect(changes()).toHaveLength(1);
      expect(result()).toMatch(/^ok - - - - # defragmented etcd0\d \([^,]*$/);
    });
  });

  describe("touches nothing", () => {
    beforeAll(() => {
      start();
      fragment();
    });
    beforeEach(() => host.sh(`rm -rf ${STATE}/results /var/paper/before-call`));

    const refuses = (words: string, before = "") => {
      const { status, stderr } = run("run", {}, before);
      expect(stderr).toContain(words);
      expect(status).toBe(1);
      expect(changes()).toEqual([]);
      expect(result()).toContain("failed - - - - # ");
      expect(result()).toContain(words.slice(0, 100));
    };

    test("on a host that does not lead, and has no result", () => {
      cluster("lead 2");
      const { status, stderr } = run();
      expect(status).toBe(0);
      expect(stderr).toMatch(/^etcd01: nothing to do: the member [0-9a-f]+ leads.*\n$/);
      expect(changes()).toEqual([]);
      expect(result()).toBe("");
      cluster("lead 1");
    });

    test.each([
      ["smaller databases than the least", { DEFRAG_MINIMUM_BYTES: String(100 * 2 ** 20) }],
      ["less free pages than asked for", { DEFRAG_FRAGMENTATION: "99" }],
    ])("with %s, and says so once in an hour", (_, values) => {
      expect(run("run", values)).toMatchObject({ status: 0 });
      expect(changes()).toEqual([]);
      expect(result()).toBe("ok - - - - # nothing to do");
      const first = written();
      ago("maintenance", 50);
      const second = written();
      expect(second).not.toBe(first);
      run("run", values);
      expect(written()).toBe(second);
      for (const minutes of [61, -5]) {
        ago("maintenance", minutes);
        const last = written();
        run("run", values);
        expect(written()).not.toBe(last);
      }
      host.sh(`sed -i s/^ok/failed/ ${STATE}/results/maintenance`);
      run("run", values);
      expect(result()).toBe("ok - - - - # nothing to do");
    });

    test("when it is not to defragment", () => {
      expect(run("run", { DEFRAG: "no" })).toMatchObject({
        status: 0,
        stderr: "etcd01: nothing to do: etcd:maintenance.defrag is not set\n",
      });
      expect(changes()).toEqual([]);
    });

    test("during an up", () => {
      host.sh("echo 'an up of alice@laptop' >/run/etcd-on-pulumi.lock");
      const { stdout } = host.run(
        "maintenance",
        ["eval", `${HASTE} exec 9<>/run/etcd-on-pulumi.lock; flock 9; (run_job run) 2>&1 || true`],
        VALUES,
      );
      expect(stdout).toContain("not started, because the pulumi up by an up of alice@laptop");
      expect(changes()).toEqual([]);
      expect(result()).toContain("failed - - - - # not started, because the pulumi up by");
    });

    test("during a step", () => {
      const { stdout } = host.run(
        "maintenance",
        [
          "eval",
          `${HASTE} exec 9<>/run/etcd-on-pulumi.applying; flock -s 9; (run_job run) 2>&1 || true`,
        ],
        VALUES,
      );
      expect(stdout).toContain("not started, because steps of an earlier run");
      expect(changes()).toEqual([]);
    });

    test.each([2, 3])("beside member %i, which is unhealthy", (number) => {
      cluster(`pause ${number}`);
      refuses(
        `was not defragmented, because etcd0${number} (https://127.0.0.${number}:2380) is unhealthy; start it first`,
      );
      cluster(`go ${number}`);
    });

    test("without a quorum", () => {
      cluster("pause 2");
      cluster("pause 3");
      // It is some time before the leader believes it.
      expect(run("run", {}, "is_leader() { :; }; ask_own() { :; };")).toMatchObject({ status: 1 });
      expect(changes()).toEqual([]);
      expect(result()).toContain("because the cluster has no quorum");
      host.sh("sleep 2");
      expect(run().stderr).toContain("nothing to do:");
      cluster("go 2");
      cluster("go 3");
      host.sh("sleep 2");
      cluster("lead 1");
    });

    test("on a disk that has no room for a second copy", () => {
      etcdctl(2, "defrag");
      etcdctl(3, "defrag");
      refuses(
        "the database of etcd01 was not defragmented, because the disk of /var/lib/etcd has 120 MiB free and the copy takes up to 12",
        "df() { printf 'Avail\\n 120\\n'; };",
      );
      expect(leads(1)).toBe(true);
    });

    test("when leadership cannot be transferred", () => {
      beforeCalls(`case " $* " in *' move-leader '*) echo 'Error: not now' >&2; exit 1 ;; esac`);
      const { status, stderr } = run("run", {}, "may_wait() { return 1; };");
      expect(status).toBe(1);
      expect(stderr).toContain("leadership transfer failed: Error: not now");
      expect(changes().filter((change) => change.endsWith("defrag"))).toEqual([]);
      expect(result()).toContain(
        "the database of etcd01 was not defragmented, because it leads and its leadership could not be transferred",
      );
    });

    test("while a downgrade is in progress", () => {
      expect(etcdctl(1, "downgrade enable 3.5")).toContain("Downgrade enable success");
      refuses("was not defragmented, because a downgrade of the cluster is in progress");
      etcdctl(1, "downgrade cancel");
    });

    test("beside a learner that is catching up", () => {
      cluster("learner");
      refuses("is a learner that is catching up; run pulumi up, which promotes it");
      const [id] = etcdctl(1, "member list").match(/^[0-9a-f]+(?=, unstarted)/m) ?? [];
      etcdctl(1, `member remove ${id}`);
    });

    test("while data differs", () => {
      cluster("alarm CORRUPT 2");
      refuses("was not defragmented, because the alarm CORRUPT of etcd02 is raised");
    });
  });

  test("ends when etcd cannot defragment a member, says which and why, and touches no other", () => {
    start();
    fragment();
    cluster("full 2");
    etcdctl(3, "defrag");
    expect(run()).toMatchObject({ status: 1 });
    expect(changes()).toEqual(["2 defrag"]);
    expect(result()).toContain(
      "failed - - - - # cannot defragment the database of etcd02, which needs as much free disk space as it has data: ",
    );
    expect(result()).toContain("no space left on device");
    expect(leads(1)).toBe(true);
  });

  test("ends when a member does not come back, and touches no other", () => {
    start();
    fragment();
    beforeCalls(`case " $* " in *' defrag '*)
      "${CACHE}/releases-${ARCH}/v${VERSION}/bin/etcdctl" "$@" && for number in 2 3; do
        case $* in *"127.0.0.$number:"*) bash ${MAKER} ${CACHE}/releases-${ARCH}/v${VERSION}/bin pause $number ;; esac
      done; exit 0 ;; esac`);
    const { status } = run("run", {}, "READY_SECONDS=2;");
    expect(status).toBe(1);
    expect(changes()).toHaveLength(1);
    expect(result()).toMatch(
      /^failed - - - - # etcd0\d is unhealthy after its database was defragmented, and there has been no progress for \d s/,
    );
    cluster("go 2");
    cluster("go 3");
  });

  describe("NOSPACE", () => {
    test.each(Object.keys(STOP_GRPC))("of %s ends, and writes are accepted again", (version) => {
      start(version);
      fill("values");
      expect(etcdctl(2, "put no more")).toContain("database space exceeded");
      const { status, stderr } = run("nospace");
      expect({ status, stderr }).toMatchObject({ status: 0 });
      expect(stderr).toMatch(
        /^etcd01: the alarm NOSPACE of etcd0\d.* is raised: compacting, then/m,
      );
      expect(changes()[0]).toBe("1 compaction");
      expect(changes().at(-1)).toBe("1 alarm disarm");
      const turns = changes().slice(1, -1);
      if (turns.includes("1 defrag")) {
        expect(turns.slice(-2)).toEqual(["1 move-leader", "1 defrag"]);
      }
      expect(turns.length).toBeGreaterThan(0);
      expect(raised()).toBe("");
      expect(etcdctl(2, "put one more")).toContain("OK");
      expect(Math.max(...sizes())).toBeLessThan(0.9 * 16 * MIB);
      expect(result(NOSPACE)).toMatch(
        /^ok - - - - # ended the alarm NOSPACE of etcd0.*: compacted, defragmented etcd0\d \(/,
      );
      expect(result()).toBe("");
    });

    test("ends without a defragmentation where every member has room", () => {
      start();
      cluster("values 2");
      cluster("alarm NOSPACE 3");
      expect(run("nospace", { DEFRAG: "no", DEFRAG_MINIMUM_BYTES: "" })).toMatchObject({
        status: 0,
      });
      expect(changes()).toEqual(["1 compaction", "1 alarm disarm"]);
      expect(result(NOSPACE)).toBe("ok - - - - # ended the alarm NOSPACE of etcd03: compacted");
    });

    test("stays where the data does not fit: one member shows it, and is not troubled again for ten minutes", () => {
      start();
      fill("keys");
      expect(run("nospace")).toMatchObject({ status: 1 });
      expect(changes()).toHaveLength(2);
      expect(changes()[0]).toBe("1 compaction");
      expect(changes()[1]).toMatch(/^[23] defrag$/);
      expect(raised()).toContain("NOSPACE");
      expect(leads(1)).toBe(true);
      expect(result(NOSPACE)).toMatch(
        /^failed - - - - # the alarm NOSPACE stays raised: after the compaction the database of etcd0\d takes 1\d\.\d MiB of the 16\.0 MiB quota, .*Raise etcd:settings\.quota-backend-bytes and run pulumi up, or delete keys/,
      );
      ago(NOSPACE, 9);
      expect(run("nospace")).toMatchObject({ status: 0, stderr: "" });
      expect(calls()).toEqual(["https://127.0.0.1:2379: endpoint status"]);
      // Deleted keys are what helps.
      etcdctl(1, "del --prefix key");
      ago(NOSPACE, 11);
      expect(run("nospace")).toMatchObject({ status: 0 });
      expect(raised()).toBe("");
      expect(result(NOSPACE)).toContain("ok - - - - # ended the alarm NOSPACE of etcd0");
    });

    test("is gone on with wherever a run was killed", () => {
      start();
      fill("values");
      // Each compacts again first; the last ones are killed behind everything else.
      untilDone("nospace", [0, 1, 2, 2, 2, 2, 1]);
      expect(raised()).toBe("");
      expect(etcdctl(3, "put one more")).toContain("OK");
    });

    test("is left to the host of another member that leads meanwhile", () => {
      start();
      fill("values");
      beforeCalls(`case " $* " in *' defrag '*)
        if [ ! -e /var/paper/moved ]; then touch /var/paper/moved; bash ${MAKER} ${CACHE}/releases-${ARCH}/v${VERSION}/bin lead 3; fi ;; esac`);
      const { status, stderr } = run("nospace");
      expect(status).toBe(0);
      expect(stderr).toContain("another member leads now; its host goes on");
      expect(result(NOSPACE)).toBe("");
      expect(raised()).toContain("NOSPACE");
      // This host's own next look is nothing but that.
      expect(run("nospace")).toMatchObject({ status: 0, stderr: "" });
      expect(calls()).toEqual(["https://127.0.0.1:2379: endpoint status"]);
    });

    describe("is left as it is", () => {
      beforeAll(() => {
        start();
        fill("values");
      });
      beforeEach(() => host.sh(`rm -rf ${STATE}/results`));

      const stays = (words: string) => {
        expect(run("nospace")).toMatchObject({ status: 1 });
        expect(changes()).toEqual([]);
        expect(raised()).toContain("NOSPACE");
        expect(result(NOSPACE)).toContain(`failed - - - - # the alarm NOSPACE stays raised`);
        expect(result(NOSPACE)).toContain(words);
      };

      test("when it is not to be healed", () => {
        expect(run("nospace", { HEAL_NOSPACE: "no" })).toMatchObject({ status: 0, stderr: "" });
        expect(calls()).toEqual([]);
      });

      test("by the defragmentation, which leaves it to this", () => {
        const { status, stderr } = run();
        expect(status).toBe(0);
        expect(stderr).toContain("the alarm NOSPACE is raised, which etcd-maintenance-nospace");
        expect(changes()).toEqual([]);
        expect(result()).toBe("");
      });

      test("by a host that does not lead", () => {
        cluster("lead 2");
        expect(run("nospace")).toMatchObject({ status: 0, stderr: "" });
        expect(calls()).toEqual(["https://127.0.0.1:2379: endpoint status"]);
        cluster("lead 1");
      });

      test("beside a member that is unhealthy", () => {
        cluster("pause 3");
        stays("because etcd03 (https://127.0.0.3:2380) is unhealthy; start it first");
        cluster("go 3");
      });

      test("beside CORRUPT, because etcd disarms all alarms or none", () => {
        cluster("alarm CORRUPT 2");
        stays("CORRUPT of etcd02");
        expect(result(NOSPACE)).toContain("etcd disarms all alarms or none");
      });
    });
  });

  test("an etcdctl that says anything makes it do nothing", () => {
    host.reset();
    host.sh(`mkdir -p ${STATE} /usr/local/bin; touch ${STATE}/formed
      printf 'etcd01 127.0.0.1\\n' >${STATE}/nodes`);
    const says = (...lines: readonly string[]) => {
      host.write("/var/paper/says", lines.map((line) => `${line}\n`).join(""));
      host.sh(
        `printf '#!/bin/sh\\necho "$*" >>/var/paper/calls; cat /var/paper/says\\n' >/usr/local/bin/etcdctl; chmod 755 /usr/local/bin/etcdctl`,
      );
      const outcomes = [run("nospace"), run()];
      expect(host.sh("ls /var/paper/planted 2>&1 || true")).toContain("No such file");
      expect(host.sh("grep -vE 'endpoint status|member list' /var/paper/calls || true")).toBe("");
      return outcomes.map(({ status }) => status);
    };
    const plant = "$(touch /var/paper/planted)";
    expect(says("x")).toEqual([0, 0]);
    expect(says(`"Leader" : ${plant}`, `"MemberID" : ${plant}`)).toEqual([0, 0]);
    expect(says('"Leader" : 0', '"MemberID" : 0', '"Errors" : [alarm:NOSPACE]')).toEqual([0, 0]);
    const own = ['"Leader" : 161', '"MemberID" : 161'];
    expect(says(...own, `"Errors" : [memberID:161 alarm:NOSPACE ${plant}]`)).toEqual([1, 0]);
    expect(says(...own, '"Errors" : [x', '"Leader" : 162', '"MemberID" : 1]')).toEqual([0, 0]);
    const list = ['"ID" : 161', '"Name" : "etcd01"', '"PeerURL" : "https://127.0.0.1:2380"'];
    const member = [...list, '"ClientURL" : "x"', '"IsLearner" : false'];
    const huge = ['"DBSize" : 99999999999999999999', '"DBSizeInUse" : 0'];
    expect(says(...own, ...huge, '"Errors" : []', ...member)).toEqual([0, 0]);
    expect(says(...own, `"DBSize" : a[${plant}]`, '"DBSizeInUse" : 0', ...member)).toEqual([0, 0]);
    const foreign = [...own, '"ID" : 161', `"Name" : "${plant}"`, '"IsLearner" : false'];
    expect(says(...foreign)).toEqual([0, 1]);
  });

  test("a look at a cluster in order is one question to its own member, and a result in an hour", () => {
    start();
    expect(run("nospace")).toMatchObject({ status: 0 });
    expect(calls()).toEqual(["https://127.0.0.1:2379: endpoint status"]);
    expect(result(NOSPACE)).toBe("ok - - - - # nothing to do");
    const first = written(NOSPACE);
    expect(run("nospace")).toMatchObject({ status: 0, stderr: "" });
    expect(written(NOSPACE)).toBe(first);
    cluster("end");
    expect(run("nospace")).toMatchObject({ status: 0, stderr: "" });
    expect(written(NOSPACE)).toBe(first);
  });
});
