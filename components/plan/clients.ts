/** Clients outside that a run would shut out. */
import { BlockList, isIP } from "node:net";
import type { HostState } from "../hosts/host-state";

/** More are counted. */
const MOST_NAMED = 10;

interface Connected {
  readonly address: string;
  /** Names of the nodes whose members they are connected to. */
  readonly to: readonly string[];
}

/**
 * Whom the packet filter would let in no more: what is connected now, and this machine.
 *
 * @param networks that are let in; undefined without a packet filter of ours.
 * @param members addresses that are let in all the same.
 */
export function clientsShutOut(
  hosts: ReadonlyMap<string, HostState>,
  networks: readonly string[] | undefined,
  members: ReadonlySet<string>,
): readonly string[] {
  if (networks === undefined) {
    return [];
  }
  const allowed = listOf(networks);
  const isOut = (address: string) => !members.has(address) && !has(allowed, address);
  const out = connected(hosts, members).filter(({ address }) => isOut(address));
  const operators = new Set(
    [...hosts.values()].flatMap((host) =>
      host.inspected && host.operator !== undefined && isOut(host.operator) ? [host.operator] : [],
    ),
  );
  return [
    ...(out.length === 0
      ? []
      : [
          `etcd:host.clientNetworks excludes clients that are connected now, and this up would disconnect them: ${inWords(out)}; add their networks to keep them`,
        ]),
    ...(operators.size === 0
      ? []
      : [
          `etcd:host.clientNetworks does not include the address of this machine or its bastion (${[...operators].join(", ")}): npm run status and npm run etcdctl would get no answer`,
        ]),
  ];
}

/** Before the members forget a CA: a client that read it once, when it started, and was not restarted since never gets in again. */
export function clientsOfOldCa(
  hosts: ReadonlyMap<string, HostState>,
  members: ReadonlySet<string>,
): readonly string[] {
  const clients = connected(hosts, members);
  return clients.length === 0
    ? []
    : [
        `clients are connected from ${inWords(clients)}; one that reads its CA only at startup (such as kube-apiserver) and has not been restarted since it got the caCertificate of the first run will be rejected after this run`,
      ];
}

function connected(
  hosts: ReadonlyMap<string, HostState>,
  members: ReadonlySet<string>,
): Connected[] {
  const to = new Map<string, string[]>();
  for (const [name, host] of hosts) {
    for (const address of host.inspected ? (host.clients ?? []) : []) {
      if (!members.has(address)) {
        to.set(address, [...(to.get(address) ?? []), name]);
      }
    }
  }
  return [...to].map(([address, names]) => ({ address, to: names }));
}

function inWords(clients: readonly Connected[]): string {
  const named = clients
    .slice(0, MOST_NAMED)
    .map(({ address, to }) => `${address} (${to.join(", ")})`)
    .join(", ");
  const more = clients.length - MOST_NAMED;
  return more > 0 ? `${named} and ${more} more` : named;
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [base = "", length] = network.split("/");
    list.addSubnet(base, Number(length), isIP(base) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}

/** What is no address at all is in no network. */
function has(list: BlockList, address: string): boolean {
  const family = isIP(address);
  return family !== 0 && list.check(address, family === 6 ? "ipv6" : "ipv4");
}
