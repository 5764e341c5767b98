import { X509Certificate } from "node:crypto";
import { z } from "zod";
import type { Checked } from "./check";
import { described, EDIT, input } from "./described";
import { flag, leaf, Refusal, text, VALUE, whole } from "./fields";
import { readPrivateKeyText } from "./private-key";
import type { Path, Problems } from "./problems";
import type { BackupConfig } from "./types";
import { standIns, type UnknownPaths } from "./unknown";
import { keyText, readHostKey, secret } from "./values";

/** When a job runs; the host's own systemd has the last word on it (lib/preflight.sh). */
export const calendar = text(
  "a calendar expression of systemd",
  'one such as hourly, *:0/10 or "Mon..Fri 02:30" (systemd-analyze calendar shows when it elapses)',
  /^(?=.{1,100}$)[A-Za-z0-9*][A-Za-z0-9*:,./~+_-]*( [A-Za-z0-9*:,./~+_-]+)*$/,
);

/** As the parts of `s3:https://HOST/BUCKET` and of `sftp://USER@HOST:PORT//PATH`. */
const USER = "(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*@)?";
const HOST = "[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?";
const PORT = "(?::\\d{1,5})?";
const IPV6 = "\\[[0-9A-Fa-f:.]+\\]";
/** A bucket, a container or a remote, and where in it. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9_.+-]*:[^:@=]*$/;

/** What may stand behind each backend's name. A host name begins with a letter or a digit: ssh takes a `-` for an option. */
const BACKENDS: Readonly<Record<string, RegExp>> = {
  sftp: new RegExp(`^(?:${USER}${HOST}:[^:@~-][^:@]*|//${USER}(?:${HOST}|${IPV6})${PORT}/[^@~]+)$`),
  rest: new RegExp(`^https?://${USER}(?:${HOST}|${IPV6})${PORT}(?:/[^@]*)?$`),
  s3: new RegExp(`^(?:(?:https?:)?//)?(?:${HOST}|${IPV6})${PORT}/[^/@][^@]*$`),
  azure: BUCKET,
  b2: BUCKET,
  gs: BUCKET,
  rclone: BUCKET,
  swift: BUCKET,
};

/** What is there is gone after a restart, or is etcd's own. */
const NEVER_IN =
  /^\/+(dev|proc|sys|run|tmp|boot|var\/tmp|var\/lib\/etcd|var\/lib\/etcd-on-pulumi|var\/cache\/etcd-on-pulumi|opt\/etcd-on-pulumi)(\/|$)/;

const PASSWORD_IN_URL =
  "has a user name or password in it, and messages show a repository; leave it out, and write credentials of the storage as environment, such as AWS_SECRET_ACCESS_KEY";

/** A repository in restic's own syntax. */
const repository: z.ZodType<string> = leaf({
  type: "string",
  is: "a repository of restic",
  write:
    "one such as s3:https://s3.example.org/bucket, sftp:user@host:/path, rest:https://host:8000/name or an absolute path on the hosts",
  read: (value) => {
    if (typeof value !== "string") {
      return undefined;
    }
    const [, backend = "", rest = ""] = /^([a-z0-9]+):(.*)$/s.exec(value) ?? [];
    const plain = /^[^\s\p{C}]{1,500}$/u.test(value);
    if (plain && BACKENDS[backend]?.test(rest)) {
      return value;
    }
    const path = backend === "local" ? rest : value;
    if (path.startsWith("/")) {
      return plain ? ofPath(path, value) : undefined;
    }
    // Whatever else is wrong with it: then the value is not shown.
    return /:[^@]*@/.test(rest) ? new Refusal(PASSWORD_IN_URL) : undefined;
  },
});

function ofPath(path: string, value: string): string | undefined | Refusal {
  if (NEVER_IN.test(path.replaceAll(/\/+/g, "/"))) {
    return new Refusal(
      `${VALUE} is in a place that is emptied or belongs to etcd's data; write a directory such as /srv/restic/etcd`,
    );
  }
  return /(^|\/)\.\.?(\/|$)/.test(path) || /^\/+$/.test(path) ? undefined : value;
}

/** Certificates as one file has them, each in its PEM block. */
const certificates: z.ZodType<string> = leaf({
  type: "string",
  is: "",
  write: "",
  read: (value) => {
    const found = typeof value === "string" ? value.replaceAll("\r\n", "\n").trim() : "";
    return /^(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]*-----END CERTIFICATE-----\s*)+$/.test(
      found,
    )
      ? `${found}\n`
      : new Refusal(
          "is not a certificate in PEM; write all its lines, from BEGIN CERTIFICATE to END CERTIFICATE",
        );
  },
});

/** OpenSSH itself connects there, so RSA is as good as any. */
const serverKey: z.ZodType<string> = leaf({
  type: "string",
  is: "a public host key",
  write: "its type and its base64 text such as ssh-ed25519 AAAA...",
  read: (value) => (typeof value === "string" ? readHostKey(value) : undefined),
});

const count = whole("a whole number", 0, 10_000);

export const keepSchema = z.strictObject({
  hourly: described(count.default(24), "Of how many hours the last snapshot stays.", EDIT.jobs),
  daily: described(count.default(7), "Of how many days the last snapshot stays.", EDIT.jobs),
  weekly: described(count.default(4), "Of how many weeks the last snapshot stays.", EDIT.jobs),
  monthly: described(count.default(12), "Of how many months the last snapshot stays.", EDIT.jobs),
});

export const backupSchema = z.strictObject({
  schedule: described(
    calendar.default("hourly"),
    "When a snapshot is taken, as OnCalendar= of systemd has it; in the hosts' time zone.",
    EDIT.jobs,
  ),
  keep: described(
    keepSchema.prefault({}),
    "Which snapshots stay in the repository, as `restic forget` counts them; at least one is above 0.",
    EDIT.jobs,
  ),
  local: described(
    whole("a whole number", 0, 1000).default(3),
    "How many scheduled snapshots stay in /var/backups/etcd of a host; at least 1 without a repository.",
    EDIT.jobs,
  ),
  repository: described(
    input(repository.optional(), standIns.repository),
    "Repository of restic that snapshots are pushed to, as restic writes it: `s3:https://HOST/BUCKET`, `sftp:USER@HOST:/PATH`, `rest:https://HOST:8000/NAME`, an absolute path on the hosts. Not given: they stay on the hosts.",
    "The steps `install` run again; no restart. Snapshots in the old one stay there.",
  ),
  password: described(
    input(secret.optional(), standIns.secret),
    "Password of the repository, without which nobody can read it. Secret.",
    "The steps `install` run again; no restart. The repository has to have that password (`restic key`).",
  ),
  environment: described(
    z.record(z.string(), input(secret, standIns.secret)).default({}),
    "Variables for restic, by name: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`. Secret.",
    EDIT.jobs,
  ),
  caCertificate: described(
    input(certificates.optional(), standIns.certificate),
    "Text of the CA certificate of the repository's server, in PEM, where the hosts do not know it.",
    EDIT.jobs,
  ),
  privateKey: described(
    input(keyText.optional(), standIns.privateKey),
    "Text of the SSH private key for a repository with `sftp:`. Secret.",
    EDIT.jobs,
  ),
  hostKey: described(
    input(serverKey.optional(), standIns.hostKey),
    "Public host key of that server, as `TYPE BASE64`; required with `privateKey`.",
    EDIT.jobs,
  ),
  prune: described(
    flag.default(true),
    "False: nothing is ever removed from the repository, for credentials that can only append.",
    EDIT.jobs,
  ),
  drill: described(
    calendar.optional(),
    "When a restore is tried, as OnCalendar= of systemd has it; needs a repository.",
    EDIT.jobs,
  ),
});

type Backup = z.output<typeof backupSchema>;

/** Keys that say nothing without a repository. */
const OF_REPOSITORY = ["password", "caCertificate", "privateKey", "hostKey", "drill"] as const;

/** The rules between its keys; fields that are wrong by themselves are left out. */
export function checkBackup(
  { data, wrong }: Checked<Backup | undefined>,
  problems: Problems,
  unknown: UnknownPaths,
): BackupConfig | undefined {
  if (data === undefined) {
    return undefined;
  }
  if (!wrong.has("keep") && Object.values(data.keep).every((many) => many === 0)) {
    problems.add(
      ["backup", "keep"],
      "every number is 0, so no snapshot would stay; write at least one above 0",
    );
  }
  if (!wrong.has("repository")) {
    checkRepository(data, wrong, problems, unknown);
  }
  for (const name of Object.keys(data.environment)) {
    const problem = nameProblem(name);
    if (problem !== undefined) {
      problems.add(["backup", "environment", name], problem);
    }
  }
  checkCertificates(data, problems, unknown);
  checkPrivateKey(data, problems);
  checkSecrets(data, problems);
  return data;
}

/** What goes with a repository, and with one of its kind. */
function checkRepository(
  backup: Backup,
  wrong: ReadonlySet<string>,
  problems: Problems,
  unknown: UnknownPaths,
): void {
  const { repository, password, privateKey, hostKey, environment } = backup;
  const key = problems.key(["backup", "repository"]);
  if (repository === undefined) {
    for (const field of OF_REPOSITORY.filter((name) => backup[name] !== undefined)) {
      problems.add(["backup", field], `has no effect without ${key}; write that, or leave it out`);
    }
    if (Object.keys(environment).length > 0) {
      const path = ["backup", "environment"];
      problems.add(path, `has no effect without ${key}; write that, or leave it out`);
    }
    if (backup.local === 0 && !wrong.has("local")) {
      const path = ["backup", "local"];
      problems.add(
        path,
        `${problems.show(path, 0)} leaves no snapshot anywhere without ${key}; write that, or a number from 1 to 1000`,
      );
    }
    return;
  }
  if (password === undefined && !wrong.has("password")) {
    problems.add(
      ["backup", "password"],
      `missing; write the password that the repository is encrypted with, and keep a copy of it outside of this stack`,
    );
  }
  // What stands for one that is not known is of no kind.
  if (!repository.startsWith("sftp:") && !unknown.has(["backup", "repository"])) {
    for (const field of (["privateKey", "hostKey"] as const).filter((name) => backup[name])) {
      const shown = problems.show(["backup", "repository"], repository);
      problems.add(
        ["backup", field],
        `is for a repository with sftp:, and ${key} is ${shown}; leave it out`,
      );
    }
  } else if (privateKey !== undefined && hostKey === undefined && !wrong.has("hostKey")) {
    problems.add(
      ["backup", "hostKey"],
      "missing beside privateKey; write the server's public host key as TYPE BASE64, which ssh-keyscan -t ed25519 HOST prints, and compare its fingerprint",
    );
  }
}

/** Read by the shell, the loader or ssh before restic has a look, or set by the job itself. */
const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  [
    /^RESTIC_(?!REST_(USERNAME|PASSWORD)$)/,
    "the program sets restic's own variables from the other keys",
  ],
  [
    /^(PATH|HOME|IFS|ENV|CDPATH|SHELL|SHELLOPTS|PS[0-4]|PROMPT_COMMAND|GLOBIGNORE|POSIXLY_CORRECT|TMOUT|FUNCNEST|[EU]UID|PPID|OLDPWD|PWD|_+|BASH.*|LC_.*|LANG|LANGUAGE)$/,
    "the shell of the job reads it itself",
  ],
  [/^(LD|GCONV|MALLOC|GLIBC)_/, "it changes how every program of the job is loaded"],
  [/^SSH_/, "ssh would take it from there; write privateKey and hostKey"],
  [
    /^(NODE|ADDRESS|PKI|TOKEN|VERSION|STATE|SCRIPT|JOBS?|JOB_.*|BACKUP_.*|REPOSITORY.*|DEFRAG.*|HEAL_NOSPACE)$/,
    "the job has a variable of that name",
  ],
];

function nameProblem(name: string): string | undefined {
  if (!/^[A-Z_][A-Z0-9_]*$/.test(name)) {
    return "is not the name of a variable; write capital letters, digits and _ such as AWS_ACCESS_KEY_ID";
  }
  const reason = FORBIDDEN.find(([pattern]) => pattern.test(name))?.[1];
  return reason === undefined ? undefined : `cannot be set: ${reason}`;
}

function checkCertificates(
  { caCertificate }: Backup,
  problems: Problems,
  unknown: UnknownPaths,
): void {
  const path: Path = ["backup", "caCertificate"];
  if (caCertificate === undefined || unknown.has(path)) {
    return;
  }
  const blocks = caCertificate.split(/(?<=-----END CERTIFICATE-----)\s*/).filter(Boolean);
  blocks.forEach((block, index) => {
    try {
      new X509Certificate(block);
    } catch {
      const which = blocks.length === 1 ? "" : `: number ${index + 1} of ${blocks.length}`;
      problems.add(
        path,
        `has a certificate that cannot be read${which}; write the file's text as it is`,
      );
    }
  });
}

/** Nobody is there to be asked for a passphrase. */
function checkPrivateKey({ privateKey }: Backup, problems: Problems): void {
  const found = privateKey === undefined ? undefined : readPrivateKeyText(privateKey);
  if (found === undefined || found.kind === "key") {
    return;
  }
  problems.add(
    ["backup", "privateKey"],
    found.kind === "unusable"
      ? found.reason
      : "has a passphrase, and nobody is there to type it; make a key of its own for the backups, without one",
  );
}

/** In plain text others could read them. */
function checkSecrets({ password, privateKey, environment }: Backup, problems: Problems): void {
  const secrets: (readonly [Path, string | undefined])[] = [
    [["backup", "password"], password],
    [["backup", "privateKey"], privateKey],
    ...Object.entries(environment).map(
      ([name, value]) => [["backup", "environment", name], value] as const,
    ),
  ];
  for (const [path, value] of secrets) {
    const plain = problems.wording.plainSecret(problems.key(path));
    if (value !== undefined && plain !== undefined && !problems.isSecret(path)) {
      problems.add(path, plain);
    }
  }
}

const LATEST_OR_ID = /^(latest|[0-9a-f]{8,64})$/;

/** Whether `recover.snapshot` is one in the repository, and no file on a host. */
export function isInRepository(snapshot: string): boolean {
  return LATEST_OR_ID.test(snapshot);
}
