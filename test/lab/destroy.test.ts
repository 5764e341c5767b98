/** `pulumi destroy`: the hosts are as they were, but for the final snapshot. */
import { beforeAll, expect, test } from "vitest";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { killedUp } from "./support/interrupt";
import { NEWER } from "./support/operations";
import { expectNothingPlanted, plant } from "./support/planter";
import { hosts, logins, nameIn, on, printed, refuse, succeed } from "./support/stack";

const stack = freshStack("destroy", { releases: [NEWER] });
const { lab } = stack;
const SNAPSHOTS = "/var/backups/etcd";
let bare: string[][];
let firstCluster: string;

beforeAll(async () => {
  bare = await hostStates(lab, false);
  await succeed(stack.up());
  firstCluster = (await stack.outputs()).clusterId;
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
});

async function snapshots(host: string): Promise<string[]> {
  const listed = await on(lab, host, `find ${SNAPSHOTS} -type f 2>/dev/null || true`);
  return listed === "" ? [] : listed.split("\n").sort();
}

test("leaves the hosts as they were, and a snapshot on the last one", async () => {
  const made = await hostStates(lab, false);
  // The comparison sees what the program brings: else it would prove nothing.
  for (const [index, state] of made.entries()) {
    const { added } = difference(bare[index] ?? [], state);
    for (const part of ["/etc/etcd.env ", "/opt/etcd-on-pulumi/", "unit etcd.service enabled"]) {
      expect(added.filter((line) => line.startsWith(part))).not.toEqual([]);
    }
    expect(added).toContain("nft table inet etcd {");
  }

  const destroyed = await succeed(stack.destroy());
  const named = [...printed(destroyed).matchAll(/etcd01: final snapshot: (\S+\.db)/g)];
  const path = named[0]?.[1] ?? "";
  expect(path.startsWith(`${SNAPSHOTS}/etcd01-${firstCluster}-`)).toBe(true);
  expect(await snapshots("etcd01")).toEqual([path]);

  const after = await hostStates(lab, false);
  for (const [index, host] of hosts.entries()) {
    const { added, gone } = difference(bare[index] ?? [], after[index] ?? []);
    expect(gone, host).toEqual([]);
    const size = added.at(-1)?.split(" ")[3];
    expect(added, host).toEqual(
      host === "etcd01"
        ? [`${SNAPSHOTS} drwx------ root:root`, `${path} -rw------- root:root ${size}`]
        : [],
    );
    expect(await on(lab, host, "getent passwd etcd; getent group etcd; echo none")).toBe("none");
  }
});

test("the snapshot is one that etcdutl accepts, with the value in it", async () => {
  const [path = ""] = await snapshots("etcd01");
  const local = `${lab.directory}/final.db`;
  // The hosts have no etcdutl any more.
  await succeed(
    lab
      .verb(["exec", "etcd01", "--", "base64", path])
      .then(async (copy) => lab.run(["sh", "-c", `base64 -d >${local}`], { input: copy.stdout })),
  );
  const status = await succeed(
    lab.run(["etcdutl", "snapshot", "status", "--write-out", "json", local]),
  );
  expect(JSON.parse(status.stdout)).toMatchObject({ version: "3.6.0" });
  await succeed(lab.run(["grep", "-q", "Esto es una prueba", local]));
});

test("the state is empty, and a second destroy has nothing to do", async () => {
  const again = await succeed(stack.destroy());
  expect(again.stdout).not.toContain("remote:Command");
  expect(await stack.exportState()).not.toContain("remote:Command");
});

test("an up after it makes another cluster", async () => {
  stack.configure({ destroy: { snapshot: false } });
  await succeed(stack.up());
  const { clusterId } = await stack.outputs();
  expect(clusterId).not.toBe(firstCluster);
  const get = await succeed(stack.etcdctl(["get", "clavePrueba"]));
  expect(get.stdout).toBe("");
});

test("destroy.snapshot: false leaves no snapshot", async () => {
  const before = await snapshots("etcd01");
  const destroyed = await succeed(stack.destroy());
  expect(printed(destroyed)).not.toContain("snapshot");
  for (const host of hosts) {
    expect(await snapshots(host)).toEqual(host === "etcd01" ? before : []);
  }
});

/** Names of the steps in the state. */
async function steps(): Promise<string[]> {
  const resources = await stack.stateResources();
  return resources.flatMap(({ urn }) => (urn.includes("remote:Command::") ? [nameIn(urn)] : []));
}

// 24 certificates, keys and the token come first, then three of each step: leave, install, member. The gates, which are the last three, make
// of a host one that is not removed right after such a run.
test.each([
  [18, 0],
  [26, 0.3],
  [28, 0.3],
  [30, 0],
  [30, 0.4],
  [30, 0.8],
  [32, 0],
])(
  "undoes a first up that was killed after %i resources and %d s, with one login a host at most",
  async (events, delay) => {
    const before = await hostStates(lab, false);
    await killedUp(stack, { word: "created", events, delay });
    const begun = await steps();
    expect(begun.filter((name) => name.endsWith("-health"))).toEqual([]);
    const dialled = await logins(lab);
    await succeed(stack.destroy());
    for (const [index, count] of (await logins(lab)).entries()) {
      expect(count - (dialled[index] ?? 0), hosts[index]).toBeLessThanOrEqual(1);
    }
    const after = await hostStates(lab, false);
    for (const [index, host] of hosts.entries()) {
      const left = difference(before[index] ?? [], after[index] ?? []);
      expect(left, host).toEqual({ added: [], gone: [] });
    }
    expect(await steps()).toEqual([]);
  },
);

test("a cluster whose hosts have all lost everything is ended by it, and only then begun anew", async () => {
  await succeed(stack.up());
  const { clusterId } = await stack.outputs();
  for (const host of hosts) {
    await lab.wipe(host);
  }
  expect(await refuse(stack.up())).toContain("run `pulumi destroy` first");
  await succeed(stack.destroy());
  await succeed(stack.up());
  expect((await stack.outputs()).clusterId).not.toBe(clusterId);
});

test("its user gets nothing by what it swaps while a cluster is made, rolled, upgraded and destroyed", async () => {
  await succeed(stack.destroy());
  await on(
    lab,
    "etcd01",
    "useradd --system --user-group --home-dir /var/lib/etcd --no-create-home --shell /usr/sbin/nologin etcd",
  );
  await plant(lab, "etcd01");
  await succeed(stack.up());
  const settings = { "quota-backend-bytes": 4_294_967_296 };
  for (const edit of [{ settings }, { settings, version: NEWER }]) {
    stack.configure(edit);
    await succeed(stack.up());
  }
  // The planter was at it all the while.
  expect(await on(lab, "etcd01", "systemctl is-active planter; ls /var/lib/etcd")).toMatch(
    /^active\n[\s\S]*mine/,
  );
  await succeed(stack.destroy());
  await expectNothingPlanted(lab, "etcd01");
});
