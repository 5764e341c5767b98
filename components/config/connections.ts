import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import type { z } from "zod";
import type { Checked } from "./check";
import { HostKeys } from "./host-keys";
import { expand, type KeyFile, readPrivateKey, type Surroundings } from "./private-key";
import type { Path, Problems } from "./problems";
import type { nodeSchema, sshSchema } from "./schema";
import type { Connection, Endpoint, NodeConfig } from "./types";

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
type Login = Pick<
  Endpoint,
  "privateKey" | "privateKeyFile" | "privateKeyPassphrase" | "password" | "agentSocket"
>;

const SECRETS = ["privateKeyPassphrase", "password", "sudoPassword"] as const;

/**
 * Turns the configuration of SSH into one connection for each node that is not lost, reading
 * key files and host keys on the way. Whatever is missing is reported as a problem.
 */
export function resolveConnections(
  nodes: readonly Checked<Node>[],
  ssh: Checked<Ssh>,
  surroundings: Surroundings,
  problems: Problems,
): Connections {
  if (ssh.data === undefined) {
    const others = { connectTo: () => undefined };
    return { connections: new Map(), others, warnings: [] };
  }
  const hostKeys = new HostKeys(ssh.data, ssh.wrong, surroundings, problems);
  hostKeys.checkNames(
    nodes.flatMap(({ data }) =>
      data ? [data.name, data.address, ...(data.ssh.host ? [data.ssh.host] : [])] : [],
    ),
  );
  checkSecrets(ssh.data, problems);
  const resolver = new Resolver(ssh.data, ssh.wrong, surroundings, problems, hostKeys);
  const connections = new Map<string, Connection>();
  nodes.forEach(({ data, wrong }, index) => {
    if (data !== undefined && !data.lost && !wrong.has("ssh")) {
      connections.set(data.name, resolver.connect(data, index));
    }
  });
  checkDials(nodes, connections, problems);
  if (connections.size > 0) {
    resolver.checkSurroundings();
  }
  return { connections, others: resolver, warnings: hostKeys.warnings() };
}

/** In clear they would be in the stack's file, and in everybody's copy of it. */
function checkSecrets(ssh: Ssh, problems: Problems): void {
  for (const key of SECRETS) {
    if (ssh[key] !== undefined && !problems.isSecret(["ssh"])) {
      problems.add(
        ["ssh", key],
        `is in plain text in the stack's configuration; take it out, change it, and set it with pulumi config set --secret --path '${problems.key(["ssh", key])}'`,
      );
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
    const before = first.get(place);
    if (before === undefined) {
      first.set(place, index);
    } else if (data.ssh.host !== undefined || nodes[before]?.data?.ssh.host !== undefined) {
      problems.add(
        ["nodes", index, "ssh", "host"],
        `${place} is also where nodes[${before}] is reached; every node needs a machine of its own`,
      );
    }
  });
}

class Resolver implements OtherHosts {
  readonly #ssh: Ssh;
  readonly #wrong: ReadonlySet<string>;
  readonly #surroundings: Surroundings;
  readonly #problems: Problems;
  readonly #hostKeys: HostKeys;
  /** What was read or resolved once is not read, or complained about, again. */
  readonly #logins = new Map<string, Login>();
  #bastion: Endpoint | undefined;

  constructor(
    ssh: Ssh,
    wrong: ReadonlySet<string>,
    surroundings: Surroundings,
    problems: Problems,
    hostKeys: HostKeys,
  ) {
    this.#ssh = ssh;
    this.#wrong = wrong;
    this.#surroundings = surroundings;
    this.#problems = problems;
    this.#hostKeys = hostKeys;
  }

  connect(node: Node, index: number): Connection {
    const user = node.ssh.user ?? this.#ssh.user;
    const port = node.ssh.port ?? this.#ssh.port;
    const own = ["nodes", index, "ssh", "privateKeyFile"];
    const host = node.ssh.host ?? node.address;
    const names = [...new Set([host, node.address, node.name])];
    const hostKey =
      node.ssh.hostKey ?? this.#hostKeys.find(names, port, ["ssh", "hostKeys", node.name]);
    const bastion = this.#throughBastion();
    return {
      host,
      port,
      user,
      ...this.#login(node.ssh.privateKeyFile, own),
      ...(hostKey === undefined ? {} : { hostKey }),
      ...this.#sudo(user),
      ...(bastion === undefined ? {} : { bastion }),
    };
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
          ...this.#login(undefined, []),
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
      this.#hostKeys.find([bastion.host], bastion.port, ["ssh", "bastion", "hostKey"]);
    this.#bastion = {
      host: bastion.host,
      port: bastion.port,
      user: bastion.user ?? this.#ssh.user,
      ...this.#login(bastion.privateKeyFile, ["ssh", "bastion", "privateKeyFile"]),
      ...(hostKey === undefined ? {} : { hostKey }),
    };
    return this.#bastion;
  }

  /** The key file that is asked for, or the one for all, or the operator's own, or the agent. */
  #login(own: string | undefined, ownPath: Path): Login {
    const path = own === undefined ? ["ssh", "privateKeyFile"] : ownPath;
    const file = own ?? this.#ssh.privateKeyFile;
    const id = file ?? "";
    const before = this.#logins.get(id);
    if (before !== undefined) {
      return before;
    }
    const { password } = this.#ssh;
    const login = {
      ...(file === undefined ? this.#withoutFile() : this.#read(file, path)),
      ...(password === undefined ? {} : { password }),
    };
    this.#logins.set(id, login);
    return login;
  }

  #read(file: string, path: Path): Login {
    const found = this.#readKey(file);
    if (found.kind === "key") {
      return loginOf(found);
    }
    const reasons = {
      absent: "does not exist; make a key with ssh-keygen -t ed25519 or name another file",
      passphrase: `has a passphrase; run ssh-add ${file} and write etcd:ssh.agent: true instead`,
    };
    const reason = found.kind === "unusable" ? found.reason : reasons[found.kind];
    this.#problems.add(path, `${this.#problems.show(path, file)} ${reason}`);
    return {};
  }

  #readKey(file: string): KeyFile {
    return readPrivateKey(expand(file, this.#surroundings), this.#ssh.privateKeyPassphrase);
  }

  #withoutFile(): Login {
    if (this.#wrong.has("privateKeyFile") || this.#wrong.has("agent")) {
      return {};
    }
    if (this.#ssh.agent) {
      return this.#agent();
    }
    return this.#ssh.password === undefined && !this.#wrong.has("password")
      ? this.#defaultLogin()
      : {};
  }

  #defaultLogin(): Login {
    let locked: string | undefined;
    for (const file of ["~/.ssh/id_ed25519", "~/.ssh/id_rsa"]) {
      const found = this.#readKey(file);
      if (found.kind === "key") {
        return loginOf(found);
      }
      if (found.kind === "unusable") {
        this.#problems.add(["ssh", "privateKeyFile"], `the default ${file} ${found.reason}`);
        return {};
      }
      locked ??= found.kind === "passphrase" ? file : undefined;
    }
    if (this.#surroundings.agentSocket !== undefined) {
      return this.#agent();
    }
    this.#problems.add(
      ["ssh", "privateKeyFile"],
      locked === undefined
        ? "missing, and there is no ~/.ssh/id_ed25519, no ~/.ssh/id_rsa and no SSH agent; name a key file"
        : `missing, and the default ${locked} has a passphrase; run ssh-agent and ssh-add ${locked}`,
    );
    return {};
  }

  #agent(): Login {
    const socket = this.#surroundings.agentSocket;
    if (socket === undefined) {
      this.#problems.add(
        ["ssh", "agent"],
        "true, but SSH_AUTH_SOCK is not set; start an agent with eval $(ssh-agent) and ssh-add",
      );
      return {};
    }
    if (listens(socket)) {
      return { agentSocket: socket };
    }
    this.#problems.add(
      ["ssh", "agent"],
      `SSH_AUTH_SOCK names ${JSON.stringify(socket)}, where no agent listens; start one with eval $(ssh-agent)`,
    );
    return {};
  }

  /** The provider dials the agent that there is for every step, also when it has no use for it, and gives up where none listens. */
  checkSurroundings(): void {
    const socket = this.#surroundings.agentSocket;
    const used = [...this.#logins.values()].some(({ privateKey, password }) => {
      return privateKey !== undefined || password !== undefined;
    });
    if (used && !this.#ssh.agent && socket !== undefined && !listens(socket)) {
      this.#problems.add(
        ["ssh"],
        `SSH_AUTH_SOCK names ${JSON.stringify(socket)}, where no agent listens, and the Pulumi provider fails on that whatever it logs in with; unset SSH_AUTH_SOCK, or start an agent with eval $(ssh-agent)`,
      );
    }
  }
}

function loginOf(key: KeyFile & { readonly kind: "key" }): Login {
  return {
    privateKey: key.text,
    privateKeyFile: key.file,
    ...(key.passphrase === undefined ? {} : { privateKeyPassphrase: key.passphrase }),
  };
}

/** As `ssh-add` says of a socket that nobody has open; of one that is silent nothing is known yet. */
const NO_AGENT = 2;
const AGENT_MILLISECONDS = 2000;

function listens(socket: string): boolean {
  try {
    if (!statSync(socket).isSocket()) {
      return false;
    }
  } catch {
    // A missing socket is as useless as a plain file.
    return false;
  }
  const { status } = spawnSync("ssh-add", ["-l"], {
    env: { ...process.env, SSH_AUTH_SOCK: socket },
    stdio: "ignore",
    timeout: AGENT_MILLISECONDS,
  });
  return status !== NO_AGENT;
}
