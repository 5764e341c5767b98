import type { NodeConfig, RecoverConfig } from "../config";
import { isInRepository } from "../config/backup";
import { peerUrl, quorum } from "../etcd/members";
import { minorOf, parseVersion } from "../etcd/versions";
import type { HostState, InspectedHost, SnapshotRemote } from "../hosts/host-state";
import type { Instruction } from "../scripts/revision";
import { recoverableFrom } from "../scripts/values";
import { mib } from "./alarms";
import { inQuorumOf, type LiveCluster } from "./live-cluster";

export interface Recovery {
  /** Reasons to refuse. */
  readonly findings: readonly string[];
  /** What the recovery brings, what it may lose. */
  readonly plan: readonly string[];
  /**
   * By node name, what its member's step is told (scripts/lib/recovery.sh): whose host begins the new
   * cluster, who joins it.
   */
  readonly parts: ReadonlyMap<string, Instruction<"member">>;
  /** The node that goes first. */
  readonly first?: string;
}

type Seen = InspectedHost;
interface Host {
  readonly name: string;
  readonly host: Seen;
}

const NOTHING: Recovery = { findings: [], plan: [], parts: new Map() };

/**
 * A cluster that has permanently lost its quorum is touched by nothing but the recovery that
 * `etcd:recover` asks for, and by that once: it names the cluster that is given up, and the new one
 * has another ID.
 *
 * @param heard who the members are, if a quorum answers.
 * @param stack ID of the stack's cluster, and those that recoveries of it have given up.
 */
export function planRecovery(
  hosts: ReadonlyMap<string, HostState>,
  nodes: readonly NodeConfig[],
  heard: LiveCluster,
  version: string,
  recover: RecoverConfig | undefined,
  stack: { readonly cluster?: string; readonly retired: readonly string[] },
): Recovery {
  const seen = [...hosts].flatMap(([name, host]) => (host.inspected ? [{ name, host }] : []));
  const given = new Set(seen.flatMap(({ host }) => host.recovered ?? []));
  const clusters = new Set(seen.flatMap(({ host }) => (host.data ?? host.identity)?.cluster ?? []));
  // A recovery that was interrupted, or whose cluster a host comes back with.
  const rest = stragglers(hosts, given, new Set([...stack.retired, recover?.confirm ?? ""]));
  if (rest !== undefined && clusters.size > 1) {
    return heard.live.length > 0 ? rest : lostAgain(seen, nodes, given, rest);
  }
  if (heard.live.length > 0) {
    return recover !== undefined && recover.confirm === heard.cluster
      ? refuse(
          `etcd:recover.confirm is ${recover.confirm}, but that cluster has a quorum: there is nothing to recover; remove etcd:recover from the configuration`,
        )
      : NOTHING;
  }
  if (recover === undefined || given.has(recover.confirm)) {
    return lostForGood(seen, nodes, clusters);
  }
  const known =
    clusters.size > 0 || stack.cluster === undefined ? clusters : new Set([stack.cluster]);
  return planned(hosts, seen, nodes, known, version, recover, stack.retired);
}

/**
 * Hosts with data of a cluster that another host says was given up for its own. They give it up only
 * if the operator has confirmed that, now or in the recovery itself, and if nobody of it is in a
 * quorum; the host itself makes sure of the latter once more (scripts/lib/recovery.sh, join_recovered).
 *
 * @returns undefined when there are none.
 */
function stragglers(
  hosts: ReadonlyMap<string, HostState>,
  given: ReadonlySet<string>,
  confirmed: ReadonlySet<string>,
): Recovery | undefined {
  const seen = [...hosts].flatMap(([name, host]) => (host.inspected ? [{ name, host }] : []));
  const late = seen.filter(({ host }) => given.has(host.data?.cluster ?? ""));
  const findings = [...new Set(late.map(({ host }) => host.data?.cluster ?? ""))].flatMap(
    (cluster) => {
      const says = seen.filter(({ host }) => host.recovered === cluster).map(({ name }) => name);
      const has = late.filter(({ host }) => host.data?.cluster === cluster).map(({ name }) => name);
      const words = `${says.join(", ")}: ${says.length === 1 ? "reports" : "report"} that cluster ${cluster} was discarded by a recovery`;
      const alive = inQuorumOf(cluster, hosts);
      if (alive.length > 0) {
        return [
          `${words}, but that cluster has a quorum (on ${alive.join(", ")}): nothing was discarded; the reporting host is faulty or compromised: inspect etcd there, and reinstall the host if its state cannot be explained. To really discard cluster ${cluster}, stop etcd on ${alive.join(", ")} first (systemctl stop etcd.service)`,
        ];
      }
      return confirmed.has(cluster)
        ? []
        : [
            `${words}, which the operator has not confirmed, and ${has.join(", ")} still ${has.length === 1 ? "has" : "have"} its data: nothing was discarded; if it is true, set etcd:recover.confirm to ${cluster} and etcd:recover.node to ${says[0]}; if not, that host is faulty or compromised`,
          ];
    },
  );
  if (findings.length > 0) {
    return { ...NOTHING, findings };
  }
  return late.length === 0
    ? undefined
    : {
        ...NOTHING,
        plan: late.map(
          ({ name }) =>
            `recovery: ${name} still has data of the discarded cluster; it is moved aside, and the host rejoins`,
        ),
        parts: new Map(late.map(({ name, host }) => [name, rejoin(host.data?.cluster ?? "")])),
      };
}

/**
 * The cluster of a recovery may lose its quorum before all have joined it. Then nobody can join any more, and the data of the first
 * cluster would stand in the way of the next recovery.
 *
 * @param rest who has that data, and would join.
 */
function lostAgain(
  seen: readonly Host[],
  nodes: readonly NodeConfig[],
  given: ReadonlySet<string>,
  rest: Recovery,
): Recovery {
  const isOld = ({ host }: Host) => given.has(host.data?.cluster ?? "");
  const others = seen.filter((host) => !isOld(host));
  const clusters = new Set(others.flatMap(({ host }) => host.data?.cluster ?? []));
  const [finding] = lostForGood(others, nodes, clusters).findings;
  const old = seen.filter(isOld).map(({ name }) => name);
  return finding === undefined
    ? rest
    : {
        ...rest,
        plan: [],
        findings: [
          `${finding}. Before that, move the data of the cluster that was discarded first out of the way on ${old.join(", ")} (systemctl stop etcd.service; mv /var/lib/etcd/member /var/lib/etcd/member.old)`,
        ],
      };
}

/** Says that no start of anybody can bring a quorum back, and what can be done. */
function lostForGood(
  seen: readonly Host[],
  nodes: readonly NodeConfig[],
  clusters: ReadonlySet<string>,
): Recovery {
  const urls = new Set(seen.flatMap(({ host }) => host.peerUrlsSeen));
  const members = nodes.filter(({ address }) => urls.has(peerUrl(address)));
  const gone = members.filter(
    ({ name, lost }) => lost || seen.some((host) => host.name === name && host.host.empty),
  );
  const left = seen.filter(({ host }) => host.data !== undefined);
  // Who is not in the configuration any more may well have its data.
  if (left.length === 0 || urls.size - gone.length >= quorum(urls.size) || gone.length === 0) {
    return NOTHING;
  }
  const best = newest(left);
  return refuse(
    `the cluster ${[...clusters].join(", ")} has permanently lost its quorum: of its ${urls.size} members ${names(gone)} ${gone.length === 1 ? "has lost its" : "have lost their"} data. Survivors: ${left.map(inWords).join(", ")}. To restore from ${left.length === 1 ? "it" : "one of them"}, set etcd:recover.node to ${best?.name ?? left[0]?.name} and etcd:recover.confirm to ${[...clusters].join(" or ")}; to restore from a snapshot, set etcd:recover.snapshot too (docs/recovery.md)`,
  );
}

function planned(
  hosts: ReadonlyMap<string, HostState>,
  seen: readonly Host[],
  nodes: readonly NodeConfig[],
  clusters: ReadonlySet<string>,
  version: string,
  recover: RecoverConfig,
  retired: readonly string[],
): Recovery {
  const { node, snapshot, confirm } = recover;
  const of = recoverableFrom(recover, retired);
  const first = seen.find(({ name }) => name === node);
  const begun = first?.host.recovering === confirm && snapshot === undefined;
  const left = seen.filter(({ host }) => host.data !== undefined);
  const findings = [
    ...stillInUse(hosts, confirm),
    ...(begun ? [] : notThatCluster(clusters, confirm)),
    ...(first === undefined || begun ? [] : unfitSource(first, left, version, snapshot, of)),
  ];
  if (findings.length > 0 || first === undefined) {
    return { ...NOTHING, findings };
  }
  const others = nodes.filter(({ name, lost }) => !lost && name !== node).map(({ name }) => name);
  const join =
    others.length === 0
      ? ""
      : `; ${others.join(", ")} ${others.length === 1 ? "joins" : "join"} it with empty data`;
  return {
    findings: [],
    plan: [
      `recovery: ${node} bootstraps a new cluster from ${source(first, snapshot)}${join}; data of the old cluster is kept on each host as /var/lib/etcd.before-recovery-TIME`,
      `recovery: ${losses(first, newest(left), snapshot, confirm)}; revisions are bumped by 1000000000; watchers must re-list`,
    ],
    parts: new Map<string, Instruction<"member">>([
      [
        node,
        {
          mode: "recover",
          values: { cluster: confirm, ...sourceValues(first, snapshot, of) },
        },
      ],
      ...others.map((name) => [name, rejoin(confirm)] as const),
    ]),
    first: node,
  };
}

/** A cluster is discarded only when none of its members can go on: all hosts are seen, and none reports a quorum. */
function stillInUse(hosts: ReadonlyMap<string, HostState>, cluster: string): readonly string[] {
  const unreachable = [...hosts].flatMap(([name, host]) =>
    host.inspected
      ? []
      : [
          `etcd:recover: ${name} is unreachable (${host.reason}), and a member may still run there in the old cluster; bring it back, or set lost: true`,
        ],
  );
  const alive = inQuorumOf(cluster, hosts).map(
    (name) =>
      `etcd:recover.confirm is ${cluster}, but ${name} reports a quorum of that cluster; check again, and stop etcd there if the cluster is to be discarded`,
  );
  return [...unreachable, ...alive];
}

function notThatCluster(clusters: ReadonlySet<string>, confirmed: string): readonly string[] {
  return clusters.size > 0 && !clusters.has(confirmed)
    ? [
        `etcd:recover.confirm is ${confirmed}, but the cluster on these hosts is ${[...clusters].join(", ")}; write its ID to discard it`,
      ]
    : [];
}

/** Why the first member cannot start from its own data, or from the snapshot. */
function unfitSource(
  { name, host }: Host,
  left: readonly Host[],
  version: string,
  snapshot: string | undefined,
  of: readonly string[],
): readonly string[] {
  if (snapshot !== undefined && isInRepository(snapshot)) {
    return unfitRemote({ name, host }, snapshot, version, of);
  }
  if (snapshot !== undefined) {
    return host.snapshotFile === undefined
      ? [`etcd:recover.snapshot: ${name} has no etcd snapshot at ${snapshot}; copy the file there`]
      : [];
  }
  const findings: string[] = [];
  const best = newest(left);
  if (host.data === undefined) {
    findings.push(
      `etcd:recover.node is ${name}, which has no data; ${left.length === 0 ? "no host has any: set etcd:recover.snapshot" : `survivors: ${left.map(inWords).join(", ")}`}`,
    );
  } else if (best !== undefined && (host.revision ?? 0) < (best.host.revision ?? 0)) {
    findings.push(
      `etcd:recover.node is ${name}, but other hosts have newer data: ${left.map(inWords).join(", ")}; write ${best.name}; where the revision is unknown, stop etcd (systemctl stop etcd.service) and preview again`,
    );
  }
  if (host.installed !== undefined && host.installed !== version) {
    findings.push(
      `etcd:version is ${version}, but ${name} has the data of etcd ${host.installed}; recover with that release, and change the release afterwards`,
    );
  }
  return findings;
}

/** The first member's step refuses by the same rules (scripts/lib/recovery.sh), and a preview on a host without restic leaves it to that. */
function unfitRemote(
  { name, host }: Host,
  snapshot: string,
  version: string,
  of: readonly string[],
): readonly string[] {
  const { snapshotRemote: remote, snapshotUnread } = host;
  if (snapshotUnread !== undefined) {
    return [`etcd:recover.snapshot is ${snapshot}, and as ${name} says, ${snapshotUnread}`];
  }
  if (remote === undefined) {
    return [];
  }
  const findings: string[] = [];
  if (!of.includes(remote.cluster)) {
    findings.push(
      `etcd:recover.snapshot is ${snapshot}, which is ${remoteInWords(remote)}: that cluster is neither etcd:recover.confirm nor one that a recovery of this stack discarded; if it is the right one, set etcd:recover.snapshotCluster to ${remote.cluster}`,
    );
  }
  if (seriesOf(remote.release) !== seriesOf(version)) {
    findings.push(
      `etcd:version is ${version}, but the snapshot ${remote.id} is of etcd ${remote.release}; recover with that minor version, and change it afterwards`,
    );
  }
  return findings;
}

/** Undefined for one that this program knows no series of, as no configured one is. */
function seriesOf(release: string): string | undefined {
  const version = parseVersion(release);
  return version === undefined ? undefined : minorOf(version);
}

/** The very snapshot that was shown. */
function sourceValues({ host }: Host, snapshot: string | undefined, of: readonly string[]) {
  if (snapshot === undefined || !isInRepository(snapshot)) {
    return snapshot === undefined ? {} : { snapshot };
  }
  return { snapshot: host.snapshotRemote?.id ?? snapshot, of };
}

function rejoin(cluster: string): Instruction<"member"> {
  return { mode: "join-recovered", values: { cluster } };
}

function source({ host }: Host, snapshot: string | undefined): string {
  if (snapshot === undefined) {
    return "its own data";
  }
  if (isInRepository(snapshot)) {
    return host.snapshotRemote === undefined
      ? `the snapshot ${snapshot} of the repository, which this host cannot look up before restic is installed on it; its step does that, and refuses one of another cluster`
      : remoteInWords(host.snapshotRemote);
  }
  const upTo = host.snapshotFile?.revision;
  return `${snapshot}${upTo === undefined ? "" : ` (revision ${upTo})`}`;
}

function losses(
  { host }: Host,
  best: Host | undefined,
  snapshot: string | undefined,
  cluster: string,
): string {
  if (snapshot === undefined) {
    return `writes that cluster ${cluster} acknowledged after ${host.revision === undefined ? "its last revision" : `revision ${host.revision}`} and that only the lost members had are lost`;
  }
  const newer = best === undefined ? "" : `; ${inWords(best)} is discarded`;
  if (!isInRepository(snapshot)) {
    const taken = host.snapshotFile?.taken;
    return `writes to cluster ${cluster} after ${taken === undefined ? "" : minutes(taken)} UTC, when the snapshot was taken, are lost${newer}`;
  }
  const remote = host.snapshotRemote;
  if (remote === undefined) {
    return `writes after the snapshot was taken are lost${newer}`;
  }
  const other = remote.cluster === cluster ? "" : `, and all data of cluster ${cluster}`;
  return `writes to cluster ${remote.cluster} after ${minutes(remote.taken)} UTC, when the snapshot was taken, are lost${other}${newer}`;
}

function minutes(time: Date): string {
  return time.toISOString().slice(0, 16).replace("T", " ");
}

function remoteInWords({ id, taken, revision, size, cluster, release }: SnapshotRemote): string {
  return `the snapshot ${id} of the repository (${minutes(taken)} UTC, revision ${revision}, ${mib(size)} MiB, of cluster ${cluster} with etcd ${release})`;
}

function newest(hosts: readonly Host[]): Host | undefined {
  return [...hosts]
    .filter(({ host }) => host.revision !== undefined)
    .sort((a, b) => (b.host.revision ?? 0) - (a.host.revision ?? 0))[0];
}

function inWords({ name, host }: Host): string {
  return `${name} (${host.revision === undefined ? "revision unknown" : `revision ${host.revision}`})`;
}

function refuse(finding: string): Recovery {
  return { ...NOTHING, findings: [finding] };
}

function names(nodes: readonly NodeConfig[]): string {
  return nodes.map(({ name }) => name).join(", ");
}
