import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { describe, expect, it } from "vitest";
import { secret } from "../../lab/plugins/shared/values";
import { call } from "./support/calls";
import {
  connection,
  freePort,
  info,
  urn,
  useCommandPlugin,
  warning,
} from "./support/command-fixture";

const command = useCommandPlugin();

describe("running", () => {
  it("sends a large secret input and gets it back whole", async () => {
    const server = await command.host();
    const stdin = "0123456789abcdef".repeat(20_000);
    const state = await command.create({
      connection: connection(server),
      create: "cat; cat >&2 </dev/null",
      stdin: secret(stdin),
      logging: "none",
    });
    expect(state.stdout).toBe(stdin);
    expect(command.plugin.log).toEqual([]);
  });

  it.each([
    [0, undefined],
    [5, /Process exited with status 5: running "exec <&-; exit 5":\n$/],
  ])("takes exit status %i of a command that does not read its input", async (code, error) => {
    const server = await command.host();
    const result = command.create({
      connection: connection(server),
      create: `exec <&-; exit ${code}`,
      stdin: secret("x".repeat(5_000_000)),
    });
    if (error) await expect(result).rejects.toThrow(error);
    else expect((await result).stdout).toBe("");
    expect(command.plugin.alive).toBe(true);
  });

  it("shows the output of a failed command whole, and never its input", async () => {
    const server = await command.host();
    const failed = await command
      .create({
        connection: connection(server),
        create: "cat >/dev/null; yes line | head -c 15000; echo é; exit 7",
        stdin: secret("the canary"),
        logging: "none",
      })
      .catch((error: Error) => error.message);
    expect(failed).toContain('Process exited with status 7: running "cat >/dev/null; yes');
    expect(failed).toContain("line\nline\n");
    expect(String(failed).endsWith("é\n")).toBe(true);
    expect(String(failed).length).toBeGreaterThan(15_000);
    expect(failed).not.toContain("canary");
    expect(failed).not.toContain("PRIVATE KEY");
  });

  it("knows how a command ended whose whole answer comes at once", async () => {
    const server = await command.host();
    const { port } = await command.wire(server, 500);
    const state = await command.create({
      connection: { ...connection(server), port },
      create: "echo done",
    });
    expect(state.stdout).toBe("done");
  });

  it("names the signal that ended a command", async () => {
    const server = await command.host();
    await expect(
      command.create({ connection: connection(server), create: "kill -TERM $$" }),
    ).rejects.toThrow('Process exited with status 143 from signal TERM: running "kill -TERM $$":');
  });

  it.each([
    [undefined, ["to stdout", "to stderr"]],
    ["stdoutAndStderr", ["to stdout", "to stderr"]],
    ["stdout", ["to stdout"]],
    ["stderr", ["to stderr"]],
    ["none", []],
  ])("with logging %s logs %j as status lines", async (logging, expected) => {
    const server = await command.host();
    await command.create({
      connection: connection(server),
      create: "echo to stdout; sleep 0.1; echo to stderr >&2",
      ...(logging && { logging }),
    });
    const line = { severity: info, status: true };
    expect(command.plugin.log).toEqual(expected.map((message) => ({ ...line, message })));
  });

  it("ends a running command when the engine cancels", async () => {
    const server = await command.host();
    const result = command
      .create({ connection: connection(server), create: "sleep 60" })
      .catch((error: Error) => error.message);
    await expect.poll(() => server.running.size).toBe(1);
    await command.plugin.call<Empty, Empty>(command.plugin.client.cancel, new Empty());
    expect(await result).toBe("rpc error: code = Unknown desc = context canceled");
    await expect.poll(() => server.running.size).toBe(0);
    await expect(
      command.create({ connection: connection(server), create: "true" }),
    ).rejects.toThrow("context canceled");
  });

  it("stops dialling when the engine cancels", async () => {
    const port = await freePort();
    const result = command
      .create({
        connection: { host: "127.0.0.1", port, dialErrorLimit: -1 },
        create: "true",
      })
      .catch((error: Error) => error.message);
    await expect.poll(() => command.plugin.log.at(-1)?.message).toBe("Dial 2/inf failed: retrying");
    await command.plugin.call<Empty, Empty>(command.plugin.client.cancel, new Empty());
    expect(await result).toBe("rpc error: code = Unknown desc = context canceled");
  });

  it("gives up a host that is silent, as after a power cut, in the official plugin's words", async () => {
    const server = await command.host();
    const { port, cut } = await command.wire(server);
    const began = Date.now();
    const result = command
      .create({ connection: { ...connection(server), port }, create: "echo begun; sleep 60" })
      .catch((error: Error) => error.message);
    await expect.poll(() => command.plugin.log.length, { timeout: 20_000 }).toBe(1);
    cut();
    expect(await result).toBe(
      'rpc error: code = Unknown desc = wait: remote command exited without exit status or exit signal: running "echo begun; sleep 60":\nbegun\n',
    );
    expect(Date.now() - began).toBeGreaterThanOrEqual(9 * 500);
    expect(command.plugin.alive).toBe(true);
  });

  it("waits for a host that only has nothing to say", async () => {
    const server = await command.host();
    const { port } = await command.wire(server);
    const state = await command.create({
      connection: { ...connection(server), port },
      create: "sleep 7; echo done",
    });
    expect(state.stdout).toBe("done");
  });

  it("behind a bastion waits for a silent host until the resource's timeout", async () => {
    const bastion = await command.host();
    const server = await command.host();
    const { port, cut } = await command.wire(server);
    const target = { ...connection(server), port, proxy: connection(bastion) };
    const result = command
      .create({ connection: target, create: "echo begun; sleep 60" }, 8)
      .catch((error: Error) => error.message);
    await expect.poll(() => command.plugin.log.length, { timeout: 20_000 }).toBe(1);
    cut();
    expect(await result).toBe("rpc error: code = Unknown desc = context deadline exceeded");
  });

  it("ends a command that takes longer than the resource's timeout", async () => {
    const server = await command.host();
    await expect(
      command.create({ connection: connection(server), create: "sleep 60" }, 1),
    ).rejects.toThrow("desc = context deadline exceeded");
  });
});

describe("variables", () => {
  it("are set where the host accepts them, previous output included", async () => {
    const server = await command.host({ acceptEnv: ["GREETING", "PULUMI_COMMAND_STDOUT"] });
    const inputs = {
      connection: secret(connection(server)),
      create: 'echo "$GREETING, $PULUMI_COMMAND_STDOUT"',
      environment: { GREETING: "hello" },
      logging: "none",
    };
    const state = await call(command.plugin, "Update", {
      urn,
      olds: { ...inputs, stdout: "before", stderr: "" },
      news: inputs,
    });
    expect(state.properties).toMatchObject({ stdout: "hello, before" });
  });

  it("keep the command from running where the host refuses them", async () => {
    const server = await command.host();
    await expect(
      command.create({ connection: connection(server), create: "true", environment: { A: "1" } }),
    ).rejects.toThrow('desc = could not set environment variable "A": ssh: setenv failed');
    expect(server.commands).toEqual([]);
    expect(command.plugin.log.at(-1)?.message).toMatch(/^Unable to set 'A'\. .*AcceptEnv/s);
  });

  it("of previous output are only warned about, and not sent when not wanted", async () => {
    const server = await command.host();
    const inputs = { connection: secret(connection(server)), delete: "echo gone" };
    const state = { ...inputs, stdout: "a", stderr: "b" };
    await call(command.plugin, "Delete", { urn, properties: state });
    const warnings = command.plugin.log.filter(({ severity }) => severity === warning);
    expect(warnings.map(({ message }) => message.split(".")[0])).toEqual([
      "Unable to set 'PULUMI_COMMAND_STDOUT'",
      "Unable to set 'PULUMI_COMMAND_STDERR'",
    ]);
    command.plugin.log.length = 0;
    await call(command.plugin, "Delete", {
      urn,
      properties: { ...state, addPreviousOutputInEnv: false },
    });
    expect(command.plugin.log.map(({ message }) => message)).toEqual(["gone"]);
    expect(server.commands).toEqual(["echo gone", "echo gone"]);
  });
});
