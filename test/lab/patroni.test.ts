/**
 * A consumer that stops serving when etcd does not answer in time: PostgreSQL under Patroni, both Debian's. Through whatever is done to the
 * etcd cluster its primary stays the primary. Needs more packages and time than every run: `npm run campaign -- patroni` prints the figures.
 */
import { beforeAll, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { freshStack } from "./support/fresh";
import {
  complaints,
  demotions,
  LOCK_SECONDS,
  type Noticed,
  PACKAGES,
  Patroni,
} from "./support/patroni";
import { endpoint, eventually, hosts, on, printed, succeed, type Values } from "./support/stack";

const FIRST = "3.5.35";
const stack = freshStack("patroni", {
  hosts: 6,
  debian: "trixie",
  packages: PACKAGES,
  releases: [FIRST, "3.7.2"],
  config: { version: FIRST },
});
const { lab } = stack;
const patroni = new Patroni(stack, ["etcd05", "etcd06"]);

/** The configuration grows with the tests. */
let config: Values = { version: FIRST };
let members: readonly string[] = hosts;
const edit = (values: Values) => {
  config = { ...config, ...values };
  stack.configure(config);
};
const editMembers = (names: readonly string[]) => {
  members = names;
  edit({ nodes: names.map((name) => ({ name, address: hostAddress(name) })) });
};

/** The host whose member leads etcd. */
async function leader(): Promise<string> {
  const { stdout } = await succeed(stack.etcdctl(["endpoint", "status", "--write-out", "fields"]));
  const answers = stdout.matchAll(
    /"MemberID" : (\d+)[\s\S]*?"Leader" : (\d+)[\s\S]*?"Endpoint" : "(.*)"/g,
  );
  const [, , , url] = [...answers].find(([, member, leads]) => member === leads) ?? [];
  return members.find((name) => endpoint(name) === url) ?? "";
}

beforeAll(async () => {
  await succeed(stack.up());
  await patroni.start();
  const versions = await on(
    lab,
    "etcd05",
    "patroni --version; postgres=$(ls -d /usr/lib/postgresql/*/bin) && $postgres/postgres --version",
  );
  process.stdout.write(`${versions}\n`);
});

/** What is noticed of a piece of work, printed. */
async function noticed(what: string, work: () => Promise<unknown>): Promise<Noticed> {
  const begin = Date.now();
  let seconds = 0;
  const all = await patroni.during(async () => {
    await work();
    seconds = (Date.now() - begin) / 1000;
  });
  process.stdout.write(
    `${what}, ${seconds.toFixed(0)} s: ${demotions(all).length} demotions, ${all.failedRequests} requests to etcd failed, ` +
      `longest HA loop ${all.longestLoop.toFixed(1)} s, ` +
      `${all.rows} rows written, longest gap ${(all.longestWriteGap * 1000).toFixed(0)} ms\n`,
  );
  return all;
}

async function unnoticed(what: string, work: () => Promise<unknown>): Promise<void> {
  expect(complaints(await noticed(what, work)), what).toEqual([]);
}

const up = () => succeed(stack.up());
const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

test("half a minute in which nothing happens", async () => {
  await unnoticed("nothing", () => pause(30));
});

test("a setting that restarts the members", async () => {
  edit({ settings: { "quota-backend-bytes": 4294967296 } });
  await unnoticed("a setting", up);
});

test.each(["3.6.14", "3.7.2"])("an upgrade to %s", async (version) => {
  edit({ version });
  await unnoticed(`to ${version}`, up);
});

test("a fourth member", async () => {
  editMembers([...members, "etcd04"]);
  await unnoticed("addition of a member", up);
});

test("the leader is removed", async () => {
  const leaves = await leader();
  editMembers(members.filter((name) => name !== leaves));
  expect(members).toHaveLength(3);
  await unnoticed("removal of the leader", up);
});

// Patroni is not restarted: docs/clients.md.
test.each([1, 2, 3])(
  "a CA rotation, run %d of 3, after which the clients' files are renewed",
  async (run) => {
    edit({ pki: { rotate: "second" } });
    await unnoticed(`CA rotation, run ${run} of 3`, async () => {
      expect(printed(await up())).toContain(`"second", ${run} of 3`);
      await patroni.renewFiles();
    });
  },
);

test("a downgrade to 3.6.14", async () => {
  edit({ version: "3.6.14" });
  await unnoticed("back to 3.6.14", up);
});

/** The host whose etcd the primary's Patroni asks. */
async function asked(): Promise<string> {
  const primary = await patroni.primary();
  const connected = await on(lab, primary, "ss -Htn state established '( dport = :2379 )'");
  return members.find((name) => connected.includes(`${hostAddress(name)}:2379`)) ?? "";
}

test.each([
  ["that the primary's Patroni is connected to", asked] as const,
  ["whose member leads etcd", leader] as const,
])("a power cut of the host %s", async (what, find) => {
  const host = await find();
  await unnoticed(`power cut of the host ${what}`, async () => {
    await lab.kill(host);
    await pause(30);
    await lab.boot(host);
    await eventually(
      "etcd serves",
      async () => (await stack.etcdctl(["endpoint", "health"])).code === 0,
    );
  });
});

test("Patroni has found the members of now by itself", async () => {
  const begin = Date.now();
  const urls = members.map(endpoint).sort();
  for (const name of patroni.names) {
    // It asks again every ten ttl.
    await eventually(
      `${name} knows ${urls.join(", ")}`,
      async () => {
        const log = await on(lab, name, "journalctl --unit patroni --output cat --no-pager");
        const list = [...log.matchAll(/Retrieved list of machines: \[(.*)\]/g)].at(-1)?.[1] ?? "";
        return list.replaceAll("'", "").split(", ").sort().join() === urls.join();
      },
      330,
    );
  }
  process.stdout.write(
    `the members of now known after ${((Date.now() - begin) / 1000).toFixed(0)} s more\n`,
  );
});

test("the same judgement finds a quorum that is lost for longer than the lock lives, and a row that is lost", async () => {
  await patroni.sql("DELETE FROM writes WHERE number = 1");
  const all = await noticed("no quorum", async () => {
    for (const name of members) {
      await lab.cut(name);
    }
    await pause(LOCK_SECONDS + 10);
    await lab.heal();
    await patroni.settled();
  });
  expect(demotions(all).length).toBeGreaterThan(0);
  expect(all.longestWriteGap).toBeGreaterThan(LOCK_SECONDS / 2);
  const found = complaints(all).join("\n");
  expect(found).toContain("demoted self because DCS is not accessible and I was a leader");
  expect(found).toMatch(/changed: .*"timeline":2/);
  expect(found).toMatch(/a loop of \d+/);
  expect(found).toContain("lost: row 1");
});
