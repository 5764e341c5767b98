/** What the look at each host shows in a world of the plan model. */
import type { NodeConfig } from "../../components/config";
import type { LiveMember } from "../../components/etcd/members";
import type { Finding, HostState } from "../../components/hosts/host-state";
import { node } from "./fixtures";
import { bare, settled, silent } from "./looks";
import { type Plan, quorumOf, type World } from "./plan-model";

const number = (name: string) => Number(name.slice("etcd".length));

export const addressOf = (name: string): string => node(number(name)).address;

const peerUrl = (name: string): string => `https://${addressOf(name)}:2380`;

/** The name of a lab host by its address; other words stay as they are. */
export function nameAt(address: string): string {
  const host = /^192\.168\.1\.(\d+)$/.exec(address)?.[1];
  return host === undefined ? address : `etcd0${Number(host) - 82}`;
}

export function nodesOf(plan: Plan): readonly NodeConfig[] {
  return plan.map(({ name, lost }) => node(number(name), { lost }));
}

/** @param leader one of the quorum, if there is one. */
export function looksOf(
  world: World,
  plan: Plan,
  leader: string | undefined,
): ReadonlyMap<string, HostState> {
  const { voters, learner, conditions } = world;
  const quorum = quorumOf(world);
  const before = learner === undefined ? voters : [...voters, learner];
  const wanted = plan.filter(({ lost }) => !lost).map(({ name }) => name);
  const edited =
    wanted.length !== before.length || wanted.some((name, index) => name !== before[index]);
  const members = before.map((name): LiveMember => {
    const half = name === learner;
    return {
      name: half ? "" : name,
      peerUrls: peerUrl(name),
      id: name,
      learner: half,
      healthy: quorum.includes(name),
    };
  });
  const cut = (name: string) => conditions.get(name) === "cut";
  const reaches = (from: string, to: string) =>
    from === to || (conditions.get(to) !== "off" && cut(from) === cut(to));
  const look = (name: string): HostState => {
    const condition = conditions.get(name);
    if (condition === "off") {
      return silent();
    }
    if (!voters.includes(name) || condition === "wiped") {
      return bare({ findings: wanted.filter((other) => !reaches(name, other)).map(unreachable) });
    }
    const there = {
      nodes: before.map(addressOf),
      peerUrlsSeen: voters.map(peerUrl),
      data: { cluster: "cafe", member: name, unmanaged: false },
    };
    if (condition === "stopped") {
      return settled({}, { unit: ["etcd.service is inactive"], ...there });
    }
    const tells = quorum.includes(name);
    const asks = edited || name === leader;
    const list = members.map((one) => ({ ...one, healthy: asks && one.healthy }));
    return settled(
      {},
      {
        ...{ version: "3.6.14", ...there, leader: name === leader },
        runs: { cluster: "cafe", member: name, ...(tells ? { leader } : {}) },
        members: tells ? list : [],
      },
    );
  };
  return new Map(wanted.map((name) => [name, look(name)]));
}

/** As the preflight of a new host says it. */
function unreachable(name: string): Finding {
  const text = `cannot reach ${name} at ${addressOf(name)} on port 2379 and 2380; members need 2379 and 2380 of each other`;
  return { text, about: name };
}
