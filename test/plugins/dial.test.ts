import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import type { Props } from "../../lab/plugins/shared/values";
import { connection, freePort, useCommandPlugin } from "./support/command-fixture";

const command = useCommandPlugin();

describe("dialling", () => {
  it("retries a host that refuses, counts the dials and says so", async () => {
    const server = await command.host({ refuse: 2 });
    const state = await command.create({
      connection: connection(server, { dialErrorLimit: 3 }),
      create: "echo there",
      logging: "none",
    });
    expect(state.stdout).toBe("there");
    expect(server.dials).toBe(3);
    expect(command.plugin.log.map(({ message }) => message)).toEqual([
      "Dial 1/3 failed: retrying",
      "Dial 2/3 failed: retrying",
    ]);
  });

  it("gives up after one more dial than the limit", async () => {
    const server = await command.host({ refuse: 9 });
    await expect(
      command.create({ connection: connection(server, { dialErrorLimit: 2 }), create: "true" }),
    ).rejects.toThrow("desc = after 2 failed attempts: ssh: handshake failed: EOF");
    expect(server.dials).toBe(3);
  });

  it("waits 0.1 s and half as long again between dials", async () => {
    const port = await freePort();
    const started = Date.now();
    await expect(
      command.create({
        connection: { host: "127.0.0.1", port, dialErrorLimit: 3 },
        create: "true",
      }),
    ).rejects.toThrow(
      `after 3 failed attempts: dial tcp 127.0.0.1:${port}: connect: connection refused`,
    );
    expect(Date.now() - started).toBeGreaterThanOrEqual(100 + 150 + 225);
    expect(Date.now() - started).toBeLessThan(2500);
  });

  it("gives a TCP connection its perDialTimeout", async () => {
    const code =
      "const server = require('net').createServer();" +
      "server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => " +
      "console.log(server.address().port));";
    const deaf = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
    const [port] = await once(createInterface(deaf.stdout), "line");
    deaf.kill("SIGSTOP");
    // A stopped server's queue takes two connections; the next one gets no answer.
    const queue = [1, 2, 3].map(() => connect(Number(port), "127.0.0.1").on("error", () => {}));
    await once(queue[1] ?? deaf, "connect");
    const started = Date.now();
    const short = { host: "127.0.0.1", port: Number(port), dialErrorLimit: 0, perDialTimeout: 1 };
    await expect(command.create({ connection: short, create: "true" })).rejects.toThrow(
      `after 0 failed attempts: dial tcp 127.0.0.1:${port}: i/o timeout`,
    );
    expect(Date.now() - started).toBeGreaterThanOrEqual(1000);
    for (const socket of queue) socket.destroy();
    deaf.kill("SIGKILL");
  });

  it("goes through a bastion and leaves no connection open", async () => {
    const bastion = await command.host();
    const server = await command.host();
    const state = await command.create({
      connection: connection(server, { proxy: connection(bastion) }),
      create: "echo behind",
    });
    expect(state.stdout).toBe("behind");
    expect([bastion.logins, server.logins]).toEqual([1, 1]);
    expect(bastion.commands).toEqual([]);
    await expect.poll(() => bastion.open.size + server.open.size).toBe(0);
  });

  it("names the bastion as what failed", async () => {
    const bastion = await command.host();
    const server = await command.host();
    const wrong = await command.host();
    const through = (more: Props, proxy: Props) =>
      command.create({ connection: connection(server, { ...more, proxy }), create: "true" });
    await expect(through({}, connection(bastion, { hostKey: wrong.hostKey }))).rejects.toThrow(
      "desc = proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch",
    );
    await expect(through({ hostKey: wrong.hostKey }, connection(bastion))).rejects.toThrow(
      "desc = proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch",
    );
    const port = await freePort();
    await expect(through({ port }, connection(bastion))).rejects.toThrow(
      "desc = proxy: after 0 failed attempts: ssh: rejected: connect failed",
    );
    expect(server.commands).toEqual([]);
  });

  it("logs in with a password, and says which ways in were tried", async () => {
    const server = await command.host({ password: "right" });
    const enter = (password: string) => {
      const { privateKey: _, ...rest } = connection(server);
      return command.create({ connection: { ...rest, password }, create: "echo in" });
    };
    expect((await enter("right")).stdout).toBe("in");
    await expect(enter("wrong")).rejects.toThrow(
      "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, " +
        "attempted methods [none password], no supported methods remain",
    );
  });

  it("refuses keys it cannot read, before any dial, without quoting them", async () => {
    const server = await command.host();
    const bad = (more: Props) =>
      command.create({ connection: connection(server, more), create: "true" });
    await expect(bad({ privateKey: "canary" })).rejects.toThrow(/desc = ssh: no key found$/);
    await expect(bad({ hostKey: "ssh-ed25519 canary" })).rejects.toThrow(
      /desc = failed to parse host key: ssh: no key found$/,
    );
    await expect(bad({ agentSocketPath: "/nowhere/agent" })).rejects.toThrow(
      "dial unix /nowhere/agent: connect: no such file or directory",
    );
    await expect(bad({ agentSocketPath: "" })).rejects.toThrow("dial unix: missing address");
    expect(server.dials).toBe(0);
  });
});
