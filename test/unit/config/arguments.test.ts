/** Arguments of the component are read by the rules of the stack's configuration, and complained about in words for code. */
import { rmSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { readArgs } from "../../../components/config/arguments";
import type { ClusterConfig } from "../../../components/config/index";
import { UNKNOWN } from "../../../components/config/unknown";
import { failure, hostKey, NODES, privateKey, type Raw, read, usual } from "../support/config";

const where = usual();
afterAll(() => rmSync(where.home, { recursive: true }));

function config(raw: Raw, secrets: readonly string[] = []): ClusterConfig {
  return readArgs("main", { raw, secrets: new Set(secrets) }, where);
}

/** The lines of the error, without its heading. */
function mistakes(raw: Raw, secrets: readonly string[] = []): readonly string[] {
  return failure(() => config({ nodes: NODES, ...raw }, secrets))?.problems ?? [];
}

test("right arguments are what the same stack configuration is", () => {
  const raw = { nodes: NODES, settings: { "pre-vote": "true" }, host: { minimumMemory: 512 } };
  const naming = { cluster: "main: ", keys: "args." };
  expect({ ...config(raw), others: undefined }).toEqual({
    ...read(raw, where),
    others: undefined,
    naming,
  });
});

test("all mistakes are in one error, which names the component", () => {
  const raw = { nodes: [{ name: "etcd01", address: "1.2.3" }], host: { firewal: false } };
  expect(failure(() => config(raw))?.message).toBe(
    [
      '2 errors in the arguments of EtcdCluster "main":',
      '  - args.nodes[0].address: "1.2.3" is not an IP address; write an IPv4 or IPv6 address such as 192.168.1.84',
      "  - args.host.firewal: unknown key; did you mean firewall?",
    ].join("\n"),
  );
});

/** Wrong arguments beside right nodes, and all that is said about them. */
const ROWS: [raw: Raw, expected: string[]][] = [
  [
    { nodes: [] },
    [
      'args.nodes: there is no node; write at least one such as { name: "etcd01", address: "192.168.1.83" }',
    ],
  ],
  [{ versoin: "3.6.14" }, ["args.versoin: unknown key; did you mean version?"]],
  [
    { nodes: [{ name: "etcd01", address: 19216800183 }] },
    [
      "args.nodes[0].address: 19216800183 is not an IP address; write an IPv4 or IPv6 address such as 192.168.1.84",
    ],
  ],
  [
    { nodes: "etcd01" },
    ['args.nodes: "etcd01" is not a list; write an array such as ["10.0.0.0/8"]'],
  ],
  [{ ssh: "root" }, ['args.ssh: "root" is not a map; write an object such as { key: value }']],
  [
    { ssh: Symbol("a resource") },
    ["args.ssh: a resource is not a map; write an object such as { key: value }"],
  ],
  [
    { version: () => "3.6.14" },
    ["args.version: a function is not an etcd version; write a release such as 3.6.14"],
  ],
  [
    { host: { minimumMemory: 512n, minimumDisk: Number.NaN } },
    [
      "args.host.minimumMemory: 512 is not a whole number of MiB; write a number from 0 to 1073741824",
      "args.host.minimumDisk: NaN is not a whole number of MiB; write a number from 0 to 1073741824",
    ],
  ],
  [
    { settings: { name: "x", discovery: "y" } },
    [
      "args.settings.name: cannot be set: the program sets it; write args.nodes[].name",
      "args.settings.discovery: cannot be set: the members are listed in args.nodes",
    ],
  ],
  [
    { version: "3.6.13", downloadUrl: "https://mirror.example.org" },
    [
      'args.sha256: missing: this program knows no digest for args.version "3.6.13", and what args.downloadUrl "https://mirror.example.org" says of its own tarballs is no check of them; write the digest that the etcd project publishes, set args.version to a release whose digest is known, such as 3.6.14, or write "trustMirrorChecksums: true"',
    ],
  ],
  [
    { ssh: { privateKey: "id_ed25519" } },
    [
      "args.ssh.privateKey: is not the text of a private key; write all its lines, or name its file",
    ],
  ],
];

test.each(ROWS)("mistake %#", (raw, expected) => {
  expect(mistakes(raw)).toEqual(expected);
});

test("warnings name arguments", () => {
  expect(config({ nodes: NODES.slice(0, 2) }).warnings).toEqual([
    "args.nodes: 2 members need 2 for a quorum and survive 0 failures, no more than 1 member does; use an odd number",
  ]);
  const { warnings } = config({
    nodes: NODES,
    version: "3.6.13",
    settings: { "quota-backend-bytes": "9663676416" },
  });
  expect(warnings).toEqual([
    "args.version: this program knows no digest of etcd 3.6.13; each host takes it from the SHA256SUMS at https://github.com/etcd-io/etcd/releases/download; write args.sha256 to pin it",
    "args.settings.quota-backend-bytes: 9663676416 is 9.0 GiB; above 8 GiB etcd advises against, as starts and snapshots take minutes",
  ]);
});

describe("a secret", () => {
  test("is never shown, wherever it is wrong", () => {
    const [first, ...rest] = NODES;
    const stranger = { ...first, address: "10.9.8.7", ssh: {} };
    const found = [
      ...mistakes({ nodes: [{ ...first, address: "10.9.8" }, ...rest] }, ["nodes[0].address"]),
      // Its host key is missing.
      ...mistakes({ nodes: [stranger, ...rest] }, ["nodes[0].address"]),
      ...mistakes({ ssh: { hostKeys: { etcd09: hostKey(1) } } }, ["nodes[0].address", "nodes[1]"]),
      ...mistakes({ pki: { subject: { country: "hunter2" } } }, ["pki.subject"]),
      ...mistakes({ settings: { "feature-gates": "hunter2=true" } }, ["settings"]),
      ...mistakes({ settings: { "election-timeout": "7" } }, ["settings"]),
      ...mistakes({ version: "hunter2" }, [""]),
    ];
    expect(found.filter((line) => line.includes("[secret]"))).toHaveLength(7);
    expect(found).toHaveLength(7);
    expect(found.join("\n")).not.toMatch(/10\.9\.8|192\.168\.1\.83|etcd02|hunter2|\b7\b/);
  });

  test("may be in plain text where nobody but the program sees it", () => {
    expect(config({ nodes: NODES, ssh: { password: "hunter2" } }).connections.size).toBe(3);
  });
});

describe("what is not known in a preview", () => {
  const [first, second, third] = NODES;

  test("has something harmless in its place, which no rule complains about", () => {
    const nodes = [
      { ...first, address: UNKNOWN },
      { ...second, address: UNKNOWN, ssh: { host: UNKNOWN, hostKey: UNKNOWN } },
      third,
    ];
    const result = config({ nodes, ssh: { hostKeys: { "192.168.1.83": hostKey(1) } } });
    const addresses = result.nodes.map(({ address }) => address);
    expect(addresses).toEqual(["192.0.2.254", "192.0.2.253", "192.168.1.85"]);
    expect(result.unknown).toEqual(
      new Map([
        ["etcd01", "args.nodes[0].address"],
        ["etcd02", "args.nodes[1].address"],
      ]),
    );
    expect([...result.connections.keys()]).toEqual(["etcd01", "etcd02", "etcd03"]);
    expect(result.connections.get("etcd01")?.hostKey).toBeUndefined();
    expect(result.connections.get("etcd02")?.host).toBe("unknown-3.invalid");
  });

  test.each([
    ["privateKey", { privateKey: UNKNOWN }],
    ["password", { password: UNKNOWN }],
    ["sudoPassword", { user: "ops", sudoPassword: UNKNOWN }],
    ["privateKeyPassphrase", { privateKeyPassphrase: UNKNOWN }],
    ["bastion.host", { bastion: { host: UNKNOWN } }],
    ["bastion.hostKey", { bastion: { host: "bastion", hostKey: UNKNOWN } }],
  ])("ssh.%s concerns every node", (key, ssh) => {
    const { unknown } = config({ nodes: NODES, ssh });
    expect([...unknown]).toEqual(NODES.map(({ name }) => [name, `args.ssh.${key}`]));
  });

  test("concerns only the nodes that have need of it", () => {
    const own = { ...second, ssh: { privateKey: privateKey(), hostKey: hostKey(2) } };
    const gone = { ...third, lost: true };
    const ssh = { privateKey: UNKNOWN, hostKeys: { etcd02: UNKNOWN } };
    const { unknown, connections } = config({ nodes: [first, own, gone], ssh });
    expect([...unknown]).toEqual([["etcd01", "args.ssh.privateKey"]]);
    expect(connections.get("etcd02")?.hostKey).toBe(hostKey(2));
    const keyOfOne = config({ nodes: NODES, ssh: { hostKeys: { "192.168.1.84": UNKNOWN } } });
    expect([...keyOfOne.unknown]).toEqual([["etcd02", 'args.ssh.hostKeys["192.168.1.84"]']]);
  });

  test("is refused where it decides which resources there are", () => {
    const words =
      "is not known before the up, and a preview needs it; write a value that the program knows by itself";
    const raw = {
      nodes: [{ ...first, name: UNKNOWN }, second, UNKNOWN],
      version: UNKNOWN,
      host: { minimumMemory: UNKNOWN },
    };
    expect(mistakes(raw)).toEqual([
      `args.nodes[0].name: ${words}`,
      `args.nodes[2]: ${words}`,
      `args.version: ${words}`,
      `args.host.minimumMemory: ${words}`,
    ]);
    expect(mistakes({ nodes: UNKNOWN })).toEqual([`args.nodes: ${words}`]);
  });

  test("is a mistake like any other under a wrong name", () => {
    expect(mistakes({ versoin: UNKNOWN })).toEqual([
      "args.versoin: unknown key; did you mean version?",
    ]);
  });
});
