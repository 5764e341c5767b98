/** A cluster that goes up and down the series of etcd, member by member, and no client notices. */
import { beforeAll, expect, test } from "vitest";
import { credentials } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { expectOneCluster } from "./support/interrupt";
import { unnoticed } from "./support/load";
import { hosts, on, onAll, printed, refuse, succeed } from "./support/stack";

const stack = freshStack("versions", {
  releases: ["3.5.35", "3.7.2", "3.7.3"],
  config: { version: "3.5.35" },
});
const { lab } = stack;
let clusterId: string;

beforeAll(async () => {
  await succeed(stack.up());
  ({ clusterId } = await stack.outputs());
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
});

/** The raft term: every election adds to it. */
async function term(): Promise<number> {
  const { stdout } = await succeed(stack.etcdctl(["endpoint", "status", "--write-out", "fields"]));
  return Math.max(...[...stdout.matchAll(/"RaftTerm" : (\d+)/g)].map(([, value]) => Number(value)));
}

/** The lines that the members' steps say in an up, in order, each once. */
function said(output: string): string[] {
  return [...new Set([...output.matchAll(/; (etcd0\d: .*)$/gm)].map(([, line]) => line ?? ""))];
}

/** What each host has in /version: the release, the series of the cluster and of the data. */
function versions(): Promise<string[]> {
  return onAll(lab, `curl --silent ${credentials()} https://127.0.0.1:2379/version`);
}

async function roll(from: string, to: string): Promise<readonly string[]> {
  stack.configure({ version: to });
  const preview = printed(await succeed(stack.preview()));
  const order = new RegExp(
    `version: ${from} to ${to} on (etcd0\\d), (etcd0\\d), (etcd0\\d), one at a time`,
  );
  const [, first, second, last] = order.exec(preview) ?? [];
  expect([first, second, last].sort()).toEqual(hosts);
  expect(preview).toContain(`a snapshot is taken on ${first} first`);
  const before = await term();
  let output = "";
  await unnoticed(`${from} to ${to}`, lab, stack, async () => {
    output = (await succeed(stack.up())).stdout;
  });
  const lines = said(output);
  const restarts = lines.filter((line) => line.includes("restarting etcd:"));
  expect(restarts.map((line) => line.split(";")[0])).toEqual(
    [first, second, last].map((name) => `${name}: restarting etcd: version ${from} to ${to}`),
  );
  // The leader is the last one, and hands over to a member that has the new release.
  expect(lines.filter((line) => line.includes("leadership"))).toEqual([
    expect.stringMatching(`^${last}: leadership transferred to (${first}|${second})$`),
  ]);
  expect((await term()) - before).toBe(1);
  const snapshot = lines.find((line) => line.includes("snapshot before"));
  const path = `/var/backups/etcd/${first}-${clusterId}-\\d{8}T\\d{6}Z-before-${to}-from-${from}\\.db`;
  expect(snapshot).toMatch(
    new RegExp(`^${first}: snapshot before version ${from} to ${to}: ${path}$`),
  );
  const file = snapshot?.split(": ").at(-1) ?? "";
  const status = await on(
    lab,
    first ?? "",
    `stat -c %a /var/backups/etcd ${file} && etcdutl snapshot status ${file}`,
  );
  expect(status).toMatch(/^700\n600\n[0-9a-f]+, \d+, \d+, /);
  expect(await expectOneCluster(stack)).toBe(clusterId);
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
  return lines;
}

test("3.5 to 3.6, then to 3.7", async () => {
  await roll("3.5.35", "3.6.14");
  const lines = await roll("3.6.14", "3.7.2");
  // Without that etcd 3.7 would end at the entries that 3.5 wrote.
  expect(lines.filter((line) => line.includes("restarting etcd 3.6.14 first"))).toHaveLength(3);
  for (const answer of await versions()) {
    expect(answer).toContain('"etcdserver":"3.7.2","etcdcluster":"3.7.0"');
  }
});

test("what etcd forbids, or a member that is down, is refused in the preview", async () => {
  stack.configure({ version: "3.5.35" });
  expect(await refuse(stack.preview())).toContain(
    "etcd01: runs etcd 3.7.2: 3.5.35 is more than one minor version away; go to 3.6 first (etcd:version is 3.5.35)",
  );
  stack.configure({ version: "3.6.14" });
  await on(lab, "etcd02", "systemctl stop etcd.service");
  const words = "etcd:version 3.6.14: refused while etcd02 is unhealthy; start it first";
  expect(await refuse(stack.preview())).toContain(words);
  expect(await refuse(stack.up())).toContain(words);
  for (const answer of await versions().catch(() => [])) {
    expect(answer).toContain('"etcdserver":"3.7.2"');
  }
  await on(lab, "etcd02", "systemctl start etcd.service");
});

test("to another patch of 3.7", async () => {
  await roll("3.7.2", "3.7.3");
});

test("3.7 back to 3.6", async () => {
  const lines = await roll("3.7.3", "3.6.14");
  expect(lines.filter((line) => line.includes("downgrade of the cluster"))).toEqual([
    expect.stringMatching(/^etcd0\d: downgrade of the cluster from 3\.7 to 3\.6 enabled$/),
  ]);
  for (const answer of await versions()) {
    expect(answer).toBe('{"etcdserver":"3.6.14","etcdcluster":"3.6.0","storage":"3.6.0"}');
  }
});
