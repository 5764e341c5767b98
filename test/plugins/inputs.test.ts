import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import { describe, expect, it } from "vitest";
import { type Props, secret, unknown } from "../../lab/plugins/shared/values";
import { call } from "./support/calls";
import { urn, useCommandPlugin } from "./support/command-fixture";

const command = useCommandPlugin();

describe("without any host", () => {
  it("previews with unknown output", async () => {
    const inputs = { connection: secret({ host: unknown }), create: "true" };
    const answer = await call(command.plugin, "Create", { urn, properties: inputs, preview: true });
    expect(answer.properties).toEqual({ ...inputs, stdout: unknown, stderr: unknown });
  });

  it("fills in the connection's defaults and its bastion's, and marks the keys secret", async () => {
    const { inputs } = await call(command.plugin, "Check", {
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
    const { failures } = await call(command.plugin, "Check", {
      urn,
      news: { connection: secret({ privatekey: "canary" }), create: 1, run: "x" },
    });
    expect(failures).toEqual([
      { property: "host", reason: "Missing required field 'host' on 'remote.Connection'" },
      {
        property: "privatekey",
        reason: "Unrecognized field 'privatekey' on 'remote.Connection'",
      },
      { property: "create", reason: "Field 'create' on 'remote.CommandInputs' must be a string" },
      { property: "run", reason: "Unrecognized field 'run' on 'remote.CommandInputs'" },
    ]);
  });

  it("replaces when triggers come or go, and updates when one changes", async () => {
    const diff = (oldInputs: Props, news: Props) =>
      call(command.plugin, "Diff", { urn, olds: oldInputs, oldInputs, news });
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
    const other = "urn:pulumi:dev::etcd::command:remote:CopyToRemote::file";
    await expect(call(command.plugin, "Check", { urn: other, news: {} })).rejects.toThrow(
      "the lab's stand-in for the command plugin does not have command:remote:CopyToRemote: it " +
        "has only command:remote:Command; use the official plugins instead (LAB_PLUGINS=DIR",
    );
    const request = new rpc.InvokeRequest().setTok("command:local:run");
    await expect(
      command.plugin.call<rpc.InvokeRequest, rpc.InvokeResponse>(
        command.plugin.client.invoke,
        request,
      ),
    ).rejects.toThrow("does not have the function command:local:run");
  });
});
