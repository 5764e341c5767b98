/** Nodes that are added to, taken out of and lost from the list of a running cluster. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostAddress, Lab } from "../support/lab";
import {
  freshLab,
  hosts,
  on,
  onAll,
  printed,
  refuse,
  resources,
  Stack,
  succeed,
} from "./support/stack";

const lab = new Lab("test");
const stack = new Stack(lab, "membership");
const PID = "systemctl show --property MainPID --value etcd.service";
// Only the operator's own address: a node that has left reaches nobody any more.
const host = { clientNetworks: ["192.168.1.1/32"] };
const list = (...names: readonly string[]) => ({
  host,
  nodes: names.map((name) => ({ name, address: hostAddress(name) })),
});

beforeAll(async () => {
  await freshLab(lab, 4);
  await stack.create({ host });
  await succeed(stack.up());
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
});

afterAll(async () => {
  await lab.down(true);
});

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

test("a fourth node joins as a learner, and the others neither restart nor change", async () => {
  const { clusterId } = await stack.outputs();
  const before = await onAll(lab, PID);
  stack.configure(list(...hosts, "etcd04"));
  const preview = await succeed(stack.preview());
  expect(printed(preview)).toContain(
    "members: 3 voters, 3 healthy; etcd04 joins as a learner and is promoted; then 4 voters, quorum 3, which survives 1 down",
  );
  const up = await succeed(stack.up());
  expect(up.stdout).toContain("joined as a learner and was promoted");
  expect(up.stdout).not.toMatch(/etcd0[123]-(binaries|files|member) updated/);
  await expectMembers(...hosts, "etcd04");
  expect(await onAll(lab, PID)).toEqual(before);
  expect((await stack.outputs()).clusterId).toBe(clusterId);
});

test("the first node leaves while it leads: its host ends clean, the others close the door", async () => {
  const { members } = await stack.outputs();
  const first = members.find(({ name }) => name === "etcd01");
  // Through all endpoints at once only the leader itself obeys.
  for (const host of ["etcd02", "etcd03", "etcd04"]) {
    await stack.etcdctl(["move-leader", first?.id ?? ""], [host]);
  }
  stack.configure(list("etcd02", "etcd03", "etcd04"));
  const preview = await succeed(stack.preview());
  expect(printed(preview)).toContain("etcd01 leaves; then 3 voters, quorum 2");
  await succeed(stack.up());
  await expectMembers("etcd02", "etcd03", "etcd04");
  const left = await on(
    lab,
    "etcd01",
    "find / -xdev \\( -name '*etcd*' -o -name kubernetes \\) -not -path '/proc/*' -not -path '/sys/*'; nft list tables",
  );
  expect(left).toBe("");
  const rules = await onAll(lab, "nft list table inet etcd", ["etcd02", "etcd03", "etcd04"]);
  for (const table of rules) {
    expect(table).not.toContain(hostAddress("etcd01"));
    expect(table).toContain(hostAddress("etcd04"));
  }
});

test("a host that was rebuilt empty comes back under its name", async () => {
  await lab.wipe("etcd03");
  const preview = await succeed(stack.preview());
  expect(printed(preview)).toContain(
    "etcd03 is rebuilt: its old member is removed, it joins again as a learner and is promoted",
  );
  const up = await succeed(stack.up());
  expect(up.stdout).toContain("the host was rebuilt: its old member");
  await expectMembers("etcd02", "etcd03", "etcd04");
});

test("an edit that would take the quorum away is refused in the preview", async () => {
  await lab.kill("etcd04");
  stack.configure(list("etcd02", "etcd04"));
  const refusal =
    "3 voters, 2 healthy: removing etcd03 would leave 1 healthy of 2, and 2 are needed; bring etcd04 back or mark it lost";
  expect(await refuse(stack.preview())).toContain(refusal);
  expect(await refuse(stack.up())).toContain(refusal);
  stack.configure(list("etcd02", "etcd03", "etcd04", "etcd01"));
  expect(await refuse(stack.preview())).toContain(
    "3 voters, 2 healthy: etcd01 cannot join while etcd04 does not answer; bring it back or mark it lost",
  );
});

test("a lost node goes without being dialled, another takes its place in the same edit", async () => {
  const { nodes } = list("etcd02", "etcd03", "etcd04", "etcd01");
  stack.configure({
    host,
    nodes: nodes.map((node) => (node.name === "etcd04" ? { ...node, lost: true } : node)),
  });
  const up = await succeed(stack.up());
  expect(up.stdout).toMatch(/etcd04, member [0-9a-f]+, was removed from the cluster/);
  await expectMembers("etcd01", "etcd02", "etcd03");
  stack.configure(list("etcd02", "etcd03", "etcd01"));
  const dropped = await succeed(stack.up());
  expect(resources(dropped).created).toBe(0);
  await expectMembers("etcd01", "etcd02", "etcd03");
});
