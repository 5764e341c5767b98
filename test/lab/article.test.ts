/** The article's drill: a value outlives the loss of each node in turn. */
import { beforeAll, expect, test } from "vitest";
import { freshStack } from "./support/fresh";
import { connect, eventually, hosts, on, succeed } from "./support/stack";

const stack = freshStack("article");
const { lab } = stack;

beforeAll(async () => {
  await succeed(stack.up());
  const put = await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
  expect(put.stdout).toBe("OK\n");
});

async function healthy(host: string): Promise<void> {
  await eventually(`${host} is healthy`, async () => {
    const { code } = await stack.etcdctl(["endpoint", "health"], [host]);
    return code === 0;
  });
}

test.each(hosts)("the value is read without %s, and through it when it is back", async (host) => {
  const others = hosts.filter((name) => name !== host);
  await on(lab, host, "systemctl stop etcd.service");
  const without = await stack.etcdctl(["get", "clavePrueba", "--command-timeout=2s"], [host]);
  expect(without.code).not.toBe(0);
  for (const other of others) {
    const { stdout } = await succeed(stack.etcdctl(["get", "clavePrueba"], [other]));
    expect(stdout).toBe("clavePrueba\nEsto es una prueba\n");
  }
  await succeed(stack.etcdctl(["put", `without-${host}`, "written"], others));
  await on(lab, host, "systemctl start etcd.service");
  await healthy(host);
  const { stdout } = await succeed(
    stack.etcdctl(["get", "--print-value-only", `without-${host}`], [host]),
  );
  expect(stdout).toBe("written\n");
});

test("a host that lost its power comes back by itself, packet filter included", async () => {
  await lab.kill("etcd02");
  await eventually("the others go on", async () => {
    const { code } = await stack.etcdctl(["put", "dark", "yes"], ["etcd01", "etcd03"]);
    return code === 0;
  });
  await lab.boot("etcd02");
  await healthy("etcd02");
  const { stdout } = await succeed(
    stack.etcdctl(["get", "--print-value-only", "dark"], ["etcd02"]),
  );
  expect(stdout).toBe("yes\n");
  expect(await connect(lab, "etcd02", 2379)).toBe(0);
  // Refused to the operator, whose port 2379 is open; etcd listens on both.
  expect(await connect(lab, "etcd02", 2380)).toBe(1);
  await succeed(stack.previewNothing());
});
