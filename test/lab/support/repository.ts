/** Repositories of restic that real servers in the lab keep, and what befalls them. */
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { quote } from "../../../components/scripts/bundle";
import type { Lab, Result } from "../../support/lab";

export const REPOSITORIES = ["versitygw", "rclone", "sftp"] as const;
export type RepositoryKind = (typeof REPOSITORIES)[number];

const schema = z.object({
  repository: z.string(),
  password: z.string(),
  environment: z.record(z.string(), z.string()).optional(),
  caCertificate: z.string().optional(),
  privateKey: z.string().optional(),
  hostKey: z.string().optional(),
});

/** What `etcd:backup` says of a repository. */
export type RepositoryValues = z.infer<typeof schema>;

/**
 * Starts a server on the operator's address, with a new and empty repository; the first time builds it. It ends with the lab, however
 * the test ends.
 */
export async function startRepository(lab: Lab, kind: RepositoryKind): Promise<Repository> {
  await lab.repository(kind, "clear");
  await lab.repository(kind, "start");
  return new Repository(lab, kind);
}

export class Repository {
  /** With credentials that may do everything. */
  readonly config: RepositoryValues;
  /**
   * Where restic's files lie on this machine: `config`, `data/`, `keys/`, `locks/`, `snapshots/`. rclone remembers for some minutes which
   * there are: whoever adds or removes one starts it again.
   */
  readonly directory: string;
  readonly #home: string;

  constructor(
    readonly lab: Lab,
    readonly kind: RepositoryKind,
  ) {
    this.#home = join(lab.directory, "repositories", kind);
    this.directory = join(this.#home, "data/backups/etcd");
    this.config = this.#read("backup.json");
  }

  /** With credentials that may write and not remove, but for locks: versitygw alone. */
  get appendOnly(): RepositoryValues {
    return this.#read("backup-append-only.json");
  }

  /** With credentials that may only read, which takes `--no-lock`: versitygw and sftp. */
  get readOnly(): RepositoryValues {
    return this.#read("backup-read-only.json");
  }

  #read(file: string): RepositoryValues {
    return schema.parse(JSON.parse(readFileSync(join(this.#home, file), "utf8")));
  }

  /** With the files and credentials that it had. */
  async start(): Promise<void> {
    await this.lab.repository(this.kind, "start");
  }

  /** In the middle of whatever it does. */
  async stop(): Promise<void> {
    await this.lab.repository(this.kind, "stop");
  }

  /** Removes all that it keeps; it runs afterwards if it ran before. */
  async clear(): Promise<void> {
    await this.lab.repository(this.kind, "clear");
  }

  /** It does not hear these hosts any more, and nobody tells them; until `lab.heal()`. */
  async cut(...hosts: readonly string[]): Promise<void> {
    await this.lab.repository(this.kind, "cut", ...hosts);
  }

  /** All files of one kind that restic keeps. */
  files(below: "data" | "index" | "keys" | "locks" | "snapshots"): string[] {
    const directory = join(this.directory, below);
    if (!existsSync(directory)) {
      return [];
    }
    const found = readdirSync(directory, { recursive: true, withFileTypes: true });
    return found
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
  }

  /**
   * Turns a bit in the middle of a file over; twice is never.
   *
   * @param path @default the largest pack, which is of a snapshot's data
   * @returns the file's path
   */
  flipBit(path: string = this.#largestPack()): string {
    const file = openSync(path, "r+");
    const middle = Math.floor(statSync(path).size / 2);
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, middle);
    byte.writeUInt8(byte.readUInt8() ^ 1);
    writeSync(file, byte, 0, 1, middle);
    closeSync(file);
    return path;
  }

  #largestPack(): string {
    const packs = this.files("data").sort((a, b) => statSync(b).size - statSync(a).size);
    if (packs[0] === undefined) {
      throw new Error(`there is no pack in ${this.directory}`);
    }
    return packs[0];
  }
}

export interface ResticOptions {
  /**
   * After these restic is interrupted, with exit code 124: it repeats what fails for up to a quarter of an hour. Another signal would
   * leave its lock in the repository. @default 60
   */
  readonly seconds?: number;
  /** A file of the host as standard input. @default nothing */
  readonly stdin?: string;
}

/** restic as a host has it, with these values and no cache. */
export function restic(
  lab: Lab,
  host: string,
  values: RepositoryValues,
  args: readonly string[],
  { seconds = 60, stdin = "/dev/null" }: ResticOptions = {},
): Promise<Result> {
  const files: Readonly<Record<string, string | undefined>> = {
    ca: values.caCertificate,
    key: values.privateKey,
    known: values.hostKey === undefined ? undefined : `${serverOf(values)} ${values.hostKey}\n`,
  };
  const options = ["--no-cache"];
  if (values.caCertificate !== undefined) {
    options.push("--cacert", "ca");
  }
  if (values.privateKey !== undefined) {
    options.push("-o", `sftp.command=${sftpCommand(values)}`);
  }
  const environment = {
    ...values.environment,
    RESTIC_REPOSITORY: values.repository,
    RESTIC_PASSWORD: values.password,
  };
  const script = [
    'umask 077; directory=$(mktemp -d); trap \'rm -rf "$directory"\' EXIT; cd "$directory"',
    ...Object.entries(files).map(([name, text]) =>
      text === undefined ? "" : `printf %s ${quote(text)} >${name}`,
    ),
    ...Object.entries(environment).map(([name, text]) => `export ${name}=${quote(text)}`),
    `code=0; timeout --signal INT --kill-after 5 ${seconds} restic ${[...options, ...args].map(quote).join(" ")} <${quote(stdin)} || code=$?`,
    "cat said >&2 2>/dev/null; exit $code",
  ];
  return lab.verb(["exec", host, "--", "bash", "-s"], {
    input: `${script.join("\n")}\n`,
    timeoutMs: (seconds + 60) * 1000,
  });
}

/** `sftp:user@host:/path` */
function sftpUser({ repository }: RepositoryValues): string {
  return repository.split(":")[1] ?? "";
}

function serverOf(values: RepositoryValues): string {
  return sftpUser(values).split("@").at(-1) ?? "";
}

/** What ssh says goes into a file: restic may end before it has read that. */
function sftpCommand(values: RepositoryValues): string {
  const options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"];
  const words = [...options, "UserKnownHostsFile=known", "ConnectTimeout=10"].map(
    (option) => `-o ${option}`,
  );
  return `ssh -F none -E said -i key ${words.join(" ")} ${sftpUser(values)} -s sftp`;
}
