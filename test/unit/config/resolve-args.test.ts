import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EtcdClusterArgs } from "../../../components/config/args";
import { resolveArgs } from "../../../components/config/resolve-args";
import { UNKNOWN } from "../../../components/config/unknown";

/** Arguments as a program without types may give them. */
async function resolve(args: Record<string, unknown>) {
  const nodes: EtcdClusterArgs["nodes"] = [];
  const { dependencies, ...rest } = await resolveArgs({ nodes, ...args });
  return rest;
}

const unknownOutput = () => pulumi.output<unknown>(pulumi.unknown);
const nothing = { secrets: new Set<string>(), unknown: [] };

test("plain arguments stay as they are", async () => {
  const args = {
    nodes: [{ name: "etcd01", address: "10.0.0.1", lost: false }],
    settings: { "pre-vote": "true" },
    host: { minimumMemory: 0, clientNetworks: [] },
  };
  expect(await resolve(args)).toEqual({ raw: args, ...nothing });
});

test("outputs and promises are waited for, however deep", async () => {
  const later = new Promise<string>((done) => setTimeout(() => done("10.0.0.2"), 20));
  const { raw, unknown } = await resolve({
    nodes: [
      { name: "etcd01", address: pulumi.output("10.0.0.1") },
      { name: "etcd02", address: pulumi.output(later) },
      pulumi.output({ name: "etcd03", address: Promise.resolve("10.0.0.3") }),
    ],
    ssh: Promise.resolve({ hostKeys: { etcd01: pulumi.interpolate`ssh-ed25519 ${"AAAA"}` } }),
  });
  expect(unknown).toEqual([]);
  expect(raw).toEqual({
    nodes: [
      { name: "etcd01", address: "10.0.0.1" },
      { name: "etcd02", address: "10.0.0.2" },
      { name: "etcd03", address: "10.0.0.3" },
    ],
    ssh: { hostKeys: { etcd01: "ssh-ed25519 AAAA" } },
  });
});

test("what is undefined or null is not given", async () => {
  const { raw } = await resolve({
    version: undefined,
    drift: null,
    ssh: { user: undefined, port: null, privateKey: pulumi.output(undefined) },
  });
  expect(raw).toEqual({ nodes: [], ssh: {} });
});

test("secrets are known by their places", async () => {
  const { raw, secrets } = await resolve({
    nodes: [{ name: "etcd01", address: pulumi.secret("10.0.0.1") }],
    ssh: {
      privateKey: Promise.resolve(pulumi.secret("key")),
      hostKeys: { "10.0.0.1": pulumi.secret("ssh-ed25519 AAAA") },
      password: pulumi.output({ word: pulumi.secret("hunter2") }).word,
    },
    pki: pulumi.secret({ subject: { country: "ES" } }),
  });
  expect([...secrets].sort()).toEqual([
    "nodes[0].address",
    "pki",
    'ssh.hostKeys["10.0.0.1"]',
    "ssh.password",
    "ssh.privateKey",
  ]);
  expect(raw.pki).toEqual({ subject: { country: "ES" } });
});

describe("in a preview", () => {
  beforeEach(() => pulumi.runtime.setMocks(MOCKS, "project", "stack", true));
  afterEach(() => pulumi.runtime.setMocks(MOCKS, "project", "stack", false));

  const MOCKS: pulumi.runtime.Mocks = {
    newResource: ({ inputs }) => ({ id: undefined, state: inputs }),
    call: () => ({}),
  };

  class Server extends pulumi.CustomResource {
    declare readonly ip: pulumi.Output<string>;
    constructor(name: string) {
      super("test:index:Server", name, { ip: undefined });
    }
  }

  test("what nobody knows yet has a mark, and is known by its place", async () => {
    const server = new Server("one");
    const { raw, unknown, secrets } = await resolve({
      nodes: [
        { name: "etcd01", address: server.id },
        { name: "etcd02", address: pulumi.interpolate`${server.id}.1` },
      ],
      ssh: pulumi.output({ user: "ops", password: pulumi.secret(unknownOutput()) }),
    });
    expect(raw).toEqual({
      nodes: [
        { name: "etcd01", address: UNKNOWN },
        { name: "etcd02", address: UNKNOWN },
      ],
      ssh: { user: "ops", password: UNKNOWN },
    });
    expect(unknown).toEqual(["nodes[0].address", "nodes[1].address", "ssh.password"]);
    expect(secrets.has("ssh")).toBe(true);
  });

  test("a resource in the place of one of its values is not looked into", async () => {
    const { raw } = await resolve({ ssh: new Server("one"), pki: new Date(0) });
    expect([raw.ssh, raw.pki].map(String)).toEqual(["Symbol(a resource)", "Symbol(a Date)"]);
  });

  test("what the arguments come from is what the steps depend on", async () => {
    const server = new Server("one");
    const { dependencies } = await resolveArgs({
      nodes: [{ name: "etcd01", address: server.id }],
    });
    expect(dependencies).toEqual([server]);
  });
});

test("what a promise fails with is what the reading fails with", async () => {
  const failing = Promise.reject(new Error("no such server"));
  await expect(resolve({ nodes: [{ name: "etcd01", address: failing }] })).rejects.toThrow(
    "no such server",
  );
});
