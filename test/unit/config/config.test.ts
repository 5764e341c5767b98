import { readFileSync, rmSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { parse } from "yaml";
import { ConfigError, loadConfig } from "../../../components/config/index";
import { schema } from "../../../components/config/schema";
import {
  DEFAULT_VERSION,
  knownDigests,
  OFFICIAL_DOWNLOADS,
} from "../../../components/etcd/versions";
import { renderCauses } from "../../../docs/causes";
import { renderComponent } from "../../../docs/component";
import { keysOf, renderConfiguration } from "../../../docs/configuration";
import { renderDrift } from "../../../docs/drift";
import { renderProtocol } from "../../../docs/protocol";
import { renderSituations } from "../../../docs/situations";
import { renderVersions } from "../../../docs/versions";
import { failure, hostKey, mistakes, NODES, privateKey, read, usual } from "../support/config";

const where = usual();
afterAll(() => rmSync(where.home, { recursive: true }));

const DIGEST = "ab".repeat(32);

describe("a right configuration", () => {
  test("of nodes alone gets every default", () => {
    const connection = {
      port: 22,
      user: "root",
      privateKey: privateKey(),
      privateKeyFile: `${where.home}/.ssh/id_ed25519`,
      hostKey: hostKey(1),
      sudo: false,
    };
    expect(read({ nodes: NODES }, where)).toEqual({
      nodes: NODES.map((node) => ({ ...node, lost: false })),
      release: {
        version: DEFAULT_VERSION,
        downloadUrl: "https://github.com/etcd-io/etcd/releases/download",
        sha256: knownDigests(DEFAULT_VERSION),
        listedSums: false,
      },
      settings: {},
      pki: {
        directory: "/etc/kubernetes/pki/etcd",
        subject: {},
        caValidityHours: 43800,
        validityHours: 43800,
        renewalHours: 720,
        warnHours: 1440,
        serverClientAuth: true,
      },
      host: {
        upgrade: false,
        manageHosts: true,
        firewall: true,
        clientNetworks: ["0.0.0.0/0", "::/0"],
        minimumMemory: 1900,
        minimumDisk: 1024,
        maximumClockSkew: 2,
      },
      drift: true,
      destroy: { snapshot: true },
      connections: new Map(
        NODES.map(({ name, address }) => [name, { host: address, ...connection }]),
      ),
      others: expect.anything(),
      unknown: new Map(),
      warnings: [],
      naming: { cluster: "", keys: "etcd:" },
    });
  });

  test("is the same when the CLI guessed other types for its values", () => {
    const typed = {
      nodes: [...NODES, { name: "etcd04", address: "192.168.1.86", lost: true }],
      drift: false,
      settings: { "quota-backend-bytes": 2147483648, "pre-vote": true },
      host: { minimumMemory: 512, firewall: false },
      ssh: { port: 22, sudo: true },
    };
    const guessed = {
      nodes: [...NODES, { name: "etcd04", address: "192.168.1.86", lost: "true" }],
      drift: "false",
      settings: { "quota-backend-bytes": "2147483648", "pre-vote": "true" },
      host: { minimumMemory: "512", firewall: "false" },
      ssh: { port: "22", sudo: "true" },
    };
    const result = read(guessed, where);
    expect(result).toEqual(read(typed, where));
    expect(result.settings).toEqual({ "quota-backend-bytes": "2147483648", "pre-vote": "true" });
    expect(result.drift).toBe(false);
  });

  test("may leave fields empty as YAML does", () => {
    const raw = { nodes: NODES, host: { upgrade: null }, pki: { subject: null }, ssh: null };
    expect(read(raw, where)).toEqual(read({ nodes: NODES }, where));
  });

  test("is brought to one spelling", () => {
    const { nodes, release, pki, host } = read(
      {
        nodes: [{ name: "etcd01", address: "FD00::1", ssh: { hostKey: `${hostKey(2)} root@vm` } }],
        version: "v3.5.35",
        downloadUrl: "http://mirror:8080/etcd/",
        sha256: DIGEST.toUpperCase(),
        pki: { directory: "/srv/pki/" },
        host: { clientNetworks: ["FD00::/8"] },
      },
      where,
    );
    expect(nodes).toEqual([{ name: "etcd01", address: "fd00::1", lost: false }]);
    expect(release).toEqual({
      version: "3.5.35",
      downloadUrl: "http://mirror:8080/etcd",
      sha256: { amd64: DIGEST },
      listedSums: false,
    });
    expect(pki.directory).toBe("/srv/pki");
    expect(host.clientNetworks).toEqual(["fd00::/8"]);
  });

  test("pins the known digests, unless a digest is configured, which is never completed", () => {
    const digests = (raw: object) =>
      read({ nodes: NODES, version: "3.6.14", ...raw }, where).release.sha256;
    const official = digests({});
    expect(Object.keys(official)).toEqual(["amd64", "arm64"]);
    expect(official.amd64).toMatch(/^ffe840ff9295808e88cce2794a18a5ac87f12a52/);
    expect(digests({ sha256: { amd64: DIGEST } })).toEqual({ amd64: DIGEST });
    expect(digests({ sha256: { arm64: DIGEST } })).toEqual({ arm64: DIGEST });
    expect(digests({ downloadUrl: "http://mirror.example.org" })).toEqual(official);
    expect(digests({ version: "3.6.13" })).toEqual({});
  });
});

test("all mistakes of all kinds are reported together, in the order of the keys", () => {
  const raw = {
    drift: "maybe",
    nodes: [
      { name: "etcd01", address: "1.2.3" },
      { name: "etcd01", address: "192.168.1.84", x: 1 },
    ],
    pki: { directory: "/etc", renewalHours: 50000 },
    settings: { "data-dir": "/data" },
    ssh: { privateKeyFile: "none" },
    versoin: "3.6.14",
  };
  const error = failure(() => read(raw, where));
  expect(error?.message.split("\n")).toEqual([
    "9 errors in the configuration:",
    "  - etcd:versoin: unknown key; did you mean version?",
    '  - etcd:nodes[0].address: "1.2.3" is not an IP address; write an IPv4 or IPv6 address such as 192.168.1.84',
    "  - etcd:nodes[1].x: unknown key; known are name, address, lost, rebuild, ssh",
    '  - etcd:nodes[1].name: "etcd01" is the name of nodes[0] too; every node needs its own',
    "  - etcd:settings.data-dir: cannot be set: the program guards the data in /var/lib/etcd and sets it",
    '  - etcd:ssh.privateKeyFile: "none" does not exist; make a key with ssh-keygen -t ed25519 or name another file',
    '  - etcd:pki.directory: "/etc" belongs to the system; write a directory of its own such as /etc/kubernetes/pki/etcd',
    "  - etcd:pki.renewalHours: 50000 must be less than validityHours, which is 43800; a new certificate would be due for renewal at once",
    '  - etcd:drift: "maybe" is not true or false; write true or false',
  ]);
});

test("a secret value is never repeated, nor is the text of a key", () => {
  const secret = { nodes: NODES, pki: { subject: { country: "hunter2" } } };
  expect(mistakes(secret, where, ["pki"])).toEqual([
    "etcd:pki.subject.country: [secret] is not a country code; write two capital letters such as ES",
  ]);
  const pasted = mistakes({ nodes: NODES, ssh: { privateKeyFile: privateKey() } }, where);
  expect(pasted).toHaveLength(1);
  expect(pasted[0]).toContain("a text of several lines is not a path");
});

test.each([
  [1, ["etcd:nodes: 1 member survives no failure; 3 members survive 1"]],
  [
    2,
    [
      "etcd:nodes: 2 members need 2 for a quorum and survive 0 failures, no more than 1 member does; use an odd number",
    ],
  ],
  [3, []],
  [
    4,
    [
      "etcd:nodes: 4 members need 3 for a quorum and survive 1 failure, no more than 3 members do; use an odd number",
    ],
  ],
  [7, []],
  [
    9,
    [
      "etcd:nodes: with 9 members every write waits for 5; 7 members survive 3 failures and are the most that the etcd project advises",
    ],
  ],
])("%i members: %j", (count, expected) => {
  const nodes = Array.from({ length: count }, (_, index) => ({
    name: `etcd${index}`,
    address: `10.0.0.${index + 1}`,
    ssh: { hostKey: hostKey(index) },
  }));
  expect(read({ nodes }, where).warnings).toEqual(expected);
});

describe("a release whose digest is not known", () => {
  const unknown = { nodes: NODES, version: "3.6.13" };

  test("is taken from the project's own downloads on the word of their SHA256SUMS, which is said", () => {
    const { release, warnings } = read(unknown, where);
    expect(release).toMatchObject({ sha256: {}, listedSums: true });
    expect(warnings).toEqual([
      "etcd:version: this program knows no digest of etcd 3.6.13; each host takes it from the SHA256SUMS at https://github.com/etcd-io/etcd/releases/download; write etcd:sha256 to pin it",
    ]);
  });

  test.each([
    "https://mirror.example.org",
    "http://mirror",
    OFFICIAL_DOWNLOADS.replace("https", "http"),
  ])("is refused from %s, before anything is touched", (downloadUrl) => {
    expect(mistakes({ ...unknown, downloadUrl }, where)).toEqual([
      `etcd:sha256: missing: this program knows no digest for etcd:version "3.6.13", and what etcd:downloadUrl "${downloadUrl}" says of its own tarballs is no check of them; write the digest that the etcd project publishes, set etcd:version to a release whose digest is known, such as ${DEFAULT_VERSION}, or write "trustMirrorChecksums: true"`,
    ]);
  });

  test("is taken from a mirror that is trusted in so many words, which is said", () => {
    const trusting = (downloadUrl: string, raw = {}) =>
      read({ ...unknown, downloadUrl, trustMirrorChecksums: true, ...raw }, where);
    const words =
      "the digest of etcd 3.6.13 comes from the same place as the tarball, http://mirror; write etcd:sha256 to pin it";
    const { release, warnings } = trusting("http://mirror");
    expect(release).toMatchObject({ sha256: {}, listedSums: true });
    expect(warnings).toEqual([`etcd:trustMirrorChecksums: plain http, and ${words}`]);
    expect(trusting("https://mirror").warnings).toEqual([
      `etcd:trustMirrorChecksums: ${words.replace("http:", "https:")}`,
    ]);
    expect(
      trusting("http://mirror", { sha256: { amd64: DIGEST, arm64: DIGEST } }).warnings,
    ).toEqual([]);
    expect(trusting("http://mirror", { version: DEFAULT_VERSION }).warnings).toEqual([]);
  });

  test("is taken from anywhere with a digest, for the machines that it is for", () => {
    const { release, warnings } = read(
      { ...unknown, downloadUrl: "http://mirror", sha256: DIGEST },
      where,
    );
    expect(release).toMatchObject({ sha256: { amd64: DIGEST }, listedSums: false });
    expect(warnings).toEqual([]);
    expect(read({ ...unknown, sha256: DIGEST }, where).release.listedSums).toBe(false);
  });
});

describe("loadConfig", () => {
  afterEach(() => {
    pulumi.runtime.setAllConfig({});
    vi.unstubAllEnvs();
  });

  test("takes its values from the running program", () => {
    vi.stubEnv("HOME", where.home);
    pulumi.runtime.setAllConfig({
      "etcd:nodes": JSON.stringify(NODES),
      "etcd:sha256": "1".repeat(64),
      "etcd:settings": "",
      "etcd:drift": "false",
      "other:nodes": "[]",
    });
    const config = loadConfig(new pulumi.Config("etcd"));
    expect(config.nodes.map(({ name }) => name)).toEqual(["etcd01", "etcd02", "etcd03"]);
    expect(config.release.sha256).toEqual({ amd64: "1".repeat(64) });
    expect(config.drift).toBe(false);
    expect(config.connections.get("etcd02")?.host).toBe("192.168.1.84");
  });

  test("throws an error that the CLI shows without a stack, and hides secrets", () => {
    vi.stubEnv("HOME", where.home);
    vi.stubEnv("PULUMI_CONFIG_SECRET_KEYS", '["etcd:version"]');
    pulumi.runtime.setAllConfig({ "etcd:nodes": JSON.stringify(NODES), "etcd:version": "hunter2" });
    const error = failure(() => loadConfig(new pulumi.Config("etcd")));
    expect(error).toBeInstanceOf(ConfigError);
    expect(pulumi.RunError.isInstance(error)).toBe(true);
    expect(error?.message).toBe(
      "1 error in the configuration:\n  - etcd:version: [secret] is not an etcd version; write a release such as 3.6.14",
    );
  });
});

describe("what is written about the configuration", () => {
  test("Pulumi.yaml declares every key as the schema does", () => {
    const declared = parse(readFileSync("Pulumi.yaml", "utf8")).config;
    const scalars = ["string", "boolean", "integer"];
    expect(declared).toEqual(
      Object.fromEntries(
        keysOf(schema, false).map((key) => [
          key.name,
          {
            ...(scalars.includes(key.type) ? { type: key.type } : {}),
            description: key.description,
            // What need not be given at all is declared as left empty: the CLI asks for a value of a key without a default.
            default: key.default ?? "",
          },
        ]),
      ),
    );
    expect(keysOf(schema, true).filter((key) => key.description === "")).toEqual([]);
  });

  test("each key says what a change of it does on a running cluster", () => {
    const silent = keysOf(schema, true).filter(({ edit = "" }) => !/^[A-Z].{10,}\.$/.test(edit));
    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  test("the defaults that Pulumi.yaml declares are taken as they are", () => {
    const declared = Object.entries<{ default: unknown }>(
      parse(readFileSync("Pulumi.yaml", "utf8")).config,
    ).map(([key, { default: value }]) => [key, value]);
    // As the CLI passes them on.
    const raw = { ...Object.fromEntries(declared), nodes: NODES };
    vi.stubEnv("HOME", where.home);
    onTestFinished(() => {
      pulumi.runtime.setAllConfig({});
      vi.unstubAllEnvs();
    });
    pulumi.runtime.setAllConfig(
      Object.fromEntries(
        Object.entries(raw).map(([key, value]) => [
          `etcd:${key}`,
          typeof value === "object" ? JSON.stringify(value) : String(value),
        ]),
      ),
    );
    expect({ ...loadConfig(new pulumi.Config("etcd")), others: undefined }).toEqual({
      ...read({ nodes: NODES }, where),
      others: undefined,
    });
  });

  test("docs/configuration.md is up to date (npm run docs)", () => {
    expect(readFileSync("docs/configuration.md", "utf8")).toBe(renderConfiguration());
  });

  test("docs/component.md is up to date (npm run docs)", () => {
    expect(readFileSync("docs/component.md", "utf8")).toBe(renderComponent());
  });

  test("docs/versions.md is up to date (npm run docs)", () => {
    const page = readFileSync("docs/versions.md", "utf8");
    expect(page).toContain("| 3.5.32 or later");
    expect(renderVersions(page)).toBe(page);
  });

  test("docs/protocol.md is up to date (npm run docs)", () => {
    const page = readFileSync("docs/protocol.md", "utf8");
    expect(page).toContain("| `snapshot-first`");
    expect(page).toContain("| `data CLUSTER MEMBER [unmanaged\\|left]`");
    expect(renderProtocol(page)).toBe(page);
  });

  test("docs/troubleshooting.md is up to date (npm run docs)", () => {
    const page = readFileSync("docs/troubleshooting.md", "utf8");
    expect(page).toContain("tocommit(…) is out of range");
    expect(renderCauses(page)).toBe(page);
  });

  test("docs/testing.md is up to date (npm run docs)", () => {
    const page = readFileSync("docs/testing.md", "utf8");
    expect(page).toContain("| has cloud-init's forced command for root");
    expect(renderSituations(page)).toBe(page);
  });

  test("docs/drift.md is up to date (npm run docs)", () => {
    expect(readFileSync("docs/drift.md", "utf8")).toBe(renderDrift());
  });
});
