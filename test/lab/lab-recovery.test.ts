/** The lab itself: that it survives crashes and mistakes and leaves nothing behind. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkout, type Result, runCommand } from "../support/lab";
import { fakeProgram, identity, lab, output, reaches, scratch } from "./support/labtest";
import { groupsOf, namespacesOf, processesOf, waitFor } from "./support/processes";

beforeAll(async () => {
  await lab.down(true);
  await lab.up(2);
});

afterAll(async () => {
  await lab.down(true);
  await runCommand(["rm", "-rf", scratch]);
});

describe("a crashed predecessor", () => {
  test.each([
    ["one host and the mirror", /systemd-nspawn.*etcd01|mirror\.ts/],
    ["the containers' supervisors", /systemd-nspawn/],
    ["the operator namespace", new RegExp(`^etcd-lab-${lab.name}-operator`)],
    ["everything", /./],
  ])("that lost %s is taken over with its disks", async (_, pattern) => {
    await lab.exec("etcd01", "echo kept >/root/disk; sync");
    const victims = processesOf(identity).filter(({ command }) => pattern.test(command));
    expect(victims.length).toBeGreaterThan(0);

    for (const { pid } of victims) {
      // One victim may take another with it.
      await runCommand(["kill", "-KILL", String(pid)]);
    }

    await lab.up(2);
    const supervisors = processesOf(identity).filter(({ command }) => /nspawn/.test(command));
    expect(supervisors.length).toBe(2);
    expect(await output("etcd01", "cat /root/disk")).toBe("kept");
    expect(await reaches("etcd01", "etcd02")).toBe(true);
    expect(await output("etcd02", "curl -sf http://192.168.1.1:8080/v3.6.14/SHA256SUMS")).toContain(
      "etcd-v3.6.14",
    );
  });

  test("whose checkout is gone is swept", async () => {
    const gone = join(scratch, "gone");
    mkdirSync(gone, { recursive: true });
    await runCommand(["cp", "-r", "lab", "package.json", "package-lock.json", gone]);
    await runCommand(["ln", "-s", join(checkout, "node_modules"), join(gone, "node_modules")]);
    const up = await runCommand(["bash", join(gone, "lab/lab.sh"), "up", "--nodes", "1"], {
      env: { LAB_NAME: "orphan" },
      timeoutMs: 600_000,
    });
    expect(up).toMatchObject({ code: 0 });
    const orphan = createHash("sha256").update(`${gone}\norphan\n`).digest("hex").slice(0, 8);
    expect(processesOf(orphan).length).toBeGreaterThan(5);
    await runCommand(["rm", "-rf", gone]);
    expect((await lab.up(2)).stderr).toContain(`the lab "orphan" of ${gone}, which is gone`);
    expect(processesOf(orphan)).toEqual([]);
    expect(groupsOf(orphan)).toEqual([]);
  });
});

describe("down", () => {
  test("leaves no process, namespace, mount or group, but the disks", async () => {
    await lab.exec("etcd02", "echo kept >/root/disk");
    const namespaces = namespacesOf(processesOf(identity));
    // At least a network, a process and two mount namespaces a host, and the operator's network.
    expect(namespaces.length).toBeGreaterThanOrEqual(2 * 4 + 1);
    await lab.down();
    expect(processesOf(identity)).toEqual([]);
    expect(groupsOf(identity)).toEqual([]);
    expect(existsSync(`/run/etcd-lab/${identity}`)).toBe(false);
    await waitFor(async () => {
      const alive = await runCommand(["lsns", "--noheadings", "--output", "NS"]);
      const left = new Set(alive.stdout.split("\n").map((line) => line.trim()));
      return !namespaces.some((namespace) => left.has(namespace));
    });
    expect(readFileSync("/proc/self/mounts", "utf8")).not.toMatch(/nsfs|\/\.lab\//);
    expect(await lab.run(["true"])).toMatchObject({
      code: 1,
      stderr: `lab: the lab "${lab.name}" is not up: npm run lab -- up\n`,
    });
    await lab.up(2);
    expect(await output("etcd02", "cat /root/disk")).toBe("kept");
  });

  test("waits no longer than some seconds for a host that will not stop", async () => {
    await lab.exec(
      "etcd01",
      "systemd-run -q -p KillSignal=SIGCONT -p TimeoutStopSec=300 -p SendSIGKILL=no sleep 1000",
    );
    const start = Date.now();
    await lab.down();
    expect(Date.now() - start).toBeLessThan(15_000);
    expect(processesOf(identity)).toEqual([]);
    await lab.up(2);
  });
});

describe("down --purge", () => {
  test("leaves nothing of the lab in the checkout", async () => {
    expect(existsSync(join(checkout, `Pulumi.lab-${lab.name}.yaml`))).toBe(true);
    await lab.down(true);
    expect(
      [lab.directory, join(checkout, `Pulumi.lab-${lab.name}.yaml`)].filter(existsSync),
    ).toEqual([]);
  });
});

describe("a mistake", () => {
  const hosts = "the hosts are etcd01 etcd02 etcd03 etcd04 etcd05 etcd06 etcd07";

  test.each([
    [["fly"], 'there is no verb "fly", see: npm run lab -- help'],
    [["kill", "etcd08"], `there is no host "etcd08", ${hosts}`],
    [["exec", "etcd1", "--", "true"], `there is no host "etcd1", ${hosts}`],
    [["cut", "etcd01", "db"], `there is no host "db", ${hosts}`],
    [["wipe"], 'wipe takes one host, got ""'],
    [["boot", "etcd01", "etcd02"], 'boot takes one host, got "etcd01 etcd02"'],
    [["cut"], "cut needs a host"],
    [["run"], "run needs a command"],
    [["exec", "etcd01"], "exec needs a command for etcd01"],
    [["up", "--nodes", "8"], 'up takes --nodes 1 to 7, got "--nodes 8"'],
    [["down", "now"], 'down takes nothing or --purge, got "now"'],
    [
      ["repository", "minio"],
      'there is no repository "minio", the repositories are versitygw rclone sftp',
    ],
    [
      ["repository", "sftp", "wipe"],
      'repository sftp takes start, stop, clear or cut HOST..., got "wipe"',
    ],
    [["repository", "sftp", "stop", "now"], 'repository sftp stop takes nothing, got "now"'],
    [["repository", "sftp", "cut"], "repository sftp cut needs a host"],
    [["repository", "sftp", "cut", "etcd08"], `there is no host "etcd08", ${hosts}`],
    [["release", "newest"], 'there is no etcd release "newest", a release looks like 3.6.14'],
  ])("%j is refused with exit code 2 and one line", async (args, message) => {
    expect(await lab.verb(args)).toEqual({ code: 2, stdout: "", stderr: `lab: ${message}\n` });
  });

  test("of the machine is said in the first line, with what to do instead", async () => {
    const darwin = await lab.verb(["up"], {
      env: { PATH: fakeProgram("uname", "echo Darwin") },
    });
    expect(darwin).toMatchObject({
      code: 1,
      stderr:
        "lab: the lab needs Linux, this is Darwin; use your own Debian hosts instead: see README\n",
    });
    const user = await runCommand(["unshare", "--user", "bash", "lab/lab.sh", "up"]);
    expect(user.code).toBe(1);
    expect(user.stderr).toMatch(/^lab: the lab needs root, this is user .*see README\n$/);
  });
});

describe("the cache", () => {
  // Stands for the compiler: writes what `go build -o` would, after what `before` does.
  const compiler = (before: string) =>
    fakeProgram(
      "go",
      `while [ "$1" != -o ]; do shift; done\n${before}\nprintf '#!/bin/sh\\n' >"$2"; chmod +x "$2"`,
    );

  function release(cache: string, path: string): Promise<Result> {
    return lab.verb(["release", "3.6.14"], {
      env: { LAB_CACHE: cache, LAB_OFFLINE: "1", PATH: path },
      timeoutMs: 30_000,
    });
  }

  test("never takes an interrupted build for a complete one", async () => {
    const cache = join(scratch, "cache");
    const started = join(scratch, "compiling");
    const endless = compiler(`: >"$2"; : >"${started}"; exec sleep 600`);
    const interrupted = expect(
      lab.verb(["release", "3.6.14"], {
        env: { LAB_CACHE: cache, LAB_OFFLINE: "1", PATH: endless },
        timeoutMs: 5_000,
      }),
    ).rejects.toThrow("still running after 5000 ms");
    await waitFor(() => existsSync(started));
    await interrupted;
    const found = () =>
      runCommand(["find", cache, "-name", "etcd*", "-newermt", "2000-01-01"]).then(
        ({ stdout }) => stdout,
      );
    expect(await found()).toContain(".building");
    expect((await runCommand(["find", cache, "-name", "v3.6.14"])).stdout).toBe("");

    expect(await release(cache, compiler(""))).toMatchObject({ code: 0 });
    expect(await found()).not.toContain(".building");
    const check = `cd ${cache}/releases-*/v3.6.14 && sha256sum --check --strict SHA256SUMS && ls bin`;
    expect((await runCommand(["sh", "-c", check])).stdout).toMatch(
      /: OK\netcd\netcdctl\netcdutl\n$/,
    );

    // A second look finds it there and calls no compiler.
    const again = await release(cache, compiler("exit 1"));
    expect(again).toMatchObject({ code: 0, stderr: "" });
    expect(again.stdout).toMatch(/^3\.6\.14 (amd64|arm64) [0-9a-f]{64}\n$/);
  });

  test("shows the end of the log of a build that failed, and keeps no entry", async () => {
    const cache = join(scratch, "failing");
    const result = await release(cache, compiler('echo "no such module" >&2; exit 1'));
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(
      /getting etcd 3\.6\.14: failed after .*\n {4}.*no such module\n/s,
    );
    expect(result.stderr).toMatch(
      /lab: etcd 3\.6\.14 can neither be downloaded nor built from its Go modules\n$/,
    );
    expect((await runCommand(["find", cache, "-name", "v3.6.14"])).stdout).toBe("");
  });
});
