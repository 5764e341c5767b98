import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Look } from "../../components/look";
import { sshOptions } from "../../components/openssh";
import { readAnswer } from "../../components/probe-answer";
import { connection, hostKey } from "../support/fixtures";

const LOCAL = { started: 1_000_000, ended: 1_000_400 };

function seen(look: Look) {
  if (!look.seen) {
    throw new Error(`not seen: ${look.reason}`);
  }
  return look;
}

const readLines = (...lines: string[]) => seen(readAnswer(`${lines.join("\n")}\n`, LOCAL, 2));

describe("what the probe prints", () => {
  test("on a bare host is a clock and a unit that is missing", () => {
    expect(readLines("clock 1000200", "unit etcd.service is inactive")).toEqual({
      seen: true,
      formed: false,
      findings: [],
      receipts: new Map(),
      unit: ["etcd.service is inactive"],
      leader: false,
      empty: false,
      members: [],
      nodes: [],
      known: [],
      certificates: [],
    });
  });

  test("on a host in order is its receipts and no more", () => {
    const look = readLines(
      "clock 1000200",
      "formed",
      "version 3.6.16",
      "leader",
      "receipt host create, 2026-11-22T10:20:30Z",
      "receipt files repair: /etc/etcd.env changed, 2026-11-22T10:20:30Z",
    );
    expect(look).toEqual({
      seen: true,
      formed: true,
      findings: [],
      receipts: new Map([
        ["host", { revision: "create, 2026-11-22T10:20:30Z", drift: [] }],
        ["files", { revision: "repair: /etc/etcd.env changed, 2026-11-22T10:20:30Z", drift: [] }],
      ]),
      unit: [],
      version: "3.6.16",
      leader: true,
      empty: false,
      members: [],
      nodes: [],
      known: [],
      certificates: [],
    });
  });

  test("of drift belongs to the step before it", () => {
    const { receipts } = readLines(
      "receipt files create",
      "drift files /etc/etcd.env changed",
      "drift files /etc/kubernetes/pki/etcd/ca.pem has mode 666, not 644",
      "receipt member new",
      "drift member /usr/local/bin/etcd removed",
    );
    expect(receipts.get("files")?.drift).toEqual([
      "/etc/etcd.env changed",
      "/etc/kubernetes/pki/etcd/ca.pem has mode 666, not 644",
    ]);
    expect(receipts.get("member")?.drift).toEqual(["/usr/local/bin/etcd removed"]);
  });

  test("of a neighbour names it", () => {
    const { findings } = readLines(
      "finding has 512 MiB of memory",
      "finding unreachable etcd02: cannot reach etcd02 at 192.0.2.2 port 2380",
    );
    expect(findings).toEqual([
      { text: "has 512 MiB of memory" },
      { text: "cannot reach etcd02 at 192.0.2.2 port 2380", about: "etcd02" },
    ]);
  });

  test("of the unit is kept in its own words", () => {
    expect(readLines("unit etcd.service is failed", "unit it is disabled").unit).toEqual([
      "etcd.service is failed",
      "it is disabled",
    ]);
  });

  test("of the members is the leader's list, a name that is not there yet included", () => {
    expect(
      readLines(
        "empty",
        "member etcd01 https://192.0.2.1:2380 false yes",
        "member - https://192.0.2.4:2380 true no",
      ),
    ).toMatchObject({
      empty: true,
      members: [
        { name: "etcd01", peerUrls: "https://192.0.2.1:2380", learner: false, healthy: true },
        { name: "", peerUrls: "https://192.0.2.4:2380", learner: true, healthy: false },
      ],
    });
  });

  test("of a CA rotation are the CAs that are trusted and the one that signed", () => {
    expect(readLines("trust - 2027-03", "issuer 2027-03")).toMatchObject({
      trusts: ["-", "2027-03"],
      issuer: "2027-03",
    });
    expect(readLines("trust ").trusts).toEqual([]);
    expect(readLines("formed")).not.toHaveProperty("trusts");
  });

  test("of certificates is read as far as they are some", () => {
    const directory = mkdtempSync(join(tmpdir(), "etcd-probe-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const [key, pem] = [join(directory, "key"), join(directory, "pem")];
    const made = spawnSync(
      "openssl",
      `req -x509 -newkey ed25519 -nodes -keyout ${key} -out ${pem} -subj /CN=x -days 2`.split(" "),
    );
    expect(made.status).toBe(0);
    const base64 = readFileSync(pem, "utf8").replaceAll(/-----.*-----|\n/g, "");
    const { certificates } = readLines(
      `certificate peer.pem ${base64}`,
      "certificate server.pem AAAA",
      "certificate ca.pem ",
    );
    expect(certificates.map(({ file }) => file)).toEqual(["peer.pem"]);
    const hours = ((certificates[0]?.end.getTime() ?? 0) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(47);
    expect(hours).toBeLessThanOrEqual(48);
  });

  test("that this program does not know is passed over", () => {
    expect(readLines("Welcome to Debian", "", "receipt unheard-of x", "drift health x")).toEqual({
      seen: true,
      formed: false,
      findings: [],
      receipts: new Map(),
      unit: [],
      leader: false,
      empty: false,
      members: [],
      nodes: [],
      known: [],
      certificates: [],
    });
  });
});

describe("the clock", () => {
  const texts = (clock: number) => readLines(`clock ${clock}`).findings.map(({ text }) => text);

  test.each([
    ["within the time that the question took", 1_000_200],
    ["behind as far as is allowed", 998_000],
    ["ahead as far as is allowed", 1_002_400],
  ])("is right %s", (_, clock) => {
    expect(texts(clock)).toEqual([]);
  });

  test("behind is a finding with the difference and the limit", () => {
    expect(texts(996_500)).toEqual([
      "its clock is 3.5 s behind this machine's; etcd:host.maximumClockSkew allows 2: set up time synchronisation",
    ]);
  });

  test("ahead is one too", () => {
    expect(texts(1_007_400)).toEqual([
      "its clock is 7.0 s ahead of this machine's; etcd:host.maximumClockSkew allows 2: set up time synchronisation",
    ]);
  });
});

/** What OpenSSH makes of the options, without connecting to anything. */
function parsed(options: readonly string[], host = "root@192.0.2.1"): Map<string, string> {
  const { stdout, stderr, status } = spawnSync("ssh", ["-G", "-T", ...options, host], {
    encoding: "utf8",
  });
  // The fixture's key file does not exist, which is all that ssh may find.
  const complaints = stderr.split("\n").filter((line) => !/^$|^Warning: Identity file/.test(line));
  expect({ complaints, status }).toEqual({ complaints: [], status: 0 });
  return new Map(
    stdout
      .trimEnd()
      .split("\n")
      .map((line): [string, string] => {
        const [key = "", ...rest] = line.split(" ");
        return [key, rest.join(" ")];
      }),
  );
}

describe("the options of ssh", () => {
  test("accept the configured host key alone and ask nothing", () => {
    const options = parsed(sshOptions(connection("192.0.2.1", { port: 2222 })));
    expect(Object.fromEntries(options)).toMatchObject({
      port: "2222",
      user: "root",
      batchmode: "yes",
      stricthostkeychecking: "true",
      userknownhostsfile: "/dev/null",
      globalknownhostsfile: "/dev/null",
      knownhostscommand: `/bin/echo %H ${hostKey("192.0.2.1")}`,
      hostkeyalgorithms: "ssh-ed25519",
      identitiesonly: "yes",
      identityagent: "none",
      identityfile: "/home/operator/.ssh/id_ed25519",
      connecttimeout: "5",
    });
  });

  test("leave out the exchange of keys that alone takes as long as the login", () => {
    const methods =
      parsed(sshOptions(connection("h")))
        .get("kexalgorithms")
        ?.split(",") ?? [];
    expect(methods).toContain("curve25519-sha256");
    expect(methods.filter((method) => method.startsWith("sntrup"))).toEqual([]);
  });

  test("ask for the signatures that an RSA key makes today", () => {
    const options = parsed(sshOptions(connection("h", { hostKey: "ssh-rsa AAAA" })));
    expect(options.get("hostkeyalgorithms")).toBe("rsa-sha2-512,rsa-sha2-256");
  });

  test("check no key only when the configuration gave none", () => {
    const options = parsed(sshOptions(connection("h", { hostKey: undefined })));
    expect(options.get("stricthostkeychecking")).toBe("false");
    expect(options.has("knownhostscommand")).toBe(false);
  });

  test("use the agent when there is no key file", () => {
    const agent = { privateKeyFile: undefined, privateKey: undefined };
    const used = parsed(sshOptions(connection("h", { ...agent, agentSocket: "/run/agent.1" })));
    expect(used.get("identityagent")).toBe("/run/agent.1");
    expect(parsed(sshOptions(connection("h", agent))).get("identityagent")).toBe("none");
  });

  test("never hold the key itself", () => {
    const bastion = connection("bastion");
    expect(sshOptions(connection("h", { bastion })).join(" ")).not.toMatch(/PRIVATE KEY|canary/);
  });

  test("go through the bastion with its own key checked", () => {
    const bastion = connection("bastion.example.org", { port: 2022, user: "jump" });
    const proxy =
      parsed(sshOptions(connection("192.0.2.1", { bastion }))).get("proxycommand") ?? "";
    expect(proxy).toMatch(/^ssh -F \/dev\/null -p 2022 /);
    expect(proxy).toMatch(/ -W '\[%h\]:%p' jump@bastion\.example\.org$/);
    // One % of each pair is for the outer ssh.
    expect(proxy).toContain(
      `-o 'KnownHostsCommand=/bin/echo %%H ${hostKey("bastion.example.org")}'`,
    );
  });
});
