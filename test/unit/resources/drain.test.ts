/** Members that leave while they serve go before the gate, each by a session with its own host. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { ClusterConfig } from "../../../components/config/index";
import { FIRST_CA } from "../../../components/config/types";
import type { LiveMember } from "../../../components/etcd/members";
import { withoutRotation } from "../../../components/plan/ca-rotation";
import { clusterOf, settled, text } from "../../support/cluster-graph";
import { cluster, connection } from "../../support/fixtures";
import { type Graph, record } from "../../support/graph";
import { type Answer, keyPair, type Sshd, startSshd } from "../../support/sshd";

const leaver: LiveMember = {
  name: "etcd09",
  peerUrls: "https://127.0.0.1:2380",
  learner: false,
  healthy: true,
};

describe("a member that leaves while it serves", () => {
  const directory = mkdtempSync(join(tmpdir(), "etcd-drain-"));
  const key = join(directory, "key");
  writeFileSync(key, keyPair().private, { mode: 0o600 });
  const [info, warn] = [vi.spyOn(pulumi.log, "info"), vi.spyOn(pulumi.log, "warn")];

  beforeEach(() => {
    for (const spy of [info, warn]) {
      spy.mockReset();
      spy.mockResolvedValue();
    }
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  async function sshd(answer: Answer): Promise<Sshd> {
    const server = await startSshd(answer);
    onTestFinished(() => server.close());
    return server;
  }

  const run = (others: ClusterConfig["others"], preview = false) =>
    record((opts) => {
      const config = cluster(undefined, { others });
      const made = clusterOf(config, opts);
      made.converge({
        rotation: withoutRotation(FIRST_CA),
        nodePlans: settled(config),
        leaving: [leaver],
      });
    }, preview);

  const at = (server: Sshd): ClusterConfig["others"] => ({
    connectTo: ({ address }) =>
      connection(address, {
        port: server.port,
        hostKey: server.hostKey,
        privateKeyFile: key,
      }),
  });

  test("is seen off by its own host, which is told who stays", async () => {
    const server = await sshd({ stderr: "etcd09: member a9 left the cluster\n" });
    const graph = await run(at(server));
    expect(server.commands.map(({ command }) => command)).toEqual(["bash -p -s -- drain"]);
    expect(server.commands[0]?.input).toContain("NODE=etcd09\nADDRESS=127.0.0.1\n");
    expect(server.commands[0]?.input).toContain("TOKEN=etcd-cluster-0badcafe\n");
    expect(server.commands[0]?.input).toContain("etcd03 192.168.1.85");
    expect(info.mock.calls).toEqual([["etcd09: member a9 left the cluster"]]);
    expect(warn).not.toHaveBeenCalled();
    // The gate is told the same as ever: nothing runs again in the next up.
    const plain = await record((opts) => {
      const config = cluster();
      clusterOf(config, opts).converge({
        rotation: withoutRotation(FIRST_CA),
        nodePlans: settled(config),
      });
    });
    const work = (one: Graph) => text(one.get("etcd01-health").inputs.stdin).match(/WORK=.*/)?.[0];
    expect(work(graph)).toBe(work(plain));
  });

  test.each([
    [
      "its host refuses",
      { code: 1, stderr: "etcd09: cannot leave\u001b[31m\n" },
      "cannot leave?[31m",
    ],
    [
      "its host says nothing",
      { code: 1 },
      /^root@127\.0\.0\.1:\d+ accepted the login, but the command exited with code 1: no output; /,
    ],
  ])("is left to the gate, with a warning, when %s", async (_, answer, words) => {
    const server = await sshd(answer);
    await run(at(server));
    const [said = ""] = warn.mock.calls[0] ?? [];
    const begin = "etcd09: removed without draining, so client requests may fail: ";
    expect(said.slice(0, begin.length)).toBe(begin);
    expect(said.slice(begin.length)).toMatch(words);
    expect(info).not.toHaveBeenCalled();
  });

  test("is left to the gate where nobody knows its host's key", async () => {
    await run({ connectTo: () => undefined });
    expect(warn.mock.calls.flat().join()).toContain("is not in the known_hosts file");
  });

  test("is not dialled by a preview", async () => {
    const server = await sshd({});
    await run(at(server), true);
    expect(server.commands).toEqual([]);
  });
});
