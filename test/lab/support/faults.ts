/** Faults that befall a host while the program is at work: what makes them, and what takes them away. */
import type { Lab } from "../../support/lab";
import { credentials, ETCDCTL } from "./etcdctl";
import { on } from "./stack";

export interface Fault {
  readonly name: string;
  /** It does its harm only while the program is at work; the others may be there before. */
  readonly passing: boolean;
  /** Before anything is installed on the host. */
  prepare?(lab: Lab, host: string): Promise<unknown>;
  /** Prints nothing and succeeds when it can strike: it needs a member that runs, or its data. */
  readonly ready: string;
  strike(lab: Lab, host: string): Promise<unknown>;
  /** Also when it has not struck. */
  relieve(lab: Lab, host: string): Promise<unknown>;
}

/** How long a fault lasts that goes by itself. */
const LASTS_SECONDS = 20;
const ANY_TIME = "true";
const MEMBER_RUNS = "systemctl is-active --quiet etcd.service";
const HAS_DATA = "test -s /var/lib/etcd/member/snap/db";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A fault that a script on the host makes, and another one takes away. */
function onHost(
  name: string,
  scripts: {
    /** Seconds that it lasts; without them it stays. */
    readonly passes?: number;
    readonly prepare?: string;
    readonly ready?: string;
    readonly strike: string;
    readonly relieve?: string;
  },
): Fault {
  const { passes, prepare, ready = ANY_TIME, strike, relieve = "true" } = scripts;
  return {
    name,
    passing: passes !== undefined,
    ready,
    ...(prepare === undefined ? {} : { prepare: (lab, host) => on(lab, host, prepare) }),
    async strike(lab, host) {
      await on(lab, host, strike);
      if (passes !== undefined) {
        await sleep(passes * 1000);
        await on(lab, host, relieve);
      }
    },
    relieve: (lab, host) => on(lab, host, relieve),
  };
}

/** Bytes until nothing is left, on the disk that was prepared. */
const fill = (directory: string) =>
  `mountpoint -q ${directory} || exit 1; dd if=/dev/zero of=${directory}/ballast bs=64k 2>/dev/null || true; sync`;

/** Rules of a table of their own, before all others. */
const filter = (rules: string) =>
  `nft add table inet fault; nft add chain inet fault input '{ type filter hook input priority -300; }'
  nft add chain inet fault output '{ type filter hook output priority -300; }'; ${rules}`;
const UNFILTER = "nft delete table inet fault 2>/dev/null || true";
const bothWays = (match: string) =>
  ["input", "output"]
    .flatMap((chain) => ["dport", "sport"].map((port) => [chain, port]))
    .map(([chain, port]) => `nft add rule inet fault ${chain} tcp ${port} ${match} drop`)
    .join("; ");

/** etcd raises it by itself when its quota is used up; over its gateway it can be told to. */
const RAISE = `id=$(${ETCDCTL} endpoint status --write-out fields | sed -n 's/^"MemberID" : //p')
  curl --silent --fail ${credentials()} https://127.0.0.1:2379/v3/maintenance/alarm \
    --data "{\\"action\\":\\"ACTIVATE\\",\\"memberID\\":\\"$id\\",\\"alarm\\":\\"NOSPACE\\"}" >/dev/null`;

export const FAULTS: readonly Fault[] = [
  onHost("disk full, data", {
    // A disk of its own, of which etcd's directory is a part.
    prepare: `mkdir -p /srv/data /var/lib/etcd; mount -t tmpfs -o size=400m data /srv/data
      mkdir -m 0700 /srv/data/etcd; mount --bind /srv/data/etcd /var/lib/etcd`,
    strike: fill("/srv/data"),
    relieve: "rm -f /srv/data/ballast",
  }),
  onHost("disk full, /", {
    // Where the program and etcd write lies on one small disk.
    prepare: `mkdir -p /srv/small; mount -t tmpfs -o size=900m,mode=755 small /srv/small
      for part in etc opt var/lib var/backups; do
        mkdir -p "/srv/small/$part"; cp -a "/$part/." "/srv/small/$part/"; mount --bind "/srv/small/$part" "/$part"
      done`,
    strike: fill("/srv/small"),
    relieve: "rm -f /srv/small/ballast",
  }),
  onHost("etcd stopped for 20 s", {
    passes: LASTS_SECONDS,
    ready: MEMBER_RUNS,
    strike: "systemctl kill --signal STOP etcd.service",
    relieve: "systemctl kill --signal CONT etcd.service 2>/dev/null || true",
  }),
  {
    name: "reboot",
    passing: true,
    ready: ANY_TIME,
    async strike(lab, host) {
      await lab.kill(host);
      await lab.boot(host);
    },
    relieve: (lab, host) => lab.boot(host),
  },
  onHost("SSH cut", {
    // Longer than it takes to be given up.
    passes: 75,
    strike: filter(bothWays("22")),
    relieve: UNFILTER,
  }),
  onHost("half of the peers' packets lost", {
    passes: LASTS_SECONDS,
    strike: filter(bothWays("2380 numgen random mod 2 == 0")),
    relieve: UNFILTER,
  }),
  onHost("data wiped", {
    ready: HAS_DATA,
    strike: "systemctl kill --signal KILL etcd.service; rm -rf /var/lib/etcd/member",
  }),
  onHost("read-only /etc", {
    // Busy as long as somebody writes a file there.
    strike: `mount --bind /etc /etc
      for _ in $(seq 200); do mount -o remount,bind,ro /etc 2>/dev/null && exit; sleep 0.05; done; exit 1`,
    relieve: "umount /etc 2>/dev/null || true",
  }),
  {
    ...onHost("corrupted database", {
      ready: `${HAS_DATA} && ${MEMBER_RUNS}`,
      strike: `systemctl stop etcd.service
        dd if=/dev/urandom of=/var/lib/etcd/member/snap/db bs=4096 seek=2 count=32 conv=notrunc 2>/dev/null
        systemctl start --no-block etcd.service`,
    }),
    // Its data is worth nothing: the host is rebuilt.
    async relieve(lab, host) {
      await lab.wipe(host);
    },
  },
  onHost("NOSPACE", {
    ready: MEMBER_RUNS,
    strike: RAISE,
  }),
];
