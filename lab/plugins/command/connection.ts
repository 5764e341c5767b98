import { isProps, number, type Props, text } from "../shared/values";

/** How to reach and enter one host. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly privateKey: string | undefined;
  readonly privateKeyPassword: string | undefined;
  readonly agentSocketPath: string | undefined;
  readonly hostKey: string | undefined;
  /** Failed dials to bear before giving up, -1 for any number. */
  readonly dialErrorLimit: number;
  /** Seconds for the TCP connection, 0 for any time. */
  readonly perDialTimeout: number;
}

export interface Connection extends Endpoint {
  readonly proxy: Endpoint | undefined;
}

export const endpointDefaults: Props = {
  user: "root",
  port: 22,
  dialErrorLimit: 10,
  perDialTimeout: 15,
};

export const endpointSecrets = ["password", "privateKey", "privateKeyPassword"] as const;

function endpoint(props: Props): Endpoint {
  const host = text(props, "host");
  if (host === undefined) throw new Error("Missing required field 'host' on 'remote.Connection'");
  return {
    host,
    port: Math.trunc(number(props, "port") ?? 22),
    user: text(props, "user") ?? "root",
    password: text(props, "password"),
    privateKey: text(props, "privateKey"),
    privateKeyPassword: text(props, "privateKeyPassword"),
    agentSocketPath: text(props, "agentSocketPath") ?? (process.env.SSH_AUTH_SOCK || undefined),
    hostKey: text(props, "hostKey"),
    dialErrorLimit: number(props, "dialErrorLimit") ?? 10,
    perDialTimeout: number(props, "perDialTimeout") ?? 15,
  };
}

/** Reads a `connection` input that has no wrappers left. */
export function readConnection(props: Props): Connection {
  const proxy = isProps(props.proxy) ? endpoint(props.proxy) : undefined;
  return { ...endpoint(props), proxy };
}
