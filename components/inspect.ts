import * as pulumi from "@pulumi/pulumi";
import type { ClusterPlan } from "./cluster-resources";
import type { ClusterConfig } from "./config";
import { FIRST_CA } from "./config/types";
import { OperatorError } from "./errors";
import { clusterExists, type HostState } from "./hosts/host-state";
import { PATIENCE } from "./hosts/login";
import { type HeldHost, type Holding, type ProbeTarget, probeHosts } from "./hosts/probe";
import { beginHolding, refuseBeside } from "./lock";
import { withoutRotation } from "./plan/ca-rotation";
import { authorityKeys } from "./plan/ca-subject";
import { liveCluster } from "./plan/live-cluster";
import { uninspectedPlans } from "./plan/node-plan";
import { makePlan, type Plan } from "./plan/plan";
import { readRecorded } from "./recorded";
import { jobLines } from "./scripts/jobs";
import { PROGRAM_VERSION } from "./scripts/program";
import { asksRepository, memberDigest, probeValues } from "./scripts/values";
import { type Voice, voiceOf } from "./voice";

/** What the inspection of the hosts gives the resources. */
export interface Inspection extends ClusterPlan {
  /** By node name, the token of the cluster that its member was made for. */
  readonly tokens: ReadonlyMap<string, string>;
  /** By node name, the key of the configured CA as its host has it; PEM. */
  readonly authorityKeys: ReadonlyMap<string, string>;
  /** Those that an up has locked. */
  readonly held: readonly HeldHost[];
}

/**
 * Inspects the hosts before any step on them is registered and says what was found: warnings as log
 * lines, anything that forbids to go on as one error.
 *
 * @param urn of the cluster.
 * @throws OperatorError with all findings of all hosts; nothing was touched then.
 */
export async function inspectHosts(config: ClusterConfig, urn: string): Promise<Inspection> {
  const voice = voiceOf(config);
  for (const warning of config.warnings) {
    await voice.warn(warning);
  }
  const now = new Date();
  const names = config.nodes.map(({ name }) => name);
  const reading = readRecorded(urn);
  // A refusal comes first.
  reading.catch(() => undefined);
  const up = !pulumi.runtime.isDryRun();
  // Who inspects no host locks them all the same: it is how a host knows that its node stays.
  if (up && config.unknown.size > 0) {
    throw new OperatorError(
      [
        "some nodes are not known, because what they come from was not made in this run; nothing was changed:",
        ...[...config.unknown].map(([name, what]) => `  - ${name}: ${what}`),
        "run pulumi up without --target, or with the targets that these values come from",
      ].join("\n"),
    );
  }
  const holding = up ? beginHolding(now, voice) : undefined;
  const asking = config.nodes.some((node) => asksRepository(config, node));
  const inspects = config.drift && config.unknown.size === 0;
  const hosts =
    inspects || up
      ? await probeUntilConsistent(
          // Only who asks the repository waits for the state.
          targetsOf(config, asking ? (await reading).retired : []),
          config.host.maximumClockSkew,
          voice,
          holding,
        )
      : new Map<string, HostState>();
  await refuseBeside(hosts, up, voice);
  const { retired, former, formerCluster, gates } = await reading;
  const held = holding?.held ?? [];
  if (!inspects) {
    await sayUnknown(config);
    return {
      held,
      nodePlans: uninspectedPlans(names, now),
      rotation: withoutRotation(config.pki.rotate ?? FIRST_CA),
      leaving: [],
      tokens: new Map(),
      retired,
      gates,
      authorityKeys: new Map(),
    };
  }
  refuseForeignMembers(hosts);
  const plan = makePlan(hosts, now, {
    former: hosts.size === 0 || clusterExists(hosts) ? [] : former,
    formerCluster,
    retired,
    nodes: config.nodes,
    version: config.release.version,
    program: PROGRAM_VERSION,
    wanted: new Map(config.nodes.map((node) => [node.name, memberDigest(config, node)])),
    warnHours: config.pki.warnHours,
    renewalHours: config.pki.renewalHours,
    authority: config.pki.rotate ?? FIRST_CA,
    subject: config.pki.subject,
    recover: config.recover,
    backup: config.backup,
    maintenance: config.maintenance,
    clientNetworks: config.host.firewall ? config.host.clientNetworks : undefined,
  });
  await report(plan, voice);
  // A lost node is not inspected; its steps are held for good.
  return {
    held,
    nodePlans: new Map([...uninspectedPlans(names, now), ...plan.nodePlans]),
    rotation: plan.rotation,
    leaving: plan.leaving,
    retired,
    gates,
    authorityKeys: authorityKeys(hosts, config.pki.rotate ?? FIRST_CA),
    tokens: new Map(
      [...hosts].flatMap(([name, host]): [string, string][] =>
        host.inspected && host.token !== undefined ? [[name, host.token]] : [],
      ),
    ),
  };
}

/** What a plan would be made of is not known, so nothing is looked at: the `up` does. */
async function sayUnknown(config: ClusterConfig): Promise<void> {
  const { nodes, unknown } = config;
  for (const { name } of unknown.size === 0 ? [] : nodes) {
    const what = unknown.get(name);
    await voiceOf(config).warn(
      what === undefined
        ? `${name}: not inspected, because other nodes are not known yet; pulumi up inspects it`
        : `${name}: not inspected, because ${what} is not known yet; pulumi up inspects it`,
    );
  }
}

/** @throws OperatorError with all findings, after all else was said. */
async function report(plan: Plan, voice: Voice): Promise<void> {
  for (const line of plan.summary) {
    await voice.info(line);
  }
  for (const warning of plan.warnings) {
    await voice.warn(warning);
  }
  for (const repair of plan.repairs) {
    await voice.info(`${repair}: will be repaired`);
  }
  for (const renewal of plan.renewals) {
    await voice.info(`${renewal}: will be renewed`);
  }
  if (plan.findings.length > 0) {
    throw new OperatorError(
      [
        "preflight checks failed; no host was changed:",
        ...plan.findings.map((finding) => `  - ${finding}`),
      ].join("\n"),
    );
  }
}

/**
 * Where the hosts contradict each other they are asked once more: what a run that was killed has begun
 * may have changed the members between two answers.
 */
async function probeUntilConsistent(
  targets: ReadonlyMap<string, ProbeTarget>,
  maximumClockSkew: number,
  voice: Voice,
  holding: Holding | undefined,
): Promise<ReadonlyMap<string, HostState>> {
  // Half a minute without a word would look like a hang.
  const onWait = (name: string, words: string) =>
    void voice.info(`${name}: ${words}; retrying for 30 s`);
  const patience = { ...PATIENCE, onWait };
  const first = await probeHosts(targets, maximumClockSkew, holding, patience);
  if (liveCluster(first).contradictions.length === 0) {
    return first;
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const second = await probeHosts(targets, maximumClockSkew, undefined, patience);
  return new Map(
    [...second].map(([name, host]): [string, HostState] => {
      const before = first.get(name);
      // In an up the first inspection still has the hosts, which the second one takes for somebody else.
      const { lockedBy, unfinished } = before?.inspected ? before : {};
      return [name, host.inspected ? { ...host, lockedBy, unfinished } : host];
    }),
  );
}

/** A host that asks the repository has so many seconds more than others (scripts/steps/probe.sh, REMOTE_SECONDS). */
const REPOSITORY_SECONDS = 60;

function targetsOf(
  config: ClusterConfig,
  retired: readonly string[],
): ReadonlyMap<string, ProbeTarget> {
  return new Map(
    config.nodes.flatMap((node): [string, ProbeTarget][] => {
      const connection = config.connections.get(node.name);
      const seconds = asksRepository(config, node) ? { seconds: REPOSITORY_SECONDS } : {};
      return connection === undefined
        ? []
        : [
            [
              node.name,
              {
                connection,
                values: { ...probeValues(config, node, retired), JOBS: jobLines(config) },
                ...seconds,
              },
            ],
          ];
    }),
  );
}

/**
 * Whatever would be planned with a list that has one of them would be planned without it.
 *
 * @throws OperatorError with all of them, each once
 */
export function refuseForeignMembers(hosts: ReadonlyMap<string, HostState>): void {
  const foreign = new Set(
    [...hosts.values()].flatMap((host) => (host.inspected ? (host.foreign ?? []) : [])),
  );
  if (foreign.size > 0) {
    throw new OperatorError(
      [
        "the member list contains a member that this program cannot handle; nothing was changed:",
        ...[...foreign].map((words) => `  - ${words}`),
      ].join("\n"),
    );
  }
}
