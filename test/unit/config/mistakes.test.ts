import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { hostKey, mistakes, NODES, type Raw, usual } from "../support/config";

const where = usual();
afterAll(() => rmSync(where.home, { recursive: true }));

/** A wrong value in an otherwise right configuration, and all that is said about it. */
const ROWS: [raw: Raw, expected: string[]][] = [
  [{ node: "[]" }, ["etcd:node: unknown key; did you mean nodes?"]],
  [
    { zookeeper: "true" },
    [
      "etcd:zookeeper: unknown key; known are nodes, version, downloadUrl, sha256, trustMirrorChecksums, settings, ssh, pki, host, backup, maintenance, drift, destroy, recover",
    ],
  ],
  [
    { version: "latest" },
    ['etcd:version: "latest" is not an etcd version; write a release such as 3.6.14'],
  ],
  [
    { version: "3.3.4" },
    [
      'etcd:version: "3.3.4" is end-of-life upstream: it gets no security fixes; accepted are 3.5.21+, 3.6.0+, 3.7.0+, for example 3.6.14',
    ],
  ],
  [
    { version: "v3.4.37" },
    [
      'etcd:version: "v3.4.37" is end-of-life upstream: it gets no security fixes; accepted are 3.5.21+, 3.6.0+, 3.7.0+, for example 3.6.14',
    ],
  ],
  [
    { version: "3.5.9" },
    [
      'etcd:version: "3.5.9" has membership bugs that later patches fix; accepted are 3.5.21+, 3.6.0+, 3.7.0+, for example 3.6.14',
    ],
  ],
  [
    { version: "3.8.0" },
    [
      'etcd:version: "3.8.0" is newer than the flags this program knows; accepted are 3.5.21+, 3.6.0+, 3.7.0+, for example 3.6.14',
    ],
  ],
  [
    { downloadUrl: "ftp://mirror/etcd" },
    [
      'etcd:downloadUrl: "ftp://mirror/etcd" is not an http or https URL; write the address that vVERSION/etcd-vVERSION-linux-ARCH.tar.gz is found below',
    ],
  ],
  [
    { downloadUrl: "mirror.example.org" },
    [
      'etcd:downloadUrl: "mirror.example.org" is not an http or https URL; write the address that vVERSION/etcd-vVERSION-linux-ARCH.tar.gz is found below',
    ],
  ],
  [
    { downloadUrl: "https://me:hunter2@mirror.example.org" },
    ["etcd:downloadUrl: has a user name or password in it; use a mirror that needs none"],
  ],
  [
    { sha256: "abc" },
    [
      'etcd:sha256: "abc" is not a SHA-256 digest; write the 64 hexadecimal digits that sha256sum prints for the tarball',
    ],
  ],
  [{ sha256: { amd65: "0".repeat(64) } }, ["etcd:sha256.amd65: unknown key; did you mean amd64?"]],
  [
    { sha256: { arm64: "g".repeat(64) } },
    [
      'etcd:sha256.arm64: "ggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg..." is not a SHA-256 digest; write the 64 hexadecimal digits that sha256sum prints for the tarball',
    ],
  ],
  [
    { trustMirrorChecksums: "yes" },
    ['etcd:trustMirrorChecksums: "yes" is not true or false; write true or false'],
  ],
  [
    { settings: "quota-backend-bytes=1" },
    [
      'etcd:settings: "quota-backend-bytes=1" is not a map; write lines of the form "key: value" below the key',
    ],
  ],
  [
    { settings: { "quota-backend-bytes": [1] } },
    [
      "etcd:settings.quota-backend-bytes: a list is not one value; write a text, a number, true or false",
    ],
  ],
  [
    { ssh: "root" },
    ['etcd:ssh: "root" is not a map; write lines of the form "key: value" below the key'],
  ],
  [
    { ssh: { user: "root; reboot" } },
    ['etcd:ssh.user: "root; reboot" is not a user name; write a login name such as root'],
  ],
  [
    { ssh: { port: "ssh" } },
    ['etcd:ssh.port: "ssh" is not a TCP port; write a number from 1 to 65535'],
  ],
  [
    { ssh: { port: 65536 } },
    ["etcd:ssh.port: 65536 is out of range; write a number from 1 to 65535"],
  ],
  [
    { ssh: { knownHosts: "x" } },
    ["etcd:ssh.knownHosts: unknown key; did you mean knownHostsFile?"],
  ],
  [
    { ssh: { knownHostsFile: ["x"] } },
    [
      "etcd:ssh.knownHostsFile: a list is not a path; write the path of a file, absolute, below ~ or below the project directory",
    ],
  ],
  [
    { ssh: { hostKeys: { etcd01: "192.168.1.83 ssh-ed25519 AAAA" } } },
    [
      'etcd:ssh.hostKeys.etcd01: "192.168.1.83 ssh-ed25519 AAAA" is not a public host key; write its type and its base64 text such as ssh-ed25519 AAAA...',
    ],
  ],
  [
    { ssh: { hostKeys: { etcd01: hostKey(1, "ssh-rsa") } } },
    [
      "etcd:ssh.hostKeys.etcd01: is an RSA key, which is asked for in a form that current servers refuse; write the host's ssh-ed25519 or ecdsa key",
    ],
  ],
  [
    { ssh: { hostKeys: { etcd04: hostKey(1) } } },
    [
      "etcd:ssh.hostKeys.etcd04: no node has this name or address; known are etcd01, 192.168.1.83, etcd02, 192.168.1.84, etcd03, 192.168.1.85",
    ],
  ],
  [
    { ssh: { bastion: { port: 22 } } },
    [
      "etcd:ssh.bastion.host: missing; write an IP address or a host name such as bastion.example.org",
    ],
  ],
  [
    { ssh: { bastion: { host: "bastion; id" } } },
    [
      'etcd:ssh.bastion.host: "bastion; id" is not a host; write an IP address or a host name such as bastion.example.org',
    ],
  ],
  [
    { ssh: { insecureIgnoreHostKeys: "certainly" } },
    ['etcd:ssh.insecureIgnoreHostKeys: "certainly" is not true or false; write true or false'],
  ],
  [
    { ssh: { agent: true } },
    [
      "etcd:ssh.agent: true, but SSH_AUTH_SOCK is not set; start an agent with eval $(ssh-agent) and ssh-add",
    ],
  ],
  [
    { pki: { directory: "etc/pki" } },
    [
      'etcd:pki.directory: "etc/pki" is not an absolute path of plain characters; write a directory such as /etc/kubernetes/pki/etcd',
    ],
  ],
  [
    { pki: { directory: "/etc" } },
    [
      'etcd:pki.directory: "/etc" belongs to the system; write a directory of its own such as /etc/kubernetes/pki/etcd',
    ],
  ],
  [
    { pki: { directory: "/" } },
    [
      'etcd:pki.directory: "/" belongs to the system; write a directory of its own such as /etc/kubernetes/pki/etcd',
    ],
  ],
  [
    { pki: { directory: "/var/lib/etcd/pki" } },
    [
      'etcd:pki.directory: "/var/lib/etcd/pki" is emptied or belongs to etcd\'s data; write a directory such as /etc/kubernetes/pki/etcd',
    ],
  ],
  [
    { pki: { directory: "/etc/../pki" } },
    [
      'etcd:pki.directory: "/etc/../pki" is not an absolute path of plain characters; write a directory such as /etc/kubernetes/pki/etcd',
    ],
  ],
  [
    { pki: { directory: "/etc/$(id)" } },
    [
      'etcd:pki.directory: "/etc/$(id)" is not an absolute path of plain characters; write a directory such as /etc/kubernetes/pki/etcd',
    ],
  ],
  [
    { pki: { subject: { country: "Spain" } } },
    [
      'etcd:pki.subject.country: "Spain" is not a country code; write two capital letters such as ES',
    ],
  ],
  [
    { pki: { subject: { commonName: "etcd" } } },
    [
      "etcd:pki.subject.commonName: unknown key; known are country, province, locality, organization, organizationalUnit",
    ],
  ],
  [
    { pki: { subject: { locality: "" } } },
    [
      'etcd:pki.subject.locality: "" is not a name for a certificate; write 1 to 64 printable characters',
    ],
  ],
  ...["", "a b", "-", "ca/2", "n".repeat(33)].map((rotate): [Raw, string[]] => [
    { pki: { rotate } },
    [
      `etcd:pki.rotate: "${rotate}" is not a name for a CA; write up to 32 letters, digits, "-" and "." such as 2027-03`,
    ],
  ]),
  [
    { pki: { rotate: "2027-03" }, drift: false },
    [
      'etcd:pki.rotate: "2027-03" needs the inspection of the hosts, which "drift: false" turns off; remove "drift"',
    ],
  ],
  [
    { pki: { validityHours: "5y" } },
    [
      'etcd:pki.validityHours: "5y" is not a whole number of hours; write a number from 1 to 878400',
    ],
  ],
  [
    { pki: { validityHours: 0 } },
    ["etcd:pki.validityHours: 0 is out of range; write a number from 1 to 878400"],
  ],
  [
    { pki: { renewalHours: 43800 } },
    [
      "etcd:pki.renewalHours: 43800 must be less than validityHours, which is 43800; a new certificate would be due for renewal at once",
    ],
  ],
  [
    { pki: { warnHours: 50000 } },
    [
      "etcd:pki.warnHours: 50000 must be less than validityHours, which is 43800; every preview would warn",
    ],
  ],
  [
    { pki: { validityHours: 50000 } },
    [
      "etcd:pki.validityHours: 50000 must be at most caValidityHours, which is 43800; certificates would outlive their CA",
    ],
  ],
  [{ host: { firewal: false } }, ["etcd:host.firewal: unknown key; did you mean firewall?"]],
  [
    { host: { firewall: "off" } },
    ['etcd:host.firewall: "off" is not true or false; write true or false'],
  ],
  [
    { host: { clientNetworks: "10.0.0.0/8" } },
    [
      'etcd:host.clientNetworks: "10.0.0.0/8" is not a list; write one entry a line, each after "- "',
    ],
  ],
  [
    { host: { clientNetworks: ["10.0.0.0/8", "10.0.0.0"] } },
    [
      'etcd:host.clientNetworks[1]: "10.0.0.0" is not a network; write an address and a prefix length such as 192.168.1.0/24',
    ],
  ],
  [
    { host: { clientNetworks: ["10.0.0.0/33"] } },
    [
      'etcd:host.clientNetworks[0]: "10.0.0.0/33" is not a network; write an address and a prefix length such as 192.168.1.0/24',
    ],
  ],
  [
    { host: { minimumMemory: "2GB" } },
    [
      'etcd:host.minimumMemory: "2GB" is not a whole number of MiB; write a number from 0 to 1073741824',
    ],
  ],
  [
    { host: { maximumClockSkew: -1 } },
    ["etcd:host.maximumClockSkew: -1 is out of range; write a number from 0 to 86400"],
  ],
  [
    { recover: { snapshot: "/root/s.db" } },
    [
      "etcd:recover.node: missing; write the name of the node to recover from",
      "etcd:recover.confirm: missing; write the ID of the cluster that is discarded, which the refusal and `pulumi stack output clusterId` name",
    ],
  ],
  [
    { recover: { node: "etcd09", confirm: "cafe" } },
    [
      'etcd:recover.node: "etcd09" is not a configured node that is not lost; known are etcd01, etcd02, etcd03',
    ],
  ],
  [
    { recover: { node: "etcd01", confirm: "yes" } },
    [
      'etcd:recover.confirm: "yes" is not a cluster ID; write what the refusal or `pulumi stack output clusterId` names',
    ],
  ],
  [
    { recover: { node: "etcd01", confirm: "cafe", snapshot: "s.db" } },
    [
      'etcd:recover.snapshot: "s.db" is not a path on a host, latest, or a snapshot ID of restic; write an absolute path of plain characters such as /var/backups/etcd/etcd03.db, latest, or 8 to 64 hexadecimal digits',
    ],
  ],
  [
    { recover: { node: "etcd01", confirm: "cafe" }, drift: false },
    [
      'etcd:recover: needs the inspection of the hosts, which "drift: false" turns off; remove "drift"',
    ],
  ],
  [{ drift: "sometimes" }, ['etcd:drift: "sometimes" is not true or false; write true or false']],
  [
    { destroy: { snapshots: true } },
    ["etcd:destroy.snapshots: unknown key; did you mean snapshot?"],
  ],
];

test.each(ROWS)("%j", (raw, expected) => {
  expect(mistakes({ nodes: NODES, ...raw }, where)).toEqual(expected);
});
