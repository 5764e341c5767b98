import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/** Where the program runs: what paths and the agent are looked up in. */
export interface Surroundings {
  /** The project directory. */
  readonly directory: string;
  /** The operator's home directory. */
  readonly home: string;
  /** Value of SSH_AUTH_SOCK. */
  readonly agentSocket?: string;
}

/** Absolute form of a path that may start with `~/` or be relative to the project. */
export function expand(path: string, { directory, home }: Surroundings): string {
  if (path === "~" || path.startsWith("~/")) {
    return join(home, path.slice(1));
  }
  return isAbsolute(path) ? path : resolve(directory, path);
}

/** Those of this process. */
export function currentSurroundings(): Surroundings {
  const socket = process.env.SSH_AUTH_SOCK;
  return {
    directory: process.cwd(),
    home: homedir(),
    ...(socket ? { agentSocket: socket } : {}),
  };
}
