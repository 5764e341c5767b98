import type { Duplex } from "node:stream";
import { Client, type ServerHostKeyAlgorithm } from "ssh2";
import type { Context } from "../shared/plugin";
import { authMethods, Login } from "./auth";
import type { Connection, Endpoint } from "./connection";
import { type HostKey, parseHostKey } from "./host-key";
import { retry } from "./retry";
import { handshakeError, NoMethodLeft, rejectedError } from "./ssh-errors";
import { tcp } from "./tcp";

/** What is read once, before the first dial: mistakes here are final. */
interface Access {
  readonly endpoint: Endpoint;
  readonly methods: Awaited<ReturnType<typeof authMethods>>;
  readonly hostKey: HostKey | undefined;
}

async function prepare(endpoint: Endpoint): Promise<Access> {
  const hostKey = endpoint.hostKey === undefined ? undefined : parseHostKey(endpoint.hostKey);
  return { endpoint, hostKey, methods: await authMethods(endpoint) };
}

const hostKeyAlgorithms: readonly ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
];

/** The official plugin asks for the type of the expected key alone: an ssh-rsa key is therefore
 * only found on hosts that still sign with SHA-1. */
function hostKeyOptions(hostKey: HostKey | undefined) {
  if (!hostKey) return {};
  const algorithm = hostKeyAlgorithms.find((candidate) => candidate === hostKey.type);
  if (!algorithm) {
    throw new Error(
      `hostKey has the type ${hostKey.type}; the lab's stand-in knows ` +
        hostKeyAlgorithms.join(", "),
    );
  }
  return {
    algorithms: { serverHostKey: [algorithm] },
    hostVerifier: (blob: Buffer) => blob.equals(hostKey.blob),
  };
}

/**
 * A machine that is silent for so long is taken for gone: Go asks after 15 s without a word, nine times in all 15 s, on every TCP
 * connection that it makes itself. `LAB_KEEPALIVE` is another number of seconds than 15.
 */
const keepalive = {
  keepaliveInterval: 1000 * Number(process.env.LAB_KEEPALIVE ?? 15),
  keepaliveCountMax: 9,
};

/**
 * One SSH handshake and login over an open stream.
 *
 * @param own the stream is a TCP connection of this process, not one of a bastion's.
 */
function handshake(
  access: Access,
  stream: Duplex,
  signal: AbortSignal,
  own: boolean,
): Promise<Client> {
  const { endpoint, hostKey } = access;
  const login = new Login(endpoint.user, access.methods);
  const client = new Client();
  let offered = "";
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      signal.removeEventListener("abort", abort);
      client.removeListener("close", lost);
      client.destroy();
      stream.destroy();
      reject(handshakeError(error, { tried: login.tried, hostKey, offered }));
    };
    const abort = () => fail(signal.reason);
    const lost = () => fail(new Error("EOF"));
    signal.addEventListener("abort", abort);
    // Stays for the life of the client: an error that nobody hears would end the process.
    client.on("error", fail);
    client.on("close", lost);
    client.on("ready", () => {
      signal.removeEventListener("abort", abort);
      client.removeListener("close", lost);
      resolve(client);
    });
    client.connect({
      ...hostKeyOptions(hostKey),
      ...(own ? keepalive : {}),
      sock: stream,
      username: endpoint.user,
      readyTimeout: 0,
      authHandler: (methods, _partial, next) => {
        const method = login.next(methods);
        if (method) next(method);
        else fail(new NoMethodLeft());
      },
      debug: (line) => {
        offered = /\(remote\) Host key format: (.*)/.exec(line)?.[1] ?? offered;
      },
    });
  });
}

async function direct(access: Access, signal: AbortSignal): Promise<Client> {
  const { host, port, perDialTimeout } = access.endpoint;
  return handshake(access, await tcp(host, port, perDialTimeout, signal), signal, true);
}

/** A stream to the endpoint through the bastion. */
function forward(bastion: Client, { host, port }: Endpoint): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    bastion.forwardOut("0.0.0.0", 0, host, port, (error, channel) => {
      if (error) reject(rejectedError(error));
      else resolve(channel);
    });
  });
}

function throughProxy(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(`proxy: ${message}`, { cause: error });
}

/** A connected client, to be ended by the caller. */
export interface Dialled {
  readonly client: Client;
  end(): void;
}

async function dialThrough(access: Access, proxy: Endpoint, context: Context): Promise<Dialled> {
  const proxyAccess = await prepare(proxy);
  const bastion = await retry("Dial proxy", proxy.dialErrorLimit, context, () =>
    direct(proxyAccess, context.signal),
  );
  try {
    const limit = access.endpoint.dialErrorLimit;
    const dialFrom = () =>
      retry("Dial from proxy", limit, context, () => forward(bastion, access.endpoint));
    let stream: Duplex | undefined = await dialFrom();
    const client = await retry("Dial", limit, context, async () => {
      const open = stream ?? (await dialFrom());
      stream = undefined;
      return handshake(access, open, context.signal, false);
    });
    return {
      client,
      end() {
        client.end();
        bastion.end();
      },
    };
  } catch (error) {
    bastion.end();
    throw error;
  }
}

/** Dials a host, again and again as its `dialErrorLimit` allows, through its bastion if it has one.
 * Errors have the texts of the official plugin. */
export async function dial(connection: Connection, context: Context): Promise<Dialled> {
  const access = await prepare(connection);
  if (connection.proxy) {
    return dialThrough(access, connection.proxy, context).catch((error) => {
      throw throughProxy(error);
    });
  }
  const client = await retry("Dial", connection.dialErrorLimit, context, () =>
    direct(access, context.signal),
  );
  return { client, end: () => client.end() };
}
