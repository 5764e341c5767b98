import { hostname, userInfo } from "node:os";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { ClusterConfig } from "./config";
import { type Expectation, judge, type Survey } from "./judge";
import { clusterExists } from "./look";
import { addressOf } from "./membership";
import { memberDigest, probeValues } from "./node";
import { lookAtHosts, type ProbeTarget } from "./probe";
import { Refusal } from "./refusal";
import { FIRST, withoutRotation } from "./rotation";
import { unseen } from "./verdict";

const outputsSchema = z.object({
  outputs: z.object({
    members: z.array(z.object({ name: z.string(), peerUrls: z.string() })).default([]),
    clusterId: z.string().optional(),
  }),
});

/** What the look at the hosts gives the resources. */
export interface Found extends Pick<Survey, "verdicts" | "rotation"> {
  /** By node name, the token of the cluster that its member was made for. */
  readonly tokens: ReadonlyMap<string, string>;
}

/**
 * Looks at the hosts before any step on them is registered and says what was found: warnings as log
 * lines, anything that forbids to go on as one error.
 *
 * @throws Refusal with all findings of all hosts; nothing was touched then.
 */
export async function surveyHosts(config: ClusterConfig): Promise<Found> {
  for (const warning of config.warnings) {
    await pulumi.log.warn(warning);
  }
  const now = new Date();
  const names = config.nodes.map(({ name }) => name);
  if (!config.drift) {
    return {
      verdicts: unseen(names, now),
      rotation: withoutRotation(config.pki.rotate ?? FIRST),
      tokens: new Map(),
    };
  }
  const targets = new Map(
    config.nodes.flatMap((node): [string, ProbeTarget][] => {
      const connection = config.connections.get(node.name);
      return connection === undefined
        ? []
        : [[node.name, { connection, values: probeValues(config, node) }]];
    }),
  );
  const up = !pulumi.runtime.isDryRun();
  const looks = await lookAtHosts(targets, config.host.maximumClockSkew, up ? us(now) : undefined);
  const held = [...looks].flatMap(([name, look]) =>
    look.seen && look.held !== undefined ? [`${name}: an up of ${look.held} is at work`] : [],
  );
  if (up && held.length > 0) {
    throw new Refusal(
      [
        "another up is at work, nothing was changed:",
        ...held.map((line) => `  - ${line}`),
        "wait until it is done; one that was killed gives the hosts free at once, one whose machine is gone after a minute",
      ].join("\n"),
    );
  }
  for (const line of held) {
    await pulumi.log.warn(line);
  }
  const survey = judge(looks, now, {
    ...(looks.size === 0 || clusterExists(looks) ? { former: [] } : await formerCluster()),
    nodes: config.nodes,
    version: config.release.version,
    wanted: new Map(config.nodes.map((node) => [node.name, memberDigest(config, node)])),
    warnHours: config.pki.warnHours,
    renewalHours: config.pki.renewalHours,
    authority: config.pki.rotate ?? FIRST,
    subject: config.pki.subject,
    recover: config.recover,
  });
  for (const line of survey.plan) {
    await pulumi.log.info(line);
  }
  for (const warning of survey.warnings) {
    await pulumi.log.warn(warning);
  }
  for (const repair of survey.repairs) {
    await pulumi.log.info(`${repair}: to be repaired`);
  }
  for (const renewal of survey.renewals) {
    await pulumi.log.info(`${renewal}: to be renewed`);
  }
  if (survey.findings.length > 0) {
    throw new Refusal(
      [
        "the hosts are not ready, nothing was changed:",
        ...survey.findings.map((finding) => `  - ${finding}`),
      ].join("\n"),
    );
  }
  // A lost node is not looked at; its steps are held for good.
  return {
    verdicts: new Map([...unseen(names, now), ...survey.verdicts]),
    rotation: survey.rotation,
    tokens: new Map(
      [...looks].flatMap(([name, look]): [string, string][] =>
        look.seen && look.token !== undefined ? [[name, look.token]] : [],
      ),
    ),
  };
}

/** Who is at work, for others to read. */
function us(now: Date): string {
  const since = now.toISOString().slice(0, 19).replace("T", " ");
  return `${userInfo().username}@${hostname()} (stack ${pulumi.getStack()}, process ${process.pid}) since ${since} UTC`;
}

/** By this stack's own outputs. There are none before the first run that came to its end. */
async function formerCluster(): Promise<Pick<Expectation, "former" | "formerCluster">> {
  // What a StackReference asks; that would be a resource of every preview.
  const answer: unknown = await pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {
    name: `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`,
  });
  const { members, clusterId } = outputsSchema.parse(answer).outputs;
  return {
    former: members.map(({ name, peerUrls }) => ({ name, address: addressOf(peerUrls) })),
    formerCluster: clusterId,
  };
}
