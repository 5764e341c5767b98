import type { LiveMember } from "../etcd/members";
import { obstacle, rollProblem } from "../etcd/upgrade-paths";
import { compareVersions, formatVersion, parseVersion, type Version } from "../etcd/versions";
import type { HostState } from "../hosts/host-state";
import type { Change } from "./membership";

/** What the configured release means for the members that run. */
export interface VersionChange {
  /** One line when members get another release. */
  readonly plan: readonly string[];
  /** Reasons to refuse it. */
  readonly findings: readonly string[];
  /** Name of the node that takes a snapshot although the roll has begun: no host has one. */
  readonly unsaved?: string;
}

export interface VersionArgs {
  readonly hosts: ReadonlyMap<string, HostState>;
  /** Names of the nodes, in the order in which their members are worked on. */
  readonly order: readonly string[];
  /** The live member list; empty when nobody leads. */
  readonly live: readonly LiveMember[];
  /** What the same run does to the members. */
  readonly change: Change;
  readonly configured: string;
  /** Alarms that this run does not deal with before it changes a member, in words. */
  readonly alarms: readonly string[];
}

interface Running {
  readonly name: string;
  readonly version: Version;
}

/** Judges whether the members can be given the configured release, by the rules' tables. */
export function planVersionChange(args: VersionArgs): VersionChange {
  const to = parseVersion(args.configured);
  const running = args.order.flatMap((name) => runningOn(name, args.hosts.get(name)));
  const changing = running.filter(({ version }) => to !== undefined && !same(version, to));
  if (to === undefined || changing.length === 0) {
    return { plan: [], findings: [] };
  }
  const midway = running.some(({ version }) => !running.every((one) => same(one.version, version)));
  const problems = changing.flatMap(({ name, version }) => {
    const problem = rollProblem(version, to);
    return problem === undefined
      ? []
      : [
          `${name}: runs etcd ${formatVersion(version)}: ${problem} (etcd:version is ${args.configured})`,
        ];
  });
  const down = changing.some(({ version }) => version.minor > to.minor);
  const words = obstacle(situation(args, down), midway);
  const findings =
    words === undefined
      ? problems
      : [...problems, `etcd:version ${args.configured}: refused while ${words}`];
  const saved = snapshotOf(args);
  const first = changing[0]?.name;
  return {
    plan: problems.length > 0 ? [] : [describe(args, changing, { down, midway, saved })],
    findings,
    ...(midway && saved === undefined && first !== undefined ? { unsaved: first } : {}),
  };
}

const same = (a: Version, b: Version): boolean => compareVersions(a, b) === 0;

function runningOn(name: string, host: HostState | undefined): Running[] {
  const text = host?.inspected && host.bootstrapped ? (host.version ?? host.installed) : undefined;
  const version = text === undefined ? undefined : parseVersion(text);
  return version === undefined ? [] : [{ name, version }];
}

function situation({ hosts, live, change, alarms }: VersionArgs, down: boolean) {
  const seen = [...hosts].flatMap(([name, host]) => (host.inspected ? [{ name, ...host }] : []));
  const unreachable = [...hosts].filter(([, host]) => !host.inspected).map(([name]) => name);
  const moving = [...change.moving.keys()];
  const elsewhere = new Set([...unreachable, ...change.joining, ...change.leaving, ...moving]);
  const silent = new Set([
    ...seen
      .filter(({ bootstrapped, version }) => bootstrapped && version === undefined)
      .map(({ name }) => name),
    ...live.filter(({ healthy, learner }) => !healthy && !learner).map(({ name }) => name),
  ]);
  return {
    unreachable,
    silent: [...silent].filter((name) => !elsewhere.has(name)).sort(),
    leaderless: !seen.some(({ leader }) => leader),
    alarms,
    learners: live.filter(({ learner }) => learner).map(({ name }) => name),
    joining: change.joining,
    moving,
    leaving: change.leaving,
    down,
  };
}

/** "HOST:PATH" of the snapshot from before this roll, which may be on its way back by now. */
function snapshotOf({ hosts, configured }: VersionArgs): string | undefined {
  for (const [name, host] of hosts) {
    const snapshot = host.inspected ? host.snapshot : undefined;
    if (snapshot !== undefined && [snapshot.from, snapshot.to].includes(configured)) {
      return `${name}:${snapshot.path}`;
    }
  }
  return undefined;
}

interface Circumstances {
  readonly down: boolean;
  readonly midway: boolean;
  readonly saved: string | undefined;
}

function describe(
  { hosts, configured }: VersionArgs,
  changing: readonly Running[],
  { down, midway, saved }: Circumstances,
): string {
  const names = changing.map(({ name }) => name);
  const from = [...new Set(changing.map(({ version }) => formatVersion(version)))].join(" and ");
  const way = [...hosts.values()].flatMap((host) =>
    host.inspected && host.downgrade !== undefined ? [host.downgrade] : [],
  )[0];
  const target = configured.split(".").slice(0, 2).join(".");
  const parts = [
    `version: ${from} to ${configured} on ${names.join(", ")}${names.length > 1 ? ", one at a time in this order" : ""}`,
    midway && saved !== undefined
      ? `snapshot from before the change: ${saved}`
      : `a snapshot is taken on ${names[0]} first`,
    ...(down && way === undefined && !midway ? [`then the downgrade to ${target} is enabled`] : []),
    ...(way !== undefined && way !== target
      ? [`the downgrade to ${way} in progress is cancelled`]
      : []),
  ];
  return parts.join("; ");
}
