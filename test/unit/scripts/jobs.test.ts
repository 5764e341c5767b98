/** The timers of a host: installed, found to be drift, removed. */
import { beforeEach, describe, expect, test } from "vitest";
import { between } from "../../../components/hosts/marks";
import { readAnswer } from "../../../components/hosts/probe-output";
import { hostScript } from "../../../components/scripts/bundle";
import { HOST, PKI, STATE } from "../../support/paper-cluster";
import { hostForEach, TREE, whyNot } from "../../support/paper-host";

const reason = whyNot();
const REVISION = "create 2026-11-22T10:20:30Z";
const UNITS = "/etc/systemd/system";
const SCRIPTS = (["backup", "drill", "maintenance"] as const).map(hostScript);
const [BACKUP = "", DRILL = "", MAINTENANCE = ""] = SCRIPTS.map(({ name }) => name);
const HOURLY = `etcd-backup ${BACKUP} run hourly`;
const CHECK = `etcd-backup-check ${BACKUP} check weekly`;
const DRILLS = `etcd-drill ${DRILL} run Mon..Fri 08:00`;
const EVERY_TEN = `etcd-maintenance ${MAINTENANCE} run *:0/10`;
const NOSPACE = `etcd-maintenance-nospace ${MAINTENANCE} nospace *:*:0/15`;
const ALL = [HOURLY, CHECK, DRILLS, EVERY_TEN, NOSPACE];

describe.skipIf(reason !== undefined)(`the timers${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const good = { status: 0, stdout: "", stderr: "" };

  beforeEach(() => {
    host.sh(`mkdir -p ${STATE} /run/etcd-on-pulumi.scripts`);
    for (const { name, text } of SCRIPTS) {
      host.write(`/run/etcd-on-pulumi.scripts/${name}.sh`, text);
    }
  });

  const values = (jobs: readonly string[], further = "") => ({
    ...{ ...HOST, MARK: "0badcafe", RECOVER_SNAPSHOT: "", COMPACTS: "yes", JOBS: jobs.join("\n") },
    JOB_VALUES: `NODE=etcd01\nTOKEN=t\nPKI=${PKI}\nADDRESS=127.0.0.1${further}`,
  });
  const install = (jobs: readonly string[], further?: string) =>
    host.run("jobs", ["apply", REVISION], values(jobs, further));
  const leave = () => host.run("leave", ["remove"], values([]));
  const calls = () =>
    host
      .sh("cat /var/paper/systemctl; : >/var/paper/systemctl")
      .split("\n")
      .filter((call) => call !== "" && !/^(--version|show|is-enabled)/.test(call));
  const list = (path: string) => host.sh(`{ ls ${path} 2>/dev/null || true; } | paste -sd ' '`);
  const drift = () => host.run("probe", ["differences", `${STATE}/receipts/jobs`]).stdout;
  const findings = (jobs: readonly string[]) =>
    host
      .run("probe", ["preflight_findings"], values(jobs))
      .stdout.split("\n")
      .filter((line) => line !== "");

  describe("that are configured", () => {
    test("are installed and started, with a receipt that is true", () => {
      expect(install(ALL)).toEqual(good);
      expect(calls()).toEqual([
        "--quiet --no-reload enable etcd-backup.timer etcd-backup-check.timer etcd-drill.timer etcd-maintenance.timer etcd-maintenance-nospace.timer",
        "start etcd-backup.timer etcd-backup-check.timer etcd-drill.timer etcd-maintenance.timer etcd-maintenance-nospace.timer",
      ]);
      expect(list(`${STATE}/jobs`)).toBe(
        "backup.sh drill.sh etcd-backup-check.interval etcd-backup.interval etcd-drill.interval etcd-maintenance-nospace.interval etcd-maintenance.interval maintenance.sh values",
      );
      expect(host.sh(`cd ${STATE}/jobs; stat -c '%a %U' . values backup.sh`)).toBe(
        "700 root\n600 root\n600 root",
      );
      expect(host.sh(`cd ${STATE}/jobs; cat *.interval | paste -sd ' '`)).toBe(
        `${7 * 86400} 3600 ${3 * 86400} 15 600`,
      );
      expect(host.sh(`head -n 1 ${STATE}/receipts/jobs`)).toBe(`revision ${REVISION}`);
      expect(drift()).toBe("");
    });

    test("are units that systemd understands", () => {
      install(ALL, "\nREPOSITORY='/var/a \"b\\%i'");
      host.sh(`mkdir -p '/var/a "b\\%i'`);
      install(ALL, "\nREPOSITORY='/var/a \"b\\%i/c'");
      const verified = host.sh(
        `cd ${UNITS}; systemd-analyze verify etcd-backup.{service,timer} etcd-maintenance{,-nospace}.{service,timer} 2>&1 | grep etcd- || true`,
      );
      expect(verified).toBe("");
      expect(host.sh(`grep ^ReadWritePaths= ${UNITS}/etcd-backup.service`)).toBe(
        `ReadWritePaths=/run ${STATE} -/var/backups -/var/backups/etcd\nReadWritePaths="-/var/a \\"b\\\\%%i"`,
      );
      expect(host.sh(`cat ${UNITS}/etcd-drill.timer`)).toBe(
        [
          "# Managed by etcd on Pulumi. Manual changes are detected as drift and reverted.",
          ...["[Unit]", "Description=Starts the job drill of etcd on Pulumi", ""],
          ...["[Timer]", "OnCalendar=Mon..Fri 08:00", "AccuracySec=1s", "Persistent=true", ""],
          ...["[Install]", "WantedBy=timers.target"],
        ].join("\n"),
      );
    });

    test("write nothing each time, where that is every few seconds", () => {
      install(ALL);
      const grep = (text: string) =>
        host.sh(`cd ${UNITS}; grep -lE '${text}' etcd-*.{service,timer} | paste -sd ' '`);
      expect(grep("^LogLevelMax=notice")).toBe("etcd-maintenance-nospace.service");
      expect(grep("^SyslogLevel=notice")).toBe("etcd-maintenance-nospace.service");
      expect(grep("^Persistent=")).toBe(
        "etcd-backup-check.timer etcd-backup.timer etcd-drill.timer etcd-maintenance.timer",
      );
    });

    test("start scripts that run by themselves", () => {
      install(ALL);
      const run = (name: string, call: string) =>
        host.sh(`/bin/bash -p ${STATE}/jobs/${name}.sh ${call} 2>&1`);
      const words = "etcd01: nothing to do: there is no member on this host yet";
      expect([run("backup", "run"), run("drill", "run"), run("maintenance", "run")]).toEqual([
        ...[words, words, words],
      ]);
      expect(host.sh(`grep ^ExecStart= ${UNITS}/etcd-backup-check.service`)).toBe(
        `ExecStart=/bin/bash -p ${STATE}/jobs/backup.sh check`,
      );
    });

    test("and have not changed are left as they are", () => {
      install(ALL);
      const look = `find ${UNITS} ${STATE}/jobs -type f -printf '%p %i %T@\\n' | sort`;
      const before = host.sh(look);
      calls();
      expect(install(ALL)).toEqual(good);
      expect(host.sh(look)).toBe(before);
    });

    test("are finished by the next run where one was killed", () => {
      for (const after of ["claim", "install_job_script", "job_service", "systemctl"]) {
        host.run(
          "jobs",
          ["eval", `${after}() { kill -KILL $$; }; read_revision '${REVISION}'; install_jobs x`],
          values(ALL),
        );
      }
      expect(install(ALL)).toEqual(good);
      expect(drift()).toBe("");
      expect(leave().status).toBe(0);
      expect(list(`${UNITS}/etcd-*`)).toBe("");
    });

    test("wait for their scripts, which may come after the step's own", () => {
      host.sh("mv /run/etcd-on-pulumi.scripts /run/later");
      // Nobody holds the host, so nobody sends anything.
      expect(
        host.run(
          "jobs",
          ["eval", `read_revision '${REVISION}'; install_jobs '${REVISION}'`],
          values(ALL),
        ),
      ).toEqual({
        ...good,
        status: 1,
        stderr: `etcd01: the script ${BACKUP} of its timers did not arrive from the run that sends it; run pulumi up again\n`,
      });
      host.sh("(sleep 1; mv /run/later /run/etcd-on-pulumi.scripts) >/dev/null 2>&1 &");
      expect(install(ALL)).toEqual(good);
    });
  });

  describe("that are not configured", () => {
    test("leave an empty receipt, and no word to systemd", () => {
      const before = host.sh(TREE);
      expect(install([])).toEqual(good);
      expect(calls()).toEqual([]);
      expect(host.sh(`cat ${STATE}/receipts/jobs; rm -r ${STATE}/receipts`)).toBe(
        `revision ${REVISION}`,
      );
      expect(host.sh(TREE)).toBe(before);
    });

    test("any more are removed with what they left, and the others stay", () => {
      install(ALL);
      host.sh(`mkdir -p ${STATE}/results ${STATE}/drill/data /var/lib/systemd/timers; cd ${STATE}/results
        touch backup backup.good backup-check drill drill.good drill.words /var/lib/systemd/timers/stamp-etcd-drill.timer`);
      calls();
      expect(install([HOURLY])).toEqual(good);
      expect(calls()).toEqual([
        "--quiet --no-reload disable etcd-backup-check.timer",
        "stop etcd-backup-check.timer etcd-backup-check.service",
        "reset-failed etcd-backup-check.service",
        "--quiet --no-reload disable etcd-drill.timer",
        "stop etcd-drill.timer etcd-drill.service",
        "reset-failed etcd-drill.service",
        "stop etcd-drill-member.service",
        "reset-failed etcd-drill-member.service",
        "--quiet --no-reload disable etcd-maintenance.timer",
        "stop etcd-maintenance.timer etcd-maintenance.service",
        "reset-failed etcd-maintenance.service",
        "--quiet --no-reload disable etcd-maintenance-nospace.timer",
        "stop etcd-maintenance-nospace.timer etcd-maintenance-nospace.service",
        "reset-failed etcd-maintenance-nospace.service",
        "daemon-reload",
        "--quiet --no-reload enable etcd-backup.timer",
        "start etcd-backup.timer",
      ]);
      expect(list(`${STATE}/jobs`)).toBe("backup.sh etcd-backup.interval values");
      expect(list(`${STATE}/results`)).toBe("backup backup.good");
      expect(host.sh(`ls -d ${STATE}/drill 2>/dev/null || true`)).toBe("");
      expect(host.sh(`cd ${UNITS}; ls -d etcd-* | paste -sd ' '`)).toBe(
        "etcd-backup.service etcd-backup.timer",
      );
      expect(host.sh("ls /var/lib/systemd/timers | grep -c etcd- || true")).toBe("0");
      expect(install([])).toEqual(good);
      expect(list(`${STATE}/jobs`)).toBe("");
      expect(host.sh(`ls ${STATE}`).split("\n")).not.toContain("made-files");
    });
  });

  test("are taken off a host that is left, whose repository is not touched", () => {
    host.sh("mkdir -p /var/repository/etcd /var/cache/etcd-on-pulumi");
    const before = host.sh(`${TREE.trim()}; ls -d /var/cache/* /var/repository/*`);
    install(ALL, "\nREPOSITORY=/var/repository/etcd");
    calls();
    expect(leave()).toEqual({
      ...good,
      stderr: "etcd01: the snapshots in the repository /var/repository/etcd are left there\n",
    });
    expect(calls()).toContain("stop etcd-backup.timer etcd-backup.service");
    expect(host.sh(`${TREE.trim()}; ls -d /var/cache/* /var/repository/*`)).toBe(
      before
        .split("\n")
        .filter((line) => !/etcd-on-pulumi/.test(line))
        .join("\n"),
    );
    // Twice, and on a host that has none.
    expect(leave()).toEqual(good);
  });

  test("that somebody else has under the same name are a finding, and stay", () => {
    host.write(`${UNITS}/etcd-backup.timer`, "[Timer]\nOnCalendar=daily\n");
    const words = `has a file that is not this program's at ${UNITS}/etcd-backup.timer; move it away first`;
    expect(findings(ALL)).toContain(`always ${words}`);
    expect(findings([EVERY_TEN]).filter((line) => line.includes("etcd-backup"))).toEqual([]);
    expect(install(ALL)).toEqual({ ...good, status: 1, stderr: `etcd01: ${words}\n` });
    expect(install([])).toEqual(good);
    expect(leave()).toEqual(good);
    expect(host.sh(`cat ${UNITS}/etcd-backup.timer`)).toContain("OnCalendar=daily");
  });

  describe("a schedule", () => {
    const told = (line: string) =>
      findings([line]).filter((words) => /schedule|would run/.test(words));

    test.each([
      ["etcd-backup", "hurly", "etcd:backup.schedule"],
      ["etcd-drill", "*:0/61", "etcd:backup.drill"],
      ["etcd-maintenance", "25:00", "etcd:maintenance.defrag.schedule"],
    ])("of %s that systemd refuses stops every run", (unit, schedule, key) => {
      expect(told(`${unit} ${BACKUP} run ${schedule}`)).toEqual([
        expect.stringMatching(
          `^always has a systemd that does not take the schedule "${schedule.replace("*", "\\*")}" of ${key}: .*; man systemd.time says how to write one$`,
        ),
      ]);
    });

    test.each(["2020-01-01", "2030-01-01 08:00"])(
      "that comes once or never does so too: %s",
      (schedule) => {
        expect(told(`etcd-backup ${BACKUP} run ${schedule}`)).toEqual([
          `always would run etcd:backup.schedule "${schedule}" once or never; give it a schedule that comes again`,
        ]);
      },
    );

    test.each([
      ["*:0/10", 600],
      ["hourly", 3600],
      ["Mon,Thu 03:30 Europe/Madrid", 4 * 86400],
      ["*-*-01 00:00:00", 31 * 86400],
    ])("that systemd takes has a longest gap: %s", (schedule, seconds) => {
      expect(told(`etcd-backup ${BACKUP} run ${schedule}`)).toEqual([]);
      const { stdout } = host.run("probe", ["eval", `elapses '${schedule}' | longest_gap`]);
      expect(Number(stdout)).toBe(seconds);
    });
  });

  describe("with a repository", () => {
    /** apt-get that notes its calls, and brings restic or fails. */
    const apt = (does: string) => {
      host.sh("mv /usr/bin/restic /usr/bin/restic.hidden 2>/dev/null || true");
      host.write("/usr/local/sbin/apt-get", `#!/bin/sh\necho "$*" >>/var/paper/apt-get\n${does}\n`);
      host.sh("chmod 755 /usr/local/sbin/apt-get");
    };
    const WHY = "etcd01: installing the package restic, which etcd:backup.repository needs\n";

    test("bring restic along, once", () => {
      apt('case "$*" in *restic) ln -s /bin/true /usr/local/bin/restic ;; esac');
      expect(install([HOURLY, CHECK])).toEqual({ ...good, stderr: WHY });
      expect(host.sh("cat /var/paper/apt-get")).toBe("-qq update\n-qq -y install restic");
      expect(install([HOURLY, CHECK])).toEqual(good);
      host.sh("rm /usr/local/bin/restic");
    });

    test("say what to do when it cannot be installed", () => {
      apt("echo 'E: Unable to locate package restic' >&2; exit 100");
      expect(install([HOURLY, CHECK])).toEqual({
        ...good,
        status: 1,
        stderr: `${WHY}E: Unable to locate package restic\netcd01: cannot install restic (apt-get update), which etcd:backup.repository needs; install it by hand, and run pulumi up again; its output is above\n`,
      });
      expect(install([HOURLY])).toEqual(good);
    });

    test("are a finding only where neither restic nor apt-get is", () => {
      const told = () => findings([HOURLY, CHECK]).filter((line) => line.includes("restic"));
      expect(told()).toEqual([]);
      host.sh("mv /usr/bin/restic /usr/bin/restic.hidden 2>/dev/null || true");
      expect(told()).toEqual([]);
      host.sh("mv /usr/bin/apt-get /usr/bin/apt-get.hidden");
      expect(told()).toEqual([
        "change has neither restic nor apt-get to install it, and etcd:backup.repository needs restic; install it",
      ]);
      expect(findings([HOURLY]).filter((line) => line.includes("restic"))).toEqual([]);
    });

    test("or without one have a finding where nothing checks their schedules", () => {
      host.sh("mv /usr/bin/systemd-analyze /usr/bin/systemd-analyze.hidden");
      const told = (jobs: readonly string[]) =>
        findings(jobs).filter((line) => line.includes("systemd-analyze"));
      expect(told([])).toEqual([]);
      expect(told([HOURLY])).toEqual([
        "change has no systemd-analyze command; install the package systemd, or configure neither etcd:backup nor etcd:maintenance",
      ]);
    });

    test("on a disk that is not there are refused before anything of theirs is started", () => {
      expect(install([HOURLY, CHECK], "\nREPOSITORY=/mnt/usb/etcd")).toEqual({
        ...good,
        status: 1,
        stderr:
          "etcd01: has no directory /mnt/usb for etcd:backup.repository (/mnt/usb/etcd); make it, or mount its disk there, and run pulumi up again\n",
      });
      expect(calls()).toEqual([]);
    });
  });

  describe("the first backup", () => {
    const begun = () => calls().filter((call) => call.includes("--no-block"));

    test("is begun by the run that configures it, and once the member is there", () => {
      install([HOURLY]);
      expect(begun()).toEqual([]);
      host.sh(`touch ${STATE}/formed`);
      host.run("health", ["begin_first_backup"], values([]));
      expect(begun()).toEqual(["start --no-block etcd-backup.service"]);
      install([HOURLY]);
      expect(begun()).toEqual(["start --no-block etcd-backup.service"]);
    });

    test("is none where there was one, or where none is configured", () => {
      host.sh(`touch ${STATE}/formed`);
      install([EVERY_TEN]);
      host.run("health", ["begin_first_backup"], values([]));
      expect(begun()).toEqual([]);
      host.sh(`mkdir -p ${STATE}/results; touch ${STATE}/results/backup`);
      install([HOURLY]);
      expect(begun()).toEqual([]);
    });
  });

  describe("in a look", () => {
    const look = () => {
      const { stdout } = host.run("probe", ["probe"], values(ALL));
      const lines = between(stdout, "0badcafe") ?? [];
      const state = readAnswer(lines, { started: 0, ended: 1e15, maximumClockSkew: 2 });
      if (typeof state === "string" || !state.inspected) {
        throw new Error(JSON.stringify(state));
      }
      return state;
    };

    test("are drift when they are stopped, disabled or changed", () => {
      install([HOURLY, EVERY_TEN]);
      host.sh("echo active >/var/paper/property-ActiveState; echo enabled >/var/paper/enabled");
      host.write(
        "/usr/local/sbin/systemctl",
        `#!/bin/bash
case $1 in
  show) for unit in "\${@:4}"; do printf 'ActiveState=%s\\nMainPID=0\\n\\n' "$(cat /var/paper/active-$unit 2>/dev/null || echo active)"; done ;;
  is-enabled) for unit in "\${@:2}"; do cat "/var/paper/enabled-$unit" 2>/dev/null || echo enabled; done ;;
  --version) echo "systemd 252" ;;
esac
`,
      );
      expect(look().receipts.get("jobs")).toEqual({ revision: REVISION, drift: [] });
      host.sh(`echo inactive >/var/paper/active-etcd-backup.timer
        echo disabled >/var/paper/enabled-etcd-maintenance.timer
        echo x >>${STATE}/jobs/values; sed -i s/hourly/daily/ ${UNITS}/etcd-backup.timer; rm ${STATE}/jobs/maintenance.sh`);
      expect(look().receipts.get("jobs")?.drift).toEqual([
        "etcd-backup.timer is inactive",
        "etcd-maintenance.timer is disabled",
        `${STATE}/jobs/values changed`,
        `${STATE}/jobs/maintenance.sh removed`,
        `${UNITS}/etcd-backup.timer changed`,
      ]);
    });

    test("tell what their jobs did last, and nothing that is no result", () => {
      install([HOURLY, EVERY_TEN]);
      const result = (name: string, line: string) => {
        host.sh(`mkdir -p ${STATE}/results`);
        host.write(`${STATE}/results/${name}`, `${line}\n`);
      };
      result("backup", "failed 2026-11-28T08:00:03Z 2 - - - - # no room: 3 % is free");
      result("backup.good", "ok 2026-11-28T07:00:03Z 2 7 20480 4026531840 0a1b2c3d");
      result("maintenance", "ok 2026-11-28T07:50:00Z 0 - - - /var/backups/etcd/x.db");
      result("drill", "ok 2026-11-28T07:50:00Z 0 $(id) - - -");
      result("backup-check", "fine");
      host.sh(`head -c 100000 /dev/zero >${STATE}/results/drill.good`);
      const { jobs, goodJobs } = look();
      expect(jobs).toEqual([
        {
          ...{
            name: "backup",
            outcome: "failed",
            time: new Date("2026-11-28T08:00:03Z"),
            interval: 3600,
          },
          reason: "no room: 3 % is free",
        },
        {
          ...{
            name: "maintenance",
            outcome: "ok",
            time: new Date("2026-11-28T07:50:00Z"),
            interval: 600,
          },
          id: "/var/backups/etcd/x.db",
        },
      ]);
      expect(goodJobs).toEqual([
        {
          ...{ name: "backup", outcome: "ok", time: new Date("2026-11-28T07:00:03Z") },
          ...{ revision: 7, size: 20480, id: "0a1b2c3d" },
        },
      ]);
    });
  });
});
