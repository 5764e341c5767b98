import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isProps, plainProps } from "../../lab/plugins/shared/values";
import { call } from "./support/calls";
import { buildPlugins, type PluginName, PluginProcess } from "./support/plugin-process";

let built: ReturnType<typeof buildPlugins>;

beforeAll(() => {
  built = buildPlugins();
}, 60_000);

afterAll(() => built.remove());

it("leaves one directory per plugin, named as the engine looks for it, and nothing else", () => {
  expect(readdirSync(built.directory).sort()).toEqual([
    "resource-command-v1.2.1",
    "resource-random-v4.21.2",
    "resource-tls-v5.6.1",
  ]);
  for (const name of readdirSync(built.directory)) {
    const plugin = name.replace(/^resource-(.*)-v.*/, "pulumi-resource-$1");
    accessSync(join(built.directory, name, plugin), constants.X_OK);
  }
});

/** Of the schemas, what a program in YAML must find. */
const ANY = { $ref: "pulumi.json#/Any" };
const RESOURCES = {
  command: {
    "command:remote:Command": {
      properties: { create: ANY, stdout: ANY },
      inputProperties: { create: ANY },
    },
  },
  tls: {
    "tls:index/privateKey:PrivateKey": {
      properties: { algorithm: ANY, privateKeyPem: ANY },
      inputProperties: { algorithm: ANY },
    },
  },
  random: {
    "random:index/randomId:RandomId": {
      properties: { byteLength: ANY, hex: ANY },
      inputProperties: { byteLength: ANY },
    },
  },
};

it.each([
  ["command", "1.2.1", true],
  ["tls", "5.6.1", false],
  ["random", "4.21.2", false],
] as const)("%s answers the questions an engine asks first", async (name, version, secrets) => {
  const plugin = await PluginProcess.start(built.directory, name);
  const info = await plugin.call<Empty, PluginInfo>(plugin.client.getPluginInfo, new Empty());
  expect(info.getVersion()).toBe(version);
  const schema = await plugin.call<rpc.GetSchemaRequest, rpc.GetSchemaResponse>(
    plugin.client.getSchema,
    new rpc.GetSchemaRequest(),
  );
  expect(JSON.parse(schema.getSchema())).toMatchObject({
    name,
    version,
    resources: RESOURCES[name],
  });
  const configured = await plugin.call<rpc.ConfigureRequest, rpc.ConfigureResponse>(
    plugin.client.configure,
    new rpc.ConfigureRequest(),
  );
  expect([configured.getSupportspreview(), configured.getAcceptsecrets()]).toEqual([true, secrets]);
  const parameters = new rpc.ParameterizeRequest();
  await expect(
    plugin.call<rpc.ParameterizeRequest, rpc.ParameterizeResponse>(
      plugin.client.parameterize,
      parameters,
    ),
  ).rejects.toThrow(`the lab's stand-in for the ${name} plugin does not have parameters`);
  await plugin.stop();
});

it("makes several large keys at the same time", async () => {
  const plugin = await PluginProcess.start(built.directory, "tls");
  const urn = "urn:pulumi:dev::etcd::tls:index/privateKey:PrivateKey::ca";
  const properties = { algorithm: "RSA", rsaBits: 4096 };
  let answered = 0;
  const keys = [1, 2].map(async () => {
    await call(plugin, "Create", { urn, properties });
    answered += 1;
  });
  await call(plugin, "Check", { urn, news: properties });
  expect(answered).toBe(0);
  await Promise.all(keys);
  await plugin.stop();
});

it("puts the prefix before every form of a random id but the id itself", async () => {
  const plugin = await PluginProcess.start(built.directory, "random");
  const answer = await call(plugin, "Create", {
    urn: "urn:pulumi:dev::etcd::random:index/randomId:RandomId::token",
    properties: { byteLength: 3, prefix: "p-" },
  });
  await plugin.stop();
  const state = isProps(answer.properties) ? plainProps(answer.properties) : {};
  const bytes = Buffer.from(String(state.id), "base64url");
  expect(bytes).toHaveLength(3);
  expect(state).toEqual({
    __pulumi_raw_state_delta: { obj: { ps: { keepers: { replace: { raw: null } } } } },
    b64Std: `p-${bytes.toString("base64")}`,
    b64Url: `p-${bytes.toString("base64url")}`,
    byteLength: 3,
    dec: `p-${bytes.readUIntBE(0, 3)}`,
    hex: `p-${bytes.toString("hex")}`,
    id: state.id,
    prefix: "p-",
  });
});

it.each(["command", "tls", "random"] satisfies PluginName[])(
  "%s ends when the process that started it is gone and nothing is left to do",
  async (name) => {
    const directory = readdirSync(built.directory).find((entry) => entry.includes(`-${name}-`));
    const file = join(built.directory, directory ?? "", `pulumi-resource-${name}`);
    const parent = spawn("sh", ["-c", `"${file}" & echo $!; wait`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface(parent.stdout);
    const [pid] = await once(lines, "line");
    await once(lines, "line");
    const alive = () => {
      try {
        process.kill(Number(pid), 0);
        return true;
      } catch {
        return false;
      }
    };
    expect(alive()).toBe(true);
    parent.kill("SIGKILL");
    await expect.poll(alive, { timeout: 10_000 }).toBe(false);
  },
);
