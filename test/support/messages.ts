/** What the sources can print, and what the documents quote of it: both as clauses of words. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const ROOT = join(__dirname, "../..");
/** Stands for a value that is known at run time only. */
const HOLE = "\u0000";
/** A value has no more words than this, and one at the end of a quote no more than that. */
const [LONGEST, LAST] = [8, 3];
/** What is a value by its looks: it tells nothing about the message around it. */
const VALUE = /^(?:[\d.]+|[0-9a-f]{8,16}|etcd\d\d|.*\/.*)$/;

type Clause = readonly string[];

const CLAUSES = /[;:.()?\]]+(?=\s|$)|\s[([]|=>|["`…]/;
/** Smaller ones; the values of a list are torn apart by it. */
const PARTS = /[;:.,()?\]]+(?=\s|$)|\s[([]|=>|["`…]/;

/** The clauses of a text, in words without punctuation; a word with a value in it is a hole. */
function clausesOf(text: string, end: RegExp): readonly Clause[] {
  return text
    .replaceAll(/\\(.)/g, "$1")
    .split(end)
    .map((clause) =>
      clause
        .split(/\s+/)
        .map((word) =>
          word.includes(HOLE) ? HOLE : word.replaceAll(/^[^\w/-]+|[^\w/]+$/g, "").toLowerCase(),
        )
        .filter((word) => word !== ""),
    )
    .filter(({ length }) => length > 0);
}

/** Whether the quoted words stand in the printed ones, one after the other; at least half of those that are no values as they are. */
function isIn(quoted: Clause, printed: Clause): boolean {
  const enough = quoted.filter((word) => !VALUE.test(word)).length / 2;
  const walk = (q: number, p: number, literal: number): boolean => {
    if (q === quoted.length) {
      return literal > 0 && literal >= enough;
    }
    if (p >= printed.length) {
      return false;
    }
    if (printed[p] === HOLE) {
      const left = quoted.length - q;
      const ends = left <= LAST && literal > 0 && literal >= enough;
      return (
        ends ||
        Array.from({ length: Math.min(LONGEST + 1, left) }, (_, taken) => taken).some((taken) =>
          walk(q + taken, p + 1, literal),
        )
      );
    }
    return quoted[q] === printed[p] && walk(q + 1, p + 1, literal + 1);
  };
  return printed.some((_, start) => walk(0, start, 0));
}

/** Everything that the components and tools have in quotes. */
export function printedClauses(): readonly Clause[] {
  const files = ["components", "tools"].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((file) =>
      join(ROOT, folder, file),
    ),
  );
  return files.flatMap((file) => {
    const texts = file.endsWith(".ts") ? textsOf : file.endsWith(".sh") ? linesOf : undefined;
    const printed = texts?.(readFileSync(file, "utf8")) ?? [];
    return [CLAUSES, PARTS].flatMap((end) => printed.flatMap((text) => clausesOf(text, end)));
  });
}

/** String literals and templates of TypeScript; those that are added up are one. */
function textsOf(source: string): readonly string[] {
  const found: string[] = [];
  const text = (node: ts.Node): string => {
    if (ts.isStringLiteralLike(node)) {
      return node.text;
    }
    if (ts.isTemplateExpression(node)) {
      return node.head.text + node.templateSpans.map(({ literal }) => HOLE + literal.text).join("");
    }
    return ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken
      ? text(node.left) + text(node.right)
      : HOLE;
  };
  const visit = (node: ts.Node): void => {
    const one = text(node);
    if (one !== HOLE) {
      found.push(one);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("source.ts", source, ts.ScriptTarget.Latest, true));
  return found;
}

/** Lines of a shell script with what is expanded in them as holes. */
function linesOf(source: string): readonly string[] {
  return source
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .map((line) => {
      let text = line;
      // From the inside out.
      for (let before = ""; before !== text; ) {
        before = text;
        text = text.replaceAll(/\$\([^()]*\)|\$\{[^{}]*\}/g, HOLE);
      }
      return text.replaceAll(/\$\w+|%[sd]|\b(?:NODE|DATA|PKI)\b/g, HOLE);
    });
}

/** By document, what is quoted there: in bold code, in code that begins with a host, and as output in blocks. */
export function quotesOf(document: string): readonly string[] {
  const fence = /^```(\w*)\n([\s\S]*?)^```$/gm;
  // One with a language is source text.
  const blocks = [...document.matchAll(fence)].flatMap(([, language, block = ""]) =>
    language === "" ? [block] : [],
  );
  const prose = document.replaceAll(fence, "");
  const bold = [...prose.matchAll(/\*\*((?:`[^`]+`(?:, )?)+)\*\*/g)].flatMap(([, code = ""]) =>
    [...code.matchAll(/`([^`]+)`/g)].map(([, quote = ""]) => quote),
  );
  const inline = [...prose.matchAll(/`(etcd\\d\\d: [^`]+)`/g)].map(([, quote = ""]) => quote);
  return [...bold, ...inline, ...blocks.flatMap(outputOf)].map((quote) =>
    quote.replaceAll(/\s+/g, " ").trim(),
  );
}

const BEGINS =
  /^\s*(?:error: |warning: |- (?!\s)|members: |recovery: |version: |clients: |CA rotation |etcd\d\d: )|; (?=etcd\d\d: )/;

/** Of the engine: a step of a resource, which may have one of our lines behind it. */
const RESOURCE = /^\s*[~+-]+\s+\w+:\w+:/;
/** A command, what was left out, and other lines of the engine. */
const OTHER = /^\s*(?:\$ |\.\.\.|Duration|[~+-] |$)/;

/** Messages of this program in a block of code; its further lines are the message's too. */
function outputOf(block: string): readonly string[] {
  const quotes: string[] = [];
  let open = false;
  for (const line of block.split("\n")) {
    const begin = BEGINS.exec(line);
    if ((RESOURCE.test(line) && begin?.[0] !== "; ") || (begin === null && OTHER.test(line))) {
      open = false;
    } else if (begin !== null) {
      quotes.push(line.slice(begin.index));
      open = true;
    } else if (open) {
      quotes.push(`${quotes.pop()} ${line.trim()}`);
    }
  }
  return quotes;
}

/** The clauses of a quote that no source has, neither whole nor part by part; of a single word nothing can be told. */
export function unprinted(quote: string, printed: readonly Clause[]): readonly string[] {
  const isThere = (clause: Clause) => clause.length < 2 || printed.some((one) => isIn(clause, one));
  const ends = [...quote.split(CLAUSES)];
  return ends.flatMap((text) => {
    const whole = clausesOf(text, CLAUSES);
    return whole.every(isThere)
      ? []
      : clausesOf(text, PARTS)
          .filter((part) => !isThere(part))
          .map((part) => part.join(" "));
  });
}
