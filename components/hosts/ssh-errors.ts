/** What a connection that failed means, in ssh's own words. */
import type { Connection } from "../config/types";
import { printable } from "./printable";
import type { Answer } from "./session";
import { destination } from "./ssh-options";

/** How ssh, or a bastion, says that no connection came about. */
const UNREACHED = [
  /^ssh: connect to host \S+ port \d+: /,
  /^(kex_exchange_identification|ssh_exchange_identification|banner exchange): .*(closed by remote host|reset by peer|broken pipe|timed out)/i,
  /^Connection timed out during banner exchange/,
  // A bastion's ssh that has ended, for whatever reason, is UNKNOWN.
  /^Connection (closed|reset) by (?!UNKNOWN )\S+ port \d+/,
  /^Connection to \S+ port \d+ timed out/,
  /^channel \d+: open failed: connect failed: /,
];

/** Of these it is not the network's fault. */
const REFUSED =
  /Permission denied \(|Too many authentication failures|Unable to negotiate|Could not resolve hostname|administratively prohibited|Host key verification failed/;

/** Somebody is there and takes no new connection now. */
const TURNED_AWAY =
  /connection refused|reset by peer|connection closed by|connection reset by|closed by remote host/i;

/** As much of what a host says as an error has, in characters. */
const MOST_WORDS = 2000;

/** The same of a host that may take the next connection; a silent one is not asked again. */
export function turnedAway(answer: Answer): string | undefined {
  const words = unreached(answer);
  return words !== undefined && TURNED_AWAY.test(words) ? printable(words) : undefined;
}

/** Why a session came to nothing. */
export interface Failure {
  /** Somebody was there: the run cannot go on as if the host were away. */
  readonly answered: boolean;
  /** In words, with the remedy. */
  readonly reason: string;
}

/** Why there was no session, or why the script ended in the middle of it. */
export function explain(connection: Connection, answer: Answer): Failure {
  const where = `${connection.user}@${connection.host}:${connection.port}`;
  const words = wordsOf(answer);
  if (answer.stderr.includes("Host key verification failed")) {
    const which =
      connection.bastion === undefined
        ? where
        : `${where} or its bastion ${connection.bastion.host}:${connection.bastion.port}`;
    return {
      answered: true,
      reason: `host key verification failed for ${which}; nothing was sent; if the host was really reinstalled, put its new key into the known_hosts file or etcd:ssh.hostKeys`,
    };
  }
  if (unreached(answer) !== undefined) {
    return {
      answered: false,
      reason: `SSH to ${where} failed: ${words}${answer.dials > 1 ? patienceOf(answer.dials) : ""}`,
    };
  }
  if (answer.code === 255 && Number.isNaN(answer.begun)) {
    return {
      answered: true,
      reason: `SSH to ${where} failed: ${words}; ${loginRemedy(connection, answer.stderr)}`,
    };
  }
  if (answer.dials === 0) {
    return { answered: true, reason: `cannot run ssh: ${words}; install an OpenSSH client` };
  }
  const end =
    answer.code === null
      ? "accepted the connection, but did not answer in time"
      : `accepted the login, but the command exited with code ${answer.code}`;
  return {
    answered: true,
    reason: `${where} ${end}: ${words}; ${commandRemedy(connection, answer)}`,
  };
}

/**
 * Of a host that let us in and did not say what the inspection says, in words; nothing of it is believed.
 *
 * @param why what is wrong with it.
 */
export function notAsExpected(connection: Connection, why: string, answer: Answer): string {
  const where = `${connection.user}@${connection.host}:${connection.port}`;
  const [said] = [...linesOf(answer.stderr), ...linesOf(answer.stdout)];
  const words = said === undefined ? "no output" : `first line: "${printable(said, 200)}"`;
  return `${where} accepted the login, but did not answer as expected: ${why} (exit code ${answer.code ?? "none"}; ${words}); the host is faulty or compromised, or that login does not end in a shell: inspect it before anything else`;
}

/** The words in which ssh said that nobody could be reached; undefined when somebody was. */
function unreached({ code, begun, stderr }: Answer): string | undefined {
  const said = linesOf(stderr);
  const words = said.find((line) => UNREACHED.some((pattern) => pattern.test(line)));
  return code === 255 && Number.isNaN(begun) && !REFUSED.test(stderr) ? words : undefined;
}

function patienceOf(dials: number): string {
  return ` (${dials} attempts in 30 s: sshd is not running, or a limit of new SSH connections, such as ufw limit ssh, MaxStartups or fail2ban, rejects this machine)`;
}

function loginRemedy(connection: Connection, said: string): string {
  if (/Could not resolve hostname/.test(said)) {
    return "write an address, or a name that this machine can look up, for etcd:nodes[].ssh.host or etcd:ssh.bastion.host";
  }
  if (/administratively prohibited/.test(said)) {
    return "let the bastion forward connections (AllowTcpForwarding and PermitOpen in its sshd_config)";
  }
  if (/Permission denied \(|Too many authentication failures/.test(said)) {
    const { privateKey, privateKeyFile = privateKey && "etcd:ssh.privateKey" } = connection;
    return privateKeyFile === undefined
      ? "let that user log in with what etcd:ssh has: a key in the agent, or the password"
      : `add the public key of ${privateKeyFile} to the authorized_keys of that user; a certificate beside it (-cert.pub) is not used, see docs/connections.md`;
  }
  return `try it by hand: ssh -p ${connection.port} ${destination(connection)}`;
}

/** What to do about a login that does not run what it is given; in sudo's and the shells' own words. */
function commandRemedy({ user, sudo, sudoPassword }: Connection, answer: Answer): string {
  const said = `${answer.stderr}\n${answer.stdout}`;
  if (/must have a tty/.test(said)) {
    return `add "Defaults:${user} !requiretty" to its sudoers`;
  }
  if (sudo && /incorrect password|sorry, try again|no password was provided/i.test(said)) {
    return "sudo did not take etcd:ssh.sudoPassword; correct it";
  }
  if (
    sudo &&
    sudoPassword === undefined &&
    /password is required|to read the password/.test(said)
  ) {
    return `let ${user} use sudo without a password (NOPASSWD in its sudoers), or set etcd:ssh.sudoPassword`;
  }
  if (/not in the sudoers file|is not allowed to (run|execute)|may not run sudo/.test(said)) {
    return `let ${user} run everything through sudo ("${user} ALL=(ALL) ALL" in its sudoers), or log in as root`;
  }
  if (answer.code === null) {
    return "log in by hand and find out what blocks: its disks, the startup files of its login shell, ForceCommand in its sshd_config or command= in its authorized_keys";
  }
  if (!Number.isNaN(answer.begun)) {
    return "fix what it names and run it again";
  }
  return "that login must run the command it is given in bash: check its shell, ForceCommand in its sshd_config and command= in its authorized_keys";
}

/** All that was said on either stream beside the script's own answer. */
function wordsOf({ stdout, stderr, begun }: Answer): string {
  // Of the answer, which is begun, nothing is for people.
  const said = [...linesOf(stderr), ...(Number.isNaN(begun) ? linesOf(stdout) : [])];
  return said.length === 0 ? "no output" : printable(said.join("; "), MOST_WORDS);
}

function linesOf(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
