/** What a situation of a host is, and how one is looked at. */
import { hostAddress, type Lab } from "../../../support/lab";
import { printed, type Values } from "../stack";

/** Where a situation is made. */
export interface Place {
  readonly lab: Lab;
  readonly host: string;
}

/** For the host's shell, as root. */
export type Script = string | ((place: Place) => string);

/** A line of a refused preview. */
export interface Finding {
  /** Whose name it begins with. */
  readonly host: string;
  /** The whole rest of the line, or a pattern of it. */
  readonly says: string | RegExp;
  /** The other host that it is about: nothing is said of one that cannot be looked at. */
  readonly about?: string;
}

export interface Situation {
  /** As the rest of a sentence that begins with the host. */
  readonly name: string;
  /**
   * Of what there is one on a host: a path, or a word. Two situations of the same one do not fit on one host, and a case of drift
   * whose commands name it does not belong there.
   */
  readonly of: readonly string[];
  /** What is done on the operator's machine before. */
  readonly prepare?: (place: Place) => Promise<unknown>;
  readonly make: Script;
  readonly undo: Script;
  /** It is there now, as far as whoever meets it can tell. */
  readonly inForce: (place: Place) => Promise<boolean>;
  /** It ends by itself while a cluster is made. */
  readonly passing?: true;
  /** How the node is logged in to: `nodes[].ssh`. */
  readonly ssh?: (place: Place) => Values;
  /** Of `ssh`, for all nodes. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Of the stack, for all nodes. */
  readonly values?: Values;
  /** All that a preview says when it refuses this host; one without is worked on. */
  readonly refused?: (host: string, others: readonly string[]) => readonly Finding[];
  /** Nothing else of the host can be looked at. */
  readonly hides?: true;
}

/** In force while a script on the host, which ends at the first failure, succeeds. */
export function holds(script: Script) {
  return async (place: Place): Promise<boolean> => {
    const { lab, host } = place;
    return (await lab.exec(host, `set -e\n${textOf(script, place)}`)).code === 0;
  };
}

export function textOf(script: Script, place: Place): string {
  return typeof script === "string" ? script : script(place);
}

/** At this address, a network that etcd is not on, a host may be dialled too. */
export function elsewhere(host: string): string {
  return hostAddress(host).replace("192.168.1.", "192.168.9.");
}

/** The port of sshd there. */
export const OTHER_PORT = 2222;

const KNOCKS = 20;

/** All that a login prints on both streams, where sshd listens now; a dial that is turned away is repeated. */
export async function login({ lab, host }: Place, command: string, user = "root"): Promise<string> {
  const dial = (address: string, port: number) =>
    lab.run([
      ...["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"],
      ...["-o", `UserKnownHostsFile=${lab.directory}/ssh/known_hosts`, "-o", "ConnectTimeout=5"],
      ...["-o", `HostKeyAlias=${host}`, "-i", `${lab.directory}/ssh/id_ed25519`, "-l", user],
      ...["-p", String(port), address, command],
    ]);
  for (let knock = 0; knock < KNOCKS; knock++) {
    for (const [address, port] of [
      [hostAddress(host), 22],
      [elsewhere(host), OTHER_PORT],
    ] as const) {
      const result = await dial(address, port);
      if (!/^ssh: connect to |^kex_exchange_identification/m.test(result.stderr)) {
        return printed(result);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
  throw new Error(`${host}: sshd takes no connection`);
}

/** In force while a login that runs this prints this. */
export function atLogin(command: string, pattern: RegExp, user?: string) {
  return async (place: Place): Promise<boolean> => pattern.test(await login(place, command, user));
}

/** Lines at the end, or at the head, of a file that is there. */
export function lines(path: string, texts: readonly string[], where: "head" | "end" = "end") {
  const added = texts.map((text) => `'${text}'`).join(" ");
  const all = `printf '%s\\n' ${added}`;
  const replace = `>/run/situation; cat /run/situation >${path}; rm /run/situation`;
  const order = where === "end" ? `cat ${path}; ${all};` : `${all}; cat ${path};`;
  return {
    make: `{ ${order} } ${replace}`,
    undo: `${all} >/run/lines; { grep -vxF -f /run/lines ${path} || true; } ${replace}; rm /run/lines`,
  };
}

/** One refusal by the host itself. */
export function says(...texts: readonly (string | RegExp)[]) {
  return (host: string): readonly Finding[] => texts.map((text) => ({ host, says: text }));
}
