import { statSync } from "node:fs";
import type { z } from "zod";
import type { Connection, Endpoint } from "../connection";
import type { Checked } from "./check";
import { HostKeys } from "./host-keys";
import { expand, readPrivateKey, type Surroundings } from "./private-key";
import type { Path, Problems } from "./problems";
import type { nodeSchema, sshSchema } from "./schema";

export interface Connections {
  readonly connections: ReadonlyMap<string, Connection>;
  readonly warnings: readonly string[];
}

type Ssh = z.output<typeof sshSchema>;
type Node = z.output<typeof nodeSchema>;
type Login = Pick<Endpoint, "privateKey" | "privateKeyFile" | "agentSocket">;

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
    return { connections: new Map(), warnings: [] };
  }
  const hostKeys = new HostKeys(ssh.data, ssh.wrong, surroundings, problems);
  hostKeys.checkNames(nodes.flatMap(({ data }) => (data ? [data.name, data.address] : [])));
  const resolver = new Resolver(ssh.data, ssh.wrong, surroundings, problems, hostKeys);
  const connections = new Map<string, Connection>();
  nodes.forEach(({ data, wrong }, index) => {
    if (data !== undefined && !data.lost && !wrong.has("ssh")) {
      connections.set(data.name, resolver.connect(data, index));
    }
  });
  return { connections, warnings: hostKeys.warnings() };
}

class Resolver {
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
    const hostKey =
      node.ssh.hostKey ??
      this.#hostKeys.find([node.address, node.name], port, ["ssh", "hostKeys", node.name]);
    const bastion = this.#throughBastion();
    return {
      host: node.address,
      port,
      user,
      ...this.#login(node.ssh.privateKeyFile, own),
      ...(hostKey === undefined ? {} : { hostKey }),
      sudo: this.#ssh.sudo ?? user !== "root",
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
    const agent = this.#ssh.agent ? this.#agent() : {};
    const login = file === undefined ? this.#defaultLogin(agent) : this.#read(file, path, agent);
    this.#logins.set(id, login);
    return login;
  }

  #read(file: string, path: Path, agent: Login): Login {
    const found = readPrivateKey(expand(file, this.#surroundings));
    if (found.kind === "key") {
      return { ...agent, privateKey: found.text, privateKeyFile: found.file };
    }
    const reasons = {
      absent: "does not exist; make a key with ssh-keygen -t ed25519 or name another file",
      passphrase: `has a passphrase; run ssh-add ${file} and write etcd:ssh.agent: true instead`,
    };
    const reason = found.kind === "unusable" ? found.reason : reasons[found.kind];
    this.#problems.add(path, `${this.#problems.show(path, file)} ${reason}`);
    return agent;
  }

  #defaultLogin(agent: Login): Login {
    if (this.#ssh.agent || this.#wrong.has("privateKeyFile") || this.#wrong.has("agent")) {
      return agent;
    }
    let locked: string | undefined;
    for (const file of ["~/.ssh/id_ed25519", "~/.ssh/id_rsa"]) {
      const found = readPrivateKey(expand(file, this.#surroundings));
      if (found.kind === "key") {
        return { privateKey: found.text, privateKeyFile: found.file };
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
    try {
      if (statSync(socket).isSocket()) {
        return { agentSocket: socket };
      }
    } catch {
      // Falls through to the report below: a missing socket is as useless as a plain file.
    }
    this.#problems.add(
      ["ssh", "agent"],
      `SSH_AUTH_SOCK names ${JSON.stringify(socket)}, where no agent listens; start one with eval $(ssh-agent)`,
    );
    return {};
  }
}
