/** The repository of snapshots: real restic and real etcd, on a paper host. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { STATE } from "../../support/paper-cluster";
import { whyNot } from "../../support/paper-host";
import {
  CANARY,
  JOB_VALUES,
  RESTIC,
  RepositoryHost,
  SNAPSHOT,
  theirs,
} from "../../support/real-cluster";

const reason = whyNot();

describe.skipIf(reason !== undefined)(`repository.sh${reason ? ` (${reason})` : ""}`, () => {
  const repository = new RepositoryHost();
  const { filled, call, locks } = repository;
  const host = () => repository.host;

  beforeAll(() => repository.start(), 30 * 60_000);
  afterAll(() => repository.close());
  beforeEach(() => repository.clean());

  describe("a snapshot", () => {
    test("goes into a new repository, with what is known of it, and comes back as it was", () => {
      filled();
      expect(repository.id).toMatch(/^[0-9a-f]{8}$/);
      const [revision, hash, size] = call(`snapshot_facts ${SNAPSHOT}`).stdout.trim().split(" ");
      const [made] = JSON.parse(host().sh(`${RESTIC} snapshots --json`)) as [
        { hostname: string; tags: string[]; time: string; paths: string[] },
      ];
      expect(made).toMatchObject({
        hostname: JOB_VALUES.TOKEN,
        paths: ["/etcd.db"],
        tags: [
          ...[
            `cluster=${repository.cluster}`,
            `revision=${revision}`,
            "release=3.6.14",
            "node=etcd01",
          ],
          ...[`hash=${hash}`, `size=${size}`, "why=scheduled"],
        ],
      });
      expect(new Date(made.time).getTime() / 1000).toBe(
        Number(host().sh(`stat -c %Y ${SNAPSHOT}`)),
      );
      expect(host().sh(`etcdutl snapshot status ${SNAPSHOT}`)).toContain(`${hash}, ${revision}, `);
      const listed = `${repository.id} ${made.time.slice(0, 19)}Z ${revision} ${size} ${repository.cluster} 3.6.14 ${hash}`;
      expect(call("list_snapshots").stdout).toBe(`${listed} etcd01 ${JOB_VALUES.TOKEN}\n`);
      expect(call(`latest_snapshot f0,${repository.cluster}`).stdout).toBe(`${listed}\n`);
      expect(
        call(`fetch_snapshot ${repository.id} /var/back.db ${repository.cluster}`),
      ).toMatchObject({
        ...{ status: 0, stdout: "", stderr: "" },
      });
      expect(host().sh(`cmp ${SNAPSHOT} /var/back.db; stat -c %a /var/back.db`)).toBe("600");
      expect(locks()).toBe("");
    });

    test("is the newest of the clusters that are asked for, also where others have newer ones", () => {
      const line = (name: string, day: number, of: string, more = `3.6.14 abc`, revision = 6) =>
        `${name} 2026-11-0${day}T08:00:00Z ${revision} 100 ${of} ${more} etcd01 x`;
      host().write(
        "/var/list",
        [
          ...[line("00000001", 1, "cafe"), line("00000002", 3, "f0"), line("00000003", 2, "f0")],
          ...[line("00000004", 4, "beef"), line("00000005", 5, "f0", "- abc")],
          // The clock of the host that took the first was ahead.
          ...[line("00000006", 9, "d0", "3.7.2 abc"), line("00000007", 6, "d0", "3.7.2 abc", 100)],
          "",
        ].join("\n"),
      );
      const asked = (of: string) =>
        call(`list_snapshots() { cat /var/list; }; latest_snapshot ${of}`);
      expect(asked("cafe,f0").stdout).toBe("00000002 2026-11-03T08:00:00Z 6 100 f0 3.6.14 abc\n");
      expect(asked("cafe").stdout).toContain("00000001 ");
      expect(asked("d0,cafe").stdout).toContain("00000007 ");
      expect(asked("abc,def")).toMatchObject({
        ...{ status: 1, stdout: "it has no snapshot of cluster abc or def\n" },
      });
    });

    test("that is not what its tags say, not whole or not ours is not taken", () => {
      filled();
      const cases: readonly (readonly [string, string | RegExp])[] = [
        [`head -c 20000 ${SNAPSHOT} | ${theirs("CLUSTER")}`, /^does not verify: .+$/],
        [
          `head -c -7 ${SNAPSHOT} | ${theirs("CLUSTER")}`,
          "does not verify: its digest is not that of its content",
        ],
        [`echo hello | ${theirs("CLUSTER")}`, /^does not verify: .+$/],
        [
          `cat ${SNAPSHOT} | ${theirs("CLUSTER")}`,
          /^is not what was pushed: revision, hash and size are 6 [0-9a-f]+ \d+, and its tags say 6 abc 100$/,
        ],
        [
          `cat ${SNAPSHOT} | ${theirs("f0")}`,
          "is of cluster f0, not of CLUSTER or beef; set etcd:recover.snapshotCluster to f0 if that is the one",
        ],
        [`cat ${SNAPSHOT} | ${RESTIC} backup --stdin --quiet`, "was not made by this program"],
      ];
      host().sh(cases.map(([make]) => make.replaceAll("CLUSTER", repository.cluster)).join("\n"));
      const ids = host()
        .sh(`${RESTIC} snapshots --json | grep -o '"short_id":"[0-9a-f]*"' | cut -d '"' -f 4`)
        .split("\n")
        .filter((one) => one !== repository.id);
      const { stdout } = call(
        ids
          .map(
            (one) =>
              `fetch_snapshot ${one} /var/back2.db ${repository.cluster},beef || echo "status $?"`,
          )
          .join("\n"),
      );
      const said = stdout.replaceAll(repository.cluster, "CLUSTER").trim().split("\n");
      expect(said.filter((line) => line === "status 1")).toHaveLength(cases.length);
      const words = said.filter((line) => line !== "status 1");
      cases.forEach(([, expected], index) => {
        const [, found] = /^snapshot [0-9a-f]{8} (.*)$/.exec(words[index] ?? "") ?? [];
        expect(found).toEqual(
          typeof expected === "string" ? expected : expect.stringMatching(expected),
        );
      });
      expect(host().sh("ls /var/back2.db* 2>/dev/null || true")).toBe("");
    });

    test("that is damaged in the repository is not taken, nor one that is not there", () => {
      filled();
      host().sh(`pack=$(find /var/repository/data -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
        chmod u+w $pack; printf XXXX | dd of=$pack bs=1 seek=300 conv=notrunc status=none`);
      expect(call(`fetch_snapshot ${repository.id} /var/back3.db`)).toMatchObject({
        status: 1,
        stdout: expect.stringMatching(
          new RegExp(`^snapshot ${repository.id} (cannot be read|does not verify): .*\n$`),
        ),
      });
      expect(call("fetch_snapshot 0badcafe /var/back3.db").stdout).toBe(
        "it has no snapshot 0badcafe\n",
      );
      expect(host().sh("ls /var/back3.db* 2>/dev/null || true")).toBe("");
    });

    test("is not fetched onto a disk that has no room for it", () => {
      filled();
      expect(
        call(`df() { printf 'Avail\n20000\n'; }; fetch_snapshot ${repository.id} /var/back4.db`)
          .stdout,
      ).toMatch(
        new RegExp(
          `^snapshot ${repository.id} has \\d+ bytes, and the disk of /var has 20000 bytes free\n$`,
        ),
      );
    });
  });

  describe("a repository", () => {
    const tree = () => host().sh("find /var/repository -type f -printf '%p %s\n' | sort");

    test("with another password is left alone, and says what to do", () => {
      filled();
      const before = tree();
      expect(
        call(`open_repository ${repository.cluster}`, { REPOSITORY_PASSWORD: `${CANARY}-wrong` }),
      ).toMatchObject({
        status: 1,
        stdout:
          "wrong password or no key found; etcd:backup.password is not the password of this repository\n",
      });
      expect(tree()).toBe(before);
    });

    test("with snapshots of another cluster alone is left alone", () => {
      filled();
      host().sh(
        `${RESTIC} forget --quiet ${repository.id}; echo x | ${theirs("f0")}; echo y | ${RESTIC} backup --stdin --quiet`,
      );
      const before = tree();
      expect(call(`open_repository ${repository.cluster}`)).toMatchObject({
        status: 1,
        stdout: `it has 2 snapshots, and none of cluster ${repository.cluster}: nothing was written there; set etcd:backup.repository to a place of its own\n`,
      });
      expect(tree()).toBe(before);
    });

    const GIVEN_UP = `echo f0 >${STATE}/recovered`;
    const RESTORED = "touch /var/backups/etcd/restored-f0-0badcafe.db";

    test.each<[string, string, Record<string, string>]>([
      ["gave up", GIVEN_UP, {}],
      ["was restored from", RESTORED, {}],
      [
        "was restored from, of several",
        `echo e0 >${STATE}/recovered; touch /var/backups/etcd/restored-d0-0badcafe.db; ${RESTORED}`,
        {},
      ],
      ["is recovered from, by the configuration", ":", { SNAPSHOT_CLUSTER: "f0" }],
    ])("with those of a cluster that this one %s is taken", (_, make, values) => {
      filled();
      host().sh(`${RESTIC} forget --quiet ${repository.id}; echo x | ${theirs("f0")}; ${make}`);
      const open = `open_repository ${repository.cluster} >/dev/null`;
      expect(call(open, values)).toMatchObject({ status: 0 });
    });

    test("that is another one than before is left alone: the right disk may not be mounted", () => {
      filled();
      host().sh(`mv /var/repository /var/elsewhere; ${RESTIC} init >/dev/null`);
      const before = tree();
      const { status, stdout } = call(`open_repository ${repository.cluster}`);
      expect(status).toBe(1);
      expect(stdout).toMatch(
        /^another repository is there \(ID [0-9a-f]{10}\) than before \([0-9a-f]{10}\), and nothing was written to it; is the right disk mounted\? To go on with this one, remove \S+\/results\/repository on every host\n$/,
      );
      expect(tree()).toBe(before);
      host().sh("rm -rf /var/repository; mv /var/elsewhere /var/repository");
      expect(call(`open_repository ${repository.cluster} >/dev/null`)).toMatchObject({ status: 0 });
    });

    test("is remembered by a host that does not push, which makes none in its place later", () => {
      filled();
      host().sh(`rm ${STATE}/results/repository`);
      expect(call("remember_repository")).toMatchObject({ status: 0, stdout: "", stderr: "" });
      host().sh("mv /var/repository /var/elsewhere");
      expect(call(`open_repository ${repository.cluster}`).stdout).toMatch(
        /^there was a repository before, and there is none now: /,
      );
      // Nothing is asked again, and nothing is said of one that cannot be asked.
      expect(call("repository_id() { touch /var/asked; }; remember_repository").status).toBe(0);
      host().sh(`rm ${STATE}/results/repository`);
      const { status, stdout, stderr } = call("remember_repository");
      expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
      expect(stderr).toMatch(
        /^etcd01: the repository \/var\/repository is not seen from here: .+\n$/,
      );
      expect(
        host().sh("ls /var/asked /var/repository 2>/dev/null || true; rm -rf /var/elsewhere"),
      ).toBe("");
    });

    test("that was there and is gone is not made again: its disk may not be mounted", () => {
      filled();
      host().sh("mv /var/repository /var/elsewhere");
      const { status, stdout } = call(`open_repository ${repository.cluster}`);
      expect(status).toBe(1);
      expect(stdout).toMatch(
        /^there was a repository before, and there is none now: .*stat \/var\/repository\/config: no such file or directory; is its disk mounted\? To begin a new one there, remove \S+\/results\/repository on every host\n$/,
      );
      expect(host().sh("ls -d /var/repository 2>/dev/null || true")).toBe("");
      host().sh("rm -rf /var/elsewhere");
      // Another one is made.
      expect(
        call(`open_repository ${repository.cluster}`, { REPOSITORY: "/var/repository/2" }).stderr,
      ).toBe("etcd01: made the repository /var/repository/2\n");
    });

    test("whose server is not there, or does not answer, is told with its name", () => {
      const refused = call(`open_repository ${repository.cluster}`, {
        REPOSITORY: "rest:http://127.0.0.1:1/",
      });
      expect(refused.stdout).toContain("dial tcp 127.0.0.1:1: connect: connection refused");
      expect(refused.status).toBe(1);
      host().sh(
        `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8000", Listen => 5); while (1) { push @c, $s->accept }' >/dev/null 2>&1 </dev/null & echo $! >/var/silent; sleep 0.5`,
      );
      const silent = call(`ASK_SECONDS=2; open_repository ${repository.cluster}`, {
        REPOSITORY: "rest:http://127.0.0.1:8000/",
      });
      host().sh("kill $(cat /var/silent)");
      expect(silent.stdout).toMatch(/^no answer within 2 s/);
      expect(silent.status).toBe(1);
    });

    test("is named without who logs in there", () => {
      expect(
        call("repository_name", { REPOSITORY: "rest:https://user:pass@host:8000/x" }).stdout,
      ).toBe("rest:https://host:8000/x");
      expect(call("repository_name", { REPOSITORY: "sftp:etcd@host:/x" }).stdout).toBe(
        "sftp:etcd@host:/x",
      );
    });

    test("needs restic", () => {
      expect(call(`command() { false; }; open_repository ${repository.cluster}`)).toMatchObject({
        ...{
          status: 1,
          stdout: "restic is not installed on this host; the next pulumi up installs it\n",
        },
      });
    });

    test("has a cache here that does not grow for ever, and nothing of a check that was killed", () => {
      filled();
      host().sh(`mkdir -p /var/cache/etcd-on-pulumi/restic-check-cache-1
        fallocate -l 300M /var/cache/etcd-on-pulumi/big 2>/dev/null || head -c 300M /dev/zero >/var/cache/etcd-on-pulumi/big`);
      expect(call("bound_cache; list_snapshots").stdout).toContain(repository.id);
      expect(
        host().sh("ls /var/cache/etcd-on-pulumi; stat -c %a /var/cache/etcd-on-pulumi"),
      ).toMatch(/^(CACHEDIR\.TAG\n[0-9a-f]{64}|[0-9a-f]{64}\nCACHEDIR\.TAG)\n700$/);
    });
  });
});
