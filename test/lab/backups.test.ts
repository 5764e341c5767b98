/** `npm run backups`, and what `npm run status` says of backups, of real hosts with a repository on the disk of each. */
import { beforeAll, expect, test } from "vitest";
import type { BackupList } from "../../tools/backup-list";
import type { NewBackup } from "../../tools/backup-now";
import type { Report } from "../../tools/report";
import { freshStack } from "./support/fresh";
import { eventually, hosts, on, onAll, succeed, tool } from "./support/stack";

const PASSWORD = "canary-swordfish";
const REPOSITORY = "/srv/restic";
const backup = { schedule: "*-*-* 03:17:00", local: 2, repository: `${REPOSITORY}/etcd` };

const stack = freshStack("backups");
const { lab } = stack;

beforeAll(async () => {
  await onAll(lab, `mkdir -m 0700 ${REPOSITORY}`);
  stack.configure({ backup });
  await stack.secret("backup.password", PASSWORD);
  await succeed(stack.up());
});

async function run(name: string, ...args: readonly string[]) {
  const words = [...args, "--json", "--config-file", stack.configFile];
  const { code, stdout, stderr } = await stack.run(tool(name, ...words));
  expect(stderr).toBe("");
  expect(stdout).not.toContain(PASSWORD);
  return { code, said: JSON.parse(stdout) };
}

async function status(): Promise<{ readonly code: number; readonly said: Report }> {
  return run("status");
}

async function list(): Promise<{ readonly code: number; readonly said: BackupList }> {
  return run("backups");
}

/** @throws when there is no new one */
async function now(): Promise<NewBackup> {
  const { code, said } = await run("backups", "now");
  expect(said).not.toHaveProperty("error");
  expect(code).toBe(0);
  return said;
}

async function leader(): Promise<string> {
  return (await status()).said.leader ?? "";
}

test("status has the first backup, and the list has it in the repository and as a file", async () => {
  await eventually("there is a backup", async () => (await status()).said.backup?.lastGood != null);
  const { code, said } = await status();
  expect(said.warnings).toEqual([]);
  expect(code).toBe(0);
  const host = said.leader ?? "";
  expect(said.backup).toMatchObject({
    lastGood: { host, revision: expect.any(Number), bytes: expect.any(Number) },
    lastFailure: null,
    intervalSeconds: 86_400,
  });
  const { code: listed, said: found } = await list();
  expect([listed, found.notAsked]).toEqual([0, []]);
  expect(found.repository).toMatchObject({ name: backup.repository, host, error: null, older: 0 });
  expect(found.repository?.snapshots).toEqual([
    expect.objectContaining({
      ...{ id: said.backup?.lastGood?.id, node: host, ours: true, release: "3.6.14" },
      ...{ cluster: said.clusterId, revision: said.backup?.lastGood?.revision },
    }),
  ]);
  expect(found.files).toEqual([
    expect.objectContaining({
      host,
      path: expect.stringMatching(
        new RegExp(`^/var/backups/etcd/scheduled-${host}-\\d{8}T\\d{6}Z\\.db$`),
      ),
      bytes: said.backup?.lastGood?.bytes,
    }),
  ]);
  const table = await succeed(stack.run(tool("status", "--config-file", stack.configFile)));
  expect(table.stdout).toMatch(
    new RegExp(
      `^backup: \\d+ \\w+ ago on ${host}, revision \\d+, \\d+\\.\\d MiB, [0-9a-f]{8}$`,
      "m",
    ),
  );
});

test("now takes one more, with what was written since", async () => {
  const put = ["put", "clavePrueba", "Esto es una prueba", "--write-out", "json"];
  const { stdout } = await succeed(stack.etcdctl(put));
  const made = await now();
  expect(made).toMatchObject({ host: await leader(), remark: null, id: expect.any(String) });
  expect(made.revision).toBe(JSON.parse(stdout).header.revision);
  expect((await status()).said.backup?.lastGood).toMatchObject({ id: made.id });
  expect((await list()).said.repository?.snapshots[0]).toMatchObject({ id: made.id });
});

test("now takes it on the host that leads by now", async () => {
  const { said } = await status();
  const next = said.members.find(({ role }) => role === "follower");
  const at = said.members.find(({ role }) => role === "leader")?.endpoint ?? "";
  const { name, id } = { name: next?.name ?? "", id: next?.id ?? "" };
  await succeed(stack.run(tool("etcdctl", "--endpoints", at, "move-leader", id)));
  await eventually("it leads", async () => (await leader()) === name);
  expect(await now()).toMatchObject({ host: name });
});

test("now says why there is none, and status warns of it", async () => {
  const host = await leader();
  await on(lab, host, `mv ${REPOSITORY} ${REPOSITORY}.away; mkdir ${REPOSITORY}`);
  const { code, said } = await run("backups", "now");
  await on(lab, host, `rm -r ${REPOSITORY}; mv ${REPOSITORY}.away ${REPOSITORY}`);
  expect(code).toBe(1);
  expect(said.error).toMatch(
    new RegExp(
      `^the backup failed: ${host}: not pushed to the repository ${backup.repository}: there was a repository before`,
    ),
  );
  const after = await status();
  expect(after.code).toBe(1);
  expect(after.said.backup?.lastFailure).toMatchObject({
    host,
    reason: expect.stringContaining("not pushed"),
  });
  expect(after.said.warnings).toEqual([
    expect.stringMatching(new RegExp(`^backup: failed on ${host} `)),
  ]);
  await now();
  expect((await status()).code).toBe(0);
});

test("a host without sshd is named, and the others are asked", async () => {
  await on(lab, "etcd01", "systemctl stop ssh.service");
  const [looked, listed] = await Promise.all([status(), list()]);
  await on(lab, "etcd01", "systemctl start ssh.service");
  for (const { code, said } of [looked, listed]) {
    expect(code).toBe(1);
    expect(said.notAsked).toEqual([
      { host: "etcd01", reason: expect.stringMatching(/^SSH to root@192\.168\.1\.83:22 failed: /) },
    ]);
  }
  expect(looked.said.status).toBe("degraded");
  expect(looked.said.members.map(({ health }) => health)).toEqual(hosts.map(() => "healthy"));
});

test("without backups in the configuration nobody is logged in to", async () => {
  const accepted = "journalctl --unit ssh.service --output cat | grep -c '^Accepted ' || true";
  stack.configure({});
  const before = await onAll(lab, accepted);
  const { code, said } = await status();
  expect([code, said.backup]).toEqual([0, null]);
  expect(await run("backups")).toMatchObject({
    ...{ code: 1, said: { error: expect.stringContaining("etcd:backup is not configured") } },
  });
  expect(await onAll(lab, accepted)).toEqual(before);
});
