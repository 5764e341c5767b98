import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Surroundings } from "../../components/config/private-key";
import type { Connection } from "../../components/connection";
import { hostKey, mistakes, operator, privateKey, read } from "./support/config";

const made: string[] = [];
afterEach(() => {
  for (const home of made.splice(0)) {
    rmSync(home, { recursive: true });
  }
});

function someone(files: Readonly<Record<string, string>> = {}): Surroundings {
  const where = operator(files);
  made.push(where.home);
  return where;
}

/** An operator who has a key and knows the one node. */
const usual = () =>
  someone({
    ".ssh/id_ed25519": privateKey(),
    ".ssh/known_hosts": `192.168.1.83 ${hostKey(1)}\n`,
  });

const NODE = { name: "etcd01", address: "192.168.1.83" };

function connect(where: Surroundings, ssh: object = {}, node: object = {}): Connection | undefined {
  return read({ nodes: [{ ...NODE, ...node }], ssh }, where).connections.get("etcd01");
}

const complaints = (where: Surroundings, ssh: object = {}, node: object = {}) =>
  mistakes({ nodes: [{ ...NODE, ...node }], ssh }, where);

/** Writes a real key with ssh-keygen and returns its path. */
function generate(where: Surroundings, name: string, ...options: string[]): string {
  const file = join(where.home, name);
  execFileSync("ssh-keygen", ["-q", "-f", file, "-C", "test", ...options]);
  return file;
}

describe("logging in", () => {
  test("root with the operator's own key is the default", () => {
    const where = usual();
    expect(connect(where)).toEqual({
      host: "192.168.1.83",
      port: 22,
      user: "root",
      privateKey: privateKey(),
      privateKeyFile: join(where.home, ".ssh/id_ed25519"),
      hostKey: hostKey(1),
      sudo: false,
    });
  });

  test("id_rsa is taken when there is no id_ed25519, a named file before both", () => {
    const where = usual();
    rmSync(join(where.home, ".ssh/id_ed25519"));
    const rsa = generate(where, ".ssh/id_rsa", "-t", "rsa", "-b", "2048", "-N", "");
    expect(connect(where)?.privateKeyFile).toBe(rsa);
    const own = generate(where, "project/own", "-t", "ed25519", "-N", "");
    expect(connect(where, { privateKeyFile: "own" })?.privateKeyFile).toBe(own);
    expect(connect(where, { privateKeyFile: "~/project/own" })?.privateKeyFile).toBe(own);
    expect(connect(where, { privateKeyFile: own })?.privateKey).toBe(readFileSync(own, "utf8"));
  });

  test("what a node says of itself goes before what holds for all", () => {
    const where = usual();
    const own = generate(where, "project/own", "-t", "ed25519", "-N", "");
    const ssh = { user: "admin", port: 2222, privateKeyFile: own, hostKey: hostKey(9) };
    const found = connect(where, { user: "debian", hostKeys: { etcd01: hostKey(8) } }, { ssh });
    expect(found).toMatchObject({
      user: "admin",
      port: 2222,
      privateKeyFile: own,
      hostKey: hostKey(9),
      sudo: true,
    });
    expect(connect(where, { user: "debian", sudo: false })?.sudo).toBe(false);
    expect(connect(where, { sudo: true })?.sudo).toBe(true);
  });

  test("a lost node is not reached, and nothing is asked about it", () => {
    const nodes = [NODE, { name: "etcd02", address: "192.168.1.84", lost: true }];
    expect([...read({ nodes }, usual()).connections.keys()]).toEqual(["etcd01"]);
  });

  test.each([
    ["ed25519", ["-t", "ed25519"]],
    ["RSA in PEM", ["-t", "rsa", "-b", "2048", "-m", "PEM"]],
    ["ECDSA in PKCS #8", ["-t", "ecdsa", "-m", "PKCS8"]],
  ])("a key with a passphrase is refused: %s", (_, options) => {
    const where = usual();
    generate(where, "project/locked", ...options, "-N", "secret");
    expect(complaints(where, { privateKeyFile: "locked" })).toEqual([
      'etcd:ssh.privateKeyFile: "locked" has a passphrase; run ssh-add locked and write etcd:ssh.agent: true instead',
    ]);
    generate(where, "project/open", ...options, "-N", "");
    expect(complaints(where, { privateKeyFile: "open" })).toEqual([]);
  });

  test("an unusable key file is refused with the reason", () => {
    const where = usual();
    const file = generate(where, "project/id", "-t", "ed25519", "-N", "");
    const said = (name: string) => complaints(where, { privateKeyFile: name });
    expect(said("id.pub")).toEqual([
      `etcd:ssh.privateKeyFile: "id.pub" can be read by others; run chmod 600 ${file}.pub`,
    ]);
    chmodSync(`${file}.pub`, 0o600);
    expect(said("id.pub")).toEqual([
      'etcd:ssh.privateKeyFile: "id.pub" is a public key; name the private one, which has no .pub at the end',
    ]);
    writeFileSync(join(where.directory, "note"), "hello", { mode: 0o600 });
    expect(said("note")).toEqual([
      'etcd:ssh.privateKeyFile: "note" is no private key that OpenSSH reads; make one with ssh-keygen -t ed25519',
    ]);
    expect(said("~")).toEqual(['etcd:ssh.privateKeyFile: "~" is not a file; name a private key']);
    expect(complaints(where, {}, { ssh: { privateKeyFile: "gone" } })).toEqual([
      'etcd:nodes[0].ssh.privateKeyFile: "gone" does not exist; make a key with ssh-keygen -t ed25519 or name another file',
    ]);
  });

  test("one bad file for all nodes is reported once", () => {
    const nodes = ["etcd01", "etcd02", "etcd03"].map((name, index) => ({
      name,
      address: `10.0.0.${index + 1}`,
      ssh: { hostKey: hostKey(1) },
    }));
    expect(mistakes({ nodes, ssh: { privateKeyFile: "gone" } }, usual())).toHaveLength(1);
  });

  test("without any key the agent is asked, and without an agent there is nothing", async () => {
    const where = usual();
    rmSync(join(where.home, ".ssh/id_ed25519"));
    expect(complaints(where)).toEqual([
      "etcd:ssh.privateKeyFile: missing, and there is no ~/.ssh/id_ed25519, no ~/.ssh/id_rsa and no SSH agent; name a key file",
    ]);
    generate(where, ".ssh/id_ed25519", "-t", "ed25519", "-N", "secret");
    expect(complaints(where)).toEqual([
      "etcd:ssh.privateKeyFile: missing, and the default ~/.ssh/id_ed25519 has a passphrase; run ssh-agent and ssh-add ~/.ssh/id_ed25519",
    ]);
    const agentSocket = join(where.home, "agent");
    const withAgent = { ...where, agentSocket };
    expect(complaints(withAgent, { agent: true })).toEqual([
      `etcd:ssh.agent: SSH_AUTH_SOCK names "${agentSocket}", where no agent listens; start one with eval $(ssh-agent)`,
    ]);
    const agent = createServer();
    await new Promise<void>((resolve) => agent.listen(agentSocket, resolve));
    const found = [connect(withAgent), connect(withAgent, { agent: true })];
    await new Promise((resolve) => agent.close(resolve));
    for (const connection of found) {
      expect(connection?.agentSocket).toBe(agentSocket);
      expect(connection?.privateKey).toBeUndefined();
    }
  });

  test("a bastion has the nodes' user and key unless it has its own", () => {
    const where = usual();
    const bastion = { host: "bastion.example.org", hostKey: hostKey(7) };
    expect(connect(where, { user: "admin", bastion })?.bastion).toEqual({
      host: "bastion.example.org",
      port: 22,
      user: "admin",
      privateKey: privateKey(),
      privateKeyFile: join(where.home, ".ssh/id_ed25519"),
      hostKey: hostKey(7),
    });
    const own = generate(where, "project/own", "-t", "ed25519", "-N", "");
    const mine = { ...bastion, port: 2222, user: "jump", privateKeyFile: "own" };
    expect(connect(where, { bastion: mine })?.bastion).toMatchObject({
      port: 2222,
      user: "jump",
      privateKeyFile: own,
    });
    expect(complaints(where, { bastion: { host: "bastion.example.org" } })).toEqual([
      "etcd:ssh.bastion.hostKey: missing, and ~/.ssh/known_hosts has no key of bastion.example.org; write the key here, or run ssh-keyscan -t ed25519 bastion.example.org >> ~/.ssh/known_hosts and compare the fingerprint",
    ]);
  });
});

describe("host keys that are not known", () => {
  const scan = (file: string, port = "") =>
    `write the key here, or run ssh-keyscan -t ed25519 ${port}192.168.1.83 >> ${file} and compare the fingerprint`;

  test("are a mistake that says what to do", () => {
    const where = someone({ ".ssh/id_ed25519": privateKey() });
    expect(complaints(where)).toEqual([
      `etcd:ssh.hostKeys.etcd01: missing, and ~/.ssh/known_hosts has no key of 192.168.1.83; ${scan("~/.ssh/known_hosts")}`,
    ]);
    expect(complaints(where, { port: 2222, knownHostsFile: "hosts" })).toEqual([
      `etcd:ssh.hostKeys.etcd01: missing, and hosts has no key of 192.168.1.83; ${scan("hosts", "-p 2222 ")}`,
    ]);
    mkdirSync(join(where.directory, "folder"));
    expect(complaints(where, { knownHostsFile: "folder" })).toEqual([
      `etcd:ssh.hostKeys.etcd01: missing, and folder cannot be read; write the key here, or name a readable file`,
    ]);
  });

  test("are let through only when the configuration says so, with a warning", () => {
    const where = usual();
    const nodes = [NODE, { name: "etcd02", address: "192.168.1.84" }];
    const { connections, warnings } = read({ nodes, ssh: { insecureIgnoreHostKeys: true } }, where);
    expect(connections.get("etcd01")?.hostKey).toBe(hostKey(1));
    expect(connections.get("etcd02")).not.toHaveProperty("hostKey");
    expect(warnings).toContain(
      "etcd:ssh.insecureIgnoreHostKeys: the host key of etcd02 is not known and not checked; whoever answers at the address receives the private keys",
    );
  });

  test("a revoked key stays refused even then", () => {
    const where = someone({
      ".ssh/id_ed25519": privateKey(),
      ".ssh/known_hosts": `192.168.1.83 ${hostKey(1)}\n@revoked * ${hostKey(1)}\n`,
    });
    expect(complaints(where, { insecureIgnoreHostKeys: true })).toEqual([
      `etcd:ssh.hostKeys.etcd01: missing, and the key of 192.168.1.83 in ~/.ssh/known_hosts is revoked; give the host a new key`,
    ]);
  });

  test("an RSA key alone is not enough", () => {
    const where = someone({
      ".ssh/id_ed25519": privateKey(),
      ".ssh/known_hosts": `192.168.1.83 ${hostKey(1, "ssh-rsa")}\n`,
    });
    expect(complaints(where)).toEqual([
      `etcd:ssh.hostKeys.etcd01: missing, and ~/.ssh/known_hosts has only an RSA key of 192.168.1.83, which cannot be verified; ${scan("~/.ssh/known_hosts")}`,
    ]);
  });
});
