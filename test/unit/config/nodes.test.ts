import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { mistakes, NODES, type Raw, usual } from "../support/config";

const where = usual();
afterAll(() => rmSync(where.home, { recursive: true }));

/** A wrong list of nodes in an otherwise right configuration, and all that is said about it. */
const ROWS: [raw: Raw, expected: string[]][] = [
  [
    { nodes: undefined },
    [
      "etcd:nodes: there is no node; write at least one such as {name: etcd01, address: 192.168.1.83}",
    ],
  ],
  [
    { nodes: "etcd01" },
    ['etcd:nodes: "etcd01" is not a list; write one entry a line, each after "- "'],
  ],
  [
    { nodes: ["etcd01"] },
    ['etcd:nodes[0]: "etcd01" is not a map; write lines of the form "key: value" below the key'],
  ],
  [
    { nodes: [{ name: "etcd01" }] },
    ["etcd:nodes[0].address: missing; write an IPv4 or IPv6 address such as 192.168.1.84"],
  ],
  [
    { nodes: [{ address: "192.168.1.83" }] },
    [
      'etcd:nodes[0].name: missing; write one lowercase label of letters, digits and "-" such as etcd01',
    ],
  ],
  [
    { nodes: [{ ...NODES[0], adress: "192.168.1.84" }] },
    ["etcd:nodes[0].adress: unknown key; did you mean address?"],
  ],
  [
    { nodes: [{ ...NODES[0], name: "Etcd01" }] },
    [
      'etcd:nodes[0].name: "Etcd01" is not a host name; write one lowercase label of letters, digits and "-" such as etcd01',
    ],
  ],
  [
    { nodes: [{ ...NODES[0], name: "etcd01.example.org" }] },
    [
      'etcd:nodes[0].name: "etcd01.example.org" is not a host name; write one lowercase label of letters, digits and "-" such as etcd01',
    ],
  ],
  [
    { nodes: [{ ...NODES[0], name: "localhost" }] },
    ['etcd:nodes[0].name: "localhost" is every machine\'s name for itself; write another name'],
  ],
  [
    { nodes: [{ ...NODES[0], name: 83 }] },
    [
      'etcd:nodes[0].name: 83 is not a host name; write one lowercase label of letters, digits and "-" such as etcd01',
    ],
  ],
  [
    { nodes: [{ ...NODES[0], lost: "yes" }, NODES[1]] },
    ['etcd:nodes[0].lost: "yes" is not true or false; write true or false'],
  ],
  [
    { nodes: [NODES[0], { name: "etcd02", address: "192.168.1.300" }] },
    [
      'etcd:nodes[1].address: "192.168.1.300" is not an IP address; write an IPv4 or IPv6 address such as 192.168.1.84',
    ],
  ],
  [
    { nodes: [NODES[0], { name: "etcd02", address: "127.0.0.1" }] },
    [
      'etcd:nodes[1].address: "127.0.0.1" is a loopback address; write the address that the other nodes reach this one at',
    ],
  ],
  [
    { nodes: [NODES[0], { name: "etcd02", address: "0:0:0:0:0:0:0:1" }] },
    [
      'etcd:nodes[1].address: "0:0:0:0:0:0:0:1" is a loopback address; write the address that the other nodes reach this one at',
    ],
  ],
  [
    { nodes: [NODES[0], { name: "etcd02", address: "::" }] },
    ['etcd:nodes[1].address: "::" stands for any address; write the one address of this node'],
  ],
  [
    { nodes: [NODES[0], { name: "etcd02", address: "fe80::1%eth0" }] },
    [
      'etcd:nodes[1].address: "fe80::1%eth0" has a zone; write an address that is valid on every node',
    ],
  ],
  [
    { nodes: [NODES[0], { name: "etcd02", address: "::ffff:192.168.1.84" }] },
    [
      'etcd:nodes[1].address: "::ffff:192.168.1.84" is IPv4 written as IPv6; write it as plain IPv4',
    ],
  ],
  [
    { nodes: [...NODES, NODES[0]] },
    [
      'etcd:nodes[3].name: "etcd01" is the name of nodes[0] too; every node needs its own',
      'etcd:nodes[3].address: "192.168.1.83" is the address of nodes[0] too; every node needs its own',
    ],
  ],
  [
    {
      nodes: [
        { ...NODES[0], address: "fd00::1" },
        { ...NODES[1], address: "FD00:0::1" },
      ],
      ssh: { insecureIgnoreHostKeys: true },
    },
    ['etcd:nodes[1].address: "fd00:0::1" is the address of nodes[0] too; every node needs its own'],
  ],
  [
    { nodes: [{ ...NODES[0], rebuild: "etcd01" }, NODES[1]] },
    [
      'etcd:nodes[0].rebuild: "etcd01" is not a member ID; write what the refusal or `npm run status` names',
    ],
  ],
  [
    { nodes: [{ ...NODES[0], lost: true, rebuild: "8e9e05c52164694d" }, NODES[1]] },
    [
      'etcd:nodes[0].rebuild: "8e9e05c52164694d" has no effect on a node that is lost; leave out one of the two',
    ],
  ],
  [
    { nodes: [{ ...NODES[0], rebuild: "8e9e05c52164694d" }] },
    [
      'etcd:nodes[0].rebuild: "8e9e05c52164694d" leaves no node to rebuild from; recover from a snapshot instead (docs/recovery.md)',
    ],
  ],
  [
    { drift: "false", nodes: [{ ...NODES[0], rebuild: "8e9e05c52164694d" }, NODES[1]] },
    [
      'etcd:nodes[0].rebuild: "8e9e05c52164694d" needs the inspection of the hosts, which "drift: false" turns off; remove "drift"',
    ],
  ],
  [
    { nodes: NODES.map((node) => ({ ...node, lost: true })) },
    ['etcd:nodes: all 3 nodes are lost; leave out "lost: true" where the machine still exists'],
  ],
  [
    { nodes: [{ ...NODES[0], ssh: { port: 0 } }] },
    ["etcd:nodes[0].ssh.port: 0 is out of range; write a number from 1 to 65535"],
  ],
  [
    { nodes: [{ ...NODES[0], ssh: { key: "id" } }] },
    [
      "etcd:nodes[0].ssh.key: unknown key; known are host, user, port, privateKeyFile, privateKey, hostKey",
    ],
  ],
  [
    { nodes: [{ ...NODES[0], ssh: { hostKey: "ssh-ed25519 AAAA" } }] },
    [
      'etcd:nodes[0].ssh.hostKey: "ssh-ed25519 AAAA" is not a public host key; write its type and its base64 text such as ssh-ed25519 AAAA...',
    ],
  ],
];

test.each(ROWS)("%j", (raw, expected) => {
  expect(mistakes(raw, where)).toEqual(expected);
});
