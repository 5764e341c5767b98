/** A place where a value would be read as shell, sed, awk or regular-expression text. */
export interface Finding {
  readonly line: number;
  readonly text: string;
  readonly why: string;
}

interface Rule {
  /** Where the text in question begins, so that what follows the match is judged. */
  readonly begins: RegExp;
  readonly good: RegExp;
  readonly why: string;
}

/** A word in single quotes and nothing glued to it. */
const QUOTED = "'[^']*'(?=[\\s;)&|]|$)";
/** Constants of base.sh, which no value reaches. */
const CONSTANT = "\\$\\{?(?:RELEASES|BLOCK_BEGIN|BLOCK_END)\\b\\}?";

const EVERYWHERE: readonly Rule[] = [
  {
    begins: /(?:^|[\s;&|(])trap\s+/g,
    good: new RegExp(`^(?:-(?=\\s)|''|${QUOTED}|[a-z_]+(?=\\s))`),
    why: "the text of a trap has a value in it; let it call a function",
  },
  {
    begins: /(?:^|[\s;&|(])eval\s+/g,
    good: new RegExp(`^${QUOTED}`),
    why: "eval of a value",
  },
  {
    begins:
      /\b(?:(?:bash|sh|dash)(?:\s+-[a-z]+)*|su(?:\s+\S+)?|runuser(?:\s+-u\s+\S+)?)\s+-[a-z]*c\s+/g,
    good: new RegExp(`^${QUOTED}`),
    why: "the text of an inner shell has a value in it; pass it as an argument",
  },
];

const ON_HOSTS: readonly Rule[] = [
  ...EVERYWHERE,
  {
    begins: /(?:^|[\s;&|(])awk\s+/g,
    good: /^(?:(?:-F\s+(?:'[^']*'|\S+)|-v\s+[a-z]+=(?:"(?:\$\([^)]*\)|[^"])*"|\S+))\s+)*(?:'[^']*'(?=[\s;)&|]|$)|'[^']*$|1(?=\s|$))/,
    why: "an awk program with a value in it; use -v",
  },
  {
    begins: /(?:^|[\s;&|(])sed\s+/g,
    good: new RegExp(
      `^(?:-[a-zE]+\\s+)*(?:'[^']*'(?=[\\s;)&|]|$)|"(?:${CONSTANT}|\\\\[$"]|[^$"\`\\\\]|\\\\[^$"])*"(?=[\\s;)&|]|$))`,
    ),
    why: "a sed program with a value in it",
  },
  {
    // Its pattern, or its last option before that.
    begins: /(?:^|[\s;&|(])grep\s+/g,
    good: /^(?:-[A-Za-z]+\s+)*(?:'[^']*'|"[^"$`]*(?:\\\$)?"|"\^\$BLOCK_BEGIN\\\$"|-f\s|[A-Za-z*])|^(?:-[A-Za-z]*F[A-Za-z]*\s+)(?:-[A-Za-z]+\s+)*(?:-e\s|--\s|-f\s)|^(?:-[A-Za-z]+\s+)+-e\s+\//,
    why: "a pattern of grep is a value; use -F and -e",
  },
  {
    begins: /\s=~\s+/g,
    good: /^.*?(?=\s(?:\]\]|&&))/,
    why: "a regular expression is a value",
  },
];

/** `=~ $name`: what bash's own regular expressions take from a variable that is no constant of the file. */
const VARIABLE = /\$\{?[a-z0-9]/;

/** Lines of a shell script with continued ones joined, without comments; each with its number. */
function* lines(script: string): Generator<{ number: number; text: string }> {
  let text = "";
  let begin = 1;
  for (const [index, line] of script.split("\n").entries()) {
    begin = text === "" ? index + 1 : begin;
    if (line.endsWith("\\")) {
      text += `${line.slice(0, -1)} `;
      continue;
    }
    text += line;
    if (!/^\s*#/.test(text)) {
      yield { number: begin, text };
    }
    text = "";
  }
}

/**
 * Where a script makes program text of a value, as far as a look at its lines can tell.
 *
 * @param onHosts also what only scripts that run on hosts must keep to: awk, sed, grep and `=~`.
 */
export function valuesAsText(script: string, onHosts: boolean): Finding[] {
  const found: Finding[] = [];
  for (const { number, text } of lines(script)) {
    for (const { begins, good, why } of onHosts ? ON_HOSTS : EVERYWHERE) {
      for (const match of text.matchAll(begins)) {
        const rest = text.slice(match.index + match[0].length);
        const fits = good.exec(rest);
        if (fits === null || (begins.source.includes("=~") && VARIABLE.test(fits[0]))) {
          found.push({ line: number, text: text.trim(), why });
        }
      }
    }
  }
  return found;
}
