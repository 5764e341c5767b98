import type { Connection, Endpoint } from "./connection";
import type { Answer } from "./session";
import { quote } from "./shell";

/** A host that has not accepted the connection by then is given up. */
const CONNECT_SECONDS = 5;

/** Options of the OpenSSH client for one endpoint; nothing is read from the user's own files. */
export function sshOptions(connection: Endpoint & { readonly bastion?: Endpoint }): string[] {
  const options = [
    "-F",
    "/dev/null",
    "-p",
    String(connection.port),
    "-o",
    "BatchMode=yes",
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

/** A path as ssh_config(5) takes it: in quotes, and with nothing to expand. */
function fileName(path: string): string {
  return `"${path.replace(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}

function algorithms(hostKey: string): string {
  const type = hostKey.split(" ")[0] ?? hostKey;
  return type === "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : type;
}

/** What ssh is to log in to. */
export function destination(endpoint: Endpoint): string {
  return `${endpoint.user}@${endpoint.host}`;
}

/** Why there was no session, in words. */
export function explain(connection: Connection, answer: Answer): string {
  const said = answer.stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const where = `${connection.user}@${connection.host}:${connection.port}`;
  if (answer.stderr.includes("Host key verification failed")) {
    const which =
      connection.bastion === undefined
        ? where
        : `${where}, or of the bastion ${connection.bastion.host}:${connection.bastion.port},`;
    return `the host key of ${which} is not the expected one, so nothing was sent; if the host was really rebuilt, put its new key into the known_hosts file or etcd:ssh.hostKeys`;
  }
  return `no SSH session as ${where}: ${said.at(-1) ?? "no answer in time"}`;
}
