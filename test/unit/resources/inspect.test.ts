import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { KEEP_LOCK } from "../../../components/hosts/probe";
import { type Inspection, inspectHosts } from "../../../components/inspect";
import { cluster, connection, node } from "../../support/fixtures";
import { record } from "../../support/graph";
import { answered, keyPair, startSshd } from "../../support/sshd";

describe("an up that is not to look at the hosts", () => {
  const directory = mkdtempSync(join(tmpdir(), "etcd-survey-"));
  const privateKeyFile = join(directory, "key");
  writeFileSync(privateKeyFile, keyPair().private, { mode: 0o600 });
  const exit = vi.spyOn(process, "exit").mockImplementation(() => undefined as never);
  beforeEach(() => void exit.mockClear());
  afterAll(() => {
    exit.mockRestore();
    rmSync(directory, { recursive: true });
  });

  /** One host, which says so much and stays open. */
  async function up(...answer: string[]) {
    const server = await startSshd({ stdout: answered(...answer), after: `\n${KEEP_LOCK}` });
    // Its end is that of the run.
    onTestFinished(async () => {
      server.close();
      await expect.poll(() => exit.mock.calls).toEqual([[32]]);
    });
    const target = connection("127.0.0.1", {
      port: server.port,
      hostKey: server.hostKey,
      privateKeyFile,
    });
    const config = cluster([node(1)], {
      drift: false,
      connections: new Map([["etcd01", target]]),
    });
    let found: Inspection | undefined;
    let refused: unknown;
    await record(async () => {
      try {
        found = await inspectHosts(config, "urn:x::etcd");
      } catch (error) {
        refused = error;
      }
    });
    return { server, found, refused };
  }

  test("locks them all the same, and makes nothing of what they say", async () => {
    const { server, found } = await up("finding is on fire", "token x");
    expect(server.heard()).toMatch(/^HOLDER='/m);
    expect([found?.nodePlans.get("etcd01")?.freeze, found?.tokens.size]).toEqual(["revision", 0]);
  });

  test("is refused while another one is at work on them", async () => {
    const { refused } = await up("locked-by alice@laptop");
    expect(String(refused)).toContain(
      "another pulumi up is in progress; nothing was changed:\n  - etcd01: locked by alice@laptop\n",
    );
  });

  test("is refused while steps of a run that has ended are at work there", async () => {
    const { refused } = await up("unfinished steps of an earlier run by alice@laptop");
    expect(String(refused)).toContain(
      "the hosts are still at work; nothing was changed:\n  - etcd01: still in progress: steps of an earlier run by alice@laptop\n",
    );
  });

  test("ends as soon as a host is lost to it, so that it begins no step beside another run", async () => {
    const { server } = await up("bootstrapped");
    expect(exit).not.toHaveBeenCalled();
    server.close();
    await expect.poll(() => exit.mock.calls).toEqual([[32]]);
  });
});
