import { join } from "node:path";
import { expect, test } from "vitest";
import { PKI } from "./support/etcdctl";
import { freshCluster } from "./support/fresh";
import {
  CLUSTER,
  eventually,
  hosts,
  MAIN_PID,
  onAll,
  printed,
  refuse,
  resources,
  Stack,
  subject,
  succeed,
  tool,
} from "./support/stack";

const stack = freshCluster("settings");
const { lab } = stack;
const FLAG = "--quota-backend-bytes=4294967296";

/** Whether each member runs with the flag. */
async function flagged(): Promise<boolean[]> {
  const lines = await onAll(lab, `tr '\\0' ' ' </proc/$(${MAIN_PID})/cmdline`);
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
  const before = await onAll(lab, MAIN_PID);
  await run();
  const after = await onAll(lab, MAIN_PID);
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
    expect(preview.stdout).toContain(`command:remote:Command ${CLUSTER}-${host}-member update`);
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
  const before = await onAll(lab, MAIN_PID);
  stack.configure({
    settings: { "auth-token": "jwt,pub-key=/etc/none.pem,sign-method=RS256" },
  });
  const message = await refuse(stack.up());
  expect(message).toContain("settings changed: auth-token=jwt,pub-key=/etc/none.pem");
  expect(message).toContain("rolled back to the last working one: etcd exits at every start:");
  expect(message).toContain("open /etc/none.pem: no such file or directory");
  const after = await onAll(lab, MAIN_PID);
  expect(after.filter((id, index) => id !== before[index])).toHaveLength(1);
  await succeed(stack.etcdctl(["put", "otra", "sirve"]));
  stack.configure({});
  await succeed(stack.up());
  await succeed(stack.previewNothing());
});

test("etcd's own authentication, switched on by hand, is seen in the preview, and with the user that it names all works", async () => {
  for (const words of [
    "user add root --new-user-password=x",
    "user grant-role root root",
    "auth enable",
  ]) {
    await succeed(stack.etcdctl(words.split(" ")));
  }
  const said = await refuse(stack.preview());
  expect(said).toMatch(/ {2}- etcd0[123]: etcd's authentication is enabled, and its user client, /);
  const admin = (words: string) => stack.etcdctl(["--user", "root:x", ...words.split(" ")]);
  await succeed(admin("user add client --no-password"));
  await succeed(admin("user grant-role client root"));
  await succeed(stack.previewNothing());
  stack.configure({ settings: { "quota-backend-bytes": 4_294_967_296 } });
  await succeed(stack.up());
  expect(await flagged()).toEqual([true, true, true]);
  await succeed(stack.etcdctl(["auth", "disable"]));
});

test("fewer client networks are warned of with who is connected, this machine among them", async () => {
  stack.configure({ host: { clientNetworks: ["10.9.0.0/16"] } });
  const watch = stack.run(["timeout", "40", ...tool("etcdctl", "watch", "nothing")]);
  await eventually("the client is connected", async () => {
    const counts = await onAll(
      lab,
      "ss -Htn state established '( sport = :2379 )' | grep -c 192.168.1.1: || true",
    );
    return counts.some((count) => count !== "0");
  });
  const said = printed(await succeed(stack.preview()));
  expect(said).toMatch(
    /clientNetworks excludes clients that are connected now, and this up would disconnect them: 192\.168\.1\.1 \(etcd0/,
  );
  expect(said).toMatch(
    /does not include the address of this machine or its bastion \(192\.168\.1\.1\)/,
  );
  await watch;
});

test("another directory of certificates is moved to one member at a time, and the old one left clean", async () => {
  const directory = "/etc/etcd/pki";
  const files = () =>
    onAll(lab, `ls -d ${PKI}/* ${directory}/* 2>/dev/null | wc -l; ls -d ${PKI} 2>&1 || true`);
  stack.configure({ pki: { subject, directory } });
  const preview = await succeed(stack.preview());
  expect(preview.stdout).not.toContain("does not answer on");
  await expectRolled(async () => {
    await succeed(stack.up());
  });
  const gone = `ls: cannot access '${PKI}': No such file or directory`;
  expect(await files()).toEqual(hosts.map(() => `7\n${gone}`));
  stack.configure({});
  await expectRolled(async () => {
    await succeed(stack.up());
  });
  expect(await files()).toEqual(hosts.map(() => `7\n${PKI}`));
  expect(await onAll(lab, "ls -d /etc/etcd 2>/dev/null || echo none")).toEqual(
    hosts.map(() => "none"),
  );
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
