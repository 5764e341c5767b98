import { INSTALLED, type ReceiptName, type StepName } from "../../../components/scripts/steps";
import { credentials, PKI } from "./etcdctl";

export interface DriftCase {
  /** What was done to the host, for the documentation. */
  readonly what: string;
  /** Does it: a shell script. */
  readonly change: string;
  /** How the preview names it, or begins to. */
  readonly words: string;
  /** Which of the host's receipts is not true any more. */
  readonly receipt: ReceiptName;
  /** Prints what the change was about, the same before it and after the repair. */
  readonly look: string;
  /** Why etcd has to be started (again). */
  readonly restarts?: string;
  /** The member may not pass for healthy until then, and no other is restarted beside such a one. */
  readonly sick?: true;
  /** etcd may end by it before it is repaired, and systemd starts it again. */
  readonly mayRestart?: true;
}

const UNIT = "/etc/systemd/system/etcd.service";
const RELEASE = "/opt/etcd-on-pulumi/v3.6.14";
const FIREWALL_UNIT = "/etc/systemd/system/etcd-firewall.service";
const ADDRESSES = `${UNIT}.d/addresses.conf`;
const KEEPER = "/etc/systemd/system/nftables.service.d/etcd-on-pulumi.conf";
const RULES = "/etc/etcd-firewall.nft";
const NODES = "/var/lib/etcd-on-pulumi/nodes";

const content = (path: string) => `sha256sum ${path}`;
const mode = (path: string) => `stat -c %a ${path}`;
const owner = (path: string) => `stat -c %U:%G ${path}`;
const overrides = "systemctl show --property DropInPaths,NeedDaemonReload etcd.service";
const runs = "systemctl is-active etcd.service";
const flags = "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID etcd.service)/cmdline";
const flag = (text: string) => `sed -i 's|^  --name=|  ${text} \\\\\\n&|' ${UNIT}`;
const byHand = "systemctl daemon-reload && systemctl restart etcd.service";
const selfSigned = (file: string) =>
  `openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -days 30 -keyout /dev/null -out ${file} 2>/dev/null`;

/** One file, in the four ways in which a file can be wrong. */
function file(
  path: string,
  receipt: ReceiptName,
  right: { readonly mode: string; readonly owner: string },
  edit: string,
): DriftCase[] {
  return [
    {
      what: `\`${path}\` edited`,
      change: edit,
      words: `${path} changed`,
      receipt,
      look: content(path),
    },
    {
      what: `\`${path}\` removed`,
      change: `rm ${path}`,
      words: `${path} removed`,
      receipt,
      look: content(path),
    },
    {
      what: `\`${path}\`: another mode`,
      change: `chmod 0606 ${path}`,
      words: `${path} has mode 606, not ${right.mode}`,
      receipt,
      look: mode(path),
    },
    {
      what: `\`${path}\`: another owner`,
      change: `chown nobody:nogroup ${path}`,
      words: `${path} is owned by nobody:nogroup, not ${right.owner}`,
      receipt,
      look: owner(path),
    },
  ];
}

const PUBLIC = { mode: "644", owner: "root:root" };

export const DRIFT_CASES: readonly DriftCase[] = [
  ...file("/etc/etcd.env", "member", PUBLIC, "echo EXTRA=1 >>/etc/etcd.env"),
  ...file(UNIT, "member", PUBLIC, flag("--max-txn-ops=256")),
  ...file(`${PKI}/ca.pem`, "member", PUBLIC, selfSigned(`${PKI}/ca.pem`)),
  ...file(`${PKI}/client.pem`, "files", PUBLIC, selfSigned(`${PKI}/client.pem`)),
  ...file(RULES, "host", PUBLIC, `sed -i /reject/d ${RULES}`),
  ...file(FIREWALL_UNIT, "host", PUBLIC, `sed -i s/network-pre/network/ ${FIREWALL_UNIT}`),
  ...file(ADDRESSES, "host", PUBLIC, `echo IPAddressAllow=any >>${ADDRESSES}`),
  ...file(NODES, "host", PUBLIC, `sed -i 1d ${NODES}`),
  {
    what: "The server's certificate replaced by the peer's",
    change: `cp ${PKI}/peer.pem ${PKI}/server.pem`,
    words: `${PKI}/server.pem changed`,
    receipt: "files",
    look: content(`${PKI}/server.pem`),
    sick: true,
  },
  {
    what: "The server's certificate replaced by one of another CA",
    change: selfSigned(`${PKI}/server.pem`),
    words: `${PKI}/server.pem changed`,
    receipt: "files",
    look: content(`${PKI}/server.pem`),
    sick: true,
  },
  {
    what: "The server's key replaced by the peer's",
    change: `cp ${PKI}/peer-key.pem ${PKI}/server-key.pem`,
    words: `${PKI}/server-key.pem changed`,
    receipt: "files",
    look: content(`${PKI}/server-key.pem`),
    sick: true,
  },
  {
    what: "The peer's key removed",
    change: `rm ${PKI}/peer-key.pem`,
    words: `${PKI}/peer-key.pem removed`,
    receipt: "files",
    look: content(`${PKI}/peer-key.pem`),
    sick: true,
  },
  {
    what: "The client's key readable by everybody",
    change: `chmod 0644 ${PKI}/client-key.pem`,
    words: `${PKI}/client-key.pem has mode 644, not 600`,
    receipt: "files",
    look: mode(`${PKI}/client-key.pem`),
  },
  {
    what: "The server's key taken away from the etcd user",
    change: `chown root:root ${PKI}/server-key.pem`,
    words: `${PKI}/server-key.pem is owned by root:root, not etcd:etcd`,
    receipt: "files",
    look: owner(`${PKI}/server-key.pem`),
    sick: true,
  },
  {
    what: "The certificates' directory open to everybody",
    change: `chmod 0755 ${PKI}`,
    words: `${PKI} has mode 755, not 750`,
    receipt: "files",
    look: mode(PKI),
  },
  {
    what: "A binary of the release replaced",
    change: `cd ${RELEASE} && cp /bin/true new && mv new etcdutl`,
    words: `${RELEASE}/etcdutl changed`,
    receipt: "binaries",
    look: content(`${RELEASE}/etcdutl`),
  },
  {
    what: "A binary of the release: another mode",
    change: `chmod 0700 ${RELEASE}/etcdctl`,
    words: `${RELEASE}/etcdctl has mode 700, not 755`,
    receipt: "binaries",
    look: mode(`${RELEASE}/etcdctl`),
  },
  {
    what: "A binary of the release: another owner",
    change: `chown nobody ${RELEASE}/etcd`,
    words: `${RELEASE}/etcd is owned by nobody:root, not root:root`,
    receipt: "binaries",
    look: owner(`${RELEASE}/etcd`),
  },
  {
    what: "The release's directory removed",
    change: `rm -r ${RELEASE}`,
    words: `${RELEASE}/etcd removed`,
    receipt: "binaries",
    look: content(`${RELEASE}/etcd`),
  },
  {
    what: "A link in `/usr/local/bin` moved",
    change: "ln -sfn /bin/true /usr/local/bin/etcdctl",
    words: `/usr/local/bin/etcdctl points to /bin/true, not ${RELEASE}/etcdctl`,
    receipt: "member",
    look: "readlink /usr/local/bin/etcdctl",
  },
  {
    what: "A link in `/usr/local/bin` removed",
    change: "rm /usr/local/bin/etcd",
    words: "/usr/local/bin/etcd removed",
    receipt: "member",
    look: "readlink /usr/local/bin/etcd",
  },
  {
    what: "A link in `/usr/local/bin` replaced by a program",
    change: "cp --remove-destination /bin/true /usr/local/bin/etcdutl",
    words: "/usr/local/bin/etcdutl is a file now, was a link",
    receipt: "member",
    look: "readlink /usr/local/bin/etcdutl",
  },
  {
    what: "The drop-in removed that loads the firewall's table again after Debian's own unit",
    change: `rm ${KEEPER}`,
    words: `${KEEPER} removed`,
    receipt: "host",
    look: content(KEEPER),
  },
  {
    what: "The firewall's table deleted",
    change: "nft delete table inet etcd",
    words: "firewall table inet etcd removed",
    receipt: "host",
    look: "nft list ruleset",
  },
  {
    what: "The firewall's rules flushed",
    change: "nft flush chain inet etcd input",
    words: "firewall table inet etcd changed",
    receipt: "host",
    look: "nft list ruleset",
  },
  {
    what: "The firewall's unit disabled",
    change: "systemctl --quiet disable etcd-firewall.service",
    words: "etcd-firewall.service is disabled",
    receipt: "host",
    look: "systemctl is-enabled etcd-firewall.service",
  },
  {
    what: "The firewall's unit stopped",
    change: "systemctl stop etcd-firewall.service",
    words: "etcd-firewall.service is inactive",
    receipt: "host",
    look: "systemctl is-active etcd-firewall.service; nft list ruleset",
  },
  {
    what: "The firewall's unit masked",
    change: `rm ${FIREWALL_UNIT} && systemctl --quiet mask etcd-firewall.service`,
    words: "etcd-firewall.service is masked",
    receipt: "host",
    look: "systemctl is-enabled etcd-firewall.service",
  },
  {
    what: "A line of the block in `/etc/hosts` removed",
    change: "sed -i '/^192.168.1.85/d' /etc/hosts",
    words: "block in /etc/hosts changed",
    receipt: "host",
    look: "cat /etc/hosts",
  },
  {
    what: "The block in `/etc/hosts` removed",
    change: "sed -i '/BEGIN etcd/,/END etcd/d' /etc/hosts",
    words: "block in /etc/hosts removed",
    receipt: "host",
    look: "cat /etc/hosts",
  },
  {
    what: "The etcd user removed",
    change: "sed -i /^etcd:/d /etc/passwd /etc/group",
    words: "user etcd removed",
    receipt: "host",
    look: "getent passwd etcd; id etcd",
  },
  {
    what: "The etcd user given a shell",
    change: "usermod --shell /bin/bash etcd",
    words: "user etcd changed",
    receipt: "host",
    look: "getent passwd etcd",
  },
  {
    what: "The data directory open to everybody",
    change: "chmod 0755 /var/lib/etcd",
    words: "/var/lib/etcd has mode 755, not 700",
    receipt: "member",
    look: mode("/var/lib/etcd"),
  },
  {
    what: "The data directory and all in it given to root",
    change: "chown -R root:root /var/lib/etcd",
    words: "/var/lib/etcd is owned by root:root, not etcd:etcd",
    receipt: "member",
    look: "find /var/lib/etcd -printf '%u:%g\\n' | sort -u",
    // Until then it can open no file anew, which ends it when it needs one.
    sick: true,
    mayRestart: true,
  },
  {
    what: "The unit disabled",
    change: "systemctl --quiet disable etcd.service",
    words: "etcd.service is disabled",
    receipt: "member",
    look: "systemctl is-enabled etcd.service",
  },
  {
    what: "The unit masked",
    change: `rm ${UNIT} && systemctl --quiet mask etcd.service`,
    words: "etcd.service is masked",
    receipt: "member",
    look: "systemctl is-enabled etcd.service; systemctl show -P LoadState etcd.service",
  },
  {
    what: "The unit overridden in `/etc` (`systemctl edit`)",
    change: `printf '[Service]\\nRestart=no\\n' >${UNIT}.d/override.conf; systemctl daemon-reload`,
    words: `etcd.service is overridden by ${UNIT}.d/override.conf`,
    receipt: "member",
    look: overrides,
  },
  {
    what: "The unit overridden in `/run` (`systemctl edit --runtime`)",
    change:
      "mkdir -p /run/systemd/system/etcd.service.d && printf '[Service]\\nRestart=no\\n' >/run/systemd/system/etcd.service.d/override.conf && systemctl daemon-reload",
    words: "etcd.service is overridden by /run/systemd/system/etcd.service.d/override.conf",
    receipt: "member",
    look: overrides,
  },
  {
    what: "A limit set with `systemctl set-property`",
    change: "systemctl set-property etcd.service TasksMax=5000",
    words:
      "etcd.service is overridden by /etc/systemd/system.control/etcd.service.d/50-TasksMax.conf",
    receipt: "member",
    look: `${overrides}; systemctl show -P TasksMax etcd.service`,
  },
  {
    what: "The unit stopped",
    change: "systemctl stop etcd.service",
    words: "etcd.service is inactive",
    receipt: "member",
    look: runs,
    restarts: "it was down",
  },
  {
    what: "The unit failed",
    change:
      "pid=$(systemctl show -P MainPID etcd.service); kill -STOP $pid; systemctl stop --no-block etcd.service; kill -KILL $pid; sleep 1",
    words: "etcd.service is failed",
    receipt: "member",
    look: runs,
    restarts: "it was down",
  },
  {
    what: "A flag that etcd refuses written into the unit, etcd restarted by hand",
    change: `${flag("--max-txn-ops=many")}; ${byHand} --no-block; sleep 2`,
    words: "etcd.service is activating",
    receipt: "member",
    look: `${runs}; ${content(UNIT)}`,
    restarts: "it was down",
  },
  {
    what: "A flag changed in the unit, etcd restarted by hand",
    change: `${flag("--max-txn-ops=256")}; ${byHand}`,
    words: "etcd runs with --max-txn-ops=256",
    receipt: "member",
    look: flags,
    restarts: "it has loaded the flag",
  },
  {
    what: "The same, and the unit put back without another restart",
    change: `cp -a ${UNIT} /tmp/unit; ${flag("--max-txn-ops=256")}; ${byHand}; mv /tmp/unit ${UNIT}; systemctl daemon-reload`,
    words: "etcd runs with --max-txn-ops=256",
    receipt: "member",
    look: flags,
    restarts: "it has loaded the flag",
  },
  {
    what: "A variable of etcd set with `systemctl edit`, etcd restarted by hand",
    change: `printf '[Service]\\nEnvironment=ETCD_MAX_TXN_OPS=256\\n' >${UNIT}.d/override.conf; ${byHand}`,
    words: "etcd runs with ETCD_MAX_TXN_OPS=256",
    receipt: "member",
    look: overrides,
    restarts: "it has loaded the variable",
  },
  {
    what: "Another build of etcd linked and started by hand",
    change: `mkdir -p /opt/other && cp ${RELEASE}/etcd /opt/other/ && ln -sfn /opt/other/etcd /usr/local/bin/etcd && systemctl restart etcd.service`,
    words: `/usr/local/bin/etcd points to /opt/other/etcd, not ${RELEASE}/etcd`,
    receipt: "member",
    look: "readlink /proc/$(systemctl show -P MainPID etcd.service)/exe",
    restarts: "it runs the other build",
  },
  {
    what: "The alarm NOSPACE raised",
    change: `curl -sf ${credentials()} https://127.0.0.1:2379/v3/maintenance/alarm -d '{"action": "ACTIVATE", "alarm": "NOSPACE"}'`,
    words: "the cluster reports NOSPACE",
    receipt: "member",
    look: `etcdctl ${credentials()} alarm list`,
    sick: true,
  },
];

/** The step that makes what this receipt is of. */
export function stepOf({ receipt }: DriftCase): StepName {
  return INSTALLED.some((part) => part === receipt) ? "install" : "member";
}

/**
 * Rounds of cases, by host. A receipt of a host has one case in a round, so that none is repaired in
 * another's shadow. A member that has to be started again has its host for itself, and beside it
 * nothing is wrong with the other members, because they would not be restarted then.
 */
export function roundsOf(
  cases: readonly DriftCase[],
  hosts: readonly string[],
): readonly ReadonlyMap<string, readonly DriftCase[]>[] {
  const rounds: Map<string, DriftCase[]>[] = [];
  const fits = (round: Map<string, DriftCase[]>, host: string, next: DriftCase) => {
    const here = round.get(host) ?? [];
    const all = [...round.values()].flat();
    return (
      here.every(({ receipt, restarts }) => receipt !== next.receipt && restarts === undefined) &&
      !(disturbs(next) && here.some(disturbs)) &&
      !(next.restarts !== undefined && (here.length > 0 || all.some(disturbs))) &&
      !(disturbs(next) && all.some(({ restarts }) => restarts !== undefined))
    );
  };
  // Those that disturb first: there is room for the others beside them.
  for (const next of [...cases].sort((a, b) => Number(disturbs(b)) - Number(disturbs(a)))) {
    const places = rounds.flatMap((round, index) =>
      // Not always the same host first.
      [...hosts.slice(index % hosts.length), ...hosts.slice(0, index % hosts.length)].map(
        (host) => ({ round, host }),
      ),
    );
    let place = places.find(({ round, host }) => fits(round, host, next));
    if (place === undefined) {
      place = { round: new Map(), host: hosts[rounds.length % hosts.length] ?? "" };
      rounds.push(place.round);
    }
    place.round.set(place.host, [...(place.round.get(place.host) ?? []), next]);
  }
  return rounds;
}

function disturbs({ sick, restarts }: DriftCase): boolean {
  return sick === true || restarts !== undefined;
}
