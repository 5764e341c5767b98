import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { readRecorded } from "../../../components/recorded";

const AGAIN = "gate 2026-11-22T10:20:30Z # what it said before is not understood or does not agree";

const TYPE = "etcd-on-pulumi:index:EtcdCluster";
const CLUSTER = `urn:pulumi:test::etcd::${TYPE}::main`;
const urn = (name: string) =>
  `urn:pulumi:test::etcd::${TYPE}$etcd-on-pulumi:index:Node$command:remote:Command::main-${name}`;
const command = (outputs: Readonly<Record<string, string>>) => ({
  type: "command:remote:Command",
  outputs,
});
const shell = "sudo -n bash -p -s --";

/** What is read of a state with these resources, and what the engine is asked for it. */
async function read(outputs: Readonly<Record<string, unknown>>) {
  const asked: unknown[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ inputs }) => ({ id: "x", state: inputs }),
      call: ({ token, inputs }) => {
        asked.push([token, inputs]);
        return { outputs };
      },
    },
    "etcd",
    "test",
    false,
    "organization",
  );
  return { recorded: await readRecorded(CLUSTER), asked };
}

describe("what the state has of earlier runs", () => {
  test("is asked for at once, and is nothing before the first run", async () => {
    const { recorded, asked } = await read({});
    expect(recorded).toEqual({ former: [], formerCluster: undefined, retired: [], gates: [] });
    expect(asked).toEqual([
      ["pulumi:pulumi:readStackResourceOutputs", { stackName: "organization/etcd/test" }],
    ]);
  });

  test("are the gates' words, each with its revision", async () => {
    const { recorded } = await read({
      [urn("etcd01-health")]: command({
        create: `${shell} apply gate`,
        stdout: "a",
        stdin: "x",
      }),
      [urn("etcd02-health")]: command({ create: `${shell} apply '${AGAIN}'`, stdout: "b" }),
      [urn("etcd02-member")]: command({
        create: `${shell} apply 'bootstrap 2026-11-22T10:20:30Z'`,
        stdout: "",
      }),
      [urn("etcd03-health")]: command({}),
      // Of another release: that gate runs again.
      [urn("etcd04-health")]: command({ create: `${shell} apply 'gate again: x'`, stdout: "" }),
    });
    expect(recorded.gates).toEqual([
      { node: "etcd01", revision: "gate", stdout: "a" },
      { node: "etcd02", revision: AGAIN, stdout: "b" },
    ]);
  });

  test("are the members and the clusters of the last run that came to its end", async () => {
    const { recorded } = await read({
      [CLUSTER]: {
        type: TYPE,
        outputs: {
          members: [{ name: "etcd01", peerUrls: "https://[2001:db8::1]:2380", id: "a1" }],
          clusterId: "cafe",
          retiredClusters: ["f0"],
          clientKey: "x",
        },
      },
    });
    expect(recorded).toEqual({
      former: [{ name: "etcd01", address: "2001:db8::1" }],
      formerCluster: "cafe",
      retired: ["f0"],
      gates: [],
    });
  });

  test("are known under another parent, which is the same cluster by an alias", async () => {
    const outputs = { members: [], clusterId: "cafe", retiredClusters: ["f1"] };
    const { recorded } = await read({
      [CLUSTER.replace(TYPE, `x:y:Z$${TYPE}`)]: { type: TYPE, outputs },
    });
    expect(recorded).toMatchObject({ formerCluster: "cafe", retired: ["f1"] });
  });

  test("are this cluster's, not those of another one in the same program", async () => {
    const outputs = { members: [], clusterId: "f0f0", retiredClusters: ["f1"] };
    const { recorded } = await read({
      [CLUSTER.replace(/main$/, "other")]: { type: TYPE, outputs },
      [urn("etcd01-health").replace(/main-etcd01/, "other-etcd01")]: command({
        ...{ create: `${shell} apply gate`, stdout: "a" },
      }),
    });
    expect(recorded).toEqual({ former: [], formerCluster: undefined, retired: [], gates: [] });
  });

  test("that release 0.1.0 has made are refused: their steps would be deleted, and the hosts cleaned", async () => {
    const first = { type: "etcd:index:Cluster", outputs: {} };
    await expect(
      read({ "urn:pulumi:test::etcd::etcd:index:Cluster::etcd": first }),
    ).rejects.toThrow(
      /^the resources of this stack were made by release 0\.1\.0 of this program, .*; nothing was changed\./,
    );
  });
});
