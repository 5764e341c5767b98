/** `npm run backups`, with the answers of hosts as steps/backups.sh makes them. */
import { describe, expect, test } from "vitest";
import { keysIn, keysOf } from "../../support/documented-keys";
import { Operator } from "../../support/operator";
import type { Answer } from "../../support/sshd";
import { NODES, said, threeHosts } from "../../support/three-hosts";

const REPOSITORY = { repository: "s3:https://s3.example.org/etcd", password: "xyzzy" };
const USAGE = "usage: npm run backups [-- [now] [--json] [--config-file FILE]]";

/** What a host says to each question. */
function host(answers: Readonly<Record<string, readonly string[]>>): Answer {
  return {
    stdout: (mark, command) => {
      const question = command.split(" ").at(-1) ?? "";
      return said(
        "timer",
        "repository s3:https://s3.example.org/etcd",
        ...(answers[question] ?? []),
      )(mark);
    },
  };
}

async function run(config: object, answers: readonly Answer[], ...words: readonly string[]) {
  const operator = new Operator();
  await threeHosts(operator, { ...config }, ...answers);
  return operator.run("backups", ...words);
}

const ago = (seconds: number) =>
  `${new Date(Date.now() - seconds * 1000).toISOString().slice(0, 19)}Z`;
const FILE = "/var/backups/etcd/scheduled-etcd02-20261128T080000Z.db";
const LISTED = [
  `snapshot 0a0b0c0d ${ago(7300)} 1200 1048576 c1 3.6.14 etcd01 yes`,
  "snapshot ffffffff - - - - - - no",
  `snapshot a1b2c3d4 ${ago(3700)} 1234 2097152 c1 3.6.14 etcd02 yes`,
];

describe("the list", () => {
  test("has the repository's snapshots and the hosts' files, the newest first", async () => {
    const seconds = (before: number) => Math.floor(Date.now() / 1000) - before;
    const answers = [
      host({
        files: [`file ${seconds(90_000 * 3)} 5 /var/backups/etcd/etcd01-final.db`],
        repository: LISTED,
      }),
      host({ files: [`file ${seconds(3700)} 2097152 ${FILE}`, "older-files 3"] }),
      host({ files: [] }),
    ];
    const table = await run({ backup: REPOSITORY }, answers);
    expect([table.code, table.stderr]).toEqual([0, ""]);
    const times = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g;
    expect(table.stdout.replace(times, "TIME................")).toMatchInlineSnapshot(`
      "WHERE       SNAPSHOT                                                TIME                  AGE         REVISION  SIZE     RELEASE  NODE    CLUSTER
      repository  a1b2c3d4                                                TIME................  61 minutes  1234      2.0 MiB  3.6.14   etcd02  c1
      repository  ffffffff                                                -                     -           -         -        -        -       - (of another stack)
      repository  0a0b0c0d                                                TIME................  2 hours     1200      1.0 MiB  3.6.14   etcd01  c1
      etcd02      /var/backups/etcd/scheduled-etcd02-20261128T080000Z.db  TIME................  61 minutes  -         2.0 MiB  -        -       -
      etcd01      /var/backups/etcd/etcd01-final.db                       TIME................  3 days      -         0.0 MiB  -        -       -

      the repository s3:https://s3.example.org/etcd, asked through etcd01, has 3 snapshots
      "
    `);
    const json = await run({ backup: REPOSITORY }, answers, "--json");
    expect([json.code, json.stderr]).toEqual([0, ""]);
    const { repository, files, notAsked } = JSON.parse(json.stdout);
    expect(repository).toEqual({
      ...{ name: "s3:https://s3.example.org/etcd", host: "etcd01", error: null, older: 0 },
      snapshots: [
        {
          ...{ id: "a1b2c3d4", time: expect.stringMatching(times), ageSeconds: expect.any(Number) },
          ...{ revision: 1234, bytes: 2097152, cluster: "c1", release: "3.6.14", node: "etcd02" },
          ours: true,
        },
        {
          ...{ id: "ffffffff", time: null, ageSeconds: null, revision: null, bytes: null },
          ...{ cluster: null, release: null, node: null, ours: false },
        },
        expect.objectContaining({ id: "0a0b0c0d", ours: true }),
      ],
    });
    expect(files).toEqual([
      {
        host: "etcd02",
        path: FILE,
        time: expect.stringMatching(times),
        ageSeconds: expect.any(Number),
        bytes: 2097152,
      },
      expect.objectContaining({ host: "etcd01", path: "/var/backups/etcd/etcd01-final.db" }),
    ]);
    expect(notAsked).toEqual([]);
    const withOne = { repository, files, notAsked: [{ host: "etcd03", reason: "it is off" }] };
    expect(keysIn("docs/commands.md", "Backups")).toEqual(keysOf(withOne));
  });

  test("asks the repository through the next host where one cannot", async () => {
    const { code, stdout } = await run({ backup: REPOSITORY }, [
      host({
        repository: [
          "refused restic is not installed on this host; the next pulumi up installs it",
        ],
      }),
      host({ repository: [...LISTED, "older-snapshots 7"] }),
      host({}),
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain(
      "the repository s3:https://s3.example.org/etcd, asked through etcd02, has 10 snapshots, of which the newest 3 are shown",
    );
  });

  test("has the files all the same where no host can ask the repository: exit code 1", async () => {
    const refused = host({
      files: [`file 1764316800 1 ${FILE}`],
      repository: ["refused wrong\u001b[31m password"],
    });
    const text = await run({ backup: REPOSITORY }, [refused, refused, refused]);
    expect([text.code, text.stderr]).toEqual([1, ""]);
    expect(text.stdout).toContain(FILE);
    expect(text.stdout).toContain(
      "warning: the snapshots in the repository s3:https://s3.example.org/etcd, asked through etcd01, are not known: wrong?[31m password\n",
    );
    const json = await run({ backup: REPOSITORY }, [refused, refused, refused], "--json");
    expect([json.code, JSON.parse(json.stdout).repository.error]).toEqual([
      1,
      "wrong?[31m password",
    ]);
  });

  test("says which hosts could not be asked, and asks the others: exit code 1", async () => {
    const { code, stdout } = await run({ backup: {} }, [
      host({ files: [`file 1764316800 1 ${FILE}`] }),
      { stdout: said("timer", `file yesterday 1 ${FILE}`) },
    ]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^etcd01 +\/var\/backups/m);
    expect(stdout).not.toContain("repository");
    expect(stdout).toMatch(
      /^warning: etcd02: its files are not known: .* printed the malformed file line /m,
    );
    expect(stdout).toMatch(/^warning: etcd03: its files are not known: SSH to /m);
  });

  test("without any snapshots says so", async () => {
    const none = host({});
    expect((await run({ backup: {} }, [none, none, none])).stdout).toBe("no snapshots\n");
  });

  test("of hosts that have not been told of the repository yet says what to do: exit code 1", async () => {
    const none = { stdout: said() };
    const { code, stdout } = await run({ backup: REPOSITORY }, [none, none, none]);
    expect([code, stdout]).toEqual([
      1,
      "no snapshots\n\nwarning: the snapshots in the repository are not known: no host that could be asked knows the repository yet; run pulumi up\n",
    ]);
  });
});

describe("now", () => {
  const idle = host({ now: ["idle nothing to do: the member a2 leads, and this host's is a1"] });
  const made = (reason = "") =>
    host({ now: [`job backup ok ${ago(0)} 1235 1048576 b1b2b3b4 3600${reason}`] });

  test("tells the new snapshot", async () => {
    const text = await run({ backup: REPOSITORY }, [idle, made(), idle], "now");
    expect(text).toEqual({
      ...{ code: 0, stdout: "etcd02: new backup: revision 1235, 1.0 MiB, b1b2b3b4\n" },
      stderr: "waiting for etcd-backup.service, started on etcd01, etcd02, etcd03\n",
    });
    const json = await run(
      { backup: REPOSITORY },
      [idle, made(" old ones stay"), idle],
      "now",
      "--json",
    );
    expect([json.code, json.stderr]).toEqual([0, ""]);
    expect(keysIn("docs/commands.md", "Backups", 1)).toEqual(keysOf(JSON.parse(json.stdout)));
    expect(JSON.parse(json.stdout)).toEqual({
      ...{ host: "etcd02", time: expect.stringMatching(/Z$/), revision: 1235, bytes: 1048576 },
      ...{ id: "b1b2b3b4", remark: "old ones stay" },
    });
  });

  const failed = host({ now: [`job backup failed ${ago(0)} - - - 3600 the disk is full\u0007`] });
  const broken = host({ now: ["broken Job for etcd-backup.service failed."] });

  test.each<[string, readonly Answer[], RegExp]>([
    [
      "it failed",
      [idle, failed, idle],
      /^error: the backup failed: etcd02: the disk is full\?; etcd01: nothing to do: .*; etcd03: nothing to do: /,
    ],
    [
      "it was ended",
      [idle, broken, idle],
      /^error: no host took a snapshot: etcd01: nothing to do: .*; etcd02: Job for etcd-backup\.service failed\.; etcd03: /,
    ],
    [
      "no host of those that can be reached leads",
      [idle, idle],
      /^error: no host took a snapshot: etcd01: .*; etcd02: .*; etcd03: SSH to root@127\.0\.0\.1:3 failed: /,
    ],
    [
      "the hosts have no job yet",
      [{ stdout: said() }, { stdout: said() }, { stdout: said() }],
      /^error: no host that could be asked has etcd-backup\.service yet; run pulumi up$/,
    ],
    [
      "no host can be reached",
      [],
      /^error: no host could be asked: etcd01: SSH to .*; etcd02: .*; etcd03: /,
    ],
  ])("says why there is none when %s: exit code 1", async (_, answers, words) => {
    const text = await run({ backup: REPOSITORY }, answers, "now");
    expect([text.code, text.stdout]).toEqual([1, ""]);
    expect(text.stderr.trimEnd().split("\n").at(-1)).toMatch(words);
    const json = await run({ backup: REPOSITORY }, answers, "now", "--json");
    expect([json.code, json.stderr]).toEqual([1, ""]);
    expect(`error: ${JSON.parse(json.stdout).error}`).toMatch(words);
  });
});

describe("the command", () => {
  test("without backups in the configuration logs in nowhere, and says what to do", async () => {
    const operator = new Operator();
    operator.config({ nodes: NODES, maintenance: {} });
    const error = "etcd:backup is not configured, so there are no backups; see docs/backup.md";
    expect(await operator.run("backups")).toEqual({
      code: 1,
      stdout: "",
      stderr: `error: ${error}\n`,
    });
    const json = await operator.run("backups", "now", "--json");
    expect([json.code, json.stderr, JSON.parse(json.stdout)]).toEqual([1, "", { error }]);
  });

  test("says what is wrong with the configuration, and no secret", async () => {
    const operator = new Operator();
    operator.config({ nodes: NODES, backup: { ...REPOSITORY, schedule: "sometimes;" } }, [
      "backup",
    ]);
    const { code, stdout, stderr } = await operator.run("backups");
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^error: \d+ errors in the configuration:\n {2}- etcd:/);
    expect(stderr).not.toContain("xyzzy");
  });

  test.each([
    [["later"], 'unknown argument "later"'],
    [["now", "now"], 'a second argument "now"'],
    [["--all"], 'unknown option "--all"'],
  ])("refuses %j with its usage: exit code 2", async (words, what) => {
    expect(await new Operator().run("backups", ...words)).toEqual({
      ...{ code: 2, stdout: "" },
      stderr: `error: ${what}; ${USAGE}\n`,
    });
  });
});
