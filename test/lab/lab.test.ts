/** The lab itself: that its hosts behave like machines. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { DEFAULT_VERSION } from "../../components/etcd/versions";
import { checkout, runCommand } from "../support/lab";
import { lab, output, reaches, scratch, ssh } from "./support/labtest";

beforeAll(async () => {
  await lab.down(true);
  await lab.up(2);
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

  test.each([
    ["less tree", "it must be names of Debian packages with commas between them"],
    ["less,tree", 'and the disks of this lab were made with ""; npm run lab -- down --purge first'],
  ])("refuses other packages on hosts that are there: %s", async (packages, words) => {
    const stderr = `lab: LAB_PACKAGES is "${packages}", ${words}\n`;
    expect(await lab.verb(["up"], { env: { LAB_PACKAGES: packages } })).toEqual({
      code: 2,
      stdout: "",
      stderr,
    });
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
      `${lab.directory}/pulumi-home file://${lab.directory}/backend?metadata=skip\n`,
    );
  });
});

test("a program in YAML runs, with the plugins of the lab and without a warning", async () => {
  const cwd = join(scratch, "yaml");
  mkdirSync(cwd);
  writeFileSync(join(cwd, "Pulumi.yaml"), YAML_PROGRAM);
  const pulumi = (...words: string[]) => lab.run(["pulumi", ...words], { cwd });
  expect(await pulumi("stack", "init", "yaml")).toMatchObject({ code: 0 });
  const up = await pulumi("up", "--yes", "--skip-preview");
  expect(up).toMatchObject({ code: 0 });
  expect(up.stdout).toContain("+ 2 created");
  expect(up.stdout).not.toContain("warning");
  const hex = await pulumi("stack", "output", "hex");
  expect(hex.stdout).toMatch(/^[0-9a-f]{8}\n$/);
  expect(await pulumi("preview", "--expect-no-changes")).toMatchObject({ code: 0 });
  expect(await pulumi("destroy", "--yes", "--skip-preview", "--remove")).toMatchObject({ code: 0 });
});

const YAML_PROGRAM = `name: yaml
runtime: yaml
resources:
  id:
    type: random:RandomId
    properties:
      byteLength: 4
    options:
      version: 4.21.2
outputs:
  hex: \${id.hex}
`;

describe("the lab's stack", () => {
  const file = join(checkout, `Pulumi.lab-${lab.name}.yaml`);
  const schema = z.object({
    config: z.object({
      "etcd:ssh": z.object({ privateKeyFile: z.string(), knownHostsFile: z.string() }),
      "etcd:version": z.string(),
      "etcd:sha256": z.record(z.string(), z.string()),
    }),
  });

  test("is selected, and configured for the lab of its name beside the project's own files", async () => {
    const selected = await lab.run(["pulumi", "stack", "--show-name"]);
    expect(selected).toMatchObject({ code: 0, stdout: `lab-${lab.name}\n` });
    const { config } = schema.parse(parse(readFileSync(file, "utf8")));
    const { privateKeyFile, knownHostsFile } = config["etcd:ssh"];
    expect(privateKeyFile).toBe(`.lab/${lab.name}/ssh/id_ed25519`);
    expect(
      [privateKeyFile, knownHostsFile].map((path) => existsSync(join(checkout, path))),
    ).toEqual([true, true]);
    expect(config["etcd:version"]).toBe(DEFAULT_VERSION);
    expect(config["etcd:sha256"]).toMatchObject(lab.digests(DEFAULT_VERSION));
    expect(await runCommand(["git", "check-ignore", file])).toMatchObject({ code: 0 });
  });

  test("keeps what was set in it, and is made anew by up where it was removed", async () => {
    await lab.run(["pulumi", "config", "set", "--path", "host.upgrade", "true"]);
    await lab.up(2);
    expect(readFileSync(file, "utf8")).toContain("upgrade: true");
    await lab.run(["pulumi", "stack", "rm", "--yes", `lab-${lab.name}`]);
    expect(existsSync(file)).toBe(false);
    await lab.up(2);
    expect(readFileSync(file, "utf8")).not.toContain("upgrade: true");
    const selected = await lab.run(["pulumi", "stack", "--show-name"]);
    expect(selected.stdout).toBe(`lab-${lab.name}\n`);
  });
});

describe("the mirror", () => {
  test("serves a release whose digest fits", async () => {
    const script =
      "cd /tmp && curl -fsSO http://192.168.1.1:8080/v3.6.14/SHA256SUMS && " +
      "curl -fsSO http://192.168.1.1:8080/v3.6.14/etcd-v3.6.14-linux-$(dpkg --print-architecture)" +
      ".tar.gz && sha256sum --check --ignore-missing SHA256SUMS";
    expect(await output("etcd01", script)).toMatch(/^etcd-v3\.6\.14-linux-[a-z0-9]+\.tar\.gz: OK$/);
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
