/** What a command was given on its command line. */
import { UsageError } from "./stack";

export interface CommandLine<Verb extends string> {
  /** Undefined when none was given. */
  readonly verb?: Verb;
  readonly json: boolean;
  /** Of the stack, where it is not the one that the CLI looks for. */
  readonly configFile?: string;
}

/**
 * @param usage as the error shows it.
 * @throws UsageError on whatever is neither one of the options nor one of the verbs.
 */
export function readCommandLine<Verb extends string = never>(
  words: readonly string[],
  usage: string,
  verbs: readonly Verb[] = [],
): CommandLine<Verb> {
  const wrong = (what: string) => new UsageError(`${what}; usage: ${usage}`);
  let line: CommandLine<Verb> = { json: false };
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    const verb = verbs.find((known) => known === word);
    if (word === "--json") {
      line = { ...line, json: true };
    } else if (word === "--config-file") {
      index += 1;
      const configFile = words[index];
      if (configFile === undefined || configFile === "") {
        throw wrong("--config-file names no file");
      }
      line = { ...line, configFile };
    } else if (verb !== undefined && line.verb === undefined) {
      line = { ...line, verb };
    } else {
      const kind = word.startsWith("-") ? "option" : "argument";
      throw wrong(`${verb === undefined ? "unknown" : "a second"} ${kind} ${JSON.stringify(word)}`);
    }
  }
  return line;
}
