import { JOB_NAMES, RECEIPTS } from "../scripts/steps";
import { printable } from "./printable";

/** How the lines of an answer that begin with one word look. */
export interface Rule {
  /** For docs/protocol.md. */
  readonly says: string;
  /** What follows the word: names of `PARTS` and words as they are, `A|B` for either, `[A]` for what may be missing. */
  readonly form: string;
  /** How many such lines there may be. @default 1 */
  readonly most?: number;
  /** An answer without it is none. */
  readonly required?: true;
  /** Prose is made printable and cut to so many characters; all else is taken or refused as it is. */
  readonly prose?: number;
}

/** No line of an answer is longer, in characters. */
const LONGEST = 16_384;

const ID = "[0-9a-f]{1,16}";
const NAME = "[A-Za-z0-9._-]{1,255}";
const VERSION = String.raw`\d{1,4}\.\d{1,4}\.\d{1,4}(?:[-+][0-9A-Za-z.-]{1,64})?`;
const HOST = String.raw`(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})`;
const PEER_URL = String.raw`https://${HOST}:\d{1,5}`;
const NUMBER = String.raw`\d{1,19}`;

/** What there is in the form of a line. */
const PARTS: Readonly<Record<string, string>> = {
  ADDRESS: "[0-9A-Za-z.:-]{1,253}",
  BASE64: "[A-Za-z0-9+/=]*",
  BYTES: String.raw`\d{1,15}`,
  CA: NAME,
  CAS: `(?:${NAME}(?: ${NAME}){0,9})?`,
  CLUSTER: ID,
  COUNT: String.raw`\d{1,9}`,
  DIGEST: "[0-9a-f]{64}",
  FILE: String.raw`[a-z-]{1,32}\.pem`,
  IP: "[0-9A-Fa-f.:]{2,45}",
  JOB: `(?:${JOB_NAMES.join("|")})`,
  KIND: "[A-Z]{1,32}",
  LEADER: ID,
  MEMBER: ID,
  MILLISECONDS: String.raw`\d{1,16}`,
  NAME,
  PATH: String.raw`/[\x21-\x7e]{1,1024}`,
  PEER_URLS: `${PEER_URL}(?:,${PEER_URL}){0,9}`,
  QUOTA: String.raw`[1-9]\d{0,15}`,
  RESULT: String.raw`[\x21-\x7e]{1,1024}`,
  REVISION: NUMBER,
  SCRIPT: "[a-z]{1,16}-[0-9a-f]{16}",
  SECONDS: String.raw`\d{1,12}`,
  SERIES: String.raw`\d{1,4}\.\d{1,4}`,
  SNAPSHOT: "[0-9a-f]{8,64}",
  RECEIPT: `(?:${RECEIPTS.join("|")})`,
  TEXT: ".*",
  TIME: String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`,
  VERSION,
};

/** The words of a gate (scripts/steps/health.sh). */
export const GATE_WORDS = {
  cluster: { says: "ID of its member's cluster.", form: "CLUSTER" },
  version: { says: "The release that its member runs.", form: "VERSION" },
  peer: {
    says: "A member of the list that its member has.",
    form: "MEMBER NAME PEER_URLS",
    most: 50,
  },
} as const satisfies Readonly<Record<string, Rule>>;

export interface Line<Word> {
  readonly word: Word;
  readonly rest: string;
}

/**
 * Reads an answer by its grammar.
 *
 * @returns its lines; or in words what is wrong with it, and then nothing of it can be believed.
 */
export function parse<Word extends string>(
  lines: readonly string[],
  grammar: Readonly<Record<Word, Rule>>,
): readonly Line<Word>[] | string {
  const isWord = (text: string): text is Word => Object.hasOwn(grammar, text);
  const counts = new Map<string, number>();
  const parsed: Line<Word>[] = [];
  for (const line of lines) {
    const [word, rest] = cut(line);
    if (line === "") {
      continue;
    }
    if (line.length > LONGEST) {
      return `a line of ${line.length} characters that begins with "${printable(line, 40)}"`;
    }
    if (!isWord(word)) {
      return `the unexpected line "${printable(line, 80)}"`;
    }
    const { form, most = 1, prose } = grammar[word];
    const text = prose === undefined ? rest : printable(rest, prose);
    if (!patternOf(form).test(text)) {
      return `the malformed ${word} line "${printable(line, 200)}"`;
    }
    const count = (counts.get(word) ?? 0) + 1;
    counts.set(word, count);
    if (count > most) {
      return `"${word}" more than ${most === 1 ? "once" : `${most} times`}`;
    }
    parsed.push({ word, rest: text });
  }
  const missing = Object.entries<Rule>(grammar).find(
    ([word, { required }]) => required && !counts.has(word),
  );
  return missing === undefined ? parsed : `no ${missing[0]}`;
}

const patterns = new Map<string, RegExp>();

function patternOf(form: string): RegExp {
  const known = patterns.get(form);
  if (known !== undefined) {
    return known;
  }
  const parts = form.split(" ").map((part, index) => {
    const [, open, names = ""] = /^(\[?)(.*?)\]?$/.exec(part) ?? [];
    const either = names.split("|").map((name) => PARTS[name] ?? name);
    const text = `${index === 0 ? "" : " "}(?:${either.join("|")})`;
    return open === "" ? text : `(?:${text})?`;
  });
  const pattern = new RegExp(`^${parts.join("")}$`);
  patterns.set(form, pattern);
  return pattern;
}

/** The first word of a line, and the rest of it. */
export function cut(line: string): [string, string] {
  const space = line.indexOf(" ");
  return space === -1 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
}
