import { z } from "zod";
import { DEFAULT_VERSION, OFFICIAL_DOWNLOADS } from "../etcd/versions";
import { backupSchema } from "./backup";
import { described, EDIT, input } from "./described";
import { address, flag, network, port, text, whole } from "./fields";
import { maintenanceSchema } from "./maintenance";
import { standIns } from "./unknown";
import {
  directory,
  downloadUrl,
  hostKey,
  keyText,
  path,
  RELEASE,
  scalar,
  secret,
  sha256,
  version,
} from "./values";

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

const standInKey = input(hostKey, standIns.hostKey);

export const nodeSshSchema = z.strictObject({
  host: described(
    input(machine.optional(), standIns.host),
    "Address or name to connect to over SSH, instead of `address`: for hosts with a separate management network.",
    EDIT.login,
  ),
  user: described(user.optional(), "Login name on this node, instead of `ssh.user`.", EDIT.login),
  port: described(
    port.optional(),
    "TCP port of sshd on this node, instead of `ssh.port`.",
    EDIT.login,
  ),
  privateKeyFile: described(
    path.optional(),
    "File of the private key for this node, instead of the one in `ssh`.",
    EDIT.login,
  ),
  privateKey: described(
    input(keyText.optional(), standIns.privateKey),
    "Text of the private key for this node, in place of a file. Secret.",
    EDIT.login,
  ),
  hostKey: described(
    input(hostKey.optional(), standIns.hostKey),
    "Public host key of this node, as `TYPE BASE64`.",
    EDIT.hostKeys,
  ),
});

export const nodeSchema = z.strictObject({
  name: described(
    hostname,
    "Host name and member name: one lowercase label, unique.",
    "Refused at the same address: take the node out, and add it in a second edit.",
  ),
  address: described(
    input(address, standIns.address),
    "IPv4 or IPv6 address that the other nodes reach it at, unique.",
    "The member moves: new certificates, and a restart of that one. See docs/membership.md.",
  ),
  lost: described(
    flag.default(false),
    "The host is permanently lost: it is never contacted, and its member is removed.",
    "Its member is removed through the others.",
  ),
  rebuild: described(
    text(
      "a member ID",
      "what the refusal or `npm run status` names",
      /^[0-9a-f]{1,16}$/,
    ).optional(),
    "ID of its member, whose data is unusable: the member is removed, its data moved aside, and the node rejoins. No effect once the node has another member; see docs/alarms.md.",
    "That member is removed and rejoins; the others keep running.",
  ),
  ssh: described(
    nodeSshSchema.default({}),
    "Overrides of the key `ssh` for this node.",
    EDIT.parts,
  ),
});

export const bastionSchema = z.strictObject({
  host: described(
    input(machine, standIns.host),
    "Address or name of the machine to go through.",
    EDIT.login,
  ),
  port: described(port.default(22), "TCP port of its sshd.", EDIT.login),
  user: described(user.optional(), "Login name there; `ssh.user` when not given.", EDIT.login),
  privateKeyFile: described(
    path.optional(),
    "File of the private key for it; the one of the nodes when not given.",
    EDIT.login,
  ),
  privateKey: described(
    input(keyText.optional(), standIns.privateKey),
    "Text of the private key for it, in place of a file. Secret.",
    EDIT.login,
  ),
  hostKey: described(
    input(hostKey.optional(), standIns.hostKey),
    "Its public host key; else looked up as for a node.",
    EDIT.hostKeys,
  ),
});

export const sshSchema = z.strictObject({
  user: described(user.default("root"), "Login name on the nodes.", EDIT.login),
  port: described(port.default(22), "TCP port of sshd on the nodes.", EDIT.login),
  privateKeyFile: described(
    path.optional(),
    "File of the private key. Not given, and no `privateKey` or `password` either: `~/.ssh/id_ed25519`, then `~/.ssh/id_rsa`, then the agent.",
    EDIT.login,
  ),
  privateKey: described(
    input(keyText.optional(), standIns.privateKey),
    "Text of the private key, in place of a file. Secret.",
    EDIT.login,
  ),
  privateKeyPassphrase: described(
    input(secret.optional(), standIns.secret),
    "Passphrase of the private keys that have one. Secret.",
    EDIT.login,
  ),
  password: described(
    input(secret.optional(), standIns.secret),
    "Password of the login, where no key is taken; on the bastion too. Secret.",
    EDIT.login,
  ),
  agent: described(
    flag.default(false),
    "Use the agent at `SSH_AUTH_SOCK`: keys with a passphrase, certificates.",
    EDIT.login,
  ),
  knownHostsFile: described(
    path.default("~/.ssh/known_hosts"),
    "File that host keys are looked up in when they are not in `hostKeys`.",
    EDIT.hostKeys,
  ),
  hostKeys: described(
    z.record(z.string(), standInKey).default({}),
    "Public host keys as `TYPE BASE64`, by node name or address.",
    EDIT.hostKeys,
  ),
  sudo: described(
    flag.optional(),
    "Run commands through sudo; not given: true for every user but root.",
    EDIT.login,
  ),
  sudoPassword: described(
    input(secret.optional(), standIns.secret),
    "Password for sudo; not given: none. Secret.",
    EDIT.login,
  ),
  bastion: described(
    bastionSchema.optional(),
    "Machine that all connections go through.",
    EDIT.login,
  ),
  insecureIgnoreHostKeys: described(
    flag.default(false),
    "Also connect to nodes whose host key is unknown. A man in the middle can then read every private key.",
    EDIT.hostKeys,
  ),
});

export const subjectSchema = z.strictObject({
  country: described(
    text("a country code", "two capital letters such as ES", /^[A-Z]{2}$/).optional(),
    "C, two letters.",
    EDIT.subject,
  ),
  province: described(name.optional(), "ST.", EDIT.subject),
  locality: described(name.optional(), "L.", EDIT.subject),
  organization: described(name.optional(), "O, on the CA only.", EDIT.subject),
  organizationalUnit: described(name.optional(), "OU, on the CA only.", EDIT.subject),
});

export const pkiSchema = z.strictObject({
  directory: described(
    directory.default("/etc/kubernetes/pki/etcd"),
    "Directory of the certificates and keys on every node.",
    "Restarts the members, one at a time, with their files in the new one; ours in the old one are removed, those of others stay.",
  ),
  subject: described(
    subjectSchema.default({}),
    "Subject of the CA, whose CN is `etcd`. The nodes' certificates take C, ST and L.",
    EDIT.subject,
  ),
  caValidityHours: described(
    whole("a whole number of hours", 1, 100 * YEARS).default(43800),
    "Validity of the CA certificate, in hours.",
    "A new certificate of the same CA key. Restarts the members, one at a time.",
  ),
  validityHours: described(
    whole("a whole number of hours", 1, 100 * YEARS).default(43800),
    "Validity of the client, server and peer certificates, in hours.",
    "New certificates for the keys that are there; no restart.",
  ),
  renewalHours: described(
    whole("a whole number of hours", 0, 100 * YEARS).default(720),
    "An up renews a certificate when less than this is left of it; its key stays.",
    "Certificates that are due then are renewed; no restart.",
  ),
  warnHours: described(
    whole("a whole number of hours", 0, 100 * YEARS).default(1440),
    "A preview warns of every certificate that has less than this left.",
    EDIT.look,
  ),
  serverClientAuth: described(
    flag.default(true),
    "False: server certificates cannot be used as client certificates, and etcd's JSON gateway gets a certificate of its own. See docs/security.md.",
    "New server certificates. Restarts the members, one at a time.",
  ),
  rotate: described(
    text(
      "a name for a CA",
      'up to 32 letters, digits, "-" and "." such as 2027-03',
      /^[A-Za-z0-9][A-Za-z0-9.-]{0,31}$/,
    ).optional(),
    "Name of the CA, any that was not used before: a change starts a rotation to a new CA. See docs/certificates.md.",
    "A CA rotation in three runs; the first and the last restart the members, one at a time.",
  ),
});

export const hostSchema = z.strictObject({
  upgrade: described(
    flag.default(false),
    "Upgrade all Debian packages before the first step.",
    "True: the packages of all hosts are upgraded by that run, all hosts at once, and not again by later ones. No restart of etcd.",
  ),
  manageHosts: described(
    flag.default(true),
    "Keep a block in /etc/hosts with all nodes; false when DNS knows them.",
    "The block in /etc/hosts is written or removed; no restart.",
  ),
  firewall: described(
    flag.default(true),
    "Manage an nftables table: 2380 for members, 2379 and the port of `listen-metrics-urls` for members and clients.",
    "The packet filter is loaded or removed; no restart.",
  ),
  clientNetworks: described(
    z.array(network).default(["0.0.0.0/0", "::/0"]),
    "Networks that may reach port 2379 and the port of `listen-metrics-urls`, when `firewall` is true.",
    "The packet filter is reloaded: clients outside are disconnected, and the preview names those that are connected. No restart.",
  ),
  minimumMemory: described(
    whole("a whole number of MiB", 0, 1 << 30).default(1900),
    "MiB of memory a node must have; a machine sold with 2 GB shows a little less.",
    EDIT.asked,
  ),
  minimumDisk: described(
    whole("a whole number of MiB", 0, 1 << 30).default(1024),
    "MiB that must be free on the disk of /var/lib/etcd before the first start.",
    EDIT.asked,
  ),
  maximumClockSkew: described(
    whole("a whole number of seconds", 0, 86400).default(2),
    "Seconds that a node's clock may differ from the operator's.",
    EDIT.look,
  ),
});

export const destroySchema = z.strictObject({
  snapshot: described(
    flag.default(true),
    "Leave a last verified snapshot on the last host when the cluster is destroyed.",
    "Only what a destroy does. The members' steps run again and find nothing to do; no restart.",
  ),
});

export const recoverSchema = z.strictObject({
  node: described(
    hostname.optional(),
    "Name of the node that the cluster is recovered from: from its own data, or from `snapshot`.",
    EDIT.recover,
  ),
  snapshot: described(
    text(
      "a path on a host, latest, or a snapshot ID of restic",
      "an absolute path of plain characters such as /var/backups/etcd/etcd03.db, latest, or 8 to 64 hexadecimal digits",
      /^((\/[A-Za-z0-9_.+-]+)+|latest|[0-9a-f]{8,64})$/,
    ).optional(),
    "What to begin with instead of the node's own data: a file on that node, as `etcdctl snapshot save` writes it, or from `backup.repository` its `latest` snapshot or one by its ID.",
    EDIT.recover,
  ),
  snapshotCluster: described(
    text(
      "a cluster ID",
      "the ID that `npm run backups` names beside the snapshot",
      /^[0-9a-f]{1,16}$/,
    ).optional(),
    "ID of the cluster that the snapshot in the repository is of, when it is another one than `confirm` and none that this stack gave up before.",
    EDIT.recover,
  ),
  confirm: described(
    text(
      "a cluster ID",
      "what the refusal or `pulumi stack output clusterId` names",
      /^[0-9a-f]{1,16}$/,
    ).optional(),
    "ID of the cluster that is discarded. A recovery happens once for each; see docs/recovery.md.",
    EDIT.recover,
  ),
});

/** All keys of the configuration; Pulumi.yaml and the documentation are held to this. */
export const schema = z.strictObject({
  nodes: described(
    z.array(nodeSchema).default([]).meta({
      needed: true,
      inCode: "The machines, in the order they are worked on.",
    }),
    "List of {name, address, lost, rebuild, ssh}: the machines, in the order they are worked on. Required.",
    "Members join, leave and move, one at a time; see docs/membership.md.",
  ),
  version: described(
    version.default(DEFAULT_VERSION),
    "etcd release: 3.5.21 or a later 3.5 (earlier ones can bring back removed members and strand learners), any 3.6, any 3.7. kubeadm 1.37 asks for 3.5.24 or later.",
    "Rolls the members to that release, one at a time; other series one step at a time. See docs/versions.md.",
  ),
  downloadUrl: described(
    downloadUrl.default(OFFICIAL_DOWNLOADS),
    "Where releases are downloaded from; a mirror has the same paths below it.",
    RELEASE,
  ),
  sha256: described(
    sha256.default({}).meta({
      type: "string or map",
      inCode:
        "Digests of the tarballs. Not given: the program's own table, else, from the project's own downloads alone, SHA256SUMS.",
    }),
    "Digest of the tarball: one text for amd64, or a map of amd64 and arm64. Not given: the " +
      "program's own table, else, from the project's own downloads alone, SHA256SUMS.",
    RELEASE,
  ),
  trustMirrorChecksums: described(
    flag.default(false),
    "Trust the SHA256SUMS of downloadUrl for a digest that is neither given nor known.",
    RELEASE,
  ),
  settings: described(
    z.record(z.string(), scalar).default({}).meta({
      type: "map of strings, integers or booleans",
      inCode: "Additional etcd flags, by their names without the dashes.",
    }),
    "Map of additional etcd flags, by their names without the dashes.",
    EDIT.roll,
  ),
  ssh: described(sshSchema.prefault({}), "Map: how the nodes are reached.", EDIT.parts),
  pki: described(
    pkiSchema.prefault({}),
    "Map: subject, validity and directory of the certificates, rotation of the CA.",
    EDIT.parts,
  ),
  host: described(
    hostSchema.prefault({}),
    "Map: what is managed on a node, and what a node must have.",
    EDIT.parts,
  ),
  backup: described(
    backupSchema.optional(),
    "Map: scheduled snapshots, kept on the hosts and in a repository of restic. Not given: none are taken.",
    "The steps `install` run again: timers are set up, or removed. Snapshots stay where they are. No restart.",
  ),
  maintenance: described(
    maintenanceSchema.optional(),
    "Map: defragmentation and healing of NOSPACE by the hosts themselves. Not given: neither.",
    EDIT.parts,
  ),
  drift: described(
    flag.default(true),
    "Inspect every node before each preview and up, and revert manual changes.",
    EDIT.look,
  ),
  destroy: described(
    destroySchema.prefault({}),
    "Map: what `pulumi destroy` leaves behind.",
    EDIT.parts,
  ),
  recover: described(
    recoverSchema.prefault({}),
    "Map: disaster recovery; rebuilds a cluster that lost its quorum from one node's data, or from a snapshot.",
    EDIT.parts,
  ),
});
