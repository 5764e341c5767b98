import type { Endpoint } from "../config/types";
import { quote } from "../scripts/bundle";
import { asks } from "./askpass";

/** A host that has not accepted the connection by then is given up. */
const CONNECT_SECONDS = 5;

/** Options of the OpenSSH client for one endpoint; nothing is read from the user's own files. */
export function sshOptions(connection: Endpoint & { readonly bastion?: Endpoint }): string[] {
  const options = [
    "-F",
    "/dev/null",
    "-p",
    String(connection.port),
    ...["-o", `BatchMode=${asks(connection) ? "no" : "yes"}`],
    // Asked once: a second try is a second wrong password.
    ...["-o", "NumberOfPasswordPrompts=1"],
    ...["-o", `PreferredAuthentications=${methods(connection)}`],
    // The steps know of no certificate but an agent's. Where one is named, ssh looks for none beside the key.
    ...["-o", "CertificateFile=/dev/null"],
    "-o",
    `ConnectTimeout=${CONNECT_SECONDS}`,
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "GlobalKnownHostsFile=/dev/null",
    "-o",
    "UpdateHostKeys=no",
    // OpenSSH's first choice from 9.0 to 9.9, which takes longer than the rest of a login.
    "-o",
    "KexAlgorithms=-sntrup761*",
  ];
  if (connection.hostKey === undefined) {
    options.push("-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR");
  } else {
    options.push("-o", "StrictHostKeyChecking=yes");
    options.push("-o", `KnownHostsCommand=/bin/echo %H ${connection.hostKey}`);
    options.push("-o", `HostKeyAlgorithms=${algorithms(connection.hostKey)}`);
  }
  if (connection.privateKeyFile === undefined) {
    options.push("-o", "IdentityFile=none");
    options.push("-o", `IdentityAgent=${fileName(connection.agentSocket ?? "none")}`);
  } else {
    options.push("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none");
    options.push("-o", `IdentityFile=${fileName(connection.privateKeyFile)}`);
  }
  if (connection.bastion !== undefined) {
    const bastion = connection.bastion;
    // The outer ssh expands % once in the whole line: what is meant for the inner one is doubled.
    const inner = sshOptions(bastion).map((word) => word.replaceAll("%", "%%"));
    const words = ["ssh", ...inner, "-W", "[%h]:%p", destination(bastion)].map(quote);
    options.push("-o", `ProxyCommand=${words.join(" ")}`);
  }
  return options;
}

/** The ways to log in, in the order in which the steps try them (golang.org/x/crypto/ssh in the provider). */
function methods({ privateKeyFile, password }: Endpoint): string {
  const byPassword = password === undefined ? [] : ["password", "keyboard-interactive"];
  return privateKeyFile === undefined
    ? [...byPassword, "publickey"].join(",")
    : ["publickey", ...byPassword].join(",");
}

/** A path as ssh_config(5) takes it: in quotes, and with nothing to expand. */
function fileName(path: string): string {
  return `"${path.replace(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}

function algorithms(hostKey: string): string {
  const type = hostKey.split(" ")[0] ?? hostKey;
  return type === "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : type;
}

/** A host that is kept in touch with, and is silent for 40 seconds, is taken for gone. */
export const WATCHED = ["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=4"];

/** What ssh is to log in to. */
export function destination(endpoint: Endpoint): string {
  return `${endpoint.user}@${endpoint.host}`;
}
