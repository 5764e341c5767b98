import type { Connection } from "../config/types";

/** Reads its script from standard input, and neither BASH_ENV nor functions of the login before it. */
const BASH = "bash -p -s --";
/** The line after sudo's password. */
const READY = "sudo has read its password";

/**
 * What a login is given to run, followed by bash's function and arguments. Understood alike by every
 * login shell: sh, bash, csh, fish.
 */
export function remoteShell({ sudo, sudoPassword }: Connection): string {
  if (!sudo) {
    return BASH;
  }
  // Where sudo asks for no password nobody has read it: it must not reach bash as a command. With -c and a network connection for its
  // input bash would read .bashrc.
  return sudoPassword === undefined
    ? `sudo -n ${BASH}`
    : `sudo -S -p '' bash --norc -p -c 'while IFS= read -r line; do if [ "$line" = "${READY}" ]; then exec ${BASH} "$@"; fi; done; exit 1' bash`;
}

/** The standard input of that command. */
export function remoteInput({ sudo, sudoPassword }: Connection, script: string): string {
  return sudo && sudoPassword !== undefined ? `${sudoPassword}\n${READY}\n${script}` : script;
}

/**
 * Words as one argument there, in quotes (shell.ts, quote): the csh takes `!` and line ends for its own within
 * them, and fish a backslash.
 */
export function plainWords(words: string): string {
  return words.replace(/[!\\\p{C}\p{Zl}\p{Zp}]/gu, "?");
}
