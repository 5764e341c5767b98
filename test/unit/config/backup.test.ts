import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readArgs } from "../../../components/config/arguments";
import type { BackupConfig } from "../../../components/config/index";
import { UNKNOWN } from "../../../components/config/unknown";
import {
  failure,
  hostKey,
  mistakes as mistakesIn,
  NODES,
  privateKey,
  type Raw,
  read,
  usual,
} from "../support/config";

const where = usual();
const directory = mkdtempSync(join(tmpdir(), "etcd-ca-"));
afterAll(() => {
  rmSync(where.home, { recursive: true });
  rmSync(directory, { recursive: true });
});

/** Of nobody's server. */
const CERTIFICATE = (() => {
  const file = join(directory, "ca.pem");
  const subject = ["-subj", "/CN=storage", "-days", "2"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
  execFileSync("openssl", ["req", "-x509", ...key, "/dev/null", "-out", file, ...subject], {
    stdio: "ignore",
  });
  return readFileSync(file, "utf8");
})();

const SECRET = "hunter2";
const S3 = { repository: "s3:https://s3.example.org/etcd", password: SECRET };
const SFTP = { repository: "sftp:backup@storage.example.org:/srv/etcd", password: SECRET };

/** As the CLI has it where a part of it is encrypted: then the whole is secret. */
const backup = (raw: Raw): BackupConfig | undefined =>
  read({ nodes: NODES, backup: raw }, where, ["backup"]).backup;

/** What is said of `backup` in code, where nothing is secret by itself and values show in messages. */
const mistakes = (raw: unknown, rest: Raw = {}): readonly string[] => {
  const args = { raw: { nodes: NODES, backup: raw, ...rest }, secrets: new Set<string>() };
  return failure(() => readArgs("main", args, where))?.problems ?? [];
};

describe("backups", () => {
  test("are not scheduled where the key is not given, or left empty", () => {
    expect(read({ nodes: NODES }, where).backup).toBeUndefined();
    expect(read({ nodes: NODES, backup: null }, where).backup).toBeUndefined();
  });

  test("have every default", () => {
    expect(backup({})).toEqual({
      schedule: "hourly",
      keep: { hourly: 24, daily: 7, weekly: 4, monthly: 12 },
      local: 3,
      environment: {},
      prune: true,
    });
  });

  test("take every key, whatever types the CLI guessed", () => {
    const environment = {
      AWS_ACCESS_KEY_ID: 1234,
      AWS_SECRET_ACCESS_KEY: SECRET,
      RESTIC_REST_USERNAME: "etcd",
    };
    const raw = {
      ...{ schedule: "Mon..Fri *-*-* 02:30:00 Europe/Madrid", keep: { hourly: "0", daily: 30 } },
      ...{ ...S3, local: "0", environment, prune: "false", drill: "weekly" },
      caCertificate: CERTIFICATE.trimEnd().replaceAll("\n", "\r\n"),
    };
    expect(backup(raw)).toEqual({
      ...{ schedule: "Mon..Fri *-*-* 02:30:00 Europe/Madrid" },
      keep: { hourly: 0, daily: 30, weekly: 4, monthly: 12 },
      ...{ ...S3, local: 0, prune: false, drill: "weekly", caCertificate: CERTIFICATE },
      environment: { ...environment, AWS_ACCESS_KEY_ID: "1234" },
    });
    const key = hostKey(3, "ssh-rsa");
    const ssh = { privateKey: privateKey().trimEnd(), hostKey: `${key} root@storage` };
    expect(backup({ ...SFTP, ...ssh })).toMatchObject({ privateKey: privateKey(), hostKey: key });
    expect(backup({ ...SFTP, hostKey: key })?.privateKey).toBeUndefined();
  });

  test.each([
    "s3:s3.amazonaws.com/bucket",
    "s3:http://[2001:db8::1]:9000/bucket/etcd",
    "s3:https://minio.example.org:9000/bucket",
    "s3://minio/bucket",
    "sftp:storage:etcd",
    "sftp:backup@192.0.2.1:/srv/etcd",
    "sftp://backup@[2001:db8::1]:2222//srv/etcd",
    "rest:https://storage:8000/etcd/",
    "rest:http://storage",
    "/mnt/backups/etcd",
    "local:/mnt/backups/etcd",
    "b2:bucket:etcd",
    "azure:container:/",
    "gs:bucket:/etcd",
    "swift:container:/etcd",
    "rclone:remote:etcd",
  ])("are pushed to %s", (repository) => {
    expect(backup({ repository, password: SECRET })?.repository).toBe(repository);
  });

  test.each(["minutely", "*:0/10", "*-*-* 02:30", "Sun *-*~7/1 03:00:00", "2026-12-24 18:00 UTC"])(
    "are taken %s",
    (schedule) => {
      expect(backup({ schedule })?.schedule).toBe(schedule);
    },
  );
});

const SYNTAX =
  "is not a repository of restic; write one such as s3:https://s3.example.org/bucket, sftp:user@host:/path, rest:https://host:8000/name or an absolute path on the hosts";
const HIDDEN =
  "args.backup.repository: has a user name or password in it, and messages show a repository; leave it out, and write credentials of the storage as environment, such as AWS_SECRET_ACCESS_KEY";
const CALENDAR =
  'is not a calendar expression of systemd; write one such as hourly, *:0/10 or "Mon..Fri 02:30" (systemd-analyze calendar shows when it elapses)';
const WITHOUT = "has no effect without args.backup.repository; write that, or leave it out";
const forbidden = (name: string, words: string): [Raw, string[]] => [
  { ...S3, environment: { [name]: SECRET } },
  [`args.backup.environment.${name}: ${words}`],
];
const OWN = "cannot be set: the job has a variable of that name";
const SHELL = "cannot be set: the shell of the job reads it itself";
const LOADER = "cannot be set: it changes how every program of the job is loaded";
const RESTIC = "cannot be set: the program sets restic's own variables from the other keys";
const NAME =
  "is not the name of a variable; write capital letters, digits and _ such as AWS_ACCESS_KEY_ID";

/** A wrong `backup`, and all that is said about it. */
const ROWS: [raw: unknown, expected: string[]][] = [
  ["hourly", ['args.backup: "hourly" is not a map; write an object such as { key: value }']],
  [{ repo: "/x" }, ["args.backup.repo: unknown key; did you mean repository?"]],
  ...["", "hourly; reboot", "%H", "-1", "a\nb", " hourly", "$(id)", "h".repeat(101)].map(
    (schedule): [Raw, string[]] => [
      { schedule },
      [
        `args.backup.schedule: ${schedule.length > 60 ? `"${"h".repeat(59)}..."` : schedule.includes("\n") ? "a text of several lines" : `"${schedule}"`} ${CALENDAR}`,
      ],
    ],
  ),
  [{ ...S3, drill: "$(id)" }, [`args.backup.drill: "$(id)" ${CALENDAR}`]],
  [
    { keep: { hourly: -1, daily: "many", weekly: 10001, yearly: 1 } },
    [
      "args.backup.keep.hourly: -1 is out of range; write a number from 0 to 10000",
      'args.backup.keep.daily: "many" is not a whole number; write a number from 0 to 10000',
      "args.backup.keep.weekly: 10001 is out of range; write a number from 0 to 10000",
      "args.backup.keep.yearly: unknown key; known are hourly, daily, weekly, monthly",
    ],
  ],
  [
    { keep: { hourly: 0, daily: 0, weekly: 0, monthly: 0 } },
    ["args.backup.keep: every number is 0, so no snapshot would stay; write at least one above 0"],
  ],
  [{ local: 1001 }, ["args.backup.local: 1001 is out of range; write a number from 0 to 1000"]],
  [
    { local: 0 },
    [
      "args.backup.local: 0 leaves no snapshot anywhere without args.backup.repository; write that, or a number from 1 to 1000",
    ],
  ],
  [
    { repository: S3.repository },
    [
      "args.backup.password: missing; write the password that the repository is encrypted with, and keep a copy of it outside of this stack",
    ],
  ],
  ...[
    "backups",
    "~/restic",
    "minio:bucket",
    "s3:",
    "s3:https://host",
    "rest:host",
    "sftp:host",
  ].map((repository): [Raw, string[]] => [
    { repository, password: SECRET },
    [`args.backup.repository: "${repository}" ${SYNTAX}`],
  ]),
  ...["sftp:-oProxyCommand=id:/x", "sftp:me@host:~/x", "/a b", "/a/../b", "/", "local:x"].map(
    (repository): [Raw, string[]] => [
      { repository, password: SECRET },
      [`args.backup.repository: "${repository}" ${SYNTAX}`],
    ],
  ),
  ...["/tmp/restic", "/run/x", "local:/var/lib/etcd/backup"].map((repository): [Raw, string[]] => [
    { repository, password: SECRET },
    [
      `args.backup.repository: "${repository}" is in a place that is emptied or belongs to etcd's data; write a directory such as /srv/restic/etcd`,
    ],
  ]),
  ...[
    "rest:https://me:hunter2@storage:8000/",
    "rest:https://me:hunter/2@storage:8000/",
    "s3:https://me:hunter2@storage/bucket",
    "s3:me:hunter2@storage/bucket",
    "sftp:me:hunter2@storage:/srv",
    "sftp://me:hunter2@storage//srv",
    "swift:me:hunter2@storage",
    "nothing:https://me:hunter2@storage",
    "rest:https://me:hunter2@sto rage",
  ].map((repository): [Raw, string[]] => [{ repository, password: SECRET }, [HIDDEN]]),
  [
    {
      ...{ password: SECRET, caCertificate: CERTIFICATE, privateKey: privateKey() },
      ...{ hostKey: hostKey(1), drill: "weekly", environment: { AWS_PROFILE: "x" } },
    },
    [
      ...["password", "caCertificate", "privateKey", "hostKey", "drill", "environment"].map(
        (name) => `args.backup.${name}: ${WITHOUT}`,
      ),
    ],
  ],
  [
    { ...S3, password: "two\nlines" },
    ["args.backup.password: is not one line of 1 to 1024 characters"],
  ],
  [{ ...S3, password: "" }, ["args.backup.password: is not one line of 1 to 1024 characters"]],
  [
    { ...S3, environment: "AWS_SECRET_ACCESS_KEY=hunter2" },
    ["args.backup.environment: [secret] is not a map; write an object such as { key: value }"],
  ],
  [
    { ...S3, environment: { AWS_SECRET_ACCESS_KEY: "hunter2\nx" } },
    ["args.backup.environment.AWS_SECRET_ACCESS_KEY: is not one line of 1 to 1024 characters"],
  ],
  ...["aws_access_key_id", "2FA"].map((name) => forbidden(name, NAME)),
  [{ ...S3, environment: { "A=B": SECRET } }, [`args.backup.environment["A=B"]: ${NAME}`]],
  ...["RESTIC_PASSWORD", "RESTIC_REPOSITORY_FILE", "RESTIC_REST_PASSWORD_FILE"].map((name) =>
    forbidden(name, RESTIC),
  ),
  ...["PATH", "HOME", "IFS", "ENV", "SHELLOPTS", "PS4", "BASH_ENV", "BASHOPTS", "LC_ALL", "_"].map(
    (name) => forbidden(name, SHELL),
  ),
  ...["LD_PRELOAD", "LD_LIBRARY_PATH", "GCONV_PATH"].map((name) => forbidden(name, LOADER)),
  forbidden(
    "SSH_AUTH_SOCK",
    "cannot be set: ssh would take it from there; write privateKey and hostKey",
  ),
  ...["TOKEN", "NODE", "BACKUP_LOCAL", "REPOSITORY_PASSWORD", "DEFRAG", "JOB_VALUES"].map((name) =>
    forbidden(name, OWN),
  ),
  ...["-----BEGIN CERTIFICATE-----", "/etc/ssl/ca.pem", privateKey(), 1].map(
    (caCertificate): [Raw, string[]] => [
      { ...S3, caCertificate },
      [
        "args.backup.caCertificate: is not a certificate in PEM; write all its lines, from BEGIN CERTIFICATE to END CERTIFICATE",
      ],
    ],
  ),
  [
    { ...S3, caCertificate: CERTIFICATE.replace(/\n[A-Za-z0-9+/=]+/, "") },
    [
      "args.backup.caCertificate: has a certificate that cannot be read; write the file's text as it is",
    ],
  ],
  [
    { ...S3, caCertificate: `${CERTIFICATE}\n${CERTIFICATE.replace(/\n[A-Za-z0-9+/=]+/, "")}` },
    [
      "args.backup.caCertificate: has a certificate that cannot be read: number 2 of 2; write the file's text as it is",
    ],
  ],
  [
    { ...S3, privateKey: privateKey(), hostKey: hostKey(1) },
    ["privateKey", "hostKey"].map(
      (name) =>
        `args.backup.${name}: is for a repository with sftp:, and args.backup.repository is "${S3.repository}"; leave it out`,
    ),
  ],
  [
    { ...SFTP, privateKey: privateKey() },
    [
      "args.backup.hostKey: missing beside privateKey; write the server's public host key as TYPE BASE64, which ssh-keyscan -t ed25519 HOST prints, and compare its fingerprint",
    ],
  ],
  [
    { ...SFTP, privateKey: privateKey("aes256-ctr"), hostKey: hostKey(1) },
    [
      "args.backup.privateKey: has a passphrase, and nobody is there to type it; make a key of its own for the backups, without one",
    ],
  ],
  [
    { ...SFTP, privateKey: `${hostKey(1)}\nx`, hostKey: hostKey(1) },
    ["args.backup.privateKey: is a public key; write the text of the private one"],
  ],
  [
    { ...SFTP, privateKey: "id_ed25519", hostKey: "ssh-ed25519 AAAA" },
    [
      "args.backup.privateKey: is not the text of a private key; write all its lines, or name its file",
      'args.backup.hostKey: "ssh-ed25519 AAAA" is not a public host key; write its type and its base64 text such as ssh-ed25519 AAAA...',
    ],
  ],
  [
    { ...S3, prune: "never" },
    ['args.backup.prune: "never" is not true or false; write true or false'],
  ],
];

describe("a mistake", () => {
  test.each(ROWS)("%j", (raw, expected) => {
    const found = mistakes(raw);
    expect([...found].sort()).toEqual([...expected].sort());
    expect(found.join("\n")).not.toContain(SECRET);
  });

  test("in one key hides none in another, and is no reason to complain about what goes with it", () => {
    expect(
      mistakes({ repository: "backups", local: 0, drill: "?", keep: { hourly: "x" }, prune: 2 }),
    ).toHaveLength(4);
  });
});

describe("a secret", () => {
  const plain = (key: string) =>
    `etcd:backup.${key}: is in plain text in the stack's configuration; take it out, change it, and set it with pulumi config set --secret --path 'etcd:backup.${key}'`;
  const raw = {
    nodes: NODES,
    backup: {
      ...SFTP,
      ...{ privateKey: privateKey(), hostKey: hostKey(1), environment: { AWS_PROFILE: "x" } },
    },
  };

  test("is refused in plain text in the stack's configuration, each of them", () => {
    expect(mistakesIn(raw, where)).toEqual(
      ["password", "privateKey", "environment.AWS_PROFILE"].map(plain),
    );
    expect(mistakesIn(raw, where, ["backup"])).toEqual([]);
  });

  test("makes all of the key one, which no message repeats", () => {
    const wrong = { nodes: NODES, backup: { ...S3, repository: "hunter2", schedule: "?" } };
    const found = mistakesIn(wrong, where, ["backup"]);
    expect(found).toEqual([
      `etcd:backup.schedule: [secret] ${CALENDAR}`,
      `etcd:backup.repository: [secret] ${SYNTAX}`,
    ]);
  });
});

describe("what is not known in a preview", () => {
  const unknown = {
    ...{ repository: UNKNOWN, password: UNKNOWN, environment: { AWS_SECRET_ACCESS_KEY: UNKNOWN } },
    ...{ caCertificate: UNKNOWN, privateKey: UNKNOWN, hostKey: UNKNOWN },
  };
  const config = (raw: Raw) =>
    readArgs("main", { raw: { nodes: NODES, backup: raw }, secrets: new Set() }, where);

  test("has something harmless in its place, and hinders the inspection of no node", () => {
    const result = config(unknown);
    expect(Object.keys(result.backup ?? {})).toEqual(expect.arrayContaining(Object.keys(unknown)));
    expect(result.unknown).toEqual(new Map());
  });

  test("is of no kind that other keys could contradict", () => {
    const ssh = { privateKey: privateKey(), hostKey: hostKey(1) };
    expect(mistakes({ ...unknown, ...ssh })).toEqual([]);
    expect(mistakes({ ...SFTP, privateKey: UNKNOWN })).toHaveLength(1);
  });

  test("is refused where it decides what is set up", () => {
    const words =
      "is not known before the up, and a preview needs it; write a value that the program knows by itself";
    expect(mistakes({ ...S3, schedule: UNKNOWN, prune: UNKNOWN })).toEqual([
      `args.backup.schedule: ${words}`,
      `args.backup.prune: ${words}`,
    ]);
    expect(mistakes(UNKNOWN)).toEqual([`args.backup: ${words}`]);
  });
});

describe("recover.snapshot", () => {
  const from = (snapshot: unknown, rest: Raw = {}) => ({
    recover: { node: "etcd01", confirm: "cafe", snapshot, ...rest },
  });
  const ID = "1a2b3c4d";

  test.each(["latest", ID, 12345678, "ab".repeat(32)])(
    "may be %s of the repository",
    (snapshot) => {
      const raw = { nodes: NODES, backup: S3, ...from(snapshot, { snapshotCluster: "beef" }) };
      expect(read(raw, where, ["backup"]).recover).toEqual({
        ...{ node: "etcd01", confirm: "cafe" },
        ...{ snapshot: String(snapshot), snapshotCluster: "beef" },
      });
    },
  );

  test("is otherwise a path on the node, which needs no repository", () => {
    const recover = { node: "etcd01", confirm: "cafe", snapshot: "/root/latest" };
    expect(read({ nodes: NODES, recover }, where).recover).toEqual(recover);
  });

  test.each([
    ["latest", undefined],
    [ID, undefined],
    [ID, {}],
  ])("%s is refused without a repository: %j", (snapshot, without) => {
    expect(mistakes(without, from(snapshot))).toEqual([
      `args.recover.snapshot: "${snapshot}" is looked for in args.backup.repository, which is not set; set it, or write the path of a file on the node`,
    ]);
  });

  test("is not complained about beside a wrong repository", () => {
    expect(mistakes({ ...S3, repository: "x" }, from("latest"))).toEqual([
      `args.backup.repository: "x" ${SYNTAX}`,
    ]);
  });

  test("is refused in the repository while what leads there is not known", () => {
    expect(mistakes({ ...S3, password: UNKNOWN }, from("latest"))).toEqual([
      'args.recover.snapshot: "latest" is looked for before anything else, and args.backup.password is not known before the up; write a value that the program knows by itself',
    ]);
    expect(mistakes({ ...S3, password: UNKNOWN }, from("/root/s.db"))).toEqual([]);
  });

  test.each(["newest", "1a2b3c4", "ab".repeat(33), "1A2B3C4D", "a/b", 1])("cannot be %s", (id) => {
    expect(mistakes(S3, from(id))).toEqual([
      `args.recover.snapshot: ${typeof id === "number" ? id : id.length > 60 ? `"${id.slice(0, 59)}..."` : `"${id}"`} is not a path on a host, latest, or a snapshot ID of restic; write an absolute path of plain characters such as /var/backups/etcd/etcd03.db, latest, or 8 to 64 hexadecimal digits`,
    ]);
  });

  test.each([undefined, "/root/s.db"])(
    "%s is of one cluster: snapshotCluster says nothing",
    (one) => {
      expect(mistakes(S3, from(one, { snapshotCluster: "beef" }))).toEqual([
        "args.recover.snapshotCluster: has an effect only on a snapshot in the repository; set args.recover.snapshot to latest or a snapshot ID, or leave it out",
      ]);
    },
  );

  test("snapshotCluster is an ID", () => {
    expect(mistakes(S3, from("latest", { snapshotCluster: "mine" }))).toEqual([
      'args.recover.snapshotCluster: "mine" is not a cluster ID; write the ID that `npm run backups` names beside the snapshot',
    ]);
    const alone = { recover: { snapshotCluster: "beef" } };
    expect(mistakes(S3, alone).map((line) => line.split(":")[0])).toEqual([
      "args.recover.node",
      "args.recover.confirm",
      "args.recover.snapshotCluster",
    ]);
  });
});
