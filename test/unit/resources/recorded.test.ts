import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { readRecorded } from "../../../components/recorded";

const AGAIN = "gate 2026-11-22T10:20:30Z # what it said before is not understood or does not agree";

const urn = (name: string) =>
  `urn:pulumi:test::etcd::etcd:index:Cluster$etcd:index:Node$command:remote:Command::${name}`;
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
  return { recorded: await readRecorded(), asked };
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
      "urn:pulumi:test::etcd::pulumi:pulumi:Stack::etcd-test": {
        type: "pulumi:pulumi:Stack",
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
});
