/** What the program refuses to work on, and that it then touches nothing on any host. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { hosts, logins, on, refuse } from "./support/stack";

const stack = freshStack("refusals");
const { lab } = stack;
let knownHosts: string;

beforeAll(async () => {
  knownHosts = readFileSync(join(lab.directory, "ssh/known_hosts"), "utf8");
});

beforeEach(() => {
  stack.configure({});
});

/** The lines of the list that an error ends with. */
function listed(message: string): string[] {
  return [...new Set([...message.matchAll(/^ *- (.*)$/gm)].map(([, line]) => line ?? ""))];
}

/** Preview and up fail, both with `head` and exactly `findings`, and no host changes. */
async function expectRefused(head: string, findings: readonly string[]): Promise<void> {
  const before = await hostStates(lab, true);
  for (const run of [() => stack.preview(), () => stack.up()]) {
    const message = await refuse(run());
    expect(message).toContain(head);
    expect(listed(message)).toEqual(findings);
  }
  const after = await hostStates(lab, true);
  for (const [index, host] of hosts.entries()) {
    expect(difference(before[index] ?? [], after[index] ?? []), host).toEqual({
      added: [],
      gone: [],
    });
  }
  expect(await stack.exportState()).not.toContain("remote:Command");
}

describe("the hosts", () => {
  const NOT_READY = "preflight checks failed; no host was changed:";

  test("with an etcd that is not ours: all of it on all of them, by path, unit and process", async () => {
    await on(
      lab,
      "etcd01",
      "cp /bin/true /usr/bin/etcd; mkdir -p /opt/bin; cp /bin/sleep /opt/bin/etcd",
    );
    await on(
      lab,
      "etcd02",
      `mkdir -p /var/lib/etcd/member/wal
      printf '[Service]\\nExecStart=/bin/true\\n' >/usr/lib/systemd/system/etcd.service
      cp /usr/lib/systemd/system/etcd.service /etc/systemd/system/etcd.service`,
    );
    const pid = await on(
      lab,
      "etcd03",
      `cp /bin/sleep /root/etcd
      systemd-run --quiet --unit stranger /root/etcd 1000
      systemctl show --property MainPID --value stranger`,
    );
    await expectRefused(NOT_READY, [
      "etcd01: has an etcd that is not this program's at /usr/bin/etcd; uninstall it first",
      "etcd01: has an etcd that is not this program's at /opt/bin/etcd; uninstall it first",
      "etcd02: has a file that is not this program's at /etc/systemd/system/etcd.service; move it away first",
      "etcd02: has a unit that is not this program's at /lib/systemd/system/etcd.service; remove it first",
      "etcd02: has data of another etcd in /var/lib/etcd/member; move it away first (mv /var/lib/etcd/member /var/lib/etcd/member.foreign)",
      `etcd03: runs an etcd that is not this program's: process ${pid}, /root/etcd; stop it first`,
    ]);
    await on(lab, "etcd01", "rm -r /usr/bin/etcd /opt/bin");
    await on(
      lab,
      "etcd02",
      "rm -r /usr/lib/systemd/system/etcd.service /etc/systemd/system/etcd.service /var/lib/etcd",
    );
    await on(lab, "etcd03", "systemctl stop stranger; rm /root/etcd");
  });

  test("with a port in use: by whom", async () => {
    const pid = await on(
      lab,
      "etcd02",
      `systemd-run --quiet --unit listener nc -lk 2379
      until ss -Hltn 'sport = :2379' | grep -q .; do sleep 0.1; done
      systemctl show --property MainPID --value listener`,
    );
    await expectRefused(NOT_READY, [
      `etcd02: has port 2379 in use by nc (process ${pid}); free it`,
    ]);
    await on(lab, "etcd02", "systemctl stop listener");
  });

  test("with too little memory: how much there is, on each", async () => {
    stack.configure({ host: { minimumMemory: 99_000_000 } });
    const memory = await on(
      lab,
      "etcd01",
      "awk '/^MemTotal:/ { print int($2/1024) }' /proc/meminfo",
    );
    await expectRefused(
      NOT_READY,
      hosts.map(
        (host) => `${host}: has ${memory} MiB of memory; etcd:host.minimumMemory asks for 99000000`,
      ),
    );
  });

  test("that do not reach each other: from where to where", async () => {
    await lab.cut("etcd03");
    const silent = (from: string, to: string) =>
      `${from}: cannot reach ${to} at ${hostAddress(to)} on port 2379 and 2380; members need 2379 and 2380 of each other, both ways: open these in the firewalls between them`;
    const before = await hostStates(lab, true);
    const message = await refuse(stack.up());
    await lab.heal();
    expect(listed(message).sort()).toEqual([
      silent("etcd01", "etcd03"),
      silent("etcd02", "etcd03"),
      silent("etcd03", "etcd01"),
      silent("etcd03", "etcd02"),
    ]);
    expect(await hostStates(lab, true)).toEqual(before);
  });
});

describe("the configuration", () => {
  test("with several mistakes: all of them at once, before any host is dialled", async () => {
    stack.configure({
      version: "3.3.4",
      nodes: [
        { name: "etcd01", address: "192.168.1.83" },
        { name: "etcd02", address: "192.168.1.83" },
      ],
      settings: { "data-dir": "/srv" },
    });
    const before = await logins(lab);
    await expectRefused("3 errors in the configuration:", [
      'etcd:nodes[1].address: "192.168.1.83" is the address of nodes[0] too; every node needs its own',
      'etcd:version: "3.3.4" is end-of-life upstream: it gets no security fixes; accepted are 3.5.21+, 3.6.0+, 3.7.0+, for example 3.6.14',
      "etcd:settings.data-dir: cannot be set: the program guards the data in /var/lib/etcd and sets it",
    ]);
    expect(await logins(lab)).toEqual(before);
  });

  test("without host keys: what to do for each host, before any is dialled", async () => {
    const file = join(lab.directory, "no_known_hosts");
    const key = join(lab.directory, "ssh/id_ed25519");
    stack.configure({ ssh: { privateKeyFile: key, knownHostsFile: file } });
    const before = await logins(lab);
    await expectRefused(
      "3 errors in the configuration:",
      hosts.map((host) => {
        const address = hostAddress(host);
        return (
          `etcd:ssh.hostKeys.${host}: missing, and ${file} has no key of ${address}; write the key ` +
          `here, or run ssh-keyscan -t ed25519 ${address} >> ${file} and compare the fingerprint`
        );
      }),
    );
    expect(await logins(lab)).toEqual(before);
  });
});

describe("a host whose key is another one", () => {
  /** known_hosts in which etcd02 has the key of etcd03. */
  function swapped(): Record<string, string> {
    const lines = knownHosts.split("\n");
    const keyOf = (host: string) =>
      lines.find((line) => line.startsWith(`${host} `))?.replace(`${host} `, "");
    const wrong = lines.map((line) =>
      /^(etcd02|192\.168\.1\.84) /.test(line) ? `${line.split(" ")[0]} ${keyOf("etcd03")}` : line,
    );
    const file = join(lab.directory, "wrong_known_hosts");
    writeFileSync(file, wrong.join("\n"));
    return { privateKeyFile: join(lab.directory, "ssh/id_ed25519"), knownHostsFile: file };
  }

  test("is named, and never logged in to", async () => {
    stack.configure({ ssh: swapped() });
    const before = await logins(lab);
    await expectRefused("preflight checks failed; no host was changed:", [
      "etcd02: host key verification failed for root@192.168.1.84:22; nothing was sent; " +
        "if the host was really reinstalled, put its new key into the known_hosts file or etcd:ssh.hostKeys",
    ]);
    const [first = 0, second, third = 0] = await logins(lab);
    expect(second).toBe(before[1]);
    // The others were looked at, once for the preview and once for the up: the count counts.
    expect([first, third]).toEqual([(before[0] ?? 0) + 2, (before[2] ?? 0) + 2]);
  });

  test("gets nothing either when the program does not look first", async () => {
    stack.configure({ ssh: swapped(), drift: false });
    const before = await logins(lab);
    const message = await refuse(stack.up());
    expect(message).toMatch(/etcd02-install[\s\S]*ssh: handshake failed: ssh: host key mismatch/);
    expect((await logins(lab))[1]).toBe(before[1]);
    expect((await logins(lab))[0]).toBeGreaterThan(before[0] ?? 0);
    expect(await on(lab, "etcd02", "ls -d /var/lib/etcd-on-pulumi 2>/dev/null || echo none")).toBe(
      "none",
    );
  });
});
