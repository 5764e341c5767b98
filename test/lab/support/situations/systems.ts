/** Packages, users, units, packet filters and networks of others. */
import { hostAddress } from "../../../support/lab";
import { type Finding, holds, type Place, type Situation, says } from "./situation";

const NETWORKS = "192.168.0.0/16";
const DATA = "/var/lib/etcd";

/** A packet filter of the host's own. */
function filter(rules: string, inForce: string) {
  const tables = [...rules.matchAll(/^table (\w+ \w+)/gm)].map(([, table]) => table);
  return {
    of: ["filter"],
    make: `nft -f - <<'END'\n${rules}\nEND`,
    undo: tables.map((table) => `nft delete table ${table}`).join("; "),
    inForce: holds(inForce),
  };
}

/** Lets in SSH from everywhere and nothing else but what is said. */
const closed = (name: string, allowed: string) => `table inet ${name} {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iif lo accept
    icmp type echo-request accept
    tcp dport { 22, 2222 } accept
    ${allowed}
  }
}`;

const DOCKER = `table ip nat {
  chain PREROUTING { type nat hook prerouting priority -100; fib daddr type local jump DOCKER; }
  chain POSTROUTING { type nat hook postrouting priority 100; ip saddr 172.17.0.0/16 oifname != "docker0" masquerade; }
  chain DOCKER { iifname "docker0" return; }
}
table ip filter {
  chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER; }
  chain DOCKER { }
}`;

/** Whoever dials a member there gets no answer. */
function unreachable(host: string, others: readonly string[]): readonly Finding[] {
  return others.map((other) => ({
    host: other,
    about: host,
    says: `cannot reach ${host} at ${hostAddress(host)} on port 2379 and 2380; members need 2379 and 2380 of each other, both ways: open these in the firewalls between them`,
  }));
}

/** A command is not there. */
function without(command: string, reason: string): Situation {
  return {
    name: `has no \`${command}\``,
    of: [`/usr/bin/${command}`],
    make: `mv "$(command -v ${command})" /root/${command}`,
    undo: `mv /root/${command} /usr/bin/`,
    inForce: holds(`! command -v ${command}`),
    refused: says(reason),
  };
}

/** Users and groups stay as they were made. */
function account(make: string, is: string, undo = "userdel etcd") {
  return { of: ["passwd"], make, undo: `${undo} 2>/dev/null`, inForce: holds(is) };
}

const SYSTEM_USER = "useradd --system --home-dir /nonexistent --no-create-home";
const second = (host: string) => hostAddress(host).replace(/(\d+)$/, "1$1");

/** Takes dpkg's lock as dpkg does, or fails. */
const LOCK = `use Fcntl; open my $file, ">>", "/var/lib/dpkg/lock-frontend" or die;
my $lock = pack("s s x![q] q q i x![q]", F_WRLCK, 0, 0, 0, 0); fcntl($file, F_SETLK, $lock) or exit 9;`;

/** Has it until this program has been at work on the host for some seconds. */
const UPGRADE = `${LOCK}
until (-e "/var/lib/etcd-on-pulumi") { sleep 1 }
sleep 10;`;

const LOCKED = `code=0; perl -e '${LOCK}' || code=$?; [ "$code" = 9 ]`;

export const SYSTEMS: readonly Situation[] = [
  {
    name: "upgrades itself when `host.upgrade` wants to",
    of: ["/var/lib/dpkg"],
    make: `cat >/run/upgrade <<'END'\n${UPGRADE}\nEND
      systemd-run --quiet --unit unattended-upgrades perl /run/upgrade
      for _ in $(seq 50); do if ${LOCKED}; then break; fi; sleep 0.1; done`,
    undo: "systemctl stop unattended-upgrades.service 2>/dev/null; rm /run/upgrade",
    inForce: holds(LOCKED),
    passing: true,
    values: { host: { upgrade: true } },
  },
  without("tar", "has no tar command; install the package tar"),
  without("openssl", "has no openssl command; install the package openssl"),
  {
    name: "has a user and a group `etcd` with numbers of their own",
    ...account(
      `groupadd --gid 4322 etcd; ${SYSTEM_USER} --uid 4321 --gid etcd --shell /usr/sbin/nologin etcd`,
      '[ "$(getent passwd etcd)" = etcd:x:4321:4322::/nonexistent:/usr/sbin/nologin ]',
    ),
  },
  {
    name: "has a user `etcd` without a group of that name",
    ...account(
      `${SYSTEM_USER} --gid users --shell /bin/false etcd`,
      "getent passwd etcd; ! getent group etcd",
    ),
  },
  {
    name: "has a group `etcd` without a user of that name",
    ...account(
      "groupadd --gid 4322 etcd",
      "getent group etcd | grep -q :4322:; ! getent passwd etcd",
      "groupdel etcd",
    ),
  },
  {
    name: "has a user `etcd` that can log in",
    ...account(
      `${SYSTEM_USER} --user-group --shell /bin/bash etcd`,
      "getent passwd etcd | grep -q :/bin/bash$",
    ),
    refused: says(
      "has a user etcd that can log in (with /bin/bash), and could then read the keys of the cluster; disable its login shell (usermod --shell /usr/sbin/nologin etcd)",
    ),
  },
  {
    name: "has a user `etcd` with another one's number",
    ...account(
      `${SYSTEM_USER} --non-unique --uid "$(id -u daemon)" --user-group --shell /usr/sbin/nologin etcd`,
      '[ "$(id -u etcd)" = "$(id -u daemon)" ]',
    ),
    refused: says(
      "has a user etcd with the UID 1, which is also that of daemon; give etcd a UID of its own (usermod --uid UID etcd)",
    ),
  },
  {
    name: "has what Debian's `etcd-server` leaves when it is removed",
    of: ["passwd", DATA],
    make: `${SYSTEM_USER} --user-group --home-dir ${DATA} --shell /usr/sbin/nologin etcd
      echo theirs >/etc/default/etcd
      install -d -m 700 -o etcd -g etcd ${DATA} ${DATA}/default; echo theirs >${DATA}/default/x`,
    undo: `rm -r /etc/default/etcd ${DATA}; userdel etcd`,
    inForce: holds(`cat /etc/default/etcd ${DATA}/default/x; getent passwd etcd`),
  },
  {
    name: "has Debian's `etcd-server`",
    of: ["/usr/bin/etcd"],
    make: `cp /bin/true /usr/bin/etcd
      printf '[Service]\\nExecStart=/usr/bin/etcd\\n' >/usr/lib/systemd/system/etcd.service; systemctl daemon-reload`,
    undo: "rm /usr/bin/etcd /usr/lib/systemd/system/etcd.service; systemctl daemon-reload",
    inForce: holds("systemctl cat etcd.service; command -v etcd"),
    refused: says(
      "has an etcd that is not this program's at /usr/bin/etcd; uninstall it first",
      "has a unit that is not this program's at /lib/systemd/system/etcd.service; remove it first",
    ),
  },
  {
    name: "runs another etcd",
    of: ["another etcd"],
    make: "cp /bin/sleep /root/etcd; systemd-run --quiet --unit stranger /root/etcd 10000",
    undo: "systemctl stop stranger; rm /root/etcd",
    inForce: holds("pidof etcd"),
    refused: says(
      /^runs an etcd that is not this program's: process \d+, \/root\/etcd; stop it first$/,
    ),
  },
  {
    name: "has drop-ins for all services in `/run`, as images for LXC generate",
    of: ["service.d"],
    make: `mkdir -p /run/systemd/system/service.d
      printf '[Service]\\nProtectProc=default\\nImportCredential=\\n' >/run/systemd/system/service.d/zzz-lxc-service.conf
      systemctl daemon-reload`,
    undo: "rm -r /run/systemd/system/service.d; systemctl daemon-reload",
    inForce: holds("systemctl show -P DropInPaths ssh.service | grep -q zzz-lxc-service.conf"),
  },
  {
    name: "has a drop-in of somebody's for `etcd.service`",
    of: ["etcd.service.d"],
    make: `mkdir -p /etc/systemd/system/etcd.service.d
      printf '[Service]\\nNice=1\\n' >/etc/systemd/system/etcd.service.d/theirs.conf`,
    undo: "rm -r /etc/systemd/system/etcd.service.d",
    inForce: holds("[ -e /etc/systemd/system/etcd.service.d/theirs.conf ]"),
    refused: says(
      "has a drop-in that is not this program's at /etc/systemd/system/etcd.service.d/theirs.conf; move it away first",
    ),
  },
  {
    name: "has another program at port 2379",
    of: ["port 2379"],
    make: `systemd-run --quiet --unit listener nc -lk 2379
      until ss -Hltn 'sport = :2379' | grep -q .; do sleep 0.1; done`,
    undo: "systemctl stop listener",
    inForce: holds("ss -Hltnp 'sport = :2379' | grep -q '\"nc\"'"),
    refused: says(/^has port 2379 in use by nc \(process \d+\); free it$/),
  },
  {
    name: "has a packet filter of its own that lets in what is named",
    ...filter(
      closed("host", `ip saddr ${NETWORKS} tcp dport { 2379, 2380 } accept`),
      "nft list chain inet host input | grep -q 'policy drop'",
    ),
  },
  {
    name: "has Docker's rules",
    ...filter(DOCKER, "nft list chain ip nat DOCKER; nft list chain ip filter FORWARD"),
  },
  {
    name: "loads `/etc/nftables.conf` at the start, which flushes all rules",
    of: ["filter"],
    make: "systemctl --quiet enable --now nftables.service",
    undo: "systemctl --quiet disable --now nftables.service; nft flush ruleset",
    inForce: holds("systemctl is-active --quiet nftables.service; nft list table inet filter"),
  },
  {
    name: "has a packet filter of its own that lets in SSH alone",
    ...filter(closed("host", ""), "nft list chain inet host input | grep -q 'policy drop'"),
    refused: unreachable,
  },
  {
    name: "has a table `inet etcd` of somebody's",
    ...filter("table inet etcd {\n}", "nft list table inet etcd"),
    refused: says(
      "has a table inet etcd in its packet filter that is not this program's; rename it, or delete it (nft delete table inet etcd)",
    ),
  },
  {
    name: "has a second address",
    of: ["address"],
    make: ({ host }) => `ip address add ${second(host)}/24 dev eth0`,
    undo: ({ host }) => `ip address delete ${second(host)}/24 dev eth0`,
    inForce: holds(({ host }) => `ip -o address show dev eth0 | grep -qF ${second(host)}`),
  },
  {
    name: "reaches its neighbours from a second address",
    of: ["address"],
    make: ({ host }) => `ip address add ${second(host)}/24 dev eth0
      ip route replace 192.168.1.0/24 dev eth0 proto kernel scope link src ${second(host)}`,
    undo: ({
      host,
    }) => `ip route replace 192.168.1.0/24 dev eth0 proto kernel scope link src ${hostAddress(host)}
      ip address delete ${second(host)}/24 dev eth0`,
    inForce: holds(({ host }) => `ip -o route get 192.168.1.99 | grep -qF 'src ${second(host)}'`),
    refused: (host, others) =>
      others.map((other) => ({
        host,
        says: `reaches ${other} at ${hostAddress(other)} from ${second(host)}, not from its own address ${hostAddress(host)}; make that the source address of its route there`,
      })),
  },
  {
    name: "shows a user no processes of others (`hidepid`)",
    of: ["/proc"],
    make: "mount -o remount,hidepid=2 /proc",
    undo: "mount -o remount,hidepid=0 /proc",
    inForce: holds("! setpriv --reuid=nobody --regid=nogroup --clear-groups ls /proc/1"),
  },
  {
    name: "keeps no journal",
    of: ["journald"],
    make: `printf '[Journal]\\nStorage=none\\n' >/etc/systemd/journald.conf.d/none.conf
      systemctl restart systemd-journald.service`,
    undo: `rm /etc/systemd/journald.conf.d/none.conf
      systemctl restart systemd-journald.service`,
    inForce: holds(
      "word=$(cat /proc/sys/kernel/random/uuid); logger $word; sleep 0.5; ! journalctl --output cat | grep -q $word",
    ),
  },
  {
    name: "has a dangling `/etc/resolv.conf`",
    of: ["/etc/resolv.conf"],
    make: "mv /etc/resolv.conf /etc/resolv.conf.away; ln -s /run/resolve/stub-resolv.conf /etc/resolv.conf",
    undo: "mv -T /etc/resolv.conf.away /etc/resolv.conf",
    inForce: holds("[ -L /etc/resolv.conf ]; ! cat /etc/resolv.conf"),
  },
  {
    name: "has a fully qualified host name",
    of: ["hostname"],
    make: ({ host }) => named(`${host}.example.org`),
    undo: ({ host }: Place) => named(host),
    inForce: holds(({ host }) => `[ "$(uname -n)" = ${host}.example.org ]`),
  },
  {
    name: "lives in another time zone",
    of: ["/etc/localtime"],
    make: "readlink /etc/localtime >/run/localtime || true; ln -sfn /usr/share/zoneinfo/Asia/Kathmandu /etc/localtime",
    undo: 'ln -sfn "$(cat /run/localtime)" /etc/localtime; rm /run/localtime',
    inForce: holds("date +%z | grep -qx +0545"),
  },
];

function named(name: string): string {
  return `echo ${name} >/etc/hostname; hostname ${name}`;
}
