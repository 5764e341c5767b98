import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import type { z } from "zod";
import { type PrivateKey, readPrivateKey, readPrivateKeyText } from "./private-key";
import type { Path, Problems } from "./problems";
import type { sshSchema } from "./schema";
import { expand, type Surroundings } from "./surroundings";
import type { Endpoint } from "./types";

type Ssh = z.output<typeof sshSchema>;

/** What a machine is logged in to with. */
export type Login = Pick<
  Endpoint,
  "privateKey" | "privateKeyFile" | "privateKeyPassphrase" | "password" | "agentSocket"
>;

/** A key as it is configured: its text, or its file. */
type Key = Pick<Ssh, "privateKey" | "privateKeyFile">;

/** How the nodes and the bastion are logged in to. Whatever cannot be used is reported as a problem. */
export class Logins {
  readonly #ssh: Ssh;
  readonly #wrong: ReadonlySet<string>;
  readonly #surroundings: Surroundings;
  readonly #problems: Problems;
  /** What was read once is not read, or complained about, again. */
  readonly #known = new Map<string, Login>();

  constructor(
    ssh: Ssh,
    wrong: ReadonlySet<string>,
    surroundings: Surroundings,
    problems: Problems,
  ) {
    this.#ssh = ssh;
    this.#wrong = wrong;
    this.#surroundings = surroundings;
    this.#problems = problems;
  }

  /**
   * The key that is asked for, or the one for all, or the operator's own, or the agent.
   *
   * @param path of what `own` is in.
   */
  of(own: Key, path: Path): Login {
    const mine = own.privateKey !== undefined || own.privateKeyFile !== undefined;
    const key = mine ? own : this.#ssh;
    const id = key.privateKey ?? key.privateKeyFile ?? "";
    const before = this.#known.get(id);
    if (before !== undefined) {
      return before;
    }
    const { password } = this.#ssh;
    const login = {
      ...this.#withKey(key, mine ? path : ["ssh"]),
      ...(password === undefined ? {} : { password }),
    };
    this.#known.set(id, login);
    return login;
  }

  #withKey({ privateKey, privateKeyFile }: Key, path: Path): Login {
    if (privateKey !== undefined) {
      return this.#readText(privateKey, [...path, "privateKey"]);
    }
    return privateKeyFile === undefined
      ? this.#withoutKey()
      : this.#readFile(privateKeyFile, [...path, "privateKeyFile"]);
  }

  #readText(text: string, path: Path): Login {
    const found = readPrivateKeyText(text, this.#ssh.privateKeyPassphrase);
    if (found.kind === "key") {
      return loginOf(found);
    }
    const passphrase = this.#problems.key(["ssh", "privateKeyPassphrase"]);
    this.#problems.add(
      path,
      found.kind === "unusable"
        ? found.reason
        : `has a passphrase; write it as ${passphrase}, or give a key without one`,
    );
    return {};
  }

  #readFile(file: string, path: Path): Login {
    const found = this.#readKey(file);
    if (found.kind === "key") {
      return loginOf(found);
    }
    const reasons = {
      absent: "does not exist; make a key with ssh-keygen -t ed25519 or name another file",
      passphrase: `has a passphrase; run ssh-add ${file} and write ${this.#problems.key(["ssh", "agent"])}: true instead`,
    };
    const reason = found.kind === "unusable" ? found.reason : reasons[found.kind];
    this.#problems.add(path, `${this.#problems.show(path, file)} ${reason}`);
    return {};
  }

  #readKey(file: string): PrivateKey {
    return readPrivateKey(expand(file, this.#surroundings), this.#ssh.privateKeyPassphrase);
  }

  #withoutKey(): Login {
    if (["privateKey", "privateKeyFile", "agent"].some((field) => this.#wrong.has(field))) {
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
  checkAgent(): void {
    const socket = this.#surroundings.agentSocket;
    const used = [...this.#known.values()].some(({ privateKey, password }) => {
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

function loginOf(key: PrivateKey & { readonly kind: "key" }): Login {
  return {
    privateKey: key.text,
    ...(key.file === undefined ? {} : { privateKeyFile: key.file }),
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
