/** The examples, with the package as npm packs it: several clusters, plain JavaScript, and YAML. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../components/etcd/versions";
import { hostAddress, type Result, testLab } from "../support/lab";
import { Example, packed } from "./support/example";
import {
  freshLab,
  hosts,
  MAIN_PID,
  onAll,
  printed,
  refuse,
  resources,
  succeed,
} from "./support/stack";

const lab = testLab();
const MIRROR = "http://192.168.1.1:8080";
let tarball: string;
let keyText: string;
let knownHosts: string;

const login = () => ({
  privateKeyFile: join(lab.directory, "ssh/id_ed25519"),
  knownHostsFile: knownHosts,
});
const release = () => ({ downloadUrl: MIRROR, sha256: lab.digests(DEFAULT_VERSION) });
const plainNodes = () => hosts.map((name) => ({ name, address: hostAddress(name) }));

function hostKey(host: string): string {
  const lines = readFileSync(knownHosts, "utf8").split("\n");
  const [, type = "", text = ""] =
    lines.find((line) => line.startsWith(`${host} `))?.split(" ") ?? [];
  return `${type} ${text}`;
}

beforeAll(async () => {
  await freshLab(lab);
  tarball = await packed(lab);
  knownHosts = join(lab.directory, "ssh/known_hosts");
  keyText = readFileSync(join(lab.directory, "ssh/id_ed25519"), "utf8");
});

afterAll(() => lab.down(true));

/** Nothing of a cluster is on the hosts, and nothing was. */
async function expectClean(): Promise<void> {
  const left =
    "ls -d /var/lib/etcd /var/lib/etcd-on-pulumi /opt/etcd-on-pulumi 2>/dev/null || true";
  expect(await onAll(lab, left)).toEqual(["", "", ""]);
}

/** At once, as if nobody had to wait after an up. */
async function expectDestroyed(example: Example): Promise<void> {
  await succeed(example.destroy());
  await expectClean();
}

/** The message and no line of a stack trace. */
function expectMessage(text: string, ...lines: readonly string[]): void {
  for (const line of lines) {
    expect(text).toContain(line);
  }
  expect(text).not.toMatch(/^\s+at .*:\d+/m);
}

/** Members that each host's etcd knows, by host. */
async function members(example: Example): Promise<readonly (readonly string[])[]> {
  const { stdout } = await succeed(example.pulumi("stack", "export"));
  const found = /"members": \[[^\]]*\]/g;
  return (stdout.match(found) ?? []).map((list) =>
    [...list.matchAll(/"name": "(\w+)"/g)].map(([, name = ""]) => name).sort(),
  );
}

describe("two clusters in one program", () => {
  const example = new Example(lab, "two-clusters");

  beforeAll(async () => {
    await example.install(tarball);
    const nodes = ["etcd02", "etcd03"].map((name) => ({
      ...{ name, address: hostAddress(name) },
      ssh: { hostKey: hostKey(name) },
    }));
    const machine = { machine: hostAddress("etcd01"), machineHostKey: hostKey("etcd01") };
    await example.configure({ ...release(), ...machine, nodes });
    await example.secret("privateKey", keyText);
  });

  test("the preview that does not know an address names the host, and has all resources", async () => {
    const preview = await succeed(example.preview());
    expect(printed(preview)).toContain(
      "first: etcd01: not inspected, because args.nodes[0].address is not known yet; pulumi up inspects it",
    );
    for (const other of ["etcd02", "etcd03"]) {
      expect(printed(preview)).not.toContain(`${other}: not inspected`);
    }
    for (const name of ["first-etcd01-health", "second-etcd02-health", "second-etcd03-health"]) {
      expect(preview.stdout).toContain(`command:remote:Command ${name} create`);
    }
    expect(resources(preview).created).toBe(59);
    await expectClean();
  });

  test("up makes both, and a preview finds nothing to do", async () => {
    expect(resources(await succeed(example.up())).created).toBe(59);
    expect([...(await members(example))].sort()).toEqual([["etcd01"], ["etcd02", "etcd03"]]);
    await succeed(example.preview("--expect-no-changes"));
  });

  test("a setting of one restarts nobody of the other", async () => {
    const before = await onAll(lab, MAIN_PID);
    example.edit("index.ts", '"20000"', '"30000"');
    await succeed(example.up());
    const after = await onAll(lab, MAIN_PID);
    expect(hosts.filter((_, index) => before[index] !== after[index])).toEqual([
      "etcd02",
      "etcd03",
    ]);
    await succeed(example.preview("--expect-no-changes"));
  });

  test("destroy leaves nothing on the hosts", () => expectDestroyed(example));
});

describe("a program of plain JavaScript", () => {
  const example = new Example(lab, "package");

  beforeAll(async () => {
    await example.install(tarball);
    await example.configure({ ...release(), nodes: plainNodes(), ssh: login() });
  });

  const WRONG =
    'args.nodes[1].address: "10.0.0.300" is not an IP address; write an IPv4 or IPv6 address such as 192.168.1.84';

  /** With an address of etcd02 that is written like this. */
  async function withAddress(code: string, run: () => Promise<void>): Promise<void> {
    const nodes = 'config.requireObject("nodes")';
    const wrong = `${nodes}.map((node) => node.name === "etcd02" ? { ...node, address: ${code} } : node)`;
    example.edit("index.js", nodes, wrong);
    await run();
    example.edit("index.js", wrong, nodes);
  }

  test("a wrong argument is named with its remedy, and nothing is registered", () =>
    withAddress('"10.0.0.300"', async () => {
      for (const run of [() => example.preview(), () => example.up()]) {
        const text = await refuse(run());
        expectMessage(text, '1 error in the arguments of EtcdCluster "main":', WRONG);
        expect(text).not.toContain("etcd-on-pulumi:index:EtcdCluster");
      }
      await expectClean();
    }));

  test("so is one that is known later, and no host is touched", () =>
    withAddress('pulumi.output(Promise.resolve("10.0.0.300"))', async () => {
      for (const run of [
        () => example.preview(),
        () => example.pulumi("up", "--yes", "--skip-preview"),
      ]) {
        const text = await refuse(run());
        expectMessage(text, WRONG);
        expect(text).not.toContain("command:remote:Command");
      }
      await expectClean();
    }));

  test("up ends when the cluster is there, though nothing waits for an output of it", async () => {
    await succeed(example.up());
    expect(await members(example)).toEqual([hosts]);
    expect(await onAll(lab, "systemctl is-active etcd.service")).toEqual([
      "active",
      "active",
      "active",
    ]);
    await succeed(example.preview("--expect-no-changes"));
  });

  test("a key as plain text is not in the state", async () => {
    const { knownHostsFile } = login();
    await example.configure({ ssh: { knownHostsFile, privateKey: keyText } });
    await succeed(example.up());
    const { stdout } = await succeed(example.pulumi("stack", "export"));
    expect(stdout).not.toContain("BEGIN OPENSSH");
    expect(stdout).toContain("ciphertext");
  });

  test("destroy leaves nothing on the hosts", () => expectDestroyed(example));
});

describe("a program of YAML", () => {
  const example = new Example(lab, "yaml");
  const ADDRESS = "address: 192.168.1.84 ";

  beforeAll(async () => {
    await example.install(tarball);
    const { downloadUrl, sha256 } = release();
    example.edit(
      "Pulumi.yaml",
      "      settings:",
      `        knownHostsFile: ${knownHosts}\n      downloadUrl: ${downloadUrl}\n      sha256: ${JSON.stringify(sha256)}\n      settings:`,
    );
    await example.secret("privateKey", keyText);
  });

  const refused = async (from: string, to: string): Promise<string> => {
    example.edit("Pulumi.yaml", from, to);
    const results: Result[] = [];
    for (const run of [
      () => example.preview(),
      () => example.pulumi("up", "--yes", "--skip-preview"),
    ]) {
      const result = await run();
      expect(result.code).not.toBe(0);
      results.push(result);
    }
    example.edit("Pulumi.yaml", to, from);
    await expectClean();
    return results.map(printed).join("");
  };

  test("a wrong argument is named with its remedy, and nothing of the cluster is registered", async () => {
    const text = await refused(ADDRESS, "address: 10.0.0.300 ");
    expectMessage(
      text,
      'args.nodes[1].address: "10.0.0.300" is not an IP address; write an IPv4 or IPv6 address such as 192.168.1.84',
    );
    expect(text).not.toContain("main-token");
  });

  test("what the inspection finds is said once in each run, without a stack trace", async () => {
    const text = await refused(ADDRESS, "address: 192.168.1.99 ");
    expectMessage(text, "main: preflight checks failed; no host was changed:");
    const said = text.slice(text.lastIndexOf("Diagnostics:"));
    expect(said.match(/etcd02: SSH to root@192\.168\.1\.99:22 failed/g)).toHaveLength(1);
  });

  test("up makes the cluster, and a preview finds nothing to do", async () => {
    await succeed(example.up());
    expect(await members(example)).toEqual([hosts]);
    const key = await succeed(example.pulumi("stack", "output", "clientKey"));
    expect(key.stdout).toBe("[secret]\n");
    await succeed(example.preview("--expect-no-changes"));
  });

  test("an edit of a setting restarts the members one at a time", async () => {
    const before = await onAll(lab, MAIN_PID);
    example.edit("Pulumi.yaml", '"20000"', '"30000"');
    const up = await succeed(example.up());
    expect(printed(up)).toContain(
      "restarting etcd: settings changed: snapshot-count=30000 (was 20000)",
    );
    expect(resources(up)).toMatchObject({ created: 0, updated: 6 });
    const after = await onAll(lab, MAIN_PID);
    expect(after.filter((pid, index) => pid === before[index])).toEqual([]);
    await succeed(example.preview("--expect-no-changes"));
  });

  test("a killed engine takes its plugin with it, so that the next up has the hosts", async () => {
    example.edit("Pulumi.yaml", '"30000"', '"40000"');
    const plugin = `pgrep -f '${example.directory}/.*/[p]ulumi-resource-etcd-on-pulumi'`;
    const script = `
      pulumi up --yes --skip-preview --non-interactive >/dev/null 2>&1 &
      engine=$!
      until ${plugin} >/dev/null; do sleep 0.1; done
      sleep 2
      kill -KILL "$engine"
      for _ in $(seq 300); do
        ${plugin} >/dev/null || break
        sleep 0.1
      done
      ${plugin} || echo none`;
    const killed = await lab.run(["bash", "-c", script], { cwd: example.directory });
    expect(killed.stdout).toBe("none\n");
    await succeed(example.pulumi("cancel", "--yes"));
    await succeed(example.up());
    await succeed(example.preview("--expect-no-changes"));
  });

  test("destroy leaves nothing on the hosts", () => expectDestroyed(example));
});
