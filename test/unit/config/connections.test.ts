import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Surroundings } from "../../../components/config/surroundings";
import type { Connection } from "../../../components/config/types";
import { hostKey, mistakes, operator, privateKey, read } from "../support/config";

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

describe("the host of a node that has left", () => {
  const left = { name: "etcd09", address: "192.168.1.91" };
  const others = (where: Surroundings, ssh: object = {}, node: object = {}) =>
    read({ nodes: [{ ...NODE, ...node }], ssh }, where).others.connectTo(left);

  test("is reached as all nodes are, and not as one of them", () => {
    const where = someone({
      ".ssh/id_ed25519": privateKey(),
      ".ssh/known_hosts": `192.168.1.83 ${hostKey(1)}\n[192.168.1.91]:2222 ${hostKey(9)}\n`,
    });
    const ssh = { user: "admin", port: 2222 };
    expect(others(where, ssh, { ssh: { user: "root", port: 22 } })).toMatchObject({
      ...{ host: "192.168.1.91", port: 2222, user: "admin", sudo: true },
      ...{ hostKey: hostKey(9), privateKey: privateKey() },
    });
  });

  test("is not dialled when its key is not known, unless keys do not matter", () => {
    expect(others(usual())).toBeUndefined();
    const { hostKey: key, host } = others(usual(), { insecureIgnoreHostKeys: true }) ?? {};
    expect([host, key]).toEqual(["192.168.1.91", undefined]);
  });
});

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

describe("secrets of a login", () => {
  const secret = ["ssh"];
  const given = (where: Surroundings, ssh: object) =>
    read({ nodes: [NODE], ssh }, where, secret).connections.get("etcd01");
  const said = (where: Surroundings, ssh: object, secrets: readonly string[] = secret) =>
    mistakes({ nodes: [NODE], ssh }, where, secrets);

  test("a password stands in for a key, and goes with one that is named", () => {
    const where = usual();
    const bastion = { host: "bastion.example.org", hostKey: hostKey(7) };
    const alone = given(where, { password: "word", bastion });
    expect(alone).toMatchObject({ password: "word", bastion: { password: "word" } });
    expect([alone?.privateKey, alone?.bastion?.privateKeyFile]).toEqual([undefined, undefined]);
    const both = given(where, { password: "word", privateKeyFile: "~/.ssh/id_ed25519" });
    expect(both).toMatchObject({ password: "word", privateKey: privateKey() });
  });

  test("a passphrase is for the keys that have one", () => {
    const where = usual();
    const locked = generate(where, "project/locked", "-t", "ed25519", "-N", "phrase");
    const ssh = { privateKeyFile: "locked", privateKeyPassphrase: "phrase" };
    expect(given(where, ssh)).toMatchObject({
      privateKey: readFileSync(locked, "utf8"),
      privateKeyFile: locked,
      privateKeyPassphrase: "phrase",
    });
    generate(where, "project/pem", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "phrase");
    expect(given(where, { ...ssh, privateKeyFile: "pem" })?.privateKeyPassphrase).toBe("phrase");
    expect(given(where, { privateKeyPassphrase: "phrase" })?.privateKeyPassphrase).toBeUndefined();
  });

  test("a key that the provider could not decrypt is refused, with the way", () => {
    const where = usual();
    const pkcs8 = generate(where, "project/pkcs8", "-t", "ecdsa", "-m", "PKCS8", "-N", "phrase");
    const chacha = ["-Z", "chacha20-poly1305@openssh.com"];
    const other = generate(where, "project/other", "-t", "ed25519", ...chacha, "-N", "phrase");
    const refusal = (file: string) =>
      said(where, { privateKeyFile: file, privateKeyPassphrase: "phrase" });
    expect(refusal("pkcs8")).toEqual([
      `etcd:ssh.privateKeyFile: [secret] is encrypted in a way that the Pulumi provider cannot read (PKCS #8); run ssh-keygen -p -Z aes256-ctr -f ${pkcs8}`,
    ]);
    expect(refusal("other")).toEqual([
      `etcd:ssh.privateKeyFile: [secret] is encrypted in a way that the Pulumi provider cannot read (chacha20-poly1305@openssh.com); run ssh-keygen -p -Z aes256-ctr -f ${other}`,
    ]);
    execFileSync("ssh-keygen", [
      ...["-q", "-p", "-P", "phrase", "-N", "phrase", "-Z", "aes256-ctr", "-f", other],
    ]);
    expect(refusal("other")).toEqual([]);
  });

  test("what sudo asks for is kept where sudo is used", () => {
    const where = usual();
    const sudoPassword = "word";
    expect(given(where, { user: "admin", sudoPassword })?.sudoPassword).toBe("word");
    expect(given(where, { sudoPassword })?.sudoPassword).toBeUndefined();
  });

  test("none stands in clear, and no message repeats it", () => {
    const where = usual();
    const ssh = { user: "admin", privateKeyPassphrase: "canary1", sudoPassword: "canary3" };
    expect(said(where, { ...ssh, password: "canary2" }, [])).toEqual(
      ["privateKeyPassphrase", "password", "sudoPassword"].map(
        (key) =>
          `etcd:ssh.${key}: is in plain text in the stack's configuration; take it out, change it, and set it with pulumi config set --secret --path 'etcd:ssh.${key}'`,
      ),
    );
    expect(said(where, { password: "canary\nof two lines" }, [])).toEqual([
      "etcd:ssh.password: is not one line of 1 to 1024 characters",
    ]);
  });
});

describe("an agent that is gone", () => {
  test("is a mistake where the provider would dial it, whatever it logs in with", async () => {
    const where = usual();
    const agentSocket = join(where.home, "agent");
    const complaint = [
      `etcd:ssh: SSH_AUTH_SOCK names "${agentSocket}", where no agent listens, and the Pulumi provider fails on that whatever it logs in with; unset SSH_AUTH_SOCK, or start an agent with eval $(ssh-agent)`,
    ];
    expect(complaints({ ...where, agentSocket })).toEqual(complaint);
    // A socket whose program is gone is a file still.
    const script =
      'require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
    spawnSync(process.execPath, ["-e", script, agentSocket]);
    expect(statSync(agentSocket).isSocket()).toBe(true);
    expect(complaints({ ...where, agentSocket })).toEqual(complaint);
    const agent = spawn("ssh-agent", ["-D", "-a", `${agentSocket}.2`], { stdio: "pipe" });
    await once(agent.stdout, "data");
    const found = complaints({ ...where, agentSocket: `${agentSocket}.2` });
    agent.kill();
    expect(found).toEqual([]);
  });
});

describe("a host that is dialled elsewhere", () => {
  const elsewhere = { host: "10.9.0.1" };

  test("is known by that address first, then by its own and its name", () => {
    const where = someone({
      ".ssh/id_ed25519": privateKey(),
      ".ssh/known_hosts": `192.168.1.83 ${hostKey(1)}\n10.9.0.1 ${hostKey(2)}\n`,
    });
    expect(connect(where, {}, { ssh: elsewhere })).toMatchObject({
      host: "10.9.0.1",
      hostKey: hostKey(2),
    });
    expect(connect(usual(), {}, { ssh: elsewhere })?.hostKey).toBe(hostKey(1));
    const named = connect(where, { hostKeys: { "10.9.0.1": hostKey(3) } }, { ssh: elsewhere });
    expect(named?.hostKey).toBe(hostKey(3));
    expect(
      complaints(someone({ ".ssh/id_ed25519": privateKey() }), {}, { ssh: elsewhere }),
    ).toEqual([
      expect.stringContaining("has no key of 10.9.0.1; write the key here, or run ssh-keyscan"),
    ]);
  });

  test("is no other node's, but at another port", () => {
    const nodes = (ssh: object) => [
      { ...NODE, ssh: { ...elsewhere, hostKey: hostKey(1) } },
      { name: "etcd02", address: "192.168.1.84", ssh: { hostKey: hostKey(2), ...ssh } },
    ];
    expect(mistakes({ nodes: nodes(elsewhere) }, usual())).toEqual([
      "etcd:nodes[1].ssh.host: 10.9.0.1 port 22 is also where nodes[0] is reached; every node needs a machine of its own",
    ]);
    expect(mistakes({ nodes: nodes({ ...elsewhere, port: 2222 }) }, usual())).toEqual([]);
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

describe("a private key whose text is given", () => {
  const key = privateKey();
  const secrets = ["ssh", "nodes"];
  const login = (ssh: object, node: object = {}) =>
    read({ nodes: [{ ...NODE, ssh: { hostKey: hostKey(1), ...node } }], ssh }, nobody(), secrets);
  const said = (ssh: object, node: object = {}, where: readonly string[] = secrets) =>
    mistakes({ nodes: [{ ...NODE, ssh: { hostKey: hostKey(1), ...node } }], ssh }, nobody(), where);
  /** Has neither key nor agent. */
  const nobody = () => someone({});

  test("is used as it is, with its last line ended", () => {
    const { connections } = login({ privateKey: key.trimEnd().replaceAll("\n", "\r\n") });
    const found = connections.get("etcd01");
    expect(found?.privateKey).toBe(key);
    expect(found).not.toHaveProperty("privateKeyFile");
  });

  test("of one node, or of the bastion, goes before that of all", () => {
    const [all, own, other] = ["none", "aes256-ctr", "aes256-cbc"].map((name) => privateKey(name));
    const ssh = {
      privateKey: all,
      privateKeyPassphrase: "word",
      bastion: { host: "bastion", hostKey: hostKey(2), privateKey: other },
    };
    const { connections } = login(ssh, { privateKey: own });
    expect(connections.get("etcd01")).toMatchObject({
      privateKey: own,
      privateKeyPassphrase: "word",
      bastion: { privateKey: other },
    });
    expect(login(ssh).connections.get("etcd01")?.privateKey).toBe(all);
  });

  test("beside the name of a file is one mistake", () => {
    const both = { privateKey: key, privateKeyFile: "gone" };
    const words = "is given beside privateKeyFile; leave out one of the two";
    expect(said(both)).toEqual([`etcd:ssh.privateKey: ${words}`]);
    expect(said({}, both)).toEqual([`etcd:nodes[0].ssh.privateKey: ${words}`]);
    expect(said({ bastion: { host: "bastion", hostKey: hostKey(2), ...both } })).toEqual([
      `etcd:ssh.bastion.privateKey: ${words}`,
      "etcd:ssh.privateKeyFile: missing, and there is no ~/.ssh/id_ed25519, no ~/.ssh/id_rsa and no SSH agent; name a key file",
    ]);
  });

  test("is refused in plain text in the stack's configuration", () => {
    expect(said({ privateKey: key }, { privateKey: key }, [])).toEqual([
      "etcd:nodes[0].ssh.privateKey: is in plain text in the stack's configuration; take it out, change it, and set it with pulumi config set --secret --path 'etcd:nodes[0].ssh.privateKey'",
      "etcd:ssh.privateKey: is in plain text in the stack's configuration; take it out, change it, and set it with pulumi config set --secret --path 'etcd:ssh.privateKey'",
    ]);
  });

  test.each([
    [
      "~/.ssh/id_ed25519",
      "is not the text of a private key; write all its lines, or name its file",
    ],
    [7, "is not the text of a private key; write all its lines, or name its file"],
    [`${hostKey(1)}\n${hostKey(2)}\n`, "is a public key; write the text of the private one"],
    ["hello\nworld\n", "is no private key that OpenSSH reads; make one with ssh-keygen -t ed25519"],
    [
      privateKey("aes256-ctr"),
      "has a passphrase; write it as etcd:ssh.privateKeyPassphrase, or give a key without one",
    ],
  ])("that cannot be used is never repeated: %#", (text, words) => {
    expect(said({ privateKey: text })).toEqual([`etcd:ssh.privateKey: ${words}`]);
  });

  test("that is encrypted in a way of its own is refused", () => {
    expect(said({ privateKey: privateKey("chacha20"), privateKeyPassphrase: "word" })).toEqual([
      "etcd:ssh.privateKey: is encrypted in a way that the Pulumi provider cannot read (chacha20); run ssh-keygen -p -Z aes256-ctr -f FILE",
    ]);
  });
});
