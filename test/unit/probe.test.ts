import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Look, lookAtHosts, read, sshOptions } from "../../components/probe";
import type { Connection } from "../../components/ssh";
import { connection, hostKey } from "../support/fixtures";
import { type Answer, keyPair, type Sshd, startSshd } from "../support/sshd";

const LOCAL = { started: 1_000_000, ended: 1_000_400 };

function seen(look: Look) {
  if (!look.seen) {
    throw new Error(`not seen: ${look.reason}`);
  }
  return look;
}

const readLines = (...lines: string[]) => seen(read(`${lines.join("\n")}\n`, LOCAL, 2));

describe("what the probe prints", () => {
  test("on a bare host is a clock and a unit that is missing", () => {
    expect(readLines("clock 1000200", "unit inactive not-found")).toEqual({
      seen: true,
      formed: false,
      findings: [],
      receipts: new Map(),
      unit: ["etcd.service is inactive", "etcd.service is not-found"],
    });
  });

  test("on a host in order is its receipts and no more", () => {
    const look = readLines(
      "clock 1000200",
      "formed",
      "unit active enabled",
      "receipt host create, 2026-11-22T10:20:30Z",
      "receipt files repair: /etc/etcd.env changed, 2026-11-22T10:20:30Z",
    );
    expect(look).toEqual({
      seen: true,
      formed: true,
      findings: [],
      receipts: new Map([
        ["host", { revision: "create, 2026-11-22T10:20:30Z", drift: [] }],
        ["files", { revision: "repair: /etc/etcd.env changed, 2026-11-22T10:20:30Z", drift: [] }],
      ]),
      unit: [],
    });
  });

  test("of drift belongs to the step before it", () => {
    const { receipts } = readLines(
      "receipt files create",
      "drift files /etc/etcd.env changed",
      "drift files /etc/kubernetes/pki/etcd/ca.pem has mode 666, not 644",
      "receipt member new",
      "drift member /usr/local/bin/etcd removed",
    );
    expect(receipts.get("files")?.drift).toEqual([
      "/etc/etcd.env changed",
      "/etc/kubernetes/pki/etcd/ca.pem has mode 666, not 644",
    ]);
    expect(receipts.get("member")?.drift).toEqual(["/usr/local/bin/etcd removed"]);
  });

  test("of a neighbour names it", () => {
    const { findings } = readLines(
      "finding has 512 MiB of memory",
      "finding unreachable etcd02: cannot reach etcd02 at 192.0.2.2 port 2380",
    );
    expect(findings).toEqual([
      { text: "has 512 MiB of memory" },
      { text: "cannot reach etcd02 at 192.0.2.2 port 2380", about: "etcd02" },
    ]);
  });

  test.each([
    ["unit active enabled", []],
    ["unit failed enabled", ["etcd.service is failed"]],
    ["unit activating enabled", ["etcd.service is activating"]],
    ["unit active disabled", ["etcd.service is disabled"]],
    ["unit active masked", ["etcd.service is masked"]],
    ["unit inactive ", ["etcd.service is inactive", "etcd.service is missing"]],
  ])("«%s» means %j", (line, unit) => {
    expect(readLines(line).unit).toEqual(unit);
  });

  test("that this program does not know is passed over", () => {
    expect(readLines("Welcome to Debian", "", "receipt unheard-of x", "drift health x")).toEqual({
      seen: true,
      formed: false,
      findings: [],
      receipts: new Map(),
      unit: [],
    });
  });
});

describe("the clock", () => {
  const texts = (clock: number) => readLines(`clock ${clock}`).findings.map(({ text }) => text);

  test.each([
    ["within the time that the question took", 1_000_200],
    ["behind as far as is allowed", 998_000],
    ["ahead as far as is allowed", 1_002_400],
  ])("is right %s", (_, clock) => {
    expect(texts(clock)).toEqual([]);
  });

  test("behind is a finding with the difference and the limit", () => {
    expect(texts(996_500)).toEqual([
      "its clock is 3.5 s behind this machine's; etcd:host.maximumClockSkew allows 2: set up time synchronisation",
    ]);
  });

  test("ahead is one too", () => {
    expect(texts(1_007_400)).toEqual([
      "its clock is 7.0 s ahead of this machine's; etcd:host.maximumClockSkew allows 2: set up time synchronisation",
    ]);
  });
});

/** What OpenSSH makes of the options, without connecting to anything. */
function parsed(options: readonly string[], host = "root@192.0.2.1"): Map<string, string> {
  const { stdout, stderr, status } = spawnSync("ssh", ["-G", ...options, host], {
    encoding: "utf8",
  });
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  return new Map(
    stdout
      .trimEnd()
      .split("\n")
      .map((line): [string, string] => {
        const [key = "", ...rest] = line.split(" ");
        return [key, rest.join(" ")];
      }),
  );
}

describe("the options of ssh", () => {
  test("accept the configured host key alone and ask nothing", () => {
    const options = parsed(sshOptions(connection("192.0.2.1", { port: 2222 })));
    expect(Object.fromEntries(options)).toMatchObject({
      port: "2222",
      user: "root",
      batchmode: "yes",
      stricthostkeychecking: "true",
      userknownhostsfile: "/dev/null",
      globalknownhostsfile: "/dev/null",
      knownhostscommand: `/bin/echo %H ${hostKey("192.0.2.1")}`,
      hostkeyalgorithms: "ssh-ed25519",
      identitiesonly: "yes",
      identityagent: "none",
      identityfile: "/home/operator/.ssh/id_ed25519",
      connecttimeout: "5",
    });
  });

  test("ask for the signatures that an RSA key makes today", () => {
    const options = parsed(sshOptions(connection("h", { hostKey: "ssh-rsa AAAA" })));
    expect(options.get("hostkeyalgorithms")).toBe("rsa-sha2-512,rsa-sha2-256");
  });

  test("check no key only when the configuration gave none", () => {
    const options = parsed(sshOptions(connection("h", { hostKey: undefined })));
    expect(options.get("stricthostkeychecking")).toBe("false");
    expect(options.has("knownhostscommand")).toBe(false);
  });

  test("use the agent when there is no key file", () => {
    const agent = { privateKeyFile: undefined, privateKey: undefined };
    const used = parsed(sshOptions(connection("h", { ...agent, agentSocket: "/run/agent.1" })));
    expect(used.get("identityagent")).toBe("/run/agent.1");
    expect(parsed(sshOptions(connection("h", agent))).get("identityagent")).toBe("none");
  });

  test("never hold the key itself", () => {
    const bastion = connection("bastion");
    expect(sshOptions(connection("h", { bastion })).join(" ")).not.toMatch(/PRIVATE KEY|canary/);
  });

  test("go through the bastion with its own key checked", () => {
    const bastion = connection("bastion.example.org", { port: 2022, user: "jump" });
    const proxy =
      parsed(sshOptions(connection("192.0.2.1", { bastion }))).get("proxycommand") ?? "";
    expect(proxy).toMatch(/^ssh -F \/dev\/null -p 2022 /);
    expect(proxy).toMatch(/ -W '\[%h\]:%p' jump@bastion\.example\.org$/);
    // One % of each pair is for the outer ssh.
    expect(proxy).toContain(
      `-o 'KnownHostsCommand=/bin/echo %%H ${hostKey("bastion.example.org")}'`,
    );
  });
});

describe("a look over SSH", () => {
  const directory = mkdtempSync(join(tmpdir(), "etcd-probe-"));
  const odd = join(directory, "the operator's 100%d key");
  const key = join(directory, "key");
  for (const file of [odd, key]) {
    writeFileSync(file, keyPair().private, { mode: 0o600 });
  }

  async function sshd(answer?: Answer): Promise<Sshd> {
    const server = await startSshd(answer);
    onTestFinished(() => server.close());
    return server;
  }

  const to = (server: Sshd, change: Partial<Connection> = {}) =>
    connection("127.0.0.1", {
      port: server.port,
      hostKey: server.hostKey,
      privateKeyFile: key,
      ...change,
    });

  const look = async (target: Connection): Promise<Look | undefined> => {
    const values = { NODE: "it's etcd01" };
    return (await lookAtHosts(new Map([["a", { connection: target, values }]]), 2)).get("a");
  };

  test("sends the script and reads the answer", async () => {
    const server = await sshd({ stdout: `clock ${Date.now()}\nformed\n` });
    expect(await look(to(server))).toMatchObject({ seen: true, formed: true, findings: [] });
    expect(server.commands.map(({ command }) => command)).toEqual(["bash -s -- probe"]);
    expect(server.commands[0]?.input).toMatch(/^NODE='it'\\''s etcd01'\n/);
  });

  test("goes through sudo when it must", async () => {
    const server = await sshd();
    await look(to(server, { user: "admin", sudo: true }));
    expect(server.commands.map(({ command }) => command)).toEqual(["sudo -n bash -s -- probe"]);
  });

  test("sends nothing to a host with another key", async () => {
    const server = await sshd();
    const answer = await look(to(server, { hostKey: keyPair().public }));
    expect(answer).toMatchObject({ seen: false, distrusted: true });
    expect(answer).toHaveProperty(
      "reason",
      `the host key of root@127.0.0.1:${server.port} is not the expected one, so nothing was sent; if the host was really rebuilt, put its new key into the known_hosts file or etcd:ssh.hostKeys`,
    );
    expect(server.commands).toEqual([]);
  });

  test("says why when nobody listens", async () => {
    const server = await startSshd();
    server.close();
    const answer = await look(to(server));
    expect(answer).toMatchObject({ seen: false, distrusted: false });
    expect(answer).toHaveProperty("reason", expect.stringMatching(/Connection refused$/));
  });

  test("says what the host said when the script failed there", async () => {
    const server = await sshd({ stderr: "sudo: a password is required\n", code: 1 });
    expect(await look(to(server))).toEqual({
      seen: false,
      distrusted: false,
      reason: `no SSH session as root@127.0.0.1:${server.port}: sudo: a password is required`,
    });
  });

  test("takes a key file with any name", async () => {
    const server = await sshd({ stdout: "formed\n" });
    expect(await look(to(server, { privateKeyFile: odd }))).toMatchObject({ formed: true });
  });

  test("goes through a bastion to the node", async () => {
    const [node, bastion] = [await sshd({ stdout: "formed\n" }), await sshd()];
    const through = to(bastion, { privateKeyFile: odd });
    expect(await look(to(node, { bastion: through }))).toMatchObject({ seen: true, formed: true });
    expect(bastion.forwards).toEqual([`127.0.0.1:${node.port}`]);
    expect(bastion.commands).toEqual([]);
  });

  test("does not go through a bastion with another key", async () => {
    const [node, bastion] = [await sshd(), await sshd()];
    const through = to(bastion, { hostKey: keyPair().public });
    expect(await look(to(node, { bastion: through }))).toMatchObject({
      seen: false,
      distrusted: true,
    });
    expect(bastion.forwards).toEqual([]);
  });

  test("gives every host its own answer", async () => {
    const [one, other] = [await sshd({ stdout: "formed\n" }), await sshd({ code: 3 })];
    const looks = await lookAtHosts(
      new Map([
        ["a", { connection: to(one), values: {} }],
        ["b", { connection: to(other), values: {} }],
      ]),
      2,
    );
    expect([...looks].map(([name, { seen }]) => [name, seen])).toEqual([
      ["a", true],
      ["b", false],
    ]);
  });

  test("leaves no file behind", () => {
    rmSync(directory, { recursive: true });
  });
});
