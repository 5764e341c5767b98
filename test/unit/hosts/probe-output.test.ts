import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import type { HostState } from "../../../components/hosts/host-state";
import { readAnswer } from "../../../components/hosts/probe-output";
import type { PROBE_WORDS } from "../../../components/hosts/probe-words";
import { sshOptions } from "../../../components/hosts/ssh-options";
import { refuseForeignMembers } from "../../../components/inspect";
import { connection, hostKey } from "../../support/fixtures";

const ASKED = { started: 1_000_000, ended: 1_000_400, maximumClockSkew: 2 };

function seen(look: HostState | string) {
  if (typeof look === "string") {
    throw new Error(look);
  }
  if (!look.inspected) {
    throw new Error(`not seen: ${look.reason}`);
  }
  return look;
}

const read = (...lines: string[]) =>
  readAnswer(lines[0]?.startsWith("clock ") ? lines : ["clock 1000200", ...lines], ASKED);
const readLines = (...lines: string[]) => seen(read(...lines));

describe("what the probe prints", () => {
  test("of a member that nothing may handle stops everything, whoever says it", () => {
    const words = "member a1 of the cluster has the name x, which this program cannot handle";
    const looks = new Map(
      ["etcd01", "etcd02"].map((name) => [name, readLines("bootstrapped", `foreign ${words}`)]),
    );
    expect(() => refuseForeignMembers(looks)).toThrow(
      `the member list contains a member that this program cannot handle; nothing was changed:\n  - ${words}`,
    );
    expect(() =>
      refuseForeignMembers(new Map([["etcd01", readLines("bootstrapped")]])),
    ).not.toThrow();
  });

  test("on a bare host is a clock and a unit that is missing", () => {
    expect(readLines("clock 1000200", "unit etcd.service is inactive")).toEqual({
      inspected: true,
      bootstrapped: false,
      findings: [],
      receipts: new Map(),
      unit: ["etcd.service is inactive"],
      leader: false,
      empty: false,
      members: [],
      nodes: [],
      peerUrlsSeen: [],
      certificates: [],
    });
  });

  test("on a host in order is its receipts and no more", () => {
    const look = readLines(
      "clock 1000200",
      "bootstrapped",
      "version 3.6.14",
      "leader",
      "receipt host create 2026-11-22T10:20:30Z",
      "receipt files repair 2026-11-22T10:20:30Z # /etc/etcd.env changed",
    );
    expect(look).toEqual({
      inspected: true,
      bootstrapped: true,
      findings: [],
      receipts: new Map([
        ["host", { revision: "create 2026-11-22T10:20:30Z", drift: [] }],
        ["files", { revision: "repair 2026-11-22T10:20:30Z # /etc/etcd.env changed", drift: [] }],
      ]),
      unit: [],
      version: "3.6.14",
      leader: true,
      empty: false,
      members: [],
      nodes: [],
      peerUrlsSeen: [],
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

  test("of the file that a recovery is to use has its age, and its revision when it is known", () => {
    const taken = new Date("2026-11-20T08:00:00Z");
    const seconds = taken.getTime() / 1000;
    expect(readLines(`snapshot-file ${seconds} 5`).snapshotFile).toEqual({ taken, revision: 5 });
    expect(readLines(`snapshot-file ${seconds} -`).snapshotFile).toEqual({ taken });
  });

  test("of the one in the repository has all that is known of it", () => {
    expect(
      readLines("snapshot-remote 0badcafe 2026-11-20T08:00:00Z 7 41 cafe 3.6.14").snapshotRemote,
    ).toEqual({
      ...{ id: "0badcafe", taken: new Date("2026-11-20T08:00:00Z"), revision: 7, size: 41 },
      ...{ cluster: "cafe", release: "3.6.14" },
    });
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

  test("that holds on every host says so", () => {
    expect(readLines("finding always has a broken block").findings).toEqual([
      { text: "has a broken block", stops: "every run" },
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
        "member etcd01 https://192.0.2.1:2380 false yes a1",
        "member - https://192.0.2.4:2380,https://[2001:db8::4]:2380 true no a4",
      ),
    ).toMatchObject({
      empty: true,
      members: [
        {
          name: "etcd01",
          peerUrls: "https://192.0.2.1:2380",
          learner: false,
          healthy: true,
          id: "a1",
        },
        {
          name: "",
          peerUrls: "https://192.0.2.4:2380,https://[2001:db8::4]:2380",
          learner: true,
          healthy: false,
          id: "a4",
        },
      ],
    });
  });

  test("of a CA rotation are the CAs that are trusted and the one that signed", () => {
    expect(readLines("trusts - 2027-03", "issuer 2027-03")).toMatchObject({
      trusts: ["-", "2027-03"],
      issuer: "2027-03",
    });
    expect(readLines("trusts ").trusts).toEqual([]);
    expect(readLines("bootstrapped")).not.toHaveProperty("trusts");
  });

  test("of certificates is read as far as they are some", () => {
    const directory = mkdtempSync(join(tmpdir(), "etcd-probe-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const [key, pem] = [join(directory, "key"), join(directory, "pem")];
    const made = spawnSync(
      "openssl",
      `req -x509 -newkey ed25519 -nodes -keyout ${key} -out ${pem} -subj /CN=etcd -days 2`.split(
        " ",
      ),
    );
    expect(made.status).toBe(0);
    const base64 = readFileSync(pem, "utf8").replaceAll(/-----.*-----|\n/g, "");
    const { certificates } = readLines(
      `certificate peer.pem ${base64}`,
      `certificate ca.pem ${base64}`,
      "certificate server.pem AAAA",
      "certificate ca.pem ",
    );
    expect(certificates.map(({ file }) => file)).toEqual(["peer.pem", "ca.pem"]);
    const ofKey = spawnSync("openssl", ["pkey", "-in", key, "-pubout"], { encoding: "utf8" });
    // Of the CA alone, whose key never changes.
    expect(certificates.map(({ publicKey }) => publicKey)).toEqual([undefined, ofKey.stdout]);
    const hours = ((certificates[0]?.end.getTime() ?? 0) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(47);
    expect(hours).toBeLessThanOrEqual(48);
  });

  test.each([
    ["a word that this program does not know", "Welcome to Debian"],
    ["a step that it does not know", "receipt unheard-of x"],
    ["drift of one that has no receipt", "drift health x"],
    ["a member whose name is none", "member a'b https://192.0.2.1:2380 false yes a1"],
    ["a member whose URL ends elsewhere", "member a https://x'&id>pwned;':2380 false yes a1"],
    ["a member without TLS", "member a http://192.0.2.1:2380 false yes a1"],
    ["a member whose ID is none", "member a https://192.0.2.1:2380 false yes $(id)"],
    ["a member's line that goes on", "member a https://192.0.2.1:2380 false yes a1 x"],
    ["a version that is none", "version 3.6"],
    ["a revision that is none", "revision -1"],
    ["an ID that is too long", "data 12345678901234567 a1"],
    ["a CA's name that is none", "trusts - $(id)"],
    ["a cluster that is none", "recovered everything"],
    ["something where nothing is to be", "bootstrapped yes"],
    ["a path that is none", "snapshot 3.6.1 3.6.2 relative"],
    ["an alarm that is none", "alarm corrupt a1"],
    ["an alarm of something else", "alarm CORRUPT a1 a2"],
    ["a database without a quota", "database 20480 0"],
    ["a database without a size", "database  2147483648"],
    ["a word of an earlier release", "formed"],
    ["data that is marked otherwise", "data cafe a1 nobody's"],
    ["a snapshot of no time", "snapshot-file - 7"],
    ["one of no cluster", "snapshot-remote 0badcafe 2026-11-20T08:00:00Z 7 41 - 3.6.14"],
    ["one with a path", "snapshot-remote /root/x 2026-11-20T08:00:00Z 7 41 cafe 3.6.14"],
    ["a file that is none of ours", "certificate shadow AAAA"],
    ["a digest that is none", "desired-digest *"],
    ["a job that there is not", "job defrag ok 2026-11-28T08:00:00Z 7 20480 0a1b2c3d 3600"],
    ["a job that came out otherwise", "job backup fine 2026-11-28T08:00:00Z 7 20480 0a1b2c3d -"],
    ["a job of no time", "job-good backup yesterday 7 20480 0a1b2c3d"],
    ["a job without a size", "job-good backup 2026-11-28T08:00:00Z 7 0a1b2c3d"],
  ])("that is %s is refused as a whole", (_, line) => {
    expect(read("bootstrapped", line)).toEqual(expect.stringContaining(line.slice(0, 60)));
  });

  test("has words that are the names of the fields that they are read into", () => {
    const SAMPLES: Readonly<Record<keyof typeof PROBE_WORDS, string>> = {
      ...{ clock: "1000200", "locked-by": "bob", unfinished: "a removal", finding: "x" },
      ...{ warning: "x", foreign: "x", bootstrapped: "", empty: "", data: "cafe a1" },
      ...{ identity: "cafe a1", "peer-urls-seen": "https://192.0.2.1:2380", recovered: "cafe" },
      ...{ recovering: "cafe", "snapshot-file": "1 -", revision: "7", unit: "x" },
      ...{ "snapshot-remote": "0badcafe 2026-11-20T08:00:00Z 7 41 cafe 3.6.14" },
      ...{ "snapshot-unread": "x" },
      ...{ version: "3.6.14", installed: "3.6.14", runs: "cafe a1 a2", leader: "" },
      ...{ member: "a https://192.0.2.1:2380 false yes a1", node: "a 192.0.2.1", token: "t" },
      ...{ "desired-digest": "0".repeat(64), alarm: "CORRUPT a1", database: "1 2" },
      ...{ downgrade: "3.5", snapshot: "3.6.1 3.6.2 /x", certificate: "peer.pem AAAA" },
      ...{ operator: "192.0.2.1", client: "192.0.2.1", trusts: "-", issuer: "-" },
      ...{ receipt: "host create", drift: "host x", script: "host-0123456789abcdef" },
      ...{ program: "0.2.0", job: "backup failed 2026-11-28T08:00:00Z - - - 3600 no room" },
      ...{ "job-good": "backup 2026-11-28T07:00:00Z 7 20480 0a1b2c3d" },
    };
    const bare = readLines("clock 1000200");
    // The first two have no field of their own; one that is no certificate has no place there.
    const others = new Set(["clock", "drift", "certificate", "job-good"]);
    for (const [word, rest] of Object.entries(SAMPLES).filter(([name]) => !others.has(name))) {
      const field = word.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      const host = readLines(`${word} ${rest}`.trim());
      const changed = Object.entries(host).filter(
        ([name, value]) => !isDeepStrictEqual(value, new Map(Object.entries(bare)).get(name)),
      );
      expect(
        changed.map(([name]) => name),
        word,
      ).toEqual([expect.stringMatching(`^${field}s?$`)]);
    }
  });

  test("has every word as often as it can have it, and a clock", () => {
    expect(read("bootstrapped", "bootstrapped")).toBe('"bootstrapped" more than once');
    expect(read("clock x")).toContain('the malformed clock line "clock x"');
    expect(readAnswer(["bootstrapped"], ASKED)).toBe("no clock");
  });

  test("in prose is fit for a terminal, and cut", () => {
    const { unit, findings, receipts } = readLines(
      "unit etcd runs with \u001b]0;title\u0007\u009b2J",
      `finding ${"x".repeat(2000)}`,
      "receipt files one\u202etwo",
      "drift files \u200bthree\u2028four",
    );
    expect(unit).toEqual(["etcd runs with ?]0;title??2J"]);
    expect(findings[0]?.text).toBe(`${"x".repeat(400)}…`);
    expect(receipts.get("files")).toEqual({ revision: "one?two", drift: ["?three?four"] });
  });

  test("of its jobs says what they did last, and last did well", () => {
    const { jobs, goodJobs } = readLines(
      "job backup failed 2026-11-28T08:00:01Z - - - 3600 no room: 3 % free",
      "job-good backup 2026-11-28T07:00:04Z 7 20480 0a1b2c3d",
      "job maintenance ok 2026-11-28T07:50:00Z 9 - - -",
      "job-good maintenance 2026-11-28T07:50:00Z 9 - -",
    );
    expect(jobs).toEqual([
      {
        ...{
          name: "backup",
          outcome: "failed",
          time: new Date("2026-11-28T08:00:01Z"),
          interval: 3600,
        },
        reason: "no room: 3 % free",
      },
      { name: "maintenance", outcome: "ok", time: new Date("2026-11-28T07:50:00Z"), revision: 9 },
    ]);
    expect(goodJobs).toEqual([
      {
        ...{ name: "backup", outcome: "ok", time: new Date("2026-11-28T07:00:04Z") },
        ...{ revision: 7, size: 20480, id: "0a1b2c3d" },
      },
      { name: "maintenance", outcome: "ok", time: new Date("2026-11-28T07:50:00Z"), revision: 9 },
    ]);
  });

  test("of its running member says who leads, if anybody does", () => {
    expect(readLines("runs cafe a1 a2").runs).toEqual({
      cluster: "cafe",
      member: "a1",
      leader: "a2",
    });
    expect(readLines("runs cafe a1 0").runs).toEqual({ cluster: "cafe", member: "a1" });
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
