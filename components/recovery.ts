import type { NodeConfig, RecoverConfig } from "./config";
import type { Look } from "./look";
import { peerUrl, quorum } from "./membership";

export interface Recovery {
  /** Reasons to refuse. */
  readonly findings: readonly string[];
  /** What the recovery brings, what it may lose. */
  readonly plan: readonly string[];
  /**
   * By node name, the first words of its member's revision (scripts/recover.sh): whose host begins
   * the new cluster, who joins it.
   */
  readonly words: ReadonlyMap<string, string>;
  /** The node that goes first. */
  readonly first?: string;
}

type Seen = Extract<Look, { seen: true }>;
interface Host {
  readonly name: string;
  readonly look: Seen;
}

const NOTHING: Recovery = { findings: [], plan: [], words: new Map() };

/**
 * A cluster that has lost its quorum for good is touched by nothing but the recovery that
 * `etcd:recover` asks for, and by that once: it names the cluster that is given up, and the new one
 * has another ID.
 *
 * @param answers a quorum does.
 * @param former ID of the stack's cluster, where no host knows it any more.
 */
export function judgeRecovery(
  looks: ReadonlyMap<string, Look>,
  nodes: readonly NodeConfig[],
  answers: boolean,
  version: string,
  recover: RecoverConfig | undefined,
  former?: string,
): Recovery {
  const seen = [...looks].flatMap(([name, look]) => (look.seen ? [{ name, look }] : []));
  const given = new Set(seen.flatMap(({ look }) => look.recovered ?? []));
  const clusters = new Set(seen.flatMap(({ look }) => (look.data ?? look.identity)?.cluster ?? []));
  if (given.size > 0) {
    // A recovery that was interrupted: whoever has data of the old cluster comes after.
    const late = seen.filter(({ look }) => given.has(look.data?.cluster ?? ""));
    if (late.length > 0 && clusters.size > 1) {
      return {
        ...NOTHING,
        plan: late.map(
          ({ name }) =>
            `recovery: ${name} still has data of the cluster that was given up; it is put aside, and the host joins afresh`,
        ),
        words: new Map(late.map(({ name, look }) => [name, `recover join ${look.data?.cluster}`])),
      };
    }
  }
  if (answers) {
    const here = seen.find(({ look }) => look.members.length > 0)?.look.data?.cluster;
    return recover !== undefined && recover.confirm === here
      ? refuse(
          `etcd:recover.confirm is ${here}, but a quorum of that cluster answers: there is nothing to recover; take etcd:recover out of the configuration`,
        )
      : NOTHING;
  }
  if (recover === undefined || given.has(recover.confirm)) {
    return lostForGood(seen, nodes, clusters);
  }
  const known = clusters.size > 0 || former === undefined ? clusters : new Set([former]);
  return planned(looks, seen, nodes, known, version, recover);
}

/** Says that no start of anybody can bring a quorum back, and what can be done. */
function lostForGood(
  seen: readonly Host[],
  nodes: readonly NodeConfig[],
  clusters: ReadonlySet<string>,
): Recovery {
  const urls = new Set(seen.flatMap(({ look }) => look.known));
  const members = nodes.filter(({ address }) => urls.has(peerUrl(address)));
  const gone = members.filter(
    ({ name, lost }) => lost || seen.some((host) => host.name === name && host.look.empty),
  );
  const left = seen.filter(({ look }) => look.data !== undefined);
  // Who is not in the configuration any more may well have its data.
  if (left.length === 0 || urls.size - gone.length >= quorum(urls.size) || gone.length === 0) {
    return NOTHING;
  }
  const best = newest(left);
  return refuse(
    `the cluster ${[...clusters].join(", ")} has lost its quorum for good: of its ${urls.size} members ${names(gone)} ${gone.length === 1 ? "has" : "have"} no data any more. Left is ${left.map(inWords).join(", ")}. To begin anew with that, set etcd:recover.node to ${best?.name ?? left[0]?.name} and etcd:recover.confirm to ${[...clusters].join(" or ")}; or from a snapshot, with etcd:recover.snapshot: docs/recovery.md`,
  );
}

function planned(
  looks: ReadonlyMap<string, Look>,
  seen: readonly Host[],
  nodes: readonly NodeConfig[],
  clusters: ReadonlySet<string>,
  version: string,
  { node, snapshot, confirm }: RecoverConfig,
): Recovery {
  const findings: string[] = [];
  const first = seen.find(({ name }) => name === node);
  const begun = first?.look.recovering === confirm && snapshot === undefined;
  for (const [name, look] of looks) {
    if (!look.seen) {
      findings.push(
        `etcd:recover: ${name} cannot be reached (${look.reason}), and a member that still runs there would be of another cluster then; bring it back or mark it lost`,
      );
    }
  }
  const known = new Set([...clusters].filter((cluster) => cluster !== confirm));
  if (!begun && clusters.size > 0 && !clusters.has(confirm)) {
    findings.push(
      `etcd:recover.confirm is ${confirm}, but the cluster here is ${[...known].join(", ")}; write its ID to give it up`,
    );
  }
  const left = seen.filter(({ look }) => look.data !== undefined);
  const best = newest(left);
  if (first !== undefined && snapshot === undefined && !begun) {
    if (first.look.data === undefined) {
      findings.push(
        `etcd:recover.node is ${node}, which has no data; ${left.length === 0 ? "no host has: write etcd:recover.snapshot" : `left is ${left.map(inWords).join(", ")}`}`,
      );
    } else if (best !== undefined && (first.look.revision ?? 0) < (best.look.revision ?? 0)) {
      findings.push(
        `etcd:recover.node is ${node}, but others know more: ${left.map(inWords).join(", ")}; write ${best.name}, and when it is not known how far one goes, stop etcd there (systemctl stop etcd.service) and look again`,
      );
    }
    if (first.look.installed !== undefined && first.look.installed !== version) {
      findings.push(
        `etcd:version is ${version}, but ${node} has the data of etcd ${first.look.installed}; recover with that release, and change it afterwards`,
      );
    }
  }
  if (first !== undefined && snapshot !== undefined && first.look.offered === undefined) {
    findings.push(`etcd:recover.snapshot: ${node} has no snapshot of etcd at ${snapshot}`);
  }
  if (findings.length > 0 || first === undefined) {
    return { ...NOTHING, findings };
  }
  const others = nodes.filter(({ name, lost }) => !lost && name !== node).map(({ name }) => name);
  const join =
    others.length === 0
      ? ""
      : `; ${others.join(", ")} ${others.length === 1 ? "joins" : "join"} it afresh`;
  return {
    findings: [],
    plan: [
      `recovery: ${node} begins a new cluster with ${source(first, snapshot)}${join}; data of the old cluster is kept on each host as /var/lib/etcd.before-recovery-TIME`,
      `recovery: ${losses(first, best, snapshot, confirm)}; revisions go up by 1000000000, and watches begin anew`,
    ],
    words: new Map([
      [node, `recover first ${confirm}${snapshot === undefined ? "" : ` ${snapshot}`}`],
      ...others.map((name): [string, string] => [name, `recover join ${confirm}`]),
    ]),
    first: node,
  };
}

function source({ look }: Host, snapshot: string | undefined): string {
  if (snapshot === undefined) {
    return "its own data";
  }
  const upTo = look.offered?.revision;
  return `${snapshot}${upTo === undefined ? "" : ` (revision ${upTo})`}`;
}

function losses(
  { look }: Host,
  best: Host | undefined,
  snapshot: string | undefined,
  cluster: string,
): string {
  if (snapshot !== undefined) {
    const taken = look.offered?.taken.toISOString().slice(0, 16).replace("T", " ");
    const newer = best === undefined ? "" : `; ${inWords(best)} is given up for it`;
    return `what was written to cluster ${cluster} after ${taken} UTC, when the snapshot was taken, is lost${newer}`;
  }
  return `what cluster ${cluster} acknowledged after ${look.revision === undefined ? "the last that it knows" : `revision ${look.revision}`} and that reached only members which are gone is lost`;
}

function newest(hosts: readonly Host[]): Host | undefined {
  return [...hosts]
    .filter(({ look }) => look.revision !== undefined)
    .sort((a, b) => (b.look.revision ?? 0) - (a.look.revision ?? 0))[0];
}

function inWords({ name, look }: Host): string {
  return `${name} up to ${look.revision === undefined ? "an unknown revision" : `revision ${look.revision}`}`;
}

function refuse(finding: string): Recovery {
  return { ...NOTHING, findings: [finding] };
}

function names(nodes: readonly NodeConfig[]): string {
  return nodes.map(({ name }) => name).join(", ");
}
