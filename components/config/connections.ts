import type { z } from "zod";
import type { Checked } from "./check";
import { HostKeys, type Missing, type Named } from "./host-keys";
import { Logins } from "./logins";
import type { Path, Problems } from "./problems";
import type { nodeSchema, sshSchema } from "./schema";
import type { Surroundings } from "./surroundings";
import type { Connection, Endpoint, NodeConfig } from "./types";
import type { UnknownPaths } from "./unknown";

export interface Connections {
  readonly connections: ReadonlyMap<string, Connection>;
  readonly others: OtherHosts;
  readonly warnings: readonly string[];
}

/** Hosts of nodes that have left the configuration, reached by what it says for all nodes. */
export interface OtherHosts {
  /** Undefined when the host's key is not known. */
  connectTo(host: Pick<NodeConfig, "name" | "address">): Connection | undefined;
}

type Ssh = z.output<typeof sshSchema>;
type Node = z.output<typeof nodeSchema>;
const SECRETS = ["privateKey", "privateKeyPassphrase", "password", "sudoPassword"] as const;

/**
 * Turns the configuration of SSH into one connection for each node that is not lost, reading
 * key files and host keys on the way. Whatever is missing is reported as a problem.
 */
export function resolveConnections(
  nodes: readonly Checked<Node>[],
  ssh: Checked<Ssh>,
  surroundings: Surroundings,
  problems: Problems,
  unknown: UnknownPaths,
): Connections {
  if (ssh.data === undefined) {
    const others = { connectTo: () => undefined };
    return { connections: new Map(), others, warnings: [] };
  }
  const hostKeys = new HostKeys(ssh.data, ssh.wrong, surroundings, problems);
  const names = nodes.flatMap(({ data }, index) => (data === undefined ? [] : named(data, index)));
  // A key may be for an address that is not known.
  if (!names.some(({ path }) => unknown.has(path))) {
    hostKeys.checkNames(names);
  }
  checkKeys(nodes, ssh.data, problems);
  const logins = new Logins(ssh.data, ssh.wrong, surroundings, problems);
  const resolver = new Resolver(ssh.data, logins, hostKeys, unknown);
  const connections = new Map<string, Connection>();
  nodes.forEach(({ data, wrong }, index) => {
    if (data !== undefined && !data.lost && !wrong.has("ssh")) {
      connections.set(data.name, resolver.connect(data, index));
    }
  });
  checkDials(nodes, connections, problems);
  if (connections.size > 0) {
    logins.checkAgent();
  }
  return { connections, others: resolver, warnings: hostKeys.warnings() };
}

/** What host keys may be configured for. */
function named({ name, address, ssh: { host } }: Node, index: number): readonly Named[] {
  const node = ["nodes", index];
  return [
    { name, path: [...node, "name"] },
    { name: address, path: [...node, "address"] },
    ...(host === undefined ? [] : [{ name: host, path: [...node, "ssh", "host"] }]),
  ];
}

/** Each key is given once, and none of the secrets in plain text where others read it. */
function checkKeys(nodes: readonly Checked<Node>[], ssh: Ssh, problems: Problems): void {
  const places: (readonly [Path, Pick<Ssh, (typeof SECRETS)[number] | "privateKeyFile">])[] = [
    [["ssh"], ssh],
    ...(ssh.bastion === undefined ? [] : ([[["ssh", "bastion"], ssh.bastion]] as const)),
    ...nodes.flatMap(({ data }, index) =>
      data === undefined ? [] : ([[["nodes", index, "ssh"], data.ssh]] as const),
    ),
  ];
  for (const [place, keys] of places) {
    if (keys.privateKey !== undefined && keys.privateKeyFile !== undefined) {
      const path = [...place, "privateKey"];
      problems.add(path, "is given beside privateKeyFile; leave out one of the two");
    }
    for (const secret of SECRETS) {
      const path = [...place, secret];
      const plain = problems.wording.plainSecret(problems.key(path));
      if (keys[secret] !== undefined && plain !== undefined && !problems.isSecret(path)) {
        problems.add(path, plain);
      }
    }
  }
}

/** Two nodes at one machine would write over each other. */
function checkDials(
  nodes: readonly Checked<Node>[],
  connections: ReadonlyMap<string, Connection>,
  problems: Problems,
): void {
  const first = new Map<string, number>();
  nodes.forEach(({ data }, index) => {
    const connection = data === undefined ? undefined : connections.get(data.name);
    if (connection === undefined || data === undefined) {
      return;
    }
    const place = `${connection.host} port ${connection.port}`;
    const path = ["nodes", index, "ssh", "host"];
    const before = first.get(place);
    if (before === undefined) {
      first.set(place, index);
    } else if (data.ssh.host !== undefined || nodes[before]?.data?.ssh.host !== undefined) {
      const secret = problems.isSecret(path) || problems.isSecret(["nodes", index, "address"]);
      problems.add(
        path,
        `${secret ? "[secret]" : place} is also where nodes[${before}] is reached; every node needs a machine of its own`,
      );
    }
  });
}

class Resolver implements OtherHosts {
  readonly #ssh: Ssh;
  readonly #logins: Logins;
  readonly #hostKeys: HostKeys;
  readonly #unknown: UnknownPaths;
  #bastion: Endpoint | undefined;

  constructor(ssh: Ssh, logins: Logins, hostKeys: HostKeys, unknown: UnknownPaths) {
    this.#ssh = ssh;
    this.#logins = logins;
    this.#hostKeys = hostKeys;
    this.#unknown = unknown;
  }

  connect(node: Node, index: number): Connection {
    const user = node.ssh.user ?? this.#ssh.user;
    const port = node.ssh.port ?? this.#ssh.port;
    const host = node.ssh.host ?? node.address;
    const names = [...new Set([host, node.address, node.name])];
    const at = ["nodes", index, ...(node.ssh.host === undefined ? ["address"] : ["ssh", "host"])];
    const hostKey =
      node.ssh.hostKey ??
      this.#hostKey(names, port, { path: ["ssh", "hostKeys", node.name], host: at });
    const bastion = this.#throughBastion();
    return {
      host,
      port,
      user,
      ...this.#logins.of(node.ssh, ["nodes", index, "ssh"]),
      ...(hostKey === undefined ? {} : { hostKey }),
      ...this.#sudo(user),
      ...(bastion === undefined ? {} : { bastion }),
    };
  }

  /** Nobody can say that the key of a host is missing before the host is known. */
  #hostKey(names: readonly string[], port: number, missing: Missing): string | undefined {
    return this.#hostKeys.find(names, port, this.#unknown.has(missing.host) ? undefined : missing);
  }

  #sudo(user: string): Pick<Connection, "sudo" | "sudoPassword"> {
    const { sudo = user !== "root", sudoPassword } = this.#ssh;
    return { sudo, ...(sudo && sudoPassword !== undefined ? { sudoPassword } : {}) };
  }

  connectTo({ name, address }: Pick<NodeConfig, "name" | "address">): Connection | undefined {
    const { user, port, insecureIgnoreHostKeys } = this.#ssh;
    const hostKey = this.#hostKeys.known([address, name], port);
    const bastion = this.#throughBastion();
    return hostKey === undefined && !insecureIgnoreHostKeys
      ? undefined
      : {
          host: address,
          port,
          user,
          ...this.#logins.of({}, []),
          ...(hostKey === undefined ? {} : { hostKey }),
          ...this.#sudo(user),
          ...(bastion === undefined ? {} : { bastion }),
        };
  }

  #throughBastion(): Endpoint | undefined {
    const bastion = this.#ssh.bastion;
    if (bastion === undefined || this.#bastion !== undefined) {
      return this.#bastion;
    }
    const hostKey =
      bastion.hostKey ??
      this.#hostKey([bastion.host], bastion.port, {
        path: ["ssh", "bastion", "hostKey"],
        host: ["ssh", "bastion", "host"],
      });
    this.#bastion = {
      host: bastion.host,
      port: bastion.port,
      user: bastion.user ?? this.#ssh.user,
      ...this.#logins.of(bastion, ["ssh", "bastion"]),
      ...(hostKey === undefined ? {} : { hostKey }),
    };
    return this.#bastion;
  }
}
