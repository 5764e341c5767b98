import type { NodeConfig } from "../config";
import { type LiveMember, peerUrl } from "../etcd/members";
import type { Alarm, HostState } from "../hosts/host-state";
import type { Change } from "./membership";
import { rebuildRemedy } from "./rebuild";

/** From this much of the quota on previews warn, in percent. */
const NEARLY_FULL = 80;

/** All that any host reports, each once. */
function raised(hosts: ReadonlyMap<string, HostState>): readonly Alarm[] {
  const all = [...hosts.values()].flatMap((host) => (host.inspected ? (host.alarms ?? []) : []));
  return [...new Map(all.map((alarm) => [`${alarm.kind} ${alarm.member}`, alarm])).values()];
}

/** Whom an alarm is about has left: nothing but the alarm itself is there to be taken back. */
const isOver = ({ kind, member }: Alarm, live: readonly LiveMember[]): boolean =>
  kind === "CORRUPT" && member !== "0" && live.length > 0 && !live.some(({ id }) => id === member);

/**
 * The same host states; an alarm that the next `up` deals with by itself is drift of every host that
 * reports it, whose member's step runs for it then.
 */
export function withAlarms(
  hosts: ReadonlyMap<string, HostState>,
  live: readonly LiveMember[],
): ReadonlyMap<string, HostState> {
  return new Map(
    [...hosts].map(([name, host]): [string, HostState] => {
      if (!host.inspected) {
        return [name, host];
      }
      const alarms = host.alarms ?? [];
      const full = alarms.filter(({ kind }) => kind !== "CORRUPT");
      const over = alarms.filter((alarm) => isOver(alarm, live));
      const words = [
        ...(full.length === 0 ? [] : [`the cluster reports ${inWords(full, hosts, live)}`]),
        ...over.map(
          ({ member }) => `the cluster still reports CORRUPT of member ${member}, which has left`,
        ),
      ];
      return [name, words.length === 0 ? host : { ...host, unit: [...host.unit, ...words] }];
    }),
  );
}

function inWords(
  alarms: readonly Alarm[],
  hosts: ReadonlyMap<string, HostState>,
  live: readonly LiveMember[],
): string {
  const kinds = [...new Set(alarms.map(({ kind }) => kind))];
  return kinds
    .map((kind) => {
      const members = alarms.filter((alarm) => alarm.kind === kind && alarm.member !== "0");
      const names = members.map(({ member }) => nameOf(member, hosts, live));
      return names.length === 0 ? kind : `${kind} of ${names.sort().join(", ")}`;
    })
    .join(" and ");
}

function nameOf(
  member: string,
  hosts: ReadonlyMap<string, HostState>,
  live: readonly LiveMember[],
): string {
  const listed = live.find(({ id }) => id === member)?.name ?? "";
  const host = [...hosts].find(([, host]) => host.inspected && host.data?.member === member)?.[0];
  return listed === "" ? (host ?? `member ${member}`) : listed;
}

/** What the alarms mean for this run. */
export interface AlarmsPlan {
  /** A database that is corrupt and that nobody asks to rebuild; a line each. */
  readonly findings: readonly string[];
  /** Databases that will be full soon; likewise. */
  readonly warnings: readonly string[];
  /** What this run does not deal with before anything else, in words. */
  readonly standing: readonly string[];
}

/** An alarm is no silence: a member that it is about answers, unless it does not for other reasons. */
export function planAlarms(
  hosts: ReadonlyMap<string, HostState>,
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  change: Change,
): AlarmsPlan {
  const left = raised(hosts).filter(
    (alarm) =>
      !isOver(alarm, live) && !(alarm.kind === "CORRUPT" && isGivenUp(alarm, live, nodes, change)),
  );
  const corrupt = left.filter(({ kind }) => kind === "CORRUPT");
  const named = corrupt.filter(({ member }) => member !== "0");
  return {
    findings: (named.length === 0 ? corrupt : named).map((alarm) =>
      corruption(alarm, hosts, live, nodes),
    ),
    warnings: [...hosts].flatMap(([name, host]) => fill(name, host)),
    standing: left.map((alarm) => inWords([alarm], hosts, live)),
  };
}

/** Its member goes in this run. For the member `0` it is not known which one is corrupt: the one that is rebuilt may be. */
function isGivenUp(
  { member }: Alarm,
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
  { rebuilt, leaving }: Change,
): boolean {
  const one = live.find(({ id }) => id === member);
  const node = nodes.find(
    ({ name, address }) => name === one?.name || peerUrl(address) === one?.peerUrls,
  );
  return member === "0"
    ? rebuilt.length > 0
    : rebuilt.includes(node?.name ?? "") || leaving.includes(one?.name ?? "");
}

function corruption(
  { member }: Alarm,
  hosts: ReadonlyMap<string, HostState>,
  live: readonly LiveMember[],
  nodes: readonly NodeConfig[],
): string {
  if (member === "0") {
    return "the cluster reports CORRUPT: the members' data differs, and etcd cannot tell which member is right; `npm run etcdctl -- endpoint hashkv` shows each; rebuild the wrong one (docs/alarms.md), or recover from a snapshot (docs/recovery.md)";
  }
  const name = nameOf(member, hosts, live);
  const index = nodes.findIndex((node) => node.name === name);
  return `${name}: its data differs from that of the other members (etcd reports CORRUPT of ${member}), and nothing else is changed until that is resolved; ${rebuildRemedy(nodes, index, member)}`;
}

function fill(name: string, host: HostState): string[] {
  const database = host.inspected ? host.database : undefined;
  if (database === undefined || database.size * 100 < database.quota * NEARLY_FULL) {
    return [];
  }
  const percent = Math.floor((database.size / database.quota) * 100);
  return [
    `${name}: its database uses ${mib(database.size)} of ${mib(database.quota)} MiB, ${percent} % of etcd's quota; when it is full etcd rejects writes: compact and defragment it (settings.auto-compaction-retention, etcdctl defrag), or raise settings.quota-backend-bytes`,
  ];
}

export const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
