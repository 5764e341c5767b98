import { once } from "node:events";
import { createServer } from "node:net";
import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { toStruct } from "../../lab/plugins/shared/struct";
import { type Props, secret, unknown } from "../../lab/plugins/shared/values";
import { call } from "./support/calls";
import { buildPlugins, PluginProcess } from "./support/plugin-process";
import { SshServer, type SshServerOptions } from "./support/ssh-server";

const urn = "urn:pulumi:dev::etcd::command:remote:Command::step";
let built: ReturnType<typeof buildPlugins>;
let plugin: PluginProcess;
const hosts: SshServer[] = [];

async function host(options: SshServerOptions = {}): Promise<SshServer> {
  const server = await SshServer.start(options);
  hosts.push(server);
  return server;
}

function connection(server: SshServer, more: Props = {}): Props {
  const { port, hostKey, privateKey } = server;
  return { host: "127.0.0.1", port, hostKey, privateKey, dialErrorLimit: 0, ...more };
}

function create(properties: Props, timeout = 0): Promise<Props> {
  const wrapped = { ...properties, connection: secret(properties.connection ?? null) };
  const request = new rpc.CreateRequest().setUrn(urn).setProperties(toStruct(wrapped));
  return plugin
    .call<rpc.CreateRequest, rpc.CreateResponse>(plugin.client.create, request.setTimeout(timeout))
    .then((response) => response.getProperties()?.toJavaScript() ?? {});
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

beforeAll(() => {
  built = buildPlugins();
}, 60_000);

afterAll(() => built.remove());

// A new process for each test: Cancel ends a plugin for good, and the log starts empty.
async function fresh(environment: NodeJS.ProcessEnv = {}): Promise<void> {
  plugin = await PluginProcess.start(built.directory, "command", environment);
}

afterEach(async () => {
  await plugin.stop();
  await Promise.all(hosts.splice(0).map((server) => server.stop()));
});

describe("dialling", () => {
  it("retries a host that refuses, counts the dials and says so", async () => {
    await fresh();
    const server = await host({ refuse: 2 });
    const state = await create({
      connection: connection(server, { dialErrorLimit: 3 }),
      create: "echo there",
      logging: "none",
    });
    expect(state.stdout).toBe("there");
    expect(server.dials).toBe(3);
    expect(plugin.log.map(({ message }) => message)).toEqual([
      "Dial 1/3 failed: retrying",
      "Dial 2/3 failed: retrying",
    ]);
  });

  it("gives up after one more dial than the limit", async () => {
    await fresh();
    const server = await host({ refuse: 9 });
    await expect(
      create({ connection: connection(server, { dialErrorLimit: 2 }), create: "true" }),
    ).rejects.toThrow("desc = after 2 failed attempts: ssh: handshake failed: EOF");
    expect(server.dials).toBe(3);
  });

  it("waits 0.1 s and half as long again between dials", async () => {
    await fresh();
    const port = await freePort();
    const started = Date.now();
    await expect(
      create({ connection: { host: "127.0.0.1", port, dialErrorLimit: 3 }, create: "true" }),
    ).rejects.toThrow(
      `after 3 failed attempts: dial tcp 127.0.0.1:${port}: connect: connection refused`,
    );
    expect(Date.now() - started).toBeGreaterThanOrEqual(100 + 150 + 225);
    expect(Date.now() - started).toBeLessThan(2500);
  });

  it("goes through a bastion and leaves no connection open", async () => {
    await fresh();
    const bastion = await host();
    const server = await host();
    const state = await create({
      connection: connection(server, { proxy: connection(bastion) }),
      create: "echo behind",
    });
    expect(state.stdout).toBe("behind");
    expect([bastion.logins, server.logins]).toEqual([1, 1]);
    expect(bastion.commands).toEqual([]);
    await expect.poll(() => bastion.open.size + server.open.size).toBe(0);
  });

  it("names the bastion as what failed", async () => {
    await fresh();
    const bastion = await host();
    const server = await host();
    const wrong = await host();
    const through = (more: Props, proxy: Props) =>
      create({ connection: connection(server, { ...more, proxy }), create: "true" });
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
    await fresh();
    const server = await host({ password: "right" });
    const enter = (password: string) => {
      const { privateKey: _, ...rest } = connection(server);
      return create({ connection: { ...rest, password }, create: "echo in" });
    };
    expect((await enter("right")).stdout).toBe("in");
    await expect(enter("wrong")).rejects.toThrow(
      "after 0 failed attempts: ssh: handshake failed: ssh: unable to authenticate, " +
        "attempted methods [none password], no supported methods remain",
    );
  });

  it("refuses keys it cannot read, before any dial, without quoting them", async () => {
    await fresh();
    const server = await host();
    const bad = (more: Props) => create({ connection: connection(server, more), create: "true" });
    await expect(bad({ privateKey: "canary" })).rejects.toThrow(/desc = ssh: no key found$/);
    await expect(bad({ hostKey: "ssh-ed25519 canary" })).rejects.toThrow(
      /desc = failed to parse host key: ssh: no key found$/,
    );
    await expect(bad({ agentSocketPath: "/nowhere/agent" })).rejects.toThrow(
      "dial unix /nowhere/agent: connect: no such file or directory",
    );
    expect(server.dials).toBe(0);
  });
});

describe("running", () => {
  it("sends a large secret input and gets it back whole", async () => {
    await fresh();
    const server = await host();
    const stdin = "0123456789abcdef".repeat(20_000);
    const state = await create({
      connection: connection(server),
      create: "cat; cat >&2 </dev/null",
      stdin: secret(stdin),
      logging: "none",
    });
    expect(state.stdout).toBe(stdin);
    expect(plugin.log).toEqual([]);
  });

  it.each([
    [0, undefined],
    [5, /Process exited with status 5: running "exec <&-; exit 5":\n$/],
  ])("takes exit status %i of a command that does not read its input", async (code, error) => {
    await fresh();
    const server = await host();
    const result = create({
      connection: connection(server),
      create: `exec <&-; exit ${code}`,
      stdin: secret("x".repeat(5_000_000)),
    });
    if (error) await expect(result).rejects.toThrow(error);
    else expect((await result).stdout).toBe("");
    expect(plugin.alive).toBe(true);
  });

  it("shows the output of a failed command whole, and never its input", async () => {
    await fresh();
    const server = await host();
    const failed = await create({
      connection: connection(server),
      create: "cat >/dev/null; yes line | head -c 300000; echo é; exit 7",
      stdin: secret("the canary"),
      logging: "none",
    }).catch((error: Error) => error.message);
    expect(failed).toContain('Process exited with status 7: running "cat >/dev/null; yes');
    expect(failed).toContain("line\nline\n");
    expect(String(failed).endsWith("é\n")).toBe(true);
    expect(String(failed).length).toBeGreaterThan(300_000);
    expect(failed).not.toContain("canary");
    expect(failed).not.toContain("PRIVATE KEY");
  });

  it("names the signal that ended a command", async () => {
    await fresh();
    const server = await host();
    await expect(
      create({ connection: connection(server), create: "kill -TERM $$" }),
    ).rejects.toThrow('Process exited with status 143 from signal TERM: running "kill -TERM $$":');
  });

  it.each([
    [undefined, ["to stdout", "to stderr"]],
    ["stdoutAndStderr", ["to stdout", "to stderr"]],
    ["stdout", ["to stdout"]],
    ["stderr", ["to stderr"]],
    ["none", []],
  ])("with logging %s logs %j as status lines", async (logging, expected) => {
    await fresh();
    const server = await host();
    await create({
      connection: connection(server),
      create: "echo to stdout; sleep 0.1; echo to stderr >&2",
      ...(logging && { logging }),
    });
    const info = { severity: rpcInfo, status: true };
    expect(plugin.log).toEqual(expected.map((message) => ({ ...info, message })));
  });

  it("ends a running command when the engine cancels", async () => {
    await fresh();
    const server = await host();
    const result = create({ connection: connection(server), create: "sleep 60" }).catch(
      (error: Error) => error.message,
    );
    await expect.poll(() => server.running.size).toBe(1);
    await plugin.call<Empty, Empty>(plugin.client.cancel, new Empty());
    expect(await result).toBe("rpc error: code = Unknown desc = context canceled");
    await expect.poll(() => server.running.size).toBe(0);
    await expect(create({ connection: connection(server), create: "true" })).rejects.toThrow(
      "context canceled",
    );
  });

  it("stops dialling when the engine cancels", async () => {
    await fresh();
    const port = await freePort();
    const result = create({
      connection: { host: "127.0.0.1", port, dialErrorLimit: -1 },
      create: "true",
    }).catch((error: Error) => error.message);
    await expect.poll(() => plugin.log.at(-1)?.message).toBe("Dial 2/inf failed: retrying");
    await plugin.call<Empty, Empty>(plugin.client.cancel, new Empty());
    expect(await result).toBe("rpc error: code = Unknown desc = context canceled");
  });

  it("ends a command that takes longer than the resource's timeout", async () => {
    await fresh();
    const server = await host();
    await expect(create({ connection: connection(server), create: "sleep 60" }, 1)).rejects.toThrow(
      "desc = context deadline exceeded",
    );
  });
});

describe("variables", () => {
  it("are set where the host accepts them, previous output included", async () => {
    await fresh();
    const server = await host({ acceptEnv: ["GREETING", "PULUMI_COMMAND_STDOUT"] });
    const inputs = {
      connection: secret(connection(server)),
      create: 'echo "$GREETING, $PULUMI_COMMAND_STDOUT"',
      environment: { GREETING: "hello" },
      logging: "none",
    };
    const state = await call(plugin, "Update", {
      urn,
      olds: { ...inputs, stdout: "before", stderr: "" },
      news: inputs,
    });
    expect(state.properties).toMatchObject({ stdout: "hello, before" });
  });

  it("keep the command from running where the host refuses them", async () => {
    await fresh();
    const server = await host();
    await expect(
      create({ connection: connection(server), create: "true", environment: { A: "1" } }),
    ).rejects.toThrow('desc = could not set environment variable "A": ssh: setenv failed');
    expect(server.commands).toEqual([]);
    expect(plugin.log.at(-1)?.message).toMatch(/^Unable to set 'A'\. .*AcceptEnv/s);
  });

  it("of previous output are only warned about, and not sent when not wanted", async () => {
    await fresh();
    const server = await host();
    const inputs = { connection: secret(connection(server)), delete: "echo gone" };
    const state = { ...inputs, stdout: "a", stderr: "b" };
    await call(plugin, "Delete", { urn, properties: state });
    const warnings = plugin.log.filter(({ severity }) => severity === rpcWarning);
    expect(warnings.map(({ message }) => message.split(".")[0])).toEqual([
      "Unable to set 'PULUMI_COMMAND_STDOUT'",
      "Unable to set 'PULUMI_COMMAND_STDERR'",
    ]);
    plugin.log.length = 0;
    await call(plugin, "Delete", {
      urn,
      properties: { ...state, addPreviousOutputInEnv: false },
    });
    expect(plugin.log.map(({ message }) => message)).toEqual(["gone"]);
    expect(server.commands).toEqual(["echo gone", "echo gone"]);
  });
});

describe("without any host", () => {
  it("previews with unknown output", async () => {
    await fresh();
    const inputs = { connection: secret({ host: unknown }), create: "true" };
    const answer = await call(plugin, "Create", { urn, properties: inputs, preview: true });
    expect(answer.properties).toEqual({ ...inputs, stdout: unknown, stderr: unknown });
  });

  it("fills in the connection's defaults and its bastion's, and marks the keys secret", async () => {
    await fresh();
    const { inputs } = await call(plugin, "Check", {
      urn,
      news: { connection: { host: "a", proxy: { host: "b", privateKey: "k" } } },
    });
    const defaults = { user: "root", port: 22, dialErrorLimit: 10, perDialTimeout: 15 };
    expect(inputs).toEqual({
      connection: secret({
        ...defaults,
        host: "a",
        proxy: { ...defaults, host: "b", privateKey: secret("k") },
      }),
    });
  });

  it("refuses inputs that do not fit, naming the property alone", async () => {
    await fresh();
    const { failures } = await call(plugin, "Check", {
      urn,
      news: { connection: secret({ privatekey: "canary" }), create: 1, run: "x" },
    });
    expect(failures).toEqual(
      [
        {
          property: "privatekey",
          reason: "Unrecognized field 'privatekey' on 'remote.Connection'",
        },
        { property: "host", reason: "Missing required field 'host' on 'remote.Connection'" },
        { property: "create", reason: "Field 'create' on 'remote.CommandInputs' must be a string" },
        { property: "run", reason: "Unrecognized field 'run' on 'remote.CommandInputs'" },
      ].sort((a, b) => (a.property === "host" ? -1 : b.property === "host" ? 1 : 0)),
    );
  });

  it("replaces when triggers come or go, and updates when one changes", async () => {
    await fresh();
    const diff = (oldInputs: Props, news: Props) =>
      call(plugin, "Diff", { urn, olds: oldInputs, oldInputs, news });
    expect(await diff({}, { triggers: ["a"] })).toMatchObject({
      replaces: ["triggers"],
      detailedDiff: { triggers: { kind: "ADD_REPLACE" } },
    });
    expect(await diff({ triggers: ["a"] }, { triggers: ["b", "c"] })).toMatchObject({
      diffs: ["triggers"],
      replaces: [],
      detailedDiff: { "triggers[0]": { kind: "UPDATE" }, "triggers[1]": { kind: "ADD" } },
    });
    expect(
      await diff({ environment: { A: "1", "b.c": "2" } }, { environment: { A: "2" } }),
    ).toMatchObject({
      detailedDiff: {
        "environment.A": { kind: "UPDATE" },
        'environment["b.c"]': { kind: "DELETE" },
      },
    });
  });

  it("says what it is when asked for more than it has", async () => {
    await fresh();
    const other = "urn:pulumi:dev::etcd::command:remote:CopyToRemote::file";
    await expect(call(plugin, "Check", { urn: other, news: {} })).rejects.toThrow(
      "the lab's stand-in for the command plugin does not have command:remote:CopyToRemote: it " +
        "has only command:remote:Command; use the official plugins instead (LAB_PLUGINS=DIR",
    );
    const request = new rpc.InvokeRequest().setTok("command:local:run");
    await expect(
      plugin.call<rpc.InvokeRequest, rpc.InvokeResponse>(plugin.client.invoke, request),
    ).rejects.toThrow("does not have the function command:local:run");
  });
});

const rpcInfo = 1;
const rpcWarning = 2;
