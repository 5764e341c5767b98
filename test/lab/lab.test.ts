/** The lab itself: that its hosts behave like machines and that it leaves nothing behind. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkout, hostAddress, Lab, type Result, runCommand } from "../support/lab";
import { groupsOf, namespacesOf, processesOf, waitFor } from "./support/processes";

const lab = new Lab("labtest");
const identity = createHash("sha256").update(`${checkout}\nlabtest\n`).digest("hex").slice(0, 8);
const scratch = mkdtempSync(join(tmpdir(), "lab-test-"));

function ssh(user: string, host: string, ...command: string[]): Promise<Result> {
  const { directory } = lab;

  return lab.run([
    ...["ssh", "-F", "none", "-i", `${directory}/ssh/id_ed25519`, "-o", "BatchMode=yes"],
    ...["-o", `UserKnownHostsFile=${directory}/ssh/known_hosts`, "-o", "StrictHostKeyChecking=yes"],
    ...[`${user}@${hostAddress(host)}`, ...command],
  ]);
}

/** Whether one host reaches another's sshd. */
async function reaches(from: string, to: string): Promise<boolean> {
  const result = await lab.exec(from, `nc -z -w 1 ${hostAddress(to)} 22`);
  return result.code === 0;
}

async function output(host: string, script: string): Promise<string> {
  const result = await lab.exec(host, script);
  expect(result).toMatchObject({ code: 0 });
  return result.stdout.trim();
}

/** A directory to put before PATH, with one executable in it. */
function fakeProgram(name: string, script: string): string {
  const directory = mkdtempSync(join(scratch, "bin-"));
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, name), 0o755);
  return `${directory}:${process.env.PATH}`;
}

beforeAll(async () => {
  await lab.up(2);
  await lab.reset();
});

afterAll(async () => {
  await lab.down(true);
  await runCommand(["rm", "-rf", scratch]);
});

describe("up", () => {
  test("leaves running hosts alone", async () => {
    await lab.exec("etcd01", "touch /run/still-the-same-boot");
    const again = await lab.up(2);
    expect(again.stderr).not.toContain("started");
    await output("etcd01", "ls /run/still-the-same-boot");
  });

  test("runs exactly as many hosts as asked for", async () => {
    await lab.up(1);
    const one = await lab.verb(["status"]);
    expect(one.stdout).toBe("etcd01  192.168.1.83  up   no etcd\n");
    await lab.up(2);
    const two = await lab.verb(["status"]);
    expect(two.stdout).toBe(
      "etcd01  192.168.1.83  up   no etcd\netcd02  192.168.1.84  up   no etcd\n",
    );
  });

  test("makes hosts that look like a standard server", async () => {
    const facts = await output(
      "etcd02",
      "hostname; systemctl is-system-running; grep -c localhost /etc/hosts; nft list tables; " +
        "ip -brief address show eth0 | awk '{ print $3 }'; command -v python3 jq || echo neither",
    );
    expect(facts.split("\n")).toEqual(["etcd02", "running", "2", "192.168.1.84/24", "neither"]);
  });

  test("gives logins to root and to a user with sudo, checked against known_hosts", async () => {
    expect(await ssh("root", "etcd01", "id -un")).toMatchObject({ code: 0, stdout: "root\n" });
    expect(await ssh("operator", "etcd02", "sudo id -un")).toMatchObject({
      code: 0,
      stdout: "root\n",
    });
  });

  test("lets sandboxed units run", async () => {
    const unit = [
      ...["PrivateUsers=yes", "ProtectSystem=strict", "PrivateMounts=yes", "PrivateTmp=yes"],
      ...["SystemCallFilter=@system-service", "RestrictNamespaces=yes", "ProtectProc=invisible"],
    ];
    const properties = unit.map((property) => `-p ${property}`).join(" ");
    expect(await output("etcd01", `systemd-run --wait --pipe -q ${properties} echo fine`)).toBe(
      "fine",
    );
  });
});

describe("the operator namespace", () => {
  test("has no way out, and the machine has no way in", async () => {
    const routes = await lab.run(["ip", "route"]);
    expect(routes.stdout.trim()).toBe(
      "192.168.1.0/24 dev lab0 proto kernel scope link src 192.168.1.1",
    );
    const machine = await runCommand(["ip", "-brief", "address"]);
    expect(machine.stdout).not.toContain("192.168.1.1/24");
  });

  test("run passes input, exit code and working directory", async () => {
    const script = "cat; pwd; exit 7";
    const result = await lab.run(["sh", "-c", script], { input: "typed\n", cwd: scratch });
    expect(result).toMatchObject({ code: 7, stdout: `typed\n${scratch}\n` });
  });

  test("run finds the tools and the lab's own Pulumi home and backend", async () => {
    const script =
      'pulumi version && etcdctl version && echo "$PULUMI_HOME $PULUMI_BACKEND_URL" && pulumi whoami';
    const result = await lab.run(["sh", "-c", script]);
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toMatch(/^v3\.\d+\.\d+\netcdctl version: 3\.\d+\.\d+\n/);
    expect(result.stdout).toContain(
      `${lab.directory}/pulumi-home file://${lab.directory}/backend\n`,
    );
  });
});

describe("the mirror", () => {
  test("serves a release whose digest fits", async () => {
    const script =
      "cd /tmp && curl -fsSO http://192.168.1.1:8080/v3.6.16/SHA256SUMS && " +
      "curl -fsSO http://192.168.1.1:8080/v3.6.16/etcd-v3.6.16-linux-$(dpkg --print-architecture)" +
      ".tar.gz && sha256sum --check --ignore-missing SHA256SUMS";
    expect(await output("etcd01", script)).toMatch(/^etcd-v3\.6\.16-linux-[a-z0-9]+\.tar\.gz: OK$/);
  });

  test("serves the run state's own files first, and nothing beside releases", async () => {
    mkdirSync(join(lab.directory, "mirror/v3.0.0"), { recursive: true });
    writeFileSync(join(lab.directory, "mirror/v3.0.0/SHA256SUMS"), "mine\n");
    const get = (path: string) =>
      output("etcd01", `curl -s --path-as-is http://192.168.1.1:8080${path}`);
    expect(await get("/v3.0.0/SHA256SUMS")).toBe("mine");
    expect(await get("/v3.0.0/../../ssh/id_ed25519")).toBe("no such file");
    expect(await get("/v3.0.0/%2e%2e/SHA256SUMS")).toBe("no such file");
  });
});

describe("power", () => {
  test("kill and boot keep the disk and nothing else", async () => {
    await lab.exec("etcd01", "echo kept >/root/disk; sync; echo lost >/run/memory");
    await lab.kill("etcd01");
    const off = await lab.verb(["status"]);
    expect(off.stdout.split("\n")[0]?.trim()).toBe("etcd01  192.168.1.83  off");
    expect(await lab.exec("etcd01", "true")).toMatchObject({
      code: 1,
      stderr: "lab: etcd01 is off: npm run lab -- boot etcd01\n",
    });
    expect(await reaches("etcd02", "etcd01")).toBe(false);
    await lab.boot("etcd01");
    expect(await output("etcd01", "cat /root/disk; ls /run/memory 2>/dev/null || echo gone")).toBe(
      "kept\ngone",
    );
    expect(await reaches("etcd02", "etcd01")).toBe(true);
  });

  test("a host without sshd can still be entered", async () => {
    await lab.exec("etcd01", "systemctl stop ssh.socket ssh.service");
    expect((await ssh("root", "etcd01", "true")).code).toBe(255);
    expect(await output("etcd01", "systemctl start ssh.service; echo in")).toBe("in");
    expect((await ssh("root", "etcd01", "true")).code).toBe(0);
  });

  test("wipe gives a new disk with the same host key", async () => {
    const before = await output("etcd01", "touch /root/mark; cat /etc/machine-id");
    const key = await output("etcd01", "cat /etc/ssh/ssh_host_ed25519_key.pub");
    await lab.wipe("etcd01");
    expect(await output("etcd01", "ls -A /root/mark 2>/dev/null || echo gone")).toBe("gone");
    expect(await output("etcd01", "cat /etc/machine-id")).not.toBe(before);
    expect(await output("etcd01", "cat /etc/ssh/ssh_host_ed25519_key.pub")).toBe(key);
    expect((await ssh("root", "etcd01", "true")).code).toBe(0);
  });
});

describe("cut and heal", () => {
  test("separate the hosts, not the operator", async () => {
    expect(await reaches("etcd01", "etcd02")).toBe(true);
    await lab.cut("etcd01");
    expect(await reaches("etcd01", "etcd02")).toBe(false);
    expect(await reaches("etcd02", "etcd01")).toBe(false);
    expect((await ssh("root", "etcd01", "true")).code).toBe(0);
    const status = await lab.verb(["status"]);
    expect(status.stdout).toContain("etcd01  192.168.1.83  cut ");
    await lab.heal();
    expect(await reaches("etcd01", "etcd02")).toBe(true);
    expect(await reaches("etcd02", "etcd01")).toBe(true);
  });

  test("hosts cut together still reach each other, and no host sees a rule", async () => {
    await lab.cut("etcd01", "etcd02");
    expect(await reaches("etcd01", "etcd02")).toBe(true);
    expect(await output("etcd01", "nft list ruleset")).toBe("");
    await lab.heal();
  });

  test("a cut outlives a power cut and ends with reset", async () => {
    await lab.cut("etcd02");
    await lab.kill("etcd02");
    await lab.boot("etcd02");
    expect(await reaches("etcd01", "etcd02")).toBe(false);
    await lab.reset();
    expect(await reaches("etcd01", "etcd02")).toBe(true);
  });
});

describe("a crashed predecessor", () => {
  test.each([
    ["one host and the mirror", /systemd-nspawn.*etcd01|mirror\.ts/],
    ["the containers' supervisors", /systemd-nspawn/],
    ["the operator namespace", /^etcd-lab-labtest-operator/],
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
    expect(await output("etcd01", "cat /root/disk")).toBe("kept");
    expect(await reaches("etcd01", "etcd02")).toBe(true);
    expect(await output("etcd02", "curl -sf http://192.168.1.1:8080/v3.6.16/SHA256SUMS")).toContain(
      "etcd-v3.6.16",
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
    expect(namespaces.length).toBe(3 * 2 + 2);
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
      stderr: 'lab: the lab "labtest" is not up: npm run lab -- up\n',
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
    [["release", "newest"], 'there is no etcd release "newest", a release looks like 3.6.16'],
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
    return lab.verb(["release", "3.6.16"], {
      env: { LAB_CACHE: cache, LAB_OFFLINE: "1", PATH: path },
      timeoutMs: 30_000,
    });
  }

  test("never takes an interrupted build for a complete one", async () => {
    const cache = join(scratch, "cache");
    const started = join(scratch, "compiling");
    const endless = compiler(`: >"$2"; : >"${started}"; exec sleep 600`);
    const interrupted = expect(
      lab.verb(["release", "3.6.16"], {
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
    expect((await runCommand(["ls", join(cache, "releases-amd64")])).stdout).toBe("");

    expect(await release(cache, compiler(""))).toMatchObject({ code: 0 });
    expect(await found()).not.toContain(".building");
    const check = `cd ${cache}/releases-*/v3.6.16 && sha256sum --check --strict SHA256SUMS && ls bin`;
    expect((await runCommand(["sh", "-c", check])).stdout).toMatch(
      /: OK\netcd\netcdctl\netcdutl\n$/,
    );

    // A second look finds it there and calls no compiler.
    expect(await release(cache, compiler("exit 1"))).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  test("shows the end of the log of a build that failed, and keeps no entry", async () => {
    const cache = join(scratch, "failing");
    const result = await release(cache, compiler('echo "no such module" >&2; exit 1'));
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(
      /getting etcd 3\.6\.16: failed after .*\n {4}.*no such module\n/s,
    );
    expect(result.stderr).toMatch(
      /lab: etcd 3\.6\.16 can neither be downloaded nor built from its Go modules\n$/,
    );
    expect((await runCommand(["find", cache, "-name", "v3.6.16"])).stdout).toBe("");
  });
});
