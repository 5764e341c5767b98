import { connect } from "node:net";
import {
  type AnyAuthMethod,
  type AuthenticationType,
  OpenSSHAgent,
  type ParsedKey,
  utils,
} from "ssh2";
import { loadPrivateKey } from "../tls/load-key";
import type { Endpoint } from "./connection";
import { goReason } from "./go-text";

/** Checks that the agent listens: a dead socket is an error even if the agent is not needed. */
function probeAgent(path: string): Promise<void> {
  if (path === "") return Promise.reject(new Error("dial unix: missing address"));
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.on("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", (cause) => {
      reject(new Error(`dial unix ${path}: connect: ${goReason(cause)}`, { cause }));
    });
  });
}

function parseKey(endpoint: Endpoint, key: string): ParsedKey {
  const parsed = utils.parseKey(loadPrivateKey(key), endpoint.privateKeyPassword);
  if (parsed instanceof Error) {
    if (/encrypted/i.test(parsed.message) && endpoint.privateKeyPassword === undefined) {
      throw new Error("ssh: this private key is passphrase protected");
    }
    throw new Error(
      /format/i.test(parsed.message) ? "ssh: no key found" : "x509: decryption password incorrect",
    );
  }
  return parsed;
}

/** The ways to log in, in the order in which they are tried. Errors are not worth a retry. */
export async function authMethods(endpoint: Endpoint): Promise<AnyAuthMethod[]> {
  const { user: username, password, privateKey, agentSocketPath } = endpoint;
  const methods: AnyAuthMethod[] = [];
  if (privateKey !== undefined) {
    const key = parseKey(endpoint, privateKey);
    methods.push({ type: "publickey", username, key });
  }
  if (password !== undefined) {
    methods.push({ type: "password", username, password });
    methods.push({
      type: "keyboard-interactive",
      username,
      prompt: (_name, _instructions, _language, prompts, finish) =>
        finish(prompts.map(() => password)),
    });
  }
  if (agentSocketPath !== undefined) {
    await probeAgent(agentSocketPath);
    methods.push({ type: "agent", username, agent: new OpenSSHAgent(agentSocketPath) });
  }
  return methods;
}

/** The protocol's name of a method: an agent's keys are public keys too. */
function protocolName(method: AnyAuthMethod): AuthenticationType {
  return method.type === "agent" ? "publickey" : method.type;
}

/** Chooses the next method: "none" first, then each kind once if the host offers it. */
export class Login {
  /** Names of the methods that were tried, for the error. */
  readonly tried: string[] = [];

  constructor(
    private readonly username: string,
    private readonly methods: readonly AnyAuthMethod[],
  ) {}

  next(offered: readonly string[] | null): AnyAuthMethod | undefined {
    const method: AnyAuthMethod | undefined =
      offered === null
        ? { type: "none", username: this.username }
        : this.methods.find((candidate) => {
            const name = protocolName(candidate);
            return offered.includes(name) && !this.tried.includes(name);
          });
    if (method) this.tried.push(protocolName(method));
    return method;
  }
}
