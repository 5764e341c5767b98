import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import type { Connection } from "../../components/connection";
import type { Look } from "../../components/look";
import { lookAtHosts } from "../../components/probe";
import { connection } from "../support/fixtures";
import { type Answer, keyPair, type Sshd, startSshd } from "../support/sshd";

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

  test("of an up stays open when it has said all, and says who is at work", async () => {
    const answer = { stdout: "formed\nheld bob\nend\n", after: "\nkeep_lock\n" };
    const server = await sshd(answer);
    const values = { NODE: "etcd01" };
    const target = new Map([["a", { connection: to(server), values }]]);
    const looks = await lookAtHosts(target, 2, "alice@laptop since today");
    expect(looks.get("a")).toMatchObject({ seen: true, formed: true, held: "bob" });
    // The server notes a command when its standard input has ended.
    expect(server.commands).toEqual([]);
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

  afterAll(() => rmSync(directory, { recursive: true }));
});
