import { z } from "zod";
import { DEFAULT_VERSION, OFFICIAL_DOWNLOADS } from "../versions";
import { address, flag, network, port, text, whole } from "./leaves";
import { directory, downloadUrl, hostKey, path, scalar, sha256, version } from "./values";

const YEARS = 24 * 366;

const hostname = text(
  "a host name",
  'one lowercase label of letters, digits and "-" such as etcd01',
  /^(?=.{1,63}$)(?!\d+$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
);
const user = text(
  "a user name",
  "a login name such as root",
  /^(?=.{1,32}$)[A-Za-z_][A-Za-z0-9_.-]*$/,
);
const machine = text(
  "a host",
  "an IP address or a host name such as bastion.example.org",
  /^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:]+$/,
);
const name = text("a name for a certificate", "1 to 64 printable characters", /^[^\p{C}]{1,64}$/u);

const described = <T extends z.ZodType>(schema: T, description: string): T =>
  schema.meta({ ...schema.meta(), description });

export const nodeSshSchema = z.strictObject({
  user: described(user.optional(), "Login name on this node, instead of `ssh.user`."),
  port: described(port.optional(), "TCP port of sshd on this node, instead of `ssh.port`."),
  privateKeyFile: described(
    path.optional(),
    "Private key for this node, instead of `ssh.privateKeyFile`.",
  ),
  hostKey: described(hostKey.optional(), "Public host key of this node, as `TYPE BASE64`."),
});

export const nodeSchema = z.strictObject({
  name: described(hostname, "Host name and member name: one lowercase label, unique."),
  address: described(address, "IPv4 or IPv6 address that the other nodes reach it at, unique."),
  lost: described(
    flag.default(false),
    "The machine is gone for good: it is never dialled, and its member is removed.",
  ),
  ssh: described(nodeSshSchema.default({}), "What differs on this node from the key `ssh`."),
});

export const bastionSchema = z.strictObject({
  host: described(machine, "Address or name of the machine to go through."),
  port: described(port.default(22), "TCP port of its sshd."),
  user: described(user.optional(), "Login name there; `ssh.user` when not given."),
  privateKeyFile: described(
    path.optional(),
    "Private key for it; the one of the nodes when not given.",
  ),
  hostKey: described(hostKey.optional(), "Its public host key; else looked up as for a node."),
});

export const sshSchema = z.strictObject({
  user: described(user.default("root"), "Login name on the nodes."),
  port: described(port.default(22), "TCP port of sshd on the nodes."),
  privateKeyFile: described(
    path.optional(),
    "Private key without passphrase. Not given: `~/.ssh/id_ed25519`, then `~/.ssh/id_rsa`, then the agent.",
  ),
  agent: described(
    flag.default(false),
    "Use the agent at `SSH_AUTH_SOCK`; needed for keys with a passphrase.",
  ),
  knownHostsFile: described(
    path.default("~/.ssh/known_hosts"),
    "File that host keys are looked up in when they are not in `hostKeys`.",
  ),
  hostKeys: described(
    z.record(z.string(), hostKey).default({}),
    "Public host keys as `TYPE BASE64`, by node name or address.",
  ),
  sudo: described(
    flag.optional(),
    "Run commands through sudo without password; not given: true for every user but root.",
  ),
  bastion: described(bastionSchema.optional(), "Machine that all connections go through."),
  insecureIgnoreHostKeys: described(
    flag.default(false),
    "Also dial nodes whose host key is not known. Anyone on the way can then read every key.",
  ),
});

export const subjectSchema = z.strictObject({
  country: described(
    text("a country code", "two capital letters such as ES", /^[A-Z]{2}$/).optional(),
    "C, two letters.",
  ),
  province: described(name.optional(), "ST."),
  locality: described(name.optional(), "L."),
  organization: described(name.optional(), "O, on the CA only."),
  organizationalUnit: described(name.optional(), "OU, on the CA only."),
});

export const pkiSchema = z.strictObject({
  directory: described(
    directory.default("/etc/kubernetes/pki/etcd"),
    "Directory of the certificates and keys on every node.",
  ),
  subject: described(
    subjectSchema.default({}),
    "Subject of the CA, whose CN is `etcd`. The nodes' certificates take C, ST and L.",
  ),
  caValidityHours: described(
    whole("a whole number of hours", 1, 100 * YEARS).default(43800),
    "Life of the CA.",
  ),
  validityHours: described(
    whole("a whole number of hours", 1, 100 * YEARS).default(43800),
    "Life of the client, server and peer certificates.",
  ),
  renewalHours: described(
    whole("a whole number of hours", 0, 100 * YEARS).default(720),
    "An up renews a certificate when less than this is left of it; its key stays.",
  ),
  warnHours: described(
    whole("a whole number of hours", 0, 100 * YEARS).default(1440),
    "A preview warns of every certificate that has less than this left.",
  ),
  rotate: described(
    text(
      "a name for a CA",
      'up to 32 letters, digits, "-" and "." such as 2027-03',
      /^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$/,
    ).optional(),
    "Name of the CA, any that was not used before: a change starts a rotation to a new CA. See docs/certificates.md.",
  ),
});

export const hostSchema = z.strictObject({
  upgrade: described(flag.default(false), "Upgrade all Debian packages before the first step."),
  manageHosts: described(
    flag.default(true),
    "Keep a block in /etc/hosts with all nodes; false when DNS knows them.",
  ),
  firewall: described(
    flag.default(true),
    "Keep an nftables table of our own: 2380 for members, 2379 for members and clients.",
  ),
  clientNetworks: described(
    z.array(network).default(["0.0.0.0/0", "::/0"]),
    "Networks that may reach port 2379, when `firewall` is true.",
  ),
  minimumMemory: described(
    whole("a whole number of MiB", 0, 1 << 30).default(1900),
    "MiB of memory a node must have; a machine sold with 2 GB shows a little less.",
  ),
  minimumDisk: described(
    whole("a whole number of MiB", 0, 1 << 30).default(1024),
    "MiB that must be free under /var/lib before the first start.",
  ),
  maximumClockSkew: described(
    whole("a whole number of seconds", 0, 86400).default(2),
    "Seconds that a node's clock may differ from the operator's.",
  ),
});

export const destroySchema = z.strictObject({
  snapshot: described(
    flag.default(true),
    "Leave a last verified snapshot on the last host when the cluster is destroyed.",
  ),
});

export const recoverSchema = z.strictObject({
  node: described(
    hostname.optional(),
    "Name of the node that the cluster is recovered from: from its own data, or from `snapshot`.",
  ),
  snapshot: described(
    text(
      "a path on a host",
      "an absolute path of plain characters such as /var/backups/etcd/etcd03.db",
      /^(\/[A-Za-z0-9_.+-]+)+$/,
    ).optional(),
    "File on that node, as `etcdctl snapshot save` writes it, instead of the node's own data.",
  ),
  confirm: described(
    text(
      "a cluster ID",
      "what the refusal or `pulumi stack output clusterId` names",
      /^[0-9a-f]{1,16}$/,
    ).optional(),
    "ID of the cluster that is given up. A recovery happens once for each; see docs/recovery.md.",
  ),
});

/** All keys of the configuration; Pulumi.yaml and the documentation are held to this. */
export const schema = z.strictObject({
  nodes: described(
    z.array(nodeSchema).default([]),
    "List of {name, address, lost, ssh}: the machines, in the order they are worked on. Required.",
  ),
  version: described(
    version.default(DEFAULT_VERSION),
    "etcd release: 3.5.21 or a later 3.5, any 3.6, any 3.7.",
  ),
  downloadUrl: described(
    downloadUrl.default(OFFICIAL_DOWNLOADS),
    "Where releases are downloaded from; a mirror has the same paths below it.",
  ),
  sha256: described(
    sha256.default({}).meta({ type: "string or map" }),
    "Digest of the release: one text for amd64, or a map of amd64 and arm64. Not given: the " +
      "program's own table for official releases, else the mirror's SHA256SUMS.",
  ),
  settings: described(
    z.record(z.string(), scalar).default({}).meta({ type: "map of strings, integers or booleans" }),
    "Map of further etcd flags, named as etcd spells them without the dashes.",
  ),
  ssh: described(sshSchema.prefault({}), "Map: how the nodes are reached."),
  pki: described(
    pkiSchema.prefault({}),
    "Map: names, lengths of life and directory of the certificates, rotation of the CA.",
  ),
  host: described(
    hostSchema.prefault({}),
    "Map: what is changed on a node and what is asked of it.",
  ),
  drift: described(
    flag.default(true),
    "Look at every node at the start of a preview or an up and repair what was changed by hand.",
  ),
  destroy: described(destroySchema.prefault({}), "Map: what `pulumi destroy` leaves behind."),
  recover: described(
    recoverSchema.prefault({}),
    "Map: a cluster without a quorum begins anew from one node's data, or from a snapshot.",
  ),
});
