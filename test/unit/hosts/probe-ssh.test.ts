import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { Connection } from "../../../components/config/types";
import { answerTo } from "../../../components/hosts/askpass";
import type { HostState } from "../../../components/hosts/host-state";
import { PATIENCE } from "../../../components/hosts/login";
import { type Holding, KEEP_LOCK, keepNodes, probeHosts } from "../../../components/hosts/probe";
import { run } from "../../../components/hosts/session";
import { sshOptions } from "../../../components/hosts/ssh-options";
import { hostScript, packed, plain, STEP_SCRIPTS } from "../../../components/scripts/bundle";
import { PROGRAM_VERSION } from "../../../components/scripts/program";
import { connection } from "../../support/fixtures";
import { type Answer, answered, keyPair, type Sshd, startSshd } from "../../support/sshd";

describe("a look over SSH", () => {
  const directory = mkdtempSync(join(tmpdir(), "etcd-probe-"));
  // What others leave in the directory for temporary files is not this file's.
  const temporary = join(directory, "tmp");
  mkdirSync(temporary);
  vi.stubEnv("TMPDIR", temporary);
  const odd = join(directory, "the operator's 100%d key");
  const key = join(directory, "key");
  for (const file of [odd, key]) {
    writeFileSync(file, keyPair().private, { mode: 0o600 });
  }

  async function sshd(answer?: Answer, port = 0, delay = 0): Promise<Sshd> {
    await pause(delay);
    const server = await startSshd(answer, port);
    onTestFinished(() => server.close());
    return server;
  }

  const to = (server: Sshd, change: Partial<Connection> = {}) =>
    connection("127.0.0.1", {
      port: server.port,
      hostKey: server.hostKey,
      privateKeyFile: key,
      ...change,
    });

  /** @param pauses seconds before each further dial. */
  const look = async (
    target: Connection,
    ...pauses: readonly number[]
  ): Promise<HostState | undefined> => {
    const targets = new Map([["a", { connection: target, values: { NODE: "it's etcd01" } }]]);
    const onWait = (name: string, words: string) => waits.push(`${name}: ${words}`);
    return (await probeHosts(targets, 2, undefined, { pauses, onWait })).get("a");
  };
  const waits: string[] = [];

  const holding = (change: Partial<Holding> = {}): Holding => ({
    held: [],
    words: "alice@laptop since today",
    onWait: () => undefined,
    onLost: () => undefined,
    ...change,
  });

  test("sends the script and reads the answer", async () => {
    const server = await sshd({ stdout: answered("bootstrapped") });
    expect(await look(to(server))).toMatchObject({
      inspected: true,
      bootstrapped: true,
      findings: [],
    });
    expect(server.commands.map(({ command }) => command)).toEqual(["bash -p -s -- probe"]);
    expect(server.commands[0]?.input).toMatch(/^NODE='it'\\''s etcd01'\nMARK=[0-9a-f]{32}\n/);
  });

  test("of an up stays open when it has said all, says who is at work, and is told that the nodes stay", async () => {
    const answer = { stdout: answered("bootstrapped", "locked-by bob"), after: `\n${KEEP_LOCK}` };
    const server = await sshd(answer);
    const values = { NODE: "etcd01" };
    const target = new Map([["a", { connection: to(server), values }]]);
    const held = holding();
    const looks = await probeHosts(target, 2, held);
    expect(looks.get("a")).toMatchObject({ inspected: true, bootstrapped: true, lockedBy: "bob" });
    // The server notes a command when its standard input has ended.
    expect(server.commands).toEqual([]);
    expect(server.heard()).toContain(`\n${KEEP_LOCK}`);
    keepNodes(held.held, Promise.resolve());
    const { name, text } = hostScript("leave");
    const sent = `script ${name} ${packed(text).length}\n${packed(text)}`;
    await expect.poll(() => server.heard()).toContain("script lost-");
    expect(server.heard()).toContain(
      `\n${KEEP_LOCK}keep ${PROGRAM_VERSION}\n${sent}script install-`,
    );
  });

  test("of an up sends the scripts that the host lacks, and no others", async () => {
    const scripts = STEP_SCRIPTS.filter((script) => script !== "health").map(
      (script) => `script ${hostScript(script).name}`,
    );
    const server = await sshd({ stdout: answered(...scripts), after: `\n${KEEP_LOCK}` });
    const values = { NODE: "etcd01" };
    const held = holding();
    await probeHosts(new Map([["a", { connection: to(server), values }]]), 2, held);
    keepNodes(held.held, Promise.resolve());
    await expect.poll(() => server.heard()).toContain("script health-");
    const [, heard = ""] = server.heard().split(`\n${KEEP_LOCK}`);
    expect(heard.match(/script [a-z]+-/g)).toEqual(["script health-"]);
  });

  test("of an up sends the scripts of configured jobs before those of the steps, which need them", async () => {
    const server = await sshd({ stdout: answered(), after: `\n${KEEP_LOCK}` });
    const held = holding();
    const target = { connection: to(server), values: { NODE: "etcd01" } };
    await probeHosts(new Map([["a", target]]), 2, held);
    keepNodes(held.held, Promise.resolve(), ["maintenance"]);
    await expect.poll(() => server.heard()).toContain("script lost-");
    expect(
      server
        .heard()
        .match(/script [a-z]+-/g)
        ?.slice(0, 2),
    ).toEqual(["script maintenance-", "script leave-"]);
    expect(server.heard()).not.toContain("script backup-");
  });

  test("of an up is patient with a host that waits for the steps of a killed run, and says which", async () => {
    const stdout = (mark: string) => `\nwait ${mark}\n${answered("bootstrapped")(mark)}`;
    const server = await sshd({ stdout, after: `\n${KEEP_LOCK}` });
    const target = new Map([["a", { connection: to(server), values: { NODE: "etcd01" } }]]);
    const waiting: string[] = [];
    const looks = await probeHosts(target, 2, holding({ onWait: (name) => waiting.push(name) }));
    expect(looks.get("a")).toMatchObject({ inspected: true, bootstrapped: true });
    expect(waiting).toEqual(["a"]);
  });

  describe("of a host whose shell says something of its own", () => {
    const noise = (before: string, after = "") => ({
      stdout: (mark: string) => `${before}${answered("empty")(mark)}${after}`,
    });

    test.each([
      ["a line without an end", "Welcome to etcd01"],
      ["the title of a window", "\u001b]0;root@etcd01\u0007"],
      ["a word of the look", "formed\nfinding all is lost\n"],
      ["marks of another look", "begin 00\nformed\nend 00\n"],
    ])("does not hear %s, before and after its own", async (_, words) => {
      const server = await sshd(noise(words, `${words}\n`));
      expect(await look(to(server))).toMatchObject({
        inspected: true,
        bootstrapped: false,
        empty: true,
      });
    });

    test("measures the clock from its own first line on", async () => {
      // What comes before the begin mark may take long: the host's clock is right all the same.
      const started = Date.now();
      const answer = await run(
        "bash",
        ["-c", `echo noise; sleep 1; printf '\\nbegin x\\nend x\\n'`],
        "",
        { mark: "x" },
      );
      expect(answer.begun - started).toBeGreaterThanOrEqual(950);
    });
  });

  describe("that is not answered as expected is no look, and says which host:", () => {
    const CONTINUES = "inspect it before anything else";
    test.each<[string, Answer, string]>([
      ["nothing at all", {}, "its output is missing (exit code 0; no output)"],
      [
        "a forced command",
        { stdout: "Please login as the user admin\n" },
        'its output is missing (exit code 0; first line: "Please login as the user admin")',
      ],
      [
        "no end",
        { stdout: (mark) => answered("bootstrapped")(mark).replace(/end .*/, "") },
        "its output is missing",
      ],
      [
        "an unknown word",
        { stdout: answered("bootstrapped", "reboot now") },
        'the unexpected line "reboot now"',
      ],
      [
        "21 findings",
        { stdout: answered(...Array(21).fill("finding x")) },
        '"finding" more than 20 times',
      ],
      ["a flood", { stdout: () => Buffer.alloc(3_000_000, "x\n") }, "it printed more than 1 MiB"],
      ["a flood of errors", { stderr: "x\n".repeat(1_000_000) }, "it printed more than 1 MiB"],
      [
        "a line without an end",
        { stdout: answered("unit ".padEnd(20_000, "x")) },
        'a line of 20000 characters that begins with "unit xxx',
      ],
    ])("%s", async (_, answer, words) => {
      const server = await sshd(answer);
      const answers = await look(to(server));
      expect(answers).toMatchObject({ inspected: false, answered: true });
      expect(answers).toHaveProperty("reason", expect.stringContaining(words));
      expect(answers).toHaveProperty("reason", expect.stringContaining(CONTINUES));
    });
  });

  test("prints no control characters of a host's last words", async () => {
    const server = await sshd({ stderr: "\u001b[2Jno \u009b31mchanges\u202e\n", code: 1 });
    expect(await look(to(server))).toHaveProperty(
      "reason",
      expect.stringMatching(/: \?\[2Jno \?31mchanges\?; /),
    );
  });

  test("that is kept open tells when the host is gone, and one that is not does not", async () => {
    const answer = { stdout: answered("bootstrapped"), after: `\n${KEEP_LOCK}` };
    const [kept, plain] = [await startSshd(answer), await startSshd()];
    const lost: string[] = [];
    const tell = (name: string, words: string) => lost.push(`${name}: ${words}`);
    const at = (server: Sshd) =>
      new Map([["a", { connection: to(server), values: { NODE: "a" } }]]);
    await probeHosts(at(plain), 2);
    await probeHosts(at(kept), 2, holding({ onLost: tell }));
    expect(lost).toEqual([]);
    plain.close();
    kept.close();
    await expect.poll(() => lost).toEqual([expect.stringMatching(/^a: (Disconnected|.*closed)/)]);
  });

  test("of an up ends by itself on the host when the operator's machine is gone", async () => {
    const host = spawn("bash", ["-s"], { stdio: ["pipe", "ignore", "ignore"] });
    onTestFinished(() => void host.kill("SIGKILL"));
    const ended = new Promise((resolve) => host.on("close", resolve));
    // Nothing more comes, and no end either.
    host.stdin.write(`${plain("probe")}SILENCE_SECONDS=1\n${KEEP_LOCK}`);
    expect(await ended).toBe(0);
  }, 10_000);

  test("goes through sudo when it must", async () => {
    const server = await sshd();
    await look(to(server, { user: "admin", sudo: true }));
    expect(server.commands.map(({ command }) => command)).toEqual(["sudo -n bash -p -s -- probe"]);
  });

  test("sends nothing to a host with another key", async () => {
    const server = await sshd();
    const answer = await look(to(server, { hostKey: keyPair().public }));
    expect(answer).toMatchObject({ inspected: false, answered: true });
    expect(answer).toHaveProperty(
      "reason",
      `host key verification failed for root@127.0.0.1:${server.port}; nothing was sent; if the host was really reinstalled, put its new key into the known_hosts file or etcd:ssh.hostKeys`,
    );
    expect(server.commands).toEqual([]);
  });

  describe("that nobody answers is repeated, slowly, where new connections are turned away:", () => {
    /** A port where nobody listens now. */
    async function closed(): Promise<Sshd> {
      const server = await startSshd();
      server.close();
      return server;
    }

    test("when all dials were refused, and says why and how often", async () => {
      waits.length = 0;
      const server = await closed();
      expect(await look(to(server))).toEqual({
        inspected: false,
        answered: false,
        reason: `SSH to root@127.0.0.1:${server.port} failed: ssh: connect to host 127.0.0.1 port ${server.port}: Connection refused`,
      });
      expect(waits).toEqual([]);
      const answer = await look(to(server), 0.01, 0.01, 0.01);
      expect(answer).toHaveProperty("answered", false);
      expect(answer).toHaveProperty(
        "reason",
        expect.stringMatching(
          /Connection refused \(4 attempts in 30 s: sshd is not running, or a limit of new SSH connections, such as ufw limit ssh/,
        ),
      );
      expect(waits).toEqual([expect.stringMatching(/^a: ssh: connect to .*Connection refused$/)]);
    });

    test("until one is taken", async () => {
      const server = await closed();
      const later = sshd({ stdout: answered("bootstrapped") }, server.port, 1500);
      const target = to(server, { hostKey: undefined });
      expect(await look(target, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)).toMatchObject({
        inspected: true,
        bootstrapped: true,
      });
      await later;
    });

    test("through a bastion, with all that ssh has said", async () => {
      const bastion = await sshd();
      const reason = expect.stringMatching(
        /^SSH to root@127\.0\.0\.1:\d+ failed: channel 0: open failed: connect failed:.*; stdio forwarding failed; .*Connection closed by UNKNOWN port 65535 \(2 attempts/,
      );
      expect(await look(to(await closed(), { bastion: to(bastion) }), 0.01)).toEqual({
        inspected: false,
        answered: false,
        reason,
      });
      expect(bastion.forwards).toHaveLength(2);
    });

    test("and not by one who does not let in", async () => {
      const server = await sshd({ password: "another" });
      expect(await look(to(server), 5, 5, 5)).toEqual({
        inspected: false,
        answered: true,
        reason: `SSH to root@127.0.0.1:${server.port} failed: root@127.0.0.1: Permission denied (password).; add the public key of ${key} to the authorized_keys of that user; a certificate beside it (-cert.pub) is not used, see docs/connections.md`,
      });
    });

    test("and not by a bastion that does not let in", async () => {
      const [node, bastion] = [await sshd(), await sshd({ password: "another" })];
      const answer = await look(to(node, { bastion: to(bastion) }), 5, 5, 5);
      expect(answer).toHaveProperty("answered", true);
      expect(answer).toHaveProperty(
        "reason",
        expect.stringMatching(
          /: root@127\.0\.0\.1: Permission denied \(password\)\.; .*Connection closed by UNKNOWN port 65535; add the public key/,
        ),
      );
    });

    test("long enough for a limit that counts what it turns away twice, thirty seconds back", () => {
      const dials = [0];
      for (const seconds of PATIENCE.pauses) {
        dials.push((dials.at(-1) ?? 0) + seconds);
      }
      const last = dials.at(-1) ?? 0;
      expect(last).toBeGreaterThan(30);
      // ufw: the new one and the five before it are too many.
      expect(2 * dials.filter((at) => at > last - 30 && at < last).length + 1).toBeLessThan(6);
    });
  });

  describe("that fails on a host that let us in is not for a warning, and says all that was said and what to do:", () => {
    const WHERE = "127\\.0\\.0\\.1:\\d+";
    test.each<[string, Answer, Partial<Connection>, string]>([
      [
        "sudo wants a password",
        { stderr: "sudo: a password is required\n", code: 1 },
        { sudo: true, user: "admin" },
        "accepted the login, but the command exited with code 1: sudo: a password is required; let admin use sudo without a password (NOPASSWD in its sudoers), or set etcd:ssh.sudoPassword",
      ],
      [
        "sudo does not take the password",
        { stderr: "Sorry, try again.\nsudo: 3 incorrect password attempts\n", code: 1 },
        { sudo: true, sudoPassword: "x" },
        "exited with code 1: Sorry, try again.; sudo: 3 incorrect password attempts; sudo did not take etcd:ssh.sudoPassword; correct it",
      ],
      [
        "requiretty",
        { stderr: "sudo: sorry, you must have a tty to run sudo\n", code: 1 },
        { sudo: true, user: "admin" },
        'exited with code 1: sudo: sorry, you must have a tty to run sudo; add "Defaults:admin !requiretty" to its sudoers',
      ],
      [
        "no right to use sudo",
        { stderr: "admin is not in the sudoers file.\n", code: 1 },
        { sudo: true, user: "admin" },
        'let admin run everything through sudo ("admin ALL=(ALL) ALL" in its sudoers), or log in as root',
      ],
      [
        "a forced command",
        { stdout: 'Please login as the user "debian".\n\nBye\n', code: 142 },
        {},
        'exited with code 142: Please login as the user "debian".; Bye; that login must run the command it is given in bash: check its shell, ForceCommand in its sshd_config and command= in its authorized_keys',
      ],
      [
        "no shell",
        { stdout: "This account is currently not available.\n", code: 1 },
        {},
        "exited with code 1: This account is currently not available.; that login must run",
      ],
      [
        "a restricted shell",
        { stderr: "rbash: bash: command not found\n", stdout: "hello", code: 127 },
        {},
        "exited with code 127: rbash: bash: command not found; hello; that login must run",
      ],
      ["a shell that says nothing", { code: 3 }, {}, "exited with code 3: no output; that login"],
      ["a code of ssh's own", { code: 255 }, {}, "SSH to root@127.0.0.1"],
      [
        "the look itself",
        { stdout: (mark) => `\nbegin ${mark}\nclock 1\n`, stderr: "etcd01: no room\n", code: 1 },
        {},
        "exited with code 1: etcd01: no room; fix what it names and run it again",
      ],
    ])("%s", async (_, answer, change, words) => {
      const answers = await look(to(await sshd(answer), change), 5);
      expect(answers).toMatchObject({ inspected: false, answered: true });
      expect(answers).toHaveProperty("reason", expect.stringContaining(words));
      expect(answers).toHaveProperty("reason", expect.stringMatching(WHERE));
    });
  });

  describe("logs in as the steps do:", () => {
    test("with the key alone, whatever certificate lies beside it", async () => {
      const [file, authority] = [join(directory, "certified"), join(directory, "authority")];
      for (const one of [file, authority]) {
        execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", one]);
      }
      execFileSync("ssh-keygen", ["-q", "-s", authority, "-I", "me", "-n", "root", `${file}.pub`]);
      expect(existsSync(`${file}-cert.pub`)).toBe(true);
      const server = await sshd({ stdout: answered("bootstrapped") });
      expect(await look(to(server, { privateKeyFile: file }))).toMatchObject({
        bootstrapped: true,
      });
      expect(new Set(server.logins)).toEqual(new Set(["none", "ssh-ed25519"]));
    });

    test("with a key that has a passphrase, which is asked for of this process", async () => {
      const file = join(directory, "locked's key");
      writeFileSync(file, keyPair("of the key's own").private, { mode: 0o600 });
      const server = await sshd({ stdout: answered("bootstrapped") });
      const locked = { privateKeyFile: file, privateKeyPassphrase: "of the key's own" };
      expect(await look(to(server, locked))).toMatchObject({ bootstrapped: true });
      expect(await look(to(server, { ...locked, privateKeyPassphrase: "other" }))).toMatchObject({
        answered: true,
      });
    });

    test("with keys whose text alone is given, which are files for no longer than that", async () => {
      const [node, bastion] = [await sshd({ stdout: answered("bootstrapped") }), await sshd()];
      const login = { privateKeyFile: undefined, privateKey: keyPair().private };
      const locked = {
        ...login,
        privateKey: keyPair("word").private,
        privateKeyPassphrase: "word",
      };
      const target = to(node, { ...locked, bastion: to(bastion, login) });
      expect(await look(target)).toMatchObject({ bootstrapped: true });
      expect([node, bastion].map(({ logins }) => logins.includes("ssh-ed25519"))).toEqual([
        true,
        true,
      ]);
      expect(readdirSync(temporary)).toEqual([]);
    });

    test("with a password, on the way through a bastion too", async () => {
      const password = 'it\'s $HOME of a "canary" \\';
      const login = { privateKeyFile: undefined, privateKey: undefined, password };
      const [node, bastion] = [
        await sshd({ stdout: answered("bootstrapped"), password }),
        await sshd({ password }),
      ];
      const target = to(node, { ...login, bastion: to(bastion, login) });
      expect(await look(target)).toMatchObject({ bootstrapped: true });
      expect(node.logins).toEqual(["none", "password"]);
      expect(sshOptions(target).join(" ")).not.toContain("canary");
      expect(readdirSync(temporary)).toEqual([]);
    });

    test("with the keys of an agent alone, and with no key of the user's own beside them", async () => {
      const socket = join(directory, "agent");
      const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "pipe" });
      onTestFinished(() => void agent.kill());
      await once(agent.stdout, "data");
      const environment = { ...process.env, SSH_AUTH_SOCK: socket };
      execFileSync("ssh-add", ["-q", key], { env: environment, stdio: "ignore" });
      const server = await sshd({ stdout: answered("bootstrapped") });
      const login = { privateKeyFile: undefined, privateKey: undefined, agentSocket: socket };
      expect(await look(to(server, login))).toMatchObject({ bootstrapped: true });
      expect(sshOptions(to(server, login))).toContain("IdentityFile=none");
    });

    test("once with a wrong password, and says so", async () => {
      const server = await sshd({ password: "right" });
      const login = { privateKeyFile: undefined, privateKey: undefined, password: "wrong" };
      expect(await look(to(server, login), 5, 5)).toMatchObject({
        answered: true,
        reason: expect.stringContaining("let that user log in with what etcd:ssh has"),
      });
      expect(server.logins).toEqual(["none", "password"]);
    });

    test("and tells a passphrase to nobody but ssh itself", () => {
      const endpoint = connection("h", {
        privateKeyFile: "/k",
        privateKeyPassphrase: "phrase",
        password: "word",
      });
      const told = (question: string) => answerTo(question, [endpoint]);
      expect(told("Enter passphrase for key '/k': ")).toBe("phrase");
      expect(told("Enter passphrase for key '/other': ")).toBeUndefined();
      expect(told("(root@h) Enter passphrase for key '/k': ")).toBe("word");
      expect(told("root@h's password: ")).toBe("word");
    });

    test("through a sudo that reads a password, and with the password in no command", async () => {
      const server = await sshd({ stdout: answered("bootstrapped") });
      await look(to(server, { user: "admin", sudo: true, sudoPassword: "canary" }));
      const [asked] = server.commands;
      expect(asked?.command).toMatch(/^sudo -S -p '' bash --norc -p -c '.*' bash probe$/);
      expect(asked?.command).not.toContain("canary");
      expect(asked?.input).toMatch(/^canary\nsudo has read its password\nNODE=/);
    });
  });

  test("takes a key file with any name", async () => {
    const server = await sshd({ stdout: answered("bootstrapped") });
    expect(await look(to(server, { privateKeyFile: odd }))).toMatchObject({ bootstrapped: true });
  });

  test("goes through a bastion to the node", async () => {
    const [node, bastion] = [await sshd({ stdout: answered("bootstrapped") }), await sshd()];
    const through = to(bastion, { privateKeyFile: odd });
    expect(await look(to(node, { bastion: through }))).toMatchObject({
      inspected: true,
      bootstrapped: true,
    });
    expect(bastion.forwards).toEqual([`127.0.0.1:${node.port}`]);
    expect(bastion.commands).toEqual([]);
  });

  test("does not go through a bastion with another key", async () => {
    const [node, bastion] = [await sshd(), await sshd()];
    const through = to(bastion, { hostKey: keyPair().public });
    expect(await look(to(node, { bastion: through }))).toMatchObject({
      inspected: false,
      answered: true,
    });
    expect(bastion.forwards).toEqual([]);
  });

  test("gives every host its own answer", async () => {
    const [one, other] = [
      await sshd({ stdout: answered("bootstrapped") }),
      await sshd({ code: 3 }),
    ];
    const looks = await probeHosts(
      new Map([
        ["a", { connection: to(one), values: {} }],
        ["b", { connection: to(other), values: {} }],
      ]),
      2,
    );
    expect([...looks].map(([name, { inspected }]) => [name, inspected])).toEqual([
      ["a", true],
      ["b", false],
    ]);
  });

  afterAll(() => rmSync(directory, { recursive: true }));
});
