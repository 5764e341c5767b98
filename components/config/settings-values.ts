import { isIP } from "node:net";
import { GATES, type Kind } from "../etcd/flags";
import type { Minor } from "../etcd/versions";

/** Go's notation of a length of time, without a sign. */
const DURATION = /^(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+)$/;

/** A value, or a part of it, as it can be shown in a message. */
type Show = (part: string) => string;

/** What is wrong with the value of a flag, or undefined. */
export function valueProblem(
  kind: Kind,
  value: string,
  minor: Minor,
  show: Show,
): string | undefined {
  const shown = show(value);
  switch (kind.is) {
    case "boolean":
      return value === "true" || value === "false"
        ? undefined
        : `${shown} is not true or false; write true or false`;
    case "integer":
      return integerProblem(kind, value, shown);
    case "duration":
      return DURATION.test(value)
        ? undefined
        : `${shown} is not a duration; write a number with its unit such as 500ms, 10s or 1h30m`;
    case "choice":
      return kind.of.includes(value)
        ? undefined
        : `${shown} is not possible; write ${kind.of.join(" or ")}`;
    case "text":
      return kind.pattern.test(value)
        ? undefined
        : `${shown} cannot be used; write ${kind.example}`;
    case "suites":
      return suitesProblem(value, show);
    case "gates":
      return gatesProblem(value, minor, show);
    case "urls":
      return urlsProblem(value, show);
    default:
      return kind satisfies never;
  }
}

function integerProblem(
  { least, most }: { readonly least: number; readonly most: number },
  value: string,
  shown: string,
): string | undefined {
  const range = `write a number from ${least} to ${most}`;
  if (!/^-?\d+$/.test(value)) {
    return `${shown} is not a whole number; ${range}, without a unit`;
  }
  const number = Number(value);
  return number >= least && number <= most ? undefined : `${shown} is out of range; ${range}`;
}

/** Suites for TLS 1.2 that Go calls secure and that work with the ECDSA certificates of nodes. */
export const SAFE_SUITES: readonly string[] = [
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
];

function suitesProblem(value: string, show: Show): string | undefined {
  const suites = value.split(",");
  const wrong = suites.find((suite) => !SAFE_SUITES.includes(suite));
  if (wrong !== undefined) {
    return `${show(wrong)} is no safe suite for ECDSA certificates; write some of ${SAFE_SUITES.join(", ")}`;
  }
  return suites.includes(SAFE_SUITES[0] ?? "")
    ? undefined
    : `${SAFE_SUITES[0]} is missing; HTTP/2 needs it, and etcd does not start without`;
}

function gatesProblem(value: string, minor: Minor, show: Show): string | undefined {
  const known = GATES[minor];
  for (const gate of value.split(",")) {
    const name = gate.split("=")[0] ?? "";
    if (!known.includes(name)) {
      return `${show(name)} is no feature gate of etcd ${minor}; write some of ${known.join(", ")}`;
    }
    if (!/^[^=]+=(true|false)$/.test(gate)) {
      return `${show(gate)} has no state; write ${name}=true or ${name}=false`;
    }
  }
  return value.includes("LeaseCheckpointPersist=true") &&
    !/(LeaseCheckpoint|AllAlpha)=true/.test(value)
    ? "LeaseCheckpointPersist needs LeaseCheckpoint; add LeaseCheckpoint=true"
    : undefined;
}

const EXAMPLE = "http://127.0.0.1:2381";

function urlsProblem(value: string, show: Show): string | undefined {
  for (const text of value.split(",")) {
    const problem = urlProblem(text);
    if (problem !== undefined) {
      return `${show(text)} ${problem}`;
    }
  }
  return undefined;
}

/** The same setting holds on every node, so an address must mean each of them. */
function urlProblem(text: string): string | undefined {
  const match = /^(https?):\/\/(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})$/.exec(text);
  const [, scheme, bracketed = "", port] = match ?? [];
  const host = bracketed.replace(/^\[|\]$/g, "");
  if (match === null || Number(port) < 1 || Number(port) > 65535) {
    return `is not a URL to listen on; write one such as ${EXAMPLE}`;
  }
  if (port === "2379" || port === "2380") {
    return `has the port of clients or members; write another port such as ${EXAMPLE}`;
  }
  const loopback = /^127\./.test(host) || host === "::1" || host === "localhost";
  if (!loopback && host !== "0.0.0.0" && host !== "::") {
    const what = isIP(host) === 0 ? "a name" : "the address of one node";
    return `has ${what}, and settings hold for all nodes; write 0.0.0.0, or 127.0.0.1`;
  }
  return !loopback && scheme === "http"
    ? `is readable from the network without TLS; write https, or ${EXAMPLE}`
    : undefined;
}
