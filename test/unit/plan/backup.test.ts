import { describe, expect, test } from "vitest";
import type { BackupConfig } from "../../../components/config";
import type { HostState, JobResult } from "../../../components/hosts/host-state";
import { type DesiredJobs, duration, planJobs } from "../../../components/plan/backup";
import { bare, judged, NOW, type Seen, settled, silent } from "../../support/looks";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const BACKUP: BackupConfig = {
  schedule: "hourly",
  keep: { hourly: 24, daily: 7, weekly: 4, monthly: 12 },
  local: 3,
  repository: "/srv/restic",
  password: "hunter2",
  environment: {},
  prune: true,
};

const ago = (milliseconds: number) => new Date(NOW.getTime() - milliseconds);

/** A good result of the hourly backup, so old. */
const good = (age: number, change: Partial<JobResult> = {}): JobResult => ({
  ...{ name: "backup", outcome: "ok", time: ago(age), interval: 3600 },
  ...{ revision: 1234, size: 20480, id: "1a2b3c4d" },
  ...change,
});
const failed = (age: number, change: Partial<JobResult> = {}): JobResult => ({
  ...{ name: "backup", outcome: "failed", time: ago(age), interval: 3600 },
  ...{ reason: "dial tcp 192.0.2.9:443: i/o timeout" },
  ...change,
});

const isGood = ({ outcome }: JobResult) => outcome === "ok";
const stamp = (age: number) =>
  ago(age)
    .toISOString()
    .replace(/\.\d+Z$/, "Z");

/** A host with these last results, the good ones of which are its last good ones too. */
const host = (
  results: readonly JobResult[] = [],
  change: Partial<Seen> = {},
  setUp = 2 * DAY,
): Seen => {
  const whole = settled({}, { jobs: results, goodJobs: results.filter(isGood), ...change });
  const jobs = { revision: `repair ${stamp(setUp)} # /etc/x removed`, drift: [] };
  return { ...whole, receipts: new Map([...whole.receipts, ["jobs", jobs]]) };
};

/** One whose timers the next run sets up. */
const fresh = (): Seen => {
  const whole = settled();
  const receipts = new Map(whole.receipts);
  receipts.delete("jobs");
  return { ...whole, receipts };
};

const plan = (
  hosts: Readonly<Record<string, HostState>>,
  desired: DesiredJobs = { backup: BACKUP },
) => planJobs(new Map(Object.entries(hosts)), NOW, desired);
const warned = (...arguments_: Parameters<typeof plan>) => {
  const { plan: lines, warnings } = plan(...arguments_);
  expect(lines).toEqual([]);
  return warnings;
};
const QUIET = { plan: [], warnings: [] };

describe("a backup", () => {
  test.each([0, HOUR, 2 * HOUR])("that is %i ms old is not spoken of", (age) => {
    expect(plan({ etcd01: host([good(age)]) })).toEqual(QUIET);
  });

  test("older than twice the interval is warned of: how old, up to where, and where it is", () => {
    const leader = host([good(3 * HOUR)], { leader: true });
    expect(warned({ etcd01: host([good(2 * HOUR + 5 * MINUTE)]), etcd02: leader })).toEqual([
      "backup: the last good one is 2 h 5 min old (revision 1234, snapshot 1a2b3c4d in the repository), and one is due every 1 h; see journalctl -u etcd-backup.service on the leader, etcd02",
    ]);
    const file = good(3 * HOUR, { id: "/var/backups/etcd/scheduled-etcd01-1.db" });
    expect(warned({ etcd01: host([file]) })).toEqual([
      "backup: the last good one is 3 h old (revision 1234, /var/backups/etcd/scheduled-etcd01-1.db on etcd01), and one is due every 1 h; see journalctl -u etcd-backup.service on the leader",
    ]);
    const bareResult = good(3 * HOUR, { revision: undefined, id: undefined });
    expect(warned({ etcd01: host([bareResult]) })[0]).toMatch(/is 3 h old, and one is due/);
  });

  test("is the newest one of all hosts, also where a later one failed on its own host", () => {
    const hosts = { etcd01: host([good(5 * DAY)]), etcd02: host([good(HOUR)]) };
    expect(plan(hosts)).toEqual(QUIET);
    const between = { jobs: [failed(30 * MINUTE)], goodJobs: [good(50 * MINUTE)] };
    expect(plan({ etcd01: host([], between), etcd02: host([good(MINUTE)]) })).toEqual(QUIET);
  });

  test("is held to the interval that systemd has on the hosts, whatever the schedule looks like", () => {
    const backup = { ...BACKUP, schedule: "*-*-* 02,14:00" };
    const daily = { ...BACKUP, schedule: "daily" };
    expect(plan({ etcd01: host([good(3 * HOUR, { interval: 43200 })]) }, { backup })).toEqual(
      QUIET,
    );
    expect(warned({ etcd01: host([good(3 * HOUR)]) }, { backup: daily })).toHaveLength(1);
    // The longest of several, after an edit that one host lacks.
    const hosts = {
      etcd01: host([good(3 * HOUR)]),
      etcd02: host([good(9 * DAY, { interval: 86400 })]),
    };
    expect(plan(hosts)).toEqual(QUIET);
  });

  test.each<[schedule: string, gap: number]>([
    ["minutely", MINUTE],
    ["Hourly", HOUR],
    ["*:0/10", HOUR],
    ["daily", DAY],
    ["*-*-* 02:30:00 Europe/Madrid", DAY],
    ["Mon..Fri 02:30", 7 * DAY],
    ["weekly", 7 * DAY],
    ["*-*-01 02:30", 31 * DAY],
    ["Sun *-*~7/1 03:00", 31 * DAY],
    ["quarterly", 92 * DAY],
    ["*-12-24", 366 * DAY],
  ])("without that is held to what %s says, rather too long", (schedule, gap) => {
    const at = (age: number) =>
      planJobs(new Map([["etcd01", host([good(age, { interval: undefined })])]]), NOW, {
        backup: { ...BACKUP, schedule },
      }).warnings.length;
    expect([at(2 * gap), at(2 * gap + 1)]).toEqual([0, 1]);
  });

  test("that failed after the last good one is warned of, with its reason and host", () => {
    const hosts = { etcd01: host([good(70 * MINUTE)]), etcd02: host([failed(10 * MINUTE)]) };
    expect(warned(hosts)).toEqual([
      "backup: failed on etcd02 10 min ago: dial tcp 192.0.2.9:443: i/o timeout; the last good one is 1 h 10 min old (revision 1234, snapshot 1a2b3c4d in the repository)",
    ]);
    const twice = { etcd01: host([failed(2 * MINUTE)]), etcd02: host([failed(10 * MINUTE)]) };
    expect(warned(twice)).toEqual([
      "backup: failed on etcd01 2 min ago: dial tcp 192.0.2.9:443: i/o timeout; there is no good one",
    ]);
    expect(warned({ etcd01: host([failed(0, { reason: undefined })]) })).toEqual([
      "backup: failed on etcd01 0 s ago; there is no good one",
    ]);
  });

  test("that failed on the host of the last good one has both results there", () => {
    const both = { jobs: [failed(10 * MINUTE)], goodJobs: [good(70 * MINUTE)] };
    expect(warned({ etcd01: host([], both) })[0]).toMatch(
      /^backup: failed on etcd01 .* 1 h 10 min/,
    );
  });

  test("cannot be dated ahead, which would hide all that fail until then", () => {
    const ahead = host([good(-2 * HOUR), good(Number.NaN)]);
    expect(warned({ etcd01: ahead, etcd02: host([failed(HOUR)]) })[0]).toMatch(
      /^backup: failed on etcd02 1 h ago: .*; there is no good one$/,
    );
    expect(plan({ etcd01: host([good(-MINUTE)]) })).toEqual(QUIET);
  });

  test("is told in one short line, whatever the host says", () => {
    const reason = `\u001b[2Jboom\n${"x".repeat(900)}`;
    const [line = ""] = warned({ etcd01: host([failed(0, { reason })]) });
    expect(line).toMatch(
      /^backup: failed on etcd01 0 s ago: \?\[2Jboom\?x+…; there is no good one$/,
    );
    expect(line.length).toBeLessThan(400);
  });
});

describe("no backup yet", () => {
  const young = (age: number) => host([], {}, age);

  test("is a line while the first one is not due, and where the timers are still to be set up", () => {
    const line = { plan: ["backup: there is none yet; one is due every 1 h"], warnings: [] };
    expect(plan({ etcd01: young(HOUR - 1000) })).toEqual(line);
    expect(plan({ etcd01: fresh() })).toEqual(line);
  });

  test("is warned of when it is overdue on one of the hosts", () => {
    expect(warned({ etcd01: young(HOUR + 1000), etcd02: young(0) })).toEqual([
      "backup: there is none yet, and one is due every 1 h; see journalctl -u etcd-backup.service on the leader",
    ]);
  });

  test("is no news before there is a cluster, or without the key", () => {
    expect(plan({ etcd01: bare() })).toEqual(QUIET);
    expect(plan({ etcd01: host([good(9 * DAY)]) }, {})).toEqual(QUIET);
  });
});

describe("a host that cannot be asked", () => {
  test("does not count, and is named where its word is missing", () => {
    const hosts = { etcd01: host([good(3 * HOUR)]), etcd02: silent() };
    expect(warned(hosts)[0]).toMatch(/on the leader \(etcd02 could not be asked\)$/);
    expect(plan({ ...hosts, etcd01: host([good(HOUR)]) })).toEqual(QUIET);
    expect(warned({ ...hosts, etcd01: host([failed(0)]) })[0]).toMatch(
      /there is no good one \(etcd02 could not be asked\)$/,
    );
  });

  test("like all the others leaves nothing to say", () => {
    expect(plan({ etcd01: silent(), etcd02: silent(true) })).toEqual(QUIET);
  });
});

describe("other jobs", () => {
  const drill = { backup: { ...BACKUP, drill: "weekly" } };
  const fine = good(0);

  test("a drill is held to its own schedule", () => {
    const due = { name: "drill", interval: 7 * 86400 };
    expect(plan({ etcd01: host([fine, good(14 * DAY, due)]) }, drill)).toEqual(QUIET);
    expect(warned({ etcd01: host([fine, good(15 * DAY, due)]) }, drill)).toEqual([
      "restore drill: the last good one is 15 d old (revision 1234, snapshot 1a2b3c4d in the repository), and one is due every 7 d; see journalctl -u etcd-drill.service on the leader",
    ]);
    expect(warned({ etcd01: host([fine, failed(DAY, due)]) }, drill)[0]).toMatch(
      /^restore drill: failed on etcd01 1 d ago: dial .*; there is no good one$/,
    );
    expect(plan({ etcd01: host([fine]) }, drill).plan).toEqual([
      "restore drill: there is none yet; one is due every 7 d",
    ]);
    expect(plan({ etcd01: host([fine, failed(DAY, due)]) })).toEqual(QUIET);
  });

  test("a check of the repository is warned of when it failed, where there is one", () => {
    const bad = failed(DAY, { name: "backup-check", reason: "pack 1a2b3c4d: does not exist" });
    const hosts = { etcd01: host([fine, bad]) };
    expect(warned(hosts)).toEqual([
      "check of the repository: failed on etcd01 1 d ago: pack 1a2b3c4d: does not exist; there is no good one",
    ]);
    expect(plan(hosts, { backup: { ...BACKUP, repository: undefined } })).toEqual(QUIET);
    expect(plan({ etcd01: host([fine]) })).toEqual(QUIET);
  });

  test("maintenance is warned of when it failed since it went well", () => {
    const defrag = { schedule: "*:0/10", minimumBytes: 104857600, fragmentation: 45 };
    const maintenance = { defrag, noSpace: true };
    const bad = failed(HOUR, { name: "maintenance", reason: "etcd02 is unhealthy" });
    const well = good(MINUTE, { name: "maintenance", id: undefined, revision: undefined });
    expect(warned({ etcd01: host([bad]) }, { maintenance })).toEqual([
      "maintenance: failed on etcd01 1 h ago: etcd02 is unhealthy; there is no good one",
    ]);
    expect(plan({ etcd01: host([bad]), etcd02: host([well]) }, { maintenance })).toEqual(QUIET);
    expect(plan({ etcd01: host() }, { maintenance })).toEqual(QUIET);
    expect(plan({ etcd01: host([fine, bad]) })).toEqual(QUIET);
    const full = failed(HOUR, { name: "maintenance-nospace", reason: "it does not fit" });
    expect(warned({ etcd01: host([full]) }, { maintenance })).toEqual([
      "healing of NOSPACE: failed on etcd01 1 h ago: it does not fit; there is no good one",
    ]);
    const without = { maintenance: { noSpace: false } };
    expect(plan({ etcd01: host([bad, full]) }, without)).toEqual(QUIET);
  });
});

test.each([
  [0, "0 s"],
  [999, "0 s"],
  [45_000, "45 s"],
  [60_000, "1 min"],
  [61_000, "1 min 1 s"],
  [2 * HOUR + 5 * MINUTE + 30_000, "2 h 5 min"],
  [3 * DAY, "3 d"],
  [3 * DAY + 4 * HOUR + 59 * MINUTE, "3 d 4 h"],
])("%i ms are %s", (milliseconds, words) => {
  expect(duration(milliseconds)).toBe(words);
});

describe("a plan", () => {
  test("has the warnings at its end, the other lines behind what is planned", () => {
    const looks = { etcd01: host([failed(0)]) };
    expect(judged(looks, { backup: BACKUP }).warnings.at(-1)).toMatch(/^backup: failed on etcd01/);
    expect(judged({ etcd01: fresh() }, { backup: BACKUP }).summary.at(-1)).toBe(
      "backup: there is none yet; one is due every 1 h",
    );
  });

  test("is as it is without them while all is well", () => {
    const desired = { backup: { ...BACKUP, drill: "weekly" }, maintenance: { noSpace: true } };
    const results = [good(0), good(DAY, { name: "drill", interval: 604800 })];
    const looks = { etcd01: host(results) };
    expect(judged(looks, desired)).toEqual(judged(looks));
  });
});
