import type { CheckFailure } from "../shared/plugin";
import {
  isProps,
  isSecret,
  type Props,
  present,
  secret,
  unknown,
  unwrap,
  type Value,
} from "../shared/values";
import { endpointDefaults, endpointSecrets } from "./connection";

type Kind = "string" | "boolean" | "number" | "list" | "map" | "connection" | "proxy";

const endpointKinds: Readonly<Record<string, Kind>> = {
  user: "string",
  password: "string",
  host: "string",
  port: "number",
  privateKey: "string",
  privateKeyPassword: "string",
  agentSocketPath: "string",
  dialErrorLimit: "number",
  perDialTimeout: "number",
  hostKey: "string",
};

/** The inputs of a command and what they must be. */
export const inputKinds: Readonly<Record<string, Kind>> = {
  triggers: "list",
  create: "string",
  update: "string",
  delete: "string",
  stdin: "string",
  logging: "string",
  connection: "connection",
  environment: "map",
  addPreviousOutputInEnv: "boolean",
};

/** Applies a change under the secret wrapper, if there is one. */
function inside(value: Value, change: (props: Props) => Props): Value {
  const inner = unwrap(value);
  if (!isProps(inner)) return value;
  const changed = change(inner);
  return isSecret(value) ? secret(changed) : changed;
}

function withEndpointDefaults(props: Props): Props {
  const result = { ...endpointDefaults, ...present(props) };
  for (const key of endpointSecrets) {
    const value = result[key];
    if (value !== undefined) result[key] = secret(value);
  }
  return result;
}

function withDefaults(connection: Props): Props {
  const result = withEndpointDefaults(connection);
  if (result.proxy !== undefined) result.proxy = inside(result.proxy, withEndpointDefaults);
  return result;
}

function fits(value: Value, kind: Kind): boolean {
  if (kind === "list") return Array.isArray(value);
  if (kind === "map" || kind === "connection" || kind === "proxy") return isProps(value);
  return typeof value === kind;
}

/** Failures name the property and never its value: it may be a private key. */
function failures(
  props: Props,
  kinds: Readonly<Record<string, Kind>>,
  type: string,
  required: string,
): CheckFailure[] {
  const found: CheckFailure[] = [];
  if ((props[required] ?? null) === null) {
    const reason = `Missing required field '${required}' on '${type}'`;
    found.push({ property: required, reason });
  }
  for (const [property, wrapped] of Object.entries(props)) {
    const kind = kinds[property];
    const value = unwrap(wrapped);
    if (kind === undefined) {
      found.push({ property, reason: `Unrecognized field '${property}' on '${type}'` });
    } else if (value !== null && value !== unknown && !fits(value, kind)) {
      found.push({ property, reason: `Field '${property}' on '${type}' must be a ${kind}` });
    } else if (isProps(value) && kind === "connection") {
      const inner = { ...endpointKinds, proxy: "proxy" } as const;
      found.push(...failures(value, inner, "remote.Connection", "host"));
    } else if (isProps(value) && kind === "proxy") {
      found.push(...failures(value, endpointKinds, "remote.ProxyConnection", "host"));
    }
  }
  return found;
}

/** Checks a command's inputs, fills in the connection's defaults and marks what is secret. */
export function checkInputs(news: Props): { inputs: Props; failures: CheckFailure[] } {
  const given = present(news);
  const { __defaults: _, version: __, ...props } = given;
  const found = failures(props, inputKinds, "remote.CommandInputs", "connection");
  const { connection } = props;
  if (connection === undefined) return { inputs: props, failures: found };
  return {
    inputs: { ...props, connection: secret(inside(connection, withDefaults)) },
    failures: found,
  };
}
