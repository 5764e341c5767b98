import { RunError } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { agree } from "../../components/views";

const gate = (change: { cluster?: string; version?: string; peers?: readonly string[] } = {}) =>
  [
    `cluster ${change.cluster ?? "cafe"}`,
    `version ${change.version ?? "3.6.16"}`,
    ...(
      change.peers ?? [
        "a1 etcd02 https://192.168.1.84:2380 false",
        "b2 etcd01 https://192.168.1.83:2380 false",
      ]
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
      version: "3.6.16",
      members: [
        { name: "etcd01", peerUrls: "https://192.168.1.83:2380", id: "b2" },
        { name: "etcd02", peerUrls: "https://192.168.1.84:2380", id: "a1" },
      ],
    });
  });

  test.each([
    ["cluster ID", { cluster: "beef" }, "etcd01 sees cafe, etcd02 sees beef"],
    ["version", { version: "3.6.15" }, "etcd01 sees 3.6.16, etcd02 sees 3.6.15"],
    [
      "member list",
      { peers: ["b2 etcd01 https://192.168.1.83:2380 false"] },
      "etcd01 sees a1 etcd02 https://192.168.1.84:2380 false; b2 etcd01 https://192.168.1.83:2380 false, etcd02 sees b2 etcd01 https://192.168.1.83:2380 false",
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

  test("takes a learner for a difference", () => {
    const promoted = ["a1 etcd01 https://192.168.1.83:2380 false"];
    const learner = ["a1 etcd01 https://192.168.1.83:2380 true"];
    expect(() =>
      agree([
        ["etcd01", gate({ peers: promoted })],
        ["etcd02", gate({ peers: learner })],
      ]),
    ).toThrow("member list");
  });

  test.each([
    ["cluster", "version 3.6.16\npeer a1 etcd01 https://192.168.1.83:2380 false\n"],
    ["version", "cluster cafe\npeer a1 etcd01 https://192.168.1.83:2380 false\n"],
    ["peer", "cluster cafe\nversion 3.6.16\n"],
    ["cluster", ""],
  ])("says which gate printed no %s", (word, output) => {
    expect(() => agree([["etcd02", output]])).toThrow(`the gate of etcd02 printed no ${word}`);
  });

  test("refuses a cluster without members", () => {
    expect(() => agree([])).toThrow("the cluster has no members");
  });

  test("fails in a way that Pulumi shows without a stack trace", () => {
    expect(() => agree([])).toThrow(RunError);
  });
});
