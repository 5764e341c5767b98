import { RunError } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { agreedView as agreeBetween } from "../../../components/cluster-view";

const MARK = "etcd-cluster-0badcafe";
/** The outputs as the state has them: without the line ends around them. */
const agree = (outputs: readonly (readonly [string, string])[]) =>
  agreeBetween(
    outputs.map(([node, lines]) => [node, `begin ${MARK}\n${lines}end ${MARK}`]),
    MARK,
  );

const gate = (change: { cluster?: string; version?: string; peers?: readonly string[] } = {}) =>
  [
    `cluster ${change.cluster ?? "cafe"}`,
    `version ${change.version ?? "3.6.14"}`,
    ...(
      change.peers ?? ["a1 etcd02 https://192.168.1.84:2380", "b2 etcd01 https://192.168.1.83:2380"]
    ).map((peer) => `peer ${peer}`),
    "",
  ].join("\n");

describe("agree", () => {
  test("gives the cluster with its members by name", () => {
    expect(
      agree([
        ["etcd01", gate()],
        ["etcd02", gate()],
      ]),
    ).toEqual({
      clusterId: "cafe",
      version: "3.6.14",
      members: [
        { name: "etcd01", peerUrls: "https://192.168.1.83:2380", id: "b2" },
        { name: "etcd02", peerUrls: "https://192.168.1.84:2380", id: "a1" },
      ],
    });
  });

  test.each([
    ["cluster ID", { cluster: "beef" }, "etcd01 sees cafe, etcd02 sees beef"],
    ["version", { version: "3.6.13" }, "etcd01 sees 3.6.14, etcd02 sees 3.6.13"],
    [
      "member list",
      { peers: ["b2 etcd01 https://192.168.1.83:2380"] },
      "etcd01 sees a1 etcd02 https://192.168.1.84:2380; b2 etcd01 https://192.168.1.83:2380, etcd02 sees b2 etcd01 https://192.168.1.83:2380",
    ],
  ])("names the members that see another %s", (words, change, who) => {
    expect(() =>
      agree([
        ["etcd01", gate()],
        ["etcd02", gate(change)],
      ]),
    ).toThrow(new RunError(`the members disagree about the ${words}: ${who}`));
  });

  test("compares every member with the first, not only neighbours", () => {
    expect(() =>
      agree([
        ["etcd01", gate()],
        ["etcd02", gate()],
        ["etcd03", gate({ cluster: "beef" })],
      ]),
    ).toThrow("etcd03 sees beef");
  });

  test.each([
    ["it printed no cluster", "version 3.6.14\npeer a1 etcd01 https://192.168.1.83:2380\n"],
    ["it printed no version", "cluster cafe\npeer a1 etcd01 https://192.168.1.83:2380\n"],
    ["it printed no peer", "cluster cafe\nversion 3.6.14\n"],
    ["it printed no cluster", ""],
    ['it printed the unexpected line "rm -rf /"', `${gate()}rm -rf /\n`],
    ['it printed the malformed cluster line "cluster \u003f[2J"', gate({ cluster: "\u001b[2J" })],
    [
      'it printed the malformed peer line "peer a1',
      gate({ peers: ["a1 etcd'01 https://192.168.1.83:2380"] }),
    ],
    ['it printed "cluster" more than once', gate().replace("version", "cluster beef\nversion")],
  ])("says of which gate %s, and nothing that was not asked", (words, output) => {
    expect(() => agree([["etcd02", output]])).toThrow(
      `the gate of etcd02 did not answer as expected: ${words}`,
    );
  });

  test("hears nothing before and after the gate's marks, and nothing without them", () => {
    const noise = `\u001b]0;etcd01\u0007cluster beef\n\nbegin ${MARK}\n${gate()}end ${MARK}\nversion 1.2.3\n`;
    expect(agreeBetween([["etcd01", noise]], MARK)).toMatchObject({ clusterId: "cafe" });
    for (const mark of ["", "another"]) {
      expect(() => agreeBetween([["etcd01", noise]], mark)).toThrow("it printed no cluster");
    }
  });

  test("names the one whose word stands against that of more others", () => {
    expect(() =>
      agree([
        ["etcd01", gate({ cluster: "beef" })],
        ["etcd02", gate()],
        ["etcd03", gate()],
      ]),
    ).toThrow(
      "the members disagree about the cluster ID: etcd02, etcd03 see cafe, etcd01 sees beef; inspect etcd01 first, which disagrees with the others",
    );
  });

  test("refuses a cluster without members", () => {
    expect(() => agree([])).toThrow("the cluster has no members");
  });

  test("fails in a way that Pulumi shows without a stack trace", () => {
    expect(() => agree([])).toThrow(RunError);
  });
});
