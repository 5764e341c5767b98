/** A question that a tool asks a host by a script of its own, beside any run. */
import type { Connection } from "../config/types";
import { assemble, type ScriptName } from "../scripts/bundle";
import { type Line, parse, type Rule } from "./answer-grammar";
import { logIn, PATIENCE, type Patience } from "./login";
import { between, newMark } from "./marks";
import { explain, type Failure, notAsExpected } from "./ssh-errors";
import { WATCHED } from "./ssh-options";

export interface Question<Word extends string> {
  readonly script: ScriptName;
  /** Arguments of the script's function, which has its name. @default none */
  readonly words?: string;
  readonly grammar: Readonly<Record<Word, Rule>>;
  /** After so many a host that has not answered is given up. */
  readonly seconds: number;
  /** @default as a run has it */
  readonly patience?: Patience;
}

/** Never fails. */
export async function ask<Word extends string>(
  name: string,
  connection: Connection,
  { script, words, grammar, seconds, patience = PATIENCE }: Question<Word>,
): Promise<readonly Line<Word>[] | Failure> {
  const mark = newMark();
  const answer = await logIn(
    connection,
    {
      call: words === undefined ? script : `${script} ${words}`,
      text: assemble(script, { NODE: name, MARK: mark }),
    },
    { mark, seconds },
    WATCHED,
    patience,
  );
  if (answer.code !== 0 && !answer.flooded) {
    return explain(connection, answer);
  }
  const lines = answer.flooded ? undefined : between(answer.stdout, mark);
  const read = lines === undefined ? undefined : parse(lines, grammar);
  if (read === undefined || typeof read === "string") {
    const missing = answer.flooded ? "it printed more than 1 MiB" : "its output is missing";
    const why = read === undefined ? missing : `it printed ${read}`;
    return { answered: true, reason: notAsExpected(connection, why, answer) };
  }
  return read;
}

/** Asks these hosts at once. @returns by node name what each has said. */
export async function askAll<Said>(
  connections: ReadonlyMap<string, Connection>,
  names: readonly string[],
  askOne: (name: string, connection: Connection) => Promise<Said>,
): Promise<ReadonlyMap<string, Said>> {
  const asked = names.flatMap((name) => {
    const connection = connections.get(name);
    return connection === undefined
      ? []
      : [askOne(name, connection).then((said): [string, Said] => [name, said])];
  });
  return new Map(await Promise.all(asked));
}
