/** Settings that are changed on a running cluster, and a login that is not root's. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { freshCluster } from "./support/fresh";
import { hosts, onAll, refuse, resources, Stack, succeed } from "./support/stack";

const stack = freshCluster("settings");
const { lab } = stack;
const FLAG = "--quota-backend-bytes=4294967296";

/** Whether each member runs with the flag. */
async function flagged(): Promise<boolean[]> {
  const lines = await onAll(
    lab,
    "tr '\\0' ' ' </proc/$(systemctl show --property MainPID --value etcd.service)/cmdline",
  );
  return lines.map((line) => line.includes(` ${FLAG}`));
}

/** From when to when each member was away at its last restart, in the machine's one clock. */
async function absences(): Promise<(readonly [from: number, to: number])[]> {
  const times = await onAll(
    lab,
    "systemctl show --value --property ActiveExitTimestampMonotonic etcd.service; " +
      "systemctl show --value --property ActiveEnterTimestampMonotonic etcd.service",
  );
  return times
    .map((text) => text.split("\n").map(Number))
    .map(([from = 0, to = 0]) => [from, to] as const)
    .sort(([a], [b]) => a - b);
}

async function expectRolled(run: () => Promise<void>): Promise<void> {
  const pid = "systemctl show --property MainPID --value etcd.service";
  const before = await onAll(lab, pid);
  await run();
  const after = await onAll(lab, pid);
  expect(after.filter((id, index) => id === before[index])).toEqual([]);
  const [first, second, third] = await absences();
  expect(first?.[0]).toBeGreaterThan(0);
  // Each was back before the next one went.
  expect(first?.[1]).toBeLessThan(second?.[0] ?? 0);
  expect(second?.[1]).toBeLessThan(third?.[0] ?? 0);
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
  await succeed(stack.previewNothing());
}

test("a new setting reaches the members one at a time, and the data stays", async () => {
  stack.configure({ settings: { "quota-backend-bytes": 4_294_967_296 } });
  const preview = await succeed(stack.preview());
  for (const host of hosts) {
    expect(preview.stdout).toContain(`command:remote:Command ${host}-member update`);
  }
  expect(await flagged()).toEqual([false, false, false]);
  await expectRolled(async () => {
    const { created } = resources(await succeed(stack.up()));
    expect(created).toBe(0);
  });
  expect(await flagged()).toEqual([true, true, true]);
});

test("a setting that is taken back leaves no trace", async () => {
  stack.configure({});
  await expectRolled(async () => {
    await succeed(stack.up());
  });
  expect(await flagged()).toEqual([false, false, false]);
});

test("a setting that etcd refuses stops at the first member, which runs on as it was", async () => {
  const pid = "systemctl show --property MainPID --value etcd.service";
  const before = await onAll(lab, pid);
  stack.configure({
    settings: { "auth-token": "jwt,pub-key=/etc/none.pem,sign-method=RS256" },
  });
  const message = await refuse(stack.up());
  expect(message).toContain("settings changed: auth-token=jwt,pub-key=/etc/none.pem");
  expect(message).toContain("was started again with the last good ones; its words:");
  expect(message).toContain("open /etc/none.pem: no such file or directory");
  const after = await onAll(lab, pid);
  expect(after.filter((id, index) => id !== before[index])).toHaveLength(1);
  await succeed(stack.etcdctl(["put", "otra", "sirve"]));
  stack.configure({});
  await succeed(stack.up());
  await succeed(stack.previewNothing());
});

test("a user with sudo makes and destroys a cluster as root does", async () => {
  await lab.reset();
  const other = new Stack(lab, "operator");
  await other.create();
  other.configure({
    ssh: {
      user: "operator",
      privateKeyFile: join(lab.directory, "ssh/id_ed25519"),
      knownHostsFile: join(lab.directory, "ssh/known_hosts"),
    },
  });
  await succeed(other.up());
  await succeed(other.previewNothing());
  const logins = await onAll(
    lab,
    // The lab logs in as root to see whether the host is there; the program must not.
    "journalctl --unit ssh.service --output cat | grep -c 'Accepted publickey for operator'",
  );
  expect(logins.map(Number).every((count) => count > 0)).toBe(true);
  expect((await other.outputs()).members).toHaveLength(3);
  await succeed(other.destroy());
  expect(
    await onAll(lab, "ls -d /var/lib/etcd* /opt/etcd-on-pulumi 2>/dev/null || echo none"),
  ).toEqual(["none", "none", "none"]);
});
