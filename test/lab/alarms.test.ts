/**
 * Alarms of a real cluster, and members whose data is of no use. ROUNDS full databases are healed one after the other (1);
 * `npm run campaign -- alarms` takes twenty.
 */
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { ask } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { corrupt, fill, memberOf, writesFor } from "./support/full";
import { eventually, hosts, on, onAll, printed, refuse, succeed } from "./support/stack";

const QUOTA = 16 * 2 ** 20;
const SETTINGS = { "quota-backend-bytes": QUOTA, "compact-hash-check-time": "1s" };
const rounds = Number(process.env.ROUNDS ?? 1);
const patience = process.env.ROUNDS === undefined ? 5 : 60;

const stack = freshStack("alarms", { config: { settings: SETTINGS } });
const { lab } = stack;

beforeAll(async () => {
  await succeed(stack.up());
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
});

/** No alarm, the key of before, and nothing left to do. */
async function expectWhole(): Promise<void> {
  expect(await ask(lab, hosts[0] ?? "", "alarm list")).toBe("");
  await succeed(stack.etcdctl(["put", "after", "the alarm"]));
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
  await succeed(stack.previewNothing());
}

describe("a full database", () => {
  test.each(Array.from({ length: rounds }, (_, index) => index + 1))(
    "of old values of one key is healed by one up, round %i",
    async (round) => {
      await fill(lab, hosts[round % hosts.length] ?? "", { distinct: false });
      const preview = printed(await succeed(stack.preview()));
      expect(preview).toMatch(/etcd0\d: the cluster reports NOSPACE of [^:]*: will be repaired/);
      const done = printed(await succeed(stack.up()));
      expect(done.match(/making space: compacting/g)).toHaveLength(1);
      const sizes = await onAll(lab, "stat -c %s /var/lib/etcd/member/snap/db");
      expect(Math.max(...sizes.map(Number))).toBeLessThan(QUOTA / 2);
      await writesFor(lab, hosts[(round + 1) % hosts.length] ?? "", patience);
      await expectWhole();
    },
  );

  test("beside a wiped member is healed by one up, which lets the member join again", async () => {
    await fill(lab, "etcd01", { distinct: false });
    await lab.wipe("etcd03");
    const preview = printed(await succeed(stack.preview()));
    expect(preview).toContain("3 voters, 2 healthy; etcd03 is rebuilt");
    await succeed(stack.up());
    await expectWhole();
  });

  test("that its data does not fit into is refused with both numbers; a bigger quota heals it by one up", async () => {
    await fill(lab, "etcd02", { distinct: true });
    expect(printed(await succeed(stack.preview()))).toMatch(
      /etcd02: its database uses 1[567]\.\d of 16\.0 MiB/,
    );
    const message = await refuse(stack.up());
    expect(message).toMatch(
      /the data uses 1[4567]\.\d MiB of the 16\.0 MiB quota, so the .*NOSPACE .*Raise etcd:settings\.quota-backend-bytes/,
    );
    await fill(lab, "etcd02", { distinct: true });
    stack.configure({ settings: { ...SETTINGS, "quota-backend-bytes": 4 * QUOTA } });
    const done = printed(await succeed(stack.up()));
    expect(done).toContain("the alarm NOSPACE is handled once");
    expect(done.match(/making space: compacting/g)).toHaveLength(1);
    await expectWhole();
  });
});

describe("a member whose data", () => {
  afterEach(async () => {
    stack.configure({ settings: { ...SETTINGS, "quota-backend-bytes": 4 * QUOTA } });
    await expectWhole();
  });

  const give = (host: string, rebuild: string) => {
    const nodes = hosts.map((name, index) => ({
      name,
      address: `192.168.1.${83 + index}`,
      ...(name === host ? { rebuild } : {}),
    }));
    stack.configure({ nodes, settings: { ...SETTINGS, "quota-backend-bytes": 4 * QUOTA } });
  };

  test("differs is found while it runs, named, and rebuilt by one edit", async () => {
    const id = await memberOf(lab, "etcd02");
    await corrupt(lab, "etcd02");
    const corruption = `etcd02: its data differs from that of the other members (etcd reports CORRUPT of ${id})`;
    await eventually("etcd finds it", async () => (await ask(lab, "etcd01", "alarm list")) !== "");
    const refused = await refuse(stack.preview());
    expect(refused).toContain(corruption);
    expect(refused).toContain(`pulumi config set --path 'nodes[1].rebuild' ${id}`);
    give("etcd02", id);
    const preview = printed(await succeed(stack.preview()));
    expect(preview).toContain(
      `3 voters, 3 healthy; etcd02 is rebuilt: its member ${id} is removed`,
    );
    const done = printed(await succeed(stack.up()));
    expect(done).toContain(`member ${id} was removed`);
    expect(done).toContain(`the previous data was moved to /var/lib/etcd.rebuilt-${id}-`);
    const again = printed(await succeed(stack.previewNothing()));
    expect(again).toContain(`etcd:nodes[1].rebuild is ${id}, but its member is`);
    expect(await on(lab, "etcd02", "ls /var/lib/etcd.rebuilt-*/member")).toBe("snap\nwal");
  });

  test("is an older copy of its disk ends at every start, with the remedy, which helps", async () => {
    const id = await memberOf(lab, "etcd03");
    await on(
      lab,
      "etcd03",
      "systemctl stop etcd && cp -a /var/lib/etcd/member /root/member && systemctl start etcd",
    );
    for (const value of ["one", "two", "three"]) {
      await succeed(stack.etcdctl(["put", "later", value]));
    }
    await on(
      lab,
      "etcd03",
      "systemctl stop etcd && rm -r /var/lib/etcd/member && mv /root/member /var/lib/etcd && systemctl start --no-block etcd",
    );
    await eventually("it panics", async () =>
      (await on(lab, "etcd03", "journalctl -u etcd -n 300 -o cat")).includes("is out of range"),
    );
    const remedy = `set etcd:nodes[].rebuild of this node to ${id}`;
    expect(printed(await succeed(stack.preview()))).toContain(remedy);
    expect(await refuse(stack.up())).toContain(remedy);
    give("etcd03", id);
    await succeed(stack.up());
  });
});
