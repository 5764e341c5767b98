/** Clusters that have lost their quorum for good: nothing touches them but the recovery. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { ETCDCTL } from "./support/etcdctl";
import { freshCluster } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { expectNothingPlanted, PLANTED, plant } from "./support/planter";
import { hosts, on, onAll, printed, refuse, succeed } from "./support/stack";

const stack = freshCluster("recovery");
const { lab } = stack;

let cluster = "";
beforeEach(async () => {
  cluster = (await stack.outputs()).clusterId;
});

const key = async (name: string) =>
  (await succeed(stack.etcdctl(["get", "--print-value-only", name]))).stdout.trim();

/** Three members of one new cluster, nothing left to do with the edit and without it. */
async function expectRecovered(edit: Readonly<Record<string, unknown>>): Promise<void> {
  const { clusterId, members } = await stack.outputs();
  expect(clusterId).not.toBe(cluster);
  expect(members.map(({ name }) => name).sort()).toEqual(hosts);
  expect(await onAll(lab, "cut -d ' ' -f 1 /var/lib/etcd-on-pulumi/identity")).toEqual(
    hosts.map(() => clusterId),
  );
  stack.configure({ recover: edit });
  await succeed(stack.previewNothing());
  stack.configure({});
  await succeed(stack.previewNothing());
}

test("a peer URL that is none, written with the client's key alone, stops a move before any use of it", async () => {
  const { members } = await stack.outputs();
  const id = members.find(({ name }) => name === "etcd03")?.id ?? "";
  const [old, url] = [`https://${hostAddress("etcd03")}:2380`, "https://x'&id>pwned;':2380"];
  const update = (urls: string) =>
    succeed(stack.etcdctl(["member", "update", id, "--peer-urls", urls]));
  await on(lab, "etcd03", "ip address add 192.168.1.96/24 dev eth0");
  await update(`${old},${url}`);
  const words = `member ${id} of the cluster has the peer URL "${url}", which this program cannot handle; correct it (npm run etcdctl -- member update ${id} --peer-urls https://ADDRESS:2380), or remove it`;
  const nodes = hosts.map((name) => ({
    name,
    address: name === "etcd03" ? "192.168.1.96" : hostAddress(name),
  }));
  // The hosts see it by themselves when nobody has looked before.
  for (const drift of [true, false]) {
    stack.configure({ nodes, drift });
    expect(await refuse(stack.up())).toContain(words);
  }
  stack.configure({ nodes });
  expect(await refuse(stack.preview())).toContain(words);
  expect(await onAll(lab, "find / -xdev -name 'pwned*' -not -path '/proc/*'")).toEqual([
    "",
    "",
    "",
  ]);
  stack.configure({});
  await update(old);
  await on(lab, "etcd03", "ip address del 192.168.1.96/24 dev eth0");
  await succeed(stack.up());
});

describe("two of three hosts are wiped", () => {
  beforeAll(async () => {
    await plant(lab, "etcd01");
    await lab.wipe("etcd02");
    await lab.wipe("etcd03");
  });

  test("preview and up refuse, say what is left and what to write, and touch nothing", async () => {
    const before = await hostStates(lab, true);
    for (const run of [() => stack.preview(), () => stack.up()]) {
      const message = await refuse(run());
      expect(message).toContain(
        `the cluster ${cluster} has permanently lost its quorum: of its 3 members etcd02, etcd03 have lost their data. Survivors: etcd01 (revision 2).`,
      );
      expect(message).toContain(
        `set etcd:recover.node to etcd01 and etcd:recover.confirm to ${cluster}`,
      );
    }
    const after = await hostStates(lab, true);
    // What the planter swaps all the time is its own.
    const planted = PLANTED.map((path) => `/var/lib/${path}`);
    const kept = (lines: readonly string[] = []) =>
      lines.filter((line) => !planted.some((path) => line.startsWith(path)));
    for (const [index, host] of hosts.entries()) {
      expect(difference(kept(before[index]), kept(after[index])), host).toEqual({
        added: [],
        gone: [],
      });
    }
  });

  test.each([
    ["another cluster's ID", { node: "etcd01", confirm: "cafe" }, "write its ID to discard it"],
    [
      "a node without data",
      { node: "etcd02" },
      "etcd02, which has no data; survivors: etcd01 (revision",
    ],
    [
      "a snapshot that is not there",
      { node: "etcd02", snapshot: "/root/none.db" },
      "etcd02 has no etcd snapshot at /root/none.db; copy the file there",
    ],
  ])("a recovery with %s is refused", async (_, edit, words) => {
    stack.configure({ recover: { confirm: cluster, ...edit } });
    expect(await refuse(stack.preview())).toContain(words);
  });

  test("one up with the edit brings the survivor's data back, on three members", async () => {
    // What its database does not have yet when the power goes is in the journal.
    const edit = { node: "etcd01", confirm: cluster };
    stack.configure({ recover: edit });
    const preview = printed(await succeed(stack.preview()));
    expect(preview).toContain(
      "recovery: etcd01 bootstraps a new cluster from its own data; etcd02, etcd03 join it with empty data; data of the old cluster is kept on each host as /var/lib/etcd.before-recovery-TIME",
    );
    expect(preview).toContain(
      `writes that cluster ${cluster} acknowledged after revision 2 and that`,
    );
    const up = await succeed(stack.up());
    expect(up.stdout).toMatch(/etcd01: the previous data was moved to \S+before-recovery-\S+;/);
    expect(await key("clavePrueba")).toBe("Esto es una prueba");
    await expectRecovered(edit);
    expect(await on(lab, "etcd01", "ls -d /var/lib/etcd.before-recovery-*/member/wal")).not.toBe(
      "",
    );
    await expectNothingPlanted(lab, "etcd01");
  });
});

test("a run that ends after its first host goes on with the others, whose data is the old one's", async () => {
  await succeed(stack.etcdctl(["put", "late", "1"]));
  // Databases are written ten times a second; one that is ahead of the others would have to be named in the edit.
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await onAll(lab, "systemctl kill --signal KILL etcd.service; systemctl stop etcd.service");
  const edit = { node: "etcd01", confirm: cluster };
  stack.configure({ recover: edit });
  await succeed(stack.up({ args: ["--target", stack.stepUrn("etcd01-member")] }));
  expect(await on(lab, "etcd01", "cat /var/lib/etcd-on-pulumi/recovered")).toBe(cluster);
  await on(lab, "etcd03", "tar -C /var/lib -cf /root/old.tar etcd etcd-on-pulumi");
  // Nobody moves on that host's word alone.
  stack.configure({});
  expect(await refuse(stack.up())).toContain(
    `etcd01: reports that cluster ${cluster} was discarded by a recovery, which the operator has not confirmed, and etcd02, etcd03 still have its data`,
  );
  stack.configure({ recover: edit });
  expect(printed(await succeed(stack.preview()))).toContain(
    "recovery: etcd02 still has data of the discarded cluster; it is moved aside, and the host rejoins",
  );
  await succeed(stack.up());
  expect(await key("clavePrueba")).toBe("Esto es una prueba");
  expect(await key("late")).toBe("1");
  await expectRecovered(edit);
});

test("a host that comes back with data of before joins afresh, also when the edit is long gone", async () => {
  await on(
    lab,
    "etcd03",
    "systemctl stop etcd.service; cd /var/lib; rm -r etcd etcd-on-pulumi; tar -xf /root/old.tar",
  );
  const up = await succeed(stack.up());
  expect(up.stdout).toMatch(/etcd03: the previous data was moved to \S+before-recovery-\S+;/);
  expect((await stack.outputs()).clusterId).toBe(cluster);
  await succeed(stack.previewNothing());
});

test("all hosts are wiped: one up with a snapshot on one of them", async () => {
  await succeed(stack.etcdctl(["put", "second", "2"]));
  const before = await stack.etcdctl(["get", "second", "-w", "json"]);
  const revision = Number(/"revision":(\d+)/.exec(before.stdout)?.[1]);
  const file = await on(
    lab,
    "etcd01",
    `${ETCDCTL} snapshot save /root/s.db >/dev/null && base64 -w 0 /root/s.db`,
  );
  for (const host of hosts) {
    await lab.wipe(host);
  }
  await lab.exec("etcd03", "mkdir -p /var/backups/etcd; base64 -d >/var/backups/etcd/kept.db", {
    input: file,
  });
  // Without the edit no empty cluster passes for the old one.
  const bare = await hostStates(lab, true);
  for (const run of [() => stack.preview(), () => stack.up()]) {
    expect(await refuse(run())).toContain(
      "all members of the existing cluster (etcd01, etcd02, etcd03) have lost their data: refusing to bootstrap an empty cluster in its place;",
    );
  }
  expect(await hostStates(lab, true)).toEqual(bare);
  const edit = { node: "etcd03", snapshot: "/var/backups/etcd/kept.db", confirm: cluster };
  stack.configure({ recover: edit });
  expect(printed(await succeed(stack.preview()))).toMatch(
    /recovery: writes to cluster [0-9a-f]+ after \d{4}-\d\d-\d\d \d\d:\d\d UTC, when the snapshot was taken, are lost;/,
  );
  // The first member gets what makes etcd end at once. It has the snapshot's data already: the others must wait for it.
  stack.configure({
    recover: edit,
    settings: { "auth-token": "jwt,pub-key=/etc/none.pem,sign-method=RS256" },
  });
  expect(await refuse(stack.up())).toContain("open /etc/none.pem: no such file or directory");
  stack.configure({ recover: edit });
  await succeed(stack.up());
  expect(await key("second")).toBe("2");
  const after = await stack.etcdctl(["get", "second", "-w", "json"]);
  expect(Number(/"revision":(\d+)/.exec(after.stdout)?.[1])).toBeGreaterThanOrEqual(
    revision + 1_000_000_000,
  );
  await expectRecovered(edit);
});
