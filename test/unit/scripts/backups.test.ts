/** What `npm run backups` and `npm run status` ask of a host: real restic and real etcd, on a paper host. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parse, type Rule } from "../../../components/hosts/answer-grammar";
import { BACKUP_WORDS, type HostBackups, readBackups } from "../../../components/hosts/backups";
import { between } from "../../../components/hosts/marks";
import { RESULT_WORDS } from "../../../components/hosts/results";
import { STATE } from "../../support/paper-cluster";
import { type Outcome, type PaperHost, paperHost, whyNot } from "../../support/paper-host";
import {
  BACKUPS,
  BackupHost,
  CANARY,
  configure,
  prepareJob,
  RESTIC,
  startCluster,
} from "../../support/real-cluster";

const reason = whyNot();
const MARK = "0badcafe";

/** The lines between the marks, each a word and its rest; fails where the grammar refuses them. */
function lines<Word extends string>(outcome: Outcome, grammar: Readonly<Record<Word, Rule>>) {
  expect({ status: outcome.status, stderr: outcome.stderr }).toEqual({ status: 0, stderr: "" });
  expect(outcome.stdout).not.toContain(CANARY);
  const parsed = parse(between(outcome.stdout, MARK) ?? [], grammar);
  if (typeof parsed === "string") {
    throw new Error(parsed);
  }
  return parsed;
}

describe.skipIf(reason !== undefined)(`a host${reason ? ` (${reason})` : ""}`, () => {
  let host: PaperHost;
  let backup: BackupHost;

  beforeAll(async () => {
    host = await paperHost();
    await startCluster(host, "3.6.14", 1);
    backup = new BackupHost(host);
    backup.clean();
    expect(backup.run().status).toBe(0);
    backup.keep();
  }, 30 * 60_000);
  afterAll(() => host?.close());
  beforeEach(() => {
    host.sh(`mkdir -p ${STATE}/jobs; rm -f /var/paper/on-backup`);
    backup.clean();
  });

  const ask = (question: string): HostBackups =>
    readBackups(lines(host.run("backups", ["backups", question], { MARK }), BACKUP_WORDS));

  describe("asked for its snapshots", () => {
    test("without backups says nothing", () => {
      host.sh(`rm -rf ${STATE}/jobs ${BACKUPS}`);
      for (const question of ["files", "repository", "now"]) {
        expect(ask(question)).toEqual({
          ...{ timer: false, files: [], olderFiles: 0, snapshots: [], olderSnapshots: 0 },
        });
      }
    });

    test("tells the files that may be snapshots, the newest first, and nothing else", () => {
      host.sh(`cd ${BACKUPS}; mkdir kept directory.db; ln -s /etc/passwd link.db
        touch -d @1700000100 scheduled-etcd01-1.db; echo 12345 >final.db; touch -d @1700000200 final.db
        touch one.db.part 'two words.db' $'line\\nfile 1 2 three.db' ./--help.db`);
      const { timer, repository, files, olderFiles } = ask("files");
      expect([timer, repository, olderFiles]).toEqual([true, "/var/repository", 0]);
      expect(files.slice(1)).toEqual([
        { path: `${BACKUPS}/final.db`, time: new Date(1_700_000_200_000), bytes: 6 },
        { path: `${BACKUPS}/scheduled-etcd01-1.db`, time: new Date(1_700_000_100_000), bytes: 0 },
      ]);
      expect(files[0]?.path).toBe(`${BACKUPS}/--help.db`);
    });

    test("tells a hundred files at most, and how many more there are", () => {
      host.sh(`cd ${BACKUPS}; for n in {1..107}; do : >$n.db; done`);
      const { files, olderFiles } = ask("files");
      expect([files.length, olderFiles]).toEqual([100, 7]);
    });

    test("tells what is in the repository, with what is known of each", () => {
      backup.filled();
      host.sh(
        `echo mine | ${RESTIC} backup --stdin --stdin-filename x --host other --tag node=x --tag cluster=Z; rm -rf ${STATE}/jobs/known`,
      );
      const { snapshots, refused } = ask("repository");
      expect(refused).toBeUndefined();
      expect(snapshots).toEqual([
        {
          id: expect.stringMatching(/^[0-9a-f]{8}$/),
          time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
          ...{ revision: 6, bytes: expect.any(Number), release: "3.6.14", node: "etcd01" },
          cluster: expect.stringMatching(/^[0-9a-f]{1,16}$/),
          ours: true,
        },
        expect.objectContaining({ node: "x", ours: false }),
      ]);
      expect(snapshots[1]).not.toHaveProperty("cluster");
      expect(backup.locks()).toBe("");
    });

    test("says why it cannot tell what is in the repository", () => {
      expect(ask("repository").refused).toMatch(
        /^repository|^unable to open|does not exist|no such file/,
      );
      backup.filled();
      configure(host, { REPOSITORY_PASSWORD: "another one" });
      expect(ask("repository").refused).toMatch(/wrong password/);
    });

    test("says so when restic is not there", () => {
      backup.filled();
      host.sh("mv /usr/bin/restic /usr/bin/restic.hidden");
      const { refused } = ask("repository");
      host.sh("mv /usr/bin/restic.hidden /usr/bin/restic");
      expect(refused).toBe("restic is not installed on this host; the next pulumi up installs it");
    });
  });

  describe("asked for a backup now", () => {
    const runs = "setsid --wait bash -p /var/job-now.sh run";

    test("starts the job, waits for it and tells its result", () => {
      host.write("/var/paper/on-backup", runs);
      prepareJob(host);
      const { job, idle, broken } = ask("now");
      expect([idle, broken]).toEqual([undefined, undefined]);
      expect(job).toMatchObject({ name: "backup", outcome: "ok", revision: 6, interval: 3600 });
      expect(backup.files()).toHaveLength(1);
      expect(host.sh("grep -c 'start etcd-backup.service' /var/paper/systemctl")).toBe("1");
    });

    test("takes one more when one is at work, which may lack what is written by now", () => {
      host.sh(": >/var/paper/systemctl");
      host.write("/var/paper/property-ActiveState", "activating\n");
      host.write("/var/paper/on-backup", runs);
      prepareJob(host);
      const { job } = ask("now");
      host.sh("rm /var/paper/property-ActiveState");
      expect(job).toMatchObject({ name: "backup", outcome: "ok" });
      expect(host.sh("grep -c 'start etcd-backup.service' /var/paper/systemctl")).toBe("2");
    });

    test("tells what failed, as the job says it", () => {
      host.write(
        "/var/paper/on-backup",
        `echo 'failed 2026-11-28T08:00:00Z 3 - - - - # the disk is full' >${STATE}/results/backup; exit 1`,
      );
      host.sh(`mkdir -p ${STATE}/results`);
      expect(ask("now").job).toEqual({
        ...{
          name: "backup",
          outcome: "failed",
          time: new Date("2026-11-28T08:00:00Z"),
          interval: 3600,
        },
        reason: "the disk is full",
      });
    });

    test("tells what it said when there was nothing to do, and when it was ended", () => {
      host.journal([
        "Starting etcd-backup.service...",
        "etcd01: nothing to do: the member a2 leads",
        "Finished",
      ]);
      host.write("/var/paper/property-InvocationID", "");
      host.write("/var/paper/on-backup", "printf '%032x\\n' 7 >/var/paper/property-InvocationID");
      expect(ask("now")).toMatchObject({ idle: "nothing to do: the member a2 leads" });
      host.write("/var/paper/on-backup", "echo Job for etcd-backup.service failed. >&2; exit 3");
      expect(ask("now")).toMatchObject({ broken: "Job for etcd-backup.service failed." });
    });

    test("is taken although another host has taken one of this hour", () => {
      backup.filled();
      host.sh(`sed -i 's/NODE=etcd01/NODE=etcd09/' ${STATE}/jobs/values`);
      prepareJob(host);
      host.write("/var/paper/on-backup", runs);
      expect(ask("now").job).toMatchObject({ outcome: "ok" });
    });
  });

  describe("asked for the results of its jobs", () => {
    const results = () => lines(host.run("results", ["results"], { MARK }), RESULT_WORDS);

    test("tells the last one and the last good one of each", () => {
      host.sh(`mkdir -p ${STATE}/results; cd ${STATE}/results
        echo 'failed 2026-11-28T08:00:00Z 3 - - - - # no space: /var is full' >backup
        echo 'ok 2026-11-28T07:00:00Z 3 1234 99 0a1b2c a1b2c3d4' >backup.good
        echo 'ok 2026-11-28T06:00:00Z 100 - - - -' >backup-check; cp backup-check backup-check.good
        echo 600 >${STATE}/jobs/etcd-backup-check.interval`);
      expect(results()).toEqual([
        { word: "bootstrapped", rest: "" },
        {
          word: "job",
          rest: "backup failed 2026-11-28T08:00:00Z - - - 3600 no space: /var is full",
        },
        { word: "job-good", rest: "backup 2026-11-28T07:00:00Z 1234 99 a1b2c3d4" },
        { word: "job", rest: "backup-check ok 2026-11-28T06:00:00Z - - - 600" },
        { word: "job-good", rest: "backup-check 2026-11-28T06:00:00Z - - -" },
      ]);
    });

    test("tells nothing of what is no result, and nothing without jobs", () => {
      host.sh(`mkdir -p ${STATE}/results; cd ${STATE}/results
        head -c 100000 /dev/urandom >backup; echo 'ok yesterday 1 - - - -' >drill; : >maintenance
        mkdir -p ${STATE}/receipts; echo 'revision create 2026-11-28T05:00:00Z host-1' >${STATE}/receipts/jobs
        printf 'ok 2026-11-28T06:00:00Z 1 - - - - # one\\njob drill ok 2026-11-28T06:00:00Z - - - -\\n' >backup-check`);
      expect(results()).toEqual([
        { word: "bootstrapped", rest: "" },
        { word: "receipt", rest: "jobs create 2026-11-28T05:00:00Z host-1" },
        { word: "job", rest: "backup-check ok 2026-11-28T06:00:00Z - - - - one" },
      ]);
      host.sh(`rm -rf ${STATE}/jobs ${STATE}/results ${STATE}/receipts`);
      expect(results()).toEqual([{ word: "bootstrapped", rest: "" }]);
    });
  });
});
