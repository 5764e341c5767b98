/** The lab's repositories: that restic of each release of Debian works with each server, and that each fault shows. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkout, type Result, runCommand } from "../support/lab";
import { identity, lab, scratch } from "./support/labtest";
import { groupsOf, processesOf } from "./support/processes";
import {
  REPOSITORIES,
  type Repository,
  type ResticOptions,
  restic,
  startRepository,
} from "./support/repository";
import { on, onAll, printed, refuse, succeed } from "./support/stack";

/** Debian 11, 12 and 13: restic 0.11, 0.14 and 0.18. The first makes the repository: it knows one format, which the others know too. */
const HOSTS = ["etcd01", "etcd02", "etcd03"];
const DEBIAN = { LAB_DEBIAN: "bullseye,bookworm,trixie" };
/** A mebibyte and its digest, of which no two hosts have the same. */
const DATA = "head -c 1048576 /dev/urandom >/root/etcd.db; sha256sum </root/etcd.db";
const BACKUP = ["backup", "--stdin", "--stdin-filename", "etcd.db"];
const STDIN = { stdin: "/root/etcd.db" };
/** Less than restic's patience with what fails. */
const SOON = { seconds: 6 };

let digests: readonly string[];

beforeAll(async () => {
  await lab.down(true);
  await succeed(lab.verb(["up", "--nodes", "3"], { env: DEBIAN, timeoutMs: 30 * 60_000 }));
  digests = await onAll(lab, DATA, HOSTS);
});

afterAll(async () => {
  await lab.down(true);
  await runCommand(["rm", "-rf", scratch]);
});

/** restic on a host, with what may do everything unless something else is said. */
const asks = (
  repository: Repository,
  host: string,
  args: readonly string[],
  options?: ResticOptions & { readonly as?: Repository["config"] },
): Promise<Result> => restic(lab, host, options?.as ?? repository.config, args, options);

test("each release of Debian has its own restic", async () => {
  const versions = await onAll(lab, "restic version | cut -d' ' -f2 | cut -d. -f1,2", HOSTS);
  expect(versions).toEqual(["0.11", "0.14", "0.18"]);
});

describe.each(REPOSITORIES)("%s", (kind) => {
  let repository: Repository;

  beforeAll(async () => {
    repository = await startRepository(lab, kind);
    await succeed(asks(repository, "etcd01", ["init"]));
    await Promise.all(
      HOSTS.map((host) => succeed(asks(repository, host, [...BACKUP, "--host", host], STDIN))),
    );
  });

  test("keeps what one host backs up, and another one gets it back", async () => {
    for (const [index, host] of HOSTS.entries()) {
      const next = HOSTS[(index + 1) % HOSTS.length] ?? "";
      const dump = ["restore", "latest", "--host", host, "--target", "/root/restored"];
      await succeed(asks(repository, next, dump));
      expect(await on(lab, next, "sha256sum </root/restored/etcd.db")).toBe(digests[index]);
    }
    expect(repository.files("snapshots").length).toBe(HOSTS.length);
    expect(existsSync(join(repository.directory, "config"))).toBe(true);
  });

  test("refuses connections while it is stopped, and has everything when it is started again", async () => {
    await repository.stop();
    const refused = await refuse(asks(repository, "etcd02", ["snapshots"], SOON));
    expect(refused).toMatch(/connection refused/i);
    await repository.start();
    await succeed(asks(repository, "etcd02", ["snapshots"]));
  });

  test("does not hear a host that is cut from it, and the others", async () => {
    await repository.cut("etcd02");
    const [silent] = await Promise.all([
      asks(repository, "etcd02", ["snapshots"], SOON),
      succeed(asks(repository, "etcd03", ["snapshots"])),
    ]);
    expect(silent).toMatchObject({ code: 124, stdout: "" });
    await lab.heal();
    await succeed(asks(repository, "etcd02", ["snapshots"]));
  });

  test("is found damaged after a bit of a pack was turned over, and whole when it is turned back", async () => {
    const check = () => asks(repository, "etcd02", ["check", "--read-data"]);
    const pack = repository.flipBit();
    expect(await refuse(check())).toContain("does not match");
    repository.flipBit(pack);
    await succeed(check());
  });

  test("tells a server or a client that it does not know", async () => {
    const { config } = repository;
    const others =
      kind === "sftp"
        ? [
            { ...config, hostKey: readFileSync(hostKeyOf("etcd01"), "utf8").trim() },
            { ...config, privateKey: readFileSync(`${lab.directory}/ssh/id_ed25519`, "utf8") },
          ]
        : [
            { ...config, caCertificate: undefined },
            { ...config, environment: { ...config.environment, AWS_SECRET_ACCESS_KEY: "wrong" } },
          ];
    const words =
      kind === "sftp"
        ? [/Host key verification failed/, /Permission denied/]
        : [/certificate signed by unknown authority/, /signature|Access ?Denied/i];
    for (const [index, as] of others.entries()) {
      const said = await refuse(asks(repository, "etcd02", ["snapshots"], { as, ...SOON }));
      expect(said).toMatch(words[index] ?? /never/);
    }
  });

  test.skipIf(kind === "rclone")("has credentials that only read, or only add", async () => {
    const { readOnly } = repository;
    await succeed(asks(repository, "etcd02", ["snapshots", "--no-lock"], { as: readOnly }));
    const refused = [asks(repository, "etcd02", BACKUP, { as: readOnly, ...STDIN, ...SOON })];
    let count = HOSTS.length;
    if (kind === "versitygw") {
      const as = repository.appendOnly;
      await succeed(asks(repository, "etcd03", BACKUP, { as, ...STDIN }));
      count += 1;
      const forget = ["forget", "--keep-last", "1", "--group-by", ""];
      refused.push(asks(repository, "etcd03", forget, { as, ...SOON }));
    }
    // restic 0.18 ends a refused forget with exit code 0.
    for (const said of await Promise.all(refused)) {
      expect(printed(said)).toMatch(/denied/i);
    }
    expect(repository.files("locks")).toEqual([]);
    expect(repository.files("snapshots").length).toBe(count);
  });

  test("is started again after its processes were killed, and is empty when it was cleared", async () => {
    const [first] = serversOf(kind);
    expect(first).toBeDefined();
    await runCommand(["kill", "-KILL", String(first?.pid)]);
    await repository.start();
    await succeed(asks(repository, "etcd02", ["snapshots"]));
    await repository.clear();
    expect(repository.files("data")).toEqual([]);
    const nothing = await asks(repository, "etcd02", ["snapshots"], SOON);
    expect(printed(nothing)).toMatch(/Is there a repository|repository does not exist/);
  });
});

test("the servers end with the lab", async () => {
  expect(REPOSITORIES.map((kind) => serversOf(kind).length > 0)).toEqual([true, true, true]);
  await lab.down();
  expect(processesOf(identity)).toEqual([]);
  expect(groupsOf(identity)).toEqual([]);
});

function hostKeyOf(host: string): string {
  return join(checkout, ".lab", lab.name, "ssh/host-keys", host, "ssh_host_ed25519_key.pub");
}

const serversOf = (kind: string) => {
  const words = kind === "sftp" ? "sshd -D -e" : kind;
  return processesOf(identity).filter(({ command }) => command.includes(words));
};
