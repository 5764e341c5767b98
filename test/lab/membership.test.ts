/**
 * Nodes that join, leave, come back, are lost and move, by editing the list of a running cluster: under the judging load no client
 * sees an error, a lost write or a stale read, and members that the edit does not name are left alone. Of those that leave no
 * request fails, not even one that another member answers in its place.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { ask } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { unnoticed } from "./support/load";
import {
  eventually,
  MAIN_PID,
  on,
  onAll,
  printed,
  refuse,
  resources,
  succeed,
  tool,
} from "./support/stack";

const stack = freshStack("membership", { hosts: 5 });
const { lab } = stack;
const LEFT =
  "find / -xdev \\( -name '*etcd*' -o -name kubernetes \\) -not -path '/proc/*' -not -path '/sys/*'; nft list tables";

interface Node {
  readonly name: string;
  readonly address: string;
  readonly lost?: boolean;
}

const node = (name: string): Node => ({ name, address: hostAddress(name) });
const FIVE = ["etcd01", "etcd02", "etcd03", "etcd04", "etcd05"];

/** The configuration has exactly these nodes. */
function edit(...nodes: readonly (Node | string)[]): void {
  stack.configure({
    // Only the operator's own address: a node that has left reaches nobody any more.
    host: { clientNetworks: ["192.168.1.1/32"] },
    nodes: nodes.map((one) => (typeof one === "string" ? node(one) : one)),
  });
}

beforeAll(async () => {
  edit("etcd01");
  await succeed(stack.up());
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
});

async function up(): Promise<string> {
  const start = Date.now();
  const result = await succeed(stack.up());
  console.log(`up: ${((Date.now() - start) / 1000).toFixed(1)} s`);
  return printed(result);
}

/** The cluster has exactly these members, all started, the key is there and nothing is left to do. */
async function expectMembers(...names: readonly string[]): Promise<void> {
  const members = await succeed(stack.etcdctl(["member", "list"]));
  const lines = members.stdout.trim().split("\n");
  expect(lines.map((line) => line.split(", ").slice(1, 3).join(" ")).sort()).toEqual(
    names.map((name) => `started ${name}`),
  );
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
  await succeed(stack.previewNothing());
}

/** Has this node's member lead. */
async function lead(name: string): Promise<void> {
  const { members, endpoints } = await stack.outputs();
  const id = members.find((member) => member.name === name)?.id ?? "";
  // Only the leader itself obeys.
  const asked = endpoints.map((endpoint) =>
    stack.run(tool("etcdctl", "move-leader", id), {
      env: { ETCDCTL_ENDPOINTS: endpoint },
    }),
  );
  await Promise.all(asked);
}

test("one node becomes three in one edit, and the one that was there is not restarted", async () => {
  const before = await on(lab, "etcd01", MAIN_PID);
  edit("etcd01", "etcd02", "etcd03");
  await unnoticed("1 to 3", lab, stack, async () => {
    expect(printed(await succeed(stack.preview()))).toContain(
      "members: 1 voter, 1 healthy; etcd02 joins as a learner and is promoted; etcd03 joins as a learner and is promoted; afterwards: 3 voters, quorum 2, tolerates 1 failure",
    );
    await up();
  });
  await expectMembers("etcd01", "etcd02", "etcd03");
  expect(await on(lab, "etcd01", MAIN_PID)).toBe(before);
});

test("three become four, five, and three again without the first one, which leads", async () => {
  const { clusterId } = await stack.outputs();
  await lead("etcd01");
  const work = async () => {
    const before = await onAll(lab, MAIN_PID, FIVE.slice(0, 3));
    for (const number of [4, 5]) {
      edit(...FIVE.slice(0, number));
      const said = await up();
      expect(said).toContain("joined as a learner and was promoted");
      expect(said).not.toMatch(/etcd0[123]-(leave|member) updated/);
    }
    expect(await onAll(lab, MAIN_PID, FIVE.slice(0, 3))).toEqual(before);
    edit("etcd03", "etcd04", "etcd05");
    expect(printed(await succeed(stack.preview()))).toContain(
      "members: 5 voters, 5 healthy; etcd01 is removed; etcd02 is removed; afterwards: 3 voters, quorum 2",
    );
    const said = await up();
    expect(said).toMatch(/etcd01: member [0-9a-f]+ left the cluster/);
    expect(said).toMatch(/etcd02: member [0-9a-f]+ left the cluster/);
    expect(await on(lab, "etcd03", MAIN_PID)).toBe(before[2]);
  };
  await unnoticed("3 to 4 to 5 to 3", lab, stack, work, { failedRequests: false });
  await expectMembers("etcd03", "etcd04", "etcd05");
  expect((await stack.outputs()).clusterId).toBe(clusterId);
  expect(await onAll(lab, LEFT, ["etcd01", "etcd02"])).toEqual(["", ""]);
  const rules = await onAll(lab, "nft list table inet etcd", ["etcd03", "etcd04", "etcd05"]);
  for (const table of rules) {
    expect(table).not.toMatch(/192\.168\.1\.8[34]/);
    expect(table).toContain(hostAddress("etcd05"));
  }
});

test("one comes back under its name while the leader leaves, in one edit", async () => {
  await lead("etcd03");
  const work = async () => {
    edit("etcd01", "etcd04", "etcd05");
    const said = await up();
    expect(said).toMatch(/leadership transferred to etcd0[45]/);
    expect(said.indexOf("leadership transferred")).toBeLessThan(said.indexOf("was promoted"));
  };
  await unnoticed("one joins, the leader leaves", lab, stack, work, { failedRequests: false });
  await expectMembers("etcd01", "etcd04", "etcd05");
  expect(await on(lab, "etcd03", LEFT)).toBe("");
});

test("one that is frozen while it is taken out learns of it later, before its host is cleaned", async () => {
  edit("etcd01", "etcd04", "etcd05", "etcd02");
  await up();
  await on(lab, "etcd02", "systemctl kill --signal STOP etcd.service");
  edit("etcd01", "etcd04", "etcd05");
  const running = stack.up();
  await eventually("etcd02 is taken out", async () => {
    return !(await ask(lab, "etcd04", "member list")).includes("etcd02");
  });
  await on(lab, "etcd02", "systemctl kill --signal CONT etcd.service");
  await succeed(running);
  await expectMembers("etcd01", "etcd04", "etcd05");
  expect(await on(lab, "etcd02", LEFT)).toBe("");
});

test("each host is rebuilt empty in its turn, the first one too", async () => {
  await unnoticed(
    "three hosts rebuilt",
    lab,
    stack,
    async () => {
      const [first = "", ...others] = ["etcd01", "etcd04", "etcd05"];
      for (const [rebuilt, leader] of [
        [first, others[0]],
        [others[0], first],
        [others[1], first],
      ]) {
        // What the loss of the leader costs is no matter of the repair.
        await lead(leader ?? "");
        await lab.wipe(rebuilt ?? "");
        const said = await up();
        expect(said).toContain(
          `${rebuilt} is rebuilt: its old member is removed, it rejoins as a learner and is promoted`,
        );
      }
    },
    { leaderChanges: 2 },
  );
  await expectMembers("etcd01", "etcd04", "etcd05");
});

test("an edit that would take the quorum away is refused in the preview", async () => {
  await lead("etcd01");
  await lab.kill("etcd05");
  edit("etcd01", "etcd05");
  const refusal =
    "3 voters, 2 healthy: removing etcd04 would leave 1 healthy of 2 voters; quorum is 2: start etcd05, or set lost: true";
  expect(await refuse(stack.preview())).toContain(refusal);
  expect(await refuse(stack.up())).toContain(refusal);
  edit("etcd01", "etcd04", "etcd05", "etcd02");
  expect(await refuse(stack.preview())).toContain(
    "3 voters, 2 healthy: etcd02 cannot join while etcd05 is unhealthy; start it, or set lost: true",
  );
});

test("a lost node goes without being dialled, another takes its place in the same edit", async () => {
  await unnoticed("one lost, one joins", lab, stack, async () => {
    edit("etcd02", "etcd01", "etcd04", { ...node("etcd05"), lost: true });
    expect(await up()).toMatch(/etcd05, member [0-9a-f]+, was removed from the cluster/);
  });
  await expectMembers("etcd01", "etcd02", "etcd04");
  edit("etcd02", "etcd01", "etcd04");
  expect(resources(await succeed(stack.up())).created).toBe(0);
  await expectMembers("etcd01", "etcd02", "etcd04");
});

describe("a node moves", () => {
  const moved = { name: "etcd04", address: "192.168.1.96" };
  const old = hostAddress(moved.name);

  // The lab's known_hosts file has its host key under its name too.
  beforeAll(() => lead("etcd02"));

  test("only to an address that its host has", async () => {
    edit("etcd02", "etcd01", moved);
    expect(await refuse(stack.preview())).toContain(
      "etcd04: cannot join or move while its host is unreachable",
    );
    await on(lab, "etcd04", `ip address add ${moved.address}/24 dev eth0`);
    expect(await refuse(stack.preview())).toContain(
      `etcd04: reaches etcd02 at 192.168.1.84 from ${old}, not from its own address ${moved.address}`,
    );
  });

  test("after its host, which has no other address any more", async () => {
    await unnoticed("one moves", lab, stack, async () => {
      await on(
        lab,
        "etcd04",
        `ip address flush dev eth0; ip address add ${moved.address}/24 dev eth0`,
      );
      expect(printed(await succeed(stack.preview()))).toContain(
        `etcd04 moves from ${old} to ${moved.address} and restarts there; afterwards: 3 voters`,
      );
      expect(await up()).toContain(`moves from https://${old}:2380`);
    });
    await expectMembers("etcd01", "etcd02", "etcd04");
    const rules = await onAll(lab, "nft list table inet etcd; cat /etc/hosts", ["etcd01"]);
    expect(rules[0]).toContain(moved.address);
    expect(rules[0]).not.toContain(old);
  });

  test("back while its host has both, and leads", async () => {
    await lead("etcd04");
    const { members } = await stack.outputs();
    await unnoticed("the leader moves", lab, stack, async () => {
      // The first address of an interface is the one that packets leave from.
      await on(
        lab,
        "etcd04",
        `ip address del ${moved.address}/24 dev eth0; ip address add ${old}/24 dev eth0; ip address add ${moved.address}/24 dev eth0`,
      );
      edit("etcd02", "etcd01", "etcd04");
      await up();
    });
    await expectMembers("etcd01", "etcd02", "etcd04");
    const ids = (list: typeof members) => list.map(({ name, id }) => `${name} ${id}`);
    expect(ids((await stack.outputs()).members)).toEqual(ids(members));
  });
});
