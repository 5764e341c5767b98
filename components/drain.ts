/** Members that leave while they serve are drained, so that none of their clients sees a request fail. */
import type { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "./config";
import type { Connection } from "./config/types";
import { addressOf, type LiveMember } from "./etcd/members";
import { logIn } from "./hosts/login";
import { newMark } from "./hosts/marks";
import { explain } from "./hosts/ssh-errors";
import type { NodePlan } from "./plan/node-plan";
import { assemble } from "./scripts/bundle";
import { type Voice, voiceOf } from "./voice";

/** Steps and a job that are waited for, the hand-over, the end of etcd, which clients that watch hold up for seven seconds, and the removal. */
const DRAIN_SECONDS = 150;

export interface Drain {
  readonly config: ClusterConfig;
  readonly leaving: readonly LiveMember[];
  readonly nodePlans: ReadonlyMap<string, NodePlan>;
  readonly token: pulumi.Output<string>;
}

/**
 * The engine deletes the steps of a node that has left the configuration when all else is done, and
 * the gate comes before that: so it is the program that has those members leave, when the members
 * that stay are ready. The gate removes those that did not.
 *
 * @param members the steps of those that stay.
 * @param work what the gates are told, and wait for.
 */
export function afterDrain(
  { config, leaving, nodePlans, token }: Drain,
  members: readonly remote.Command[],
  work: pulumi.Output<string>,
): pulumi.Output<string> {
  if (leaving.length === 0 || pulumi.runtime.isDryRun()) {
    return work;
  }
  const voice = voiceOf(config);
  const ready = pulumi.all(members.map(({ id }) => id));
  return pulumi.all([work, token, ready]).apply(async ([told, ours]) => {
    const values = {
      TOKEN: ours,
      PKI: config.pki.directory,
      NODES: config.nodes.map(({ name, address }) => `${name} ${address}`).join("\n"),
      JOINED: config.nodes
        .flatMap(({ name, address }) => (nodePlans.get(name)?.phase === "join" ? [address] : []))
        .join("\n"),
    };
    // One after the other: never two at once are away.
    for (const member of leaving) {
      const node = { name: member.name, address: addressOf(member.peerUrls) };
      const its = { ...values, NODE: node.name, ADDRESS: node.address };
      const problem = await drainMember(config.others.connectTo(node), its, voice);
      if (problem !== undefined) {
        await voice.warn(
          `${node.name}: removed without draining, so client requests may fail: ${problem}`,
        );
      }
    }
    return told;
  });
}

/** @returns why the member is still there, if it is. */
async function drainMember(
  connection: Connection | undefined,
  values: Readonly<Record<string, string>>,
  voice: Voice,
): Promise<string | undefined> {
  if (connection === undefined) {
    return "the host key at its address is not in the known_hosts file";
  }
  const answer = await logIn(
    connection,
    { call: "drain", text: assemble("drain", values) },
    { mark: newMark(), seconds: DRAIN_SECONDS },
  );
  const own = `${values.NODE}: `;
  // What a host says is printed in short lines of plain characters.
  const said = answer.stderr
    .split("\n")
    .filter((line) => line.startsWith(own))
    .slice(-3)
    .map((line) => line.slice(0, 500).replace(/[^ -~]/g, "?"));
  if (answer.code !== 0) {
    return said.at(-1)?.slice(own.length) ?? explain(connection, answer).reason;
  }
  for (const line of said) {
    await voice.info(line);
  }
  return undefined;
}
