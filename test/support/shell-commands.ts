/** What a text of bash calls: found by reading it as bash does, as far as the scripts of this program go. */
export interface Calls {
  /** Names at the place of a command, functions and builtins included. */
  readonly called: ReadonlySet<string>;
  /** Functions that the text defines. */
  readonly defined: ReadonlySet<string>;
}

/** What comes before a command and is none. */
const KEYWORDS = new Set("if then elif else fi while until do done esac { } ! time".split(" "));
/** Commands whose arguments are a command again, after options, numbers and values. */
const WRAPPERS = new Set(
  "exec env timeout setpriv xargs retry bounded as_etcd as_owner with_proxy flock".split(" "),
);
/** Options of those that take the word after them. */
const WITH_VALUE = new Set("--reuid --regid --kill-after --signal -C -w".split(" "));
const PLAIN = /^[A-Za-z_][\w.-]*$/;

export function callsOf(text: string): Calls {
  const reader = new Reader(text);
  reader.commands("");
  return { called: reader.called, defined: reader.defined };
}

class Reader {
  readonly called = new Set<string>();
  readonly defined = new Set<string>();
  readonly #text: string;
  #at = 0;
  /** Ends of here-documents that begin after this line. */
  #documents: string[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  /** Reads commands up to the unquoted `end`, a parenthesis, or to the end of the text. */
  commands(end: string): void {
    /** A command is to come; else its arguments. */
    let begins = true;
    let wrapper = "";
    /** Words of it that are neither an option nor an option's value. */
    let plain = 0;
    /** The next word belongs to a redirection, or to a wrapper's option. */
    let skip = false;
    while (this.#at < this.#text.length) {
      const rest = this.#text.slice(this.#at, this.#at + 400);
      const blank = /^(?:[ \t]|\\\n)+|^#[^\n]*/.exec(rest)?.[0];
      if (blank !== undefined) {
        this.#at += blank.length;
        continue;
      }
      if (end !== "" && rest.startsWith(end)) {
        this.#at += end.length;
        return;
      }
      const redirection = /^(?:\d*|\{\w+\})(?:<<<|<<-?|<>|>>|[<>]&?|&>)(?!\()/.exec(rest)?.[0];
      if (redirection !== undefined) {
        this.#at += redirection.length;
        if (/(?:^|[^<])<<-?$/.test(redirection)) {
          this.#documents.push(this.#word().replaceAll(/['"\\]/g, ""));
        } else {
          skip = true;
        }
        continue;
      }
      if (rest.startsWith("((")) {
        this.#at += 2;
        this.#quotedUntil("))");
        continue;
      }
      const operator = /^(?:\n|;;|[;&|()]+)/.exec(rest)?.[0];
      if (operator !== undefined) {
        const one = operator.startsWith("\n")
          ? "\n"
          : (/^(?:;;|&&|\|\||.)/.exec(operator)?.[0] ?? "");
        this.#at += one.length;
        if (one === "\n") {
          this.#skipDocuments();
        }
        if (one === "(") {
          this.commands(")");
        }
        if (one === ";;") {
          return;
        }
        [begins, wrapper, skip] = [true, "", false];
        continue;
      }
      const start = this.#at;
      const word = this.#word();
      if (this.#at === start) {
        throw new Error(`not understood: ${rest.slice(0, 60)}`);
      }
      if (skip) {
        skip = false;
      } else if (begins) {
        if (word === "[[") {
          this.#condition();
        } else if (word === "case") {
          this.#case();
        } else if (word === "for") {
          const arithmetic = /^[ \t]*\(\(/.exec(this.#text.slice(this.#at))?.[0];
          if (arithmetic === undefined) {
            this.#until(/^(?:;|\n)/);
          } else {
            this.#at += arithmetic.length;
            this.#quotedUntil("))");
          }
        } else if (word === "esac") {
          this.#at = start;
          return;
        } else if (KEYWORDS.has(word) || /^[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=/.test(word)) {
          // A command is still to come.
        } else if (/^\(\)/.test(this.#text.slice(this.#at))) {
          this.defined.add(word);
          this.#at += 2;
        } else {
          begins = false;
          if (PLAIN.test(word) || word === "[" || word === ":" || word === ".") {
            this.called.add(word);
          }
          wrapper = WRAPPERS.has(word) ? word : "";
          plain = 0;
        }
      } else if (wrapper !== "") {
        if (WITH_VALUE.has(word)) {
          skip = true;
        } else if (PLAIN.test(word)) {
          this.called.add(word);
          wrapper = WRAPPERS.has(word) ? word : "";
          plain = 0;
        } else if (!word.startsWith("-")) {
          // A program of ours, by its path or in a variable; of timeout, behind the seconds.
          plain += 1;
          if (word.startsWith("/") || (wrapper === "timeout" && plain > 1)) {
            wrapper = "";
          }
        }
      } else if (word === "-exec") {
        wrapper = word;
      }
    }
  }

  /** One word as it stands, what is called within it noted. */
  #word(): string {
    const start = this.#at;
    while (this.#at < this.#text.length) {
      const rest = this.#text.slice(this.#at, this.#at + 3);
      if (/^[\s;&|]/.test(rest) || rest.startsWith(")")) {
        break;
      }
      if (rest.startsWith("(")) {
        if (!this.#text.slice(start, this.#at).endsWith("=")) {
          break;
        }
        // The words of an array.
        this.#at += 1;
        this.#until(/^\)/);
      } else if (/^[<>]\(/.test(rest)) {
        this.#at += 2;
        this.commands(")");
      } else if (/^[<>]/.test(rest)) {
        break;
      } else {
        this.#piece();
      }
    }
    return this.#text.slice(start, this.#at);
  }

  /** A character, or something quoted or expanded. */
  #piece(): void {
    const rest = this.#text.slice(this.#at, this.#at + 3);
    if (rest.startsWith("\\")) {
      this.#at += 2;
    } else if (rest.startsWith("'")) {
      const end = this.#text.indexOf("'", this.#at + 1);
      if (end === -1) {
        throw new Error(`not understood: ${this.#text.slice(this.#at, this.#at + 60)}`);
      }
      this.#at = end + 1;
    } else if (rest.startsWith("$'")) {
      this.#at += 2;
      while (this.#text[this.#at] !== "'") {
        this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
      }
      this.#at += 1;
    } else if (rest.startsWith('"')) {
      this.#at += 1;
      this.#quotedUntil('"');
    } else if (rest.startsWith("$((")) {
      this.#at += 3;
      this.#quotedUntil("))");
    } else if (rest.startsWith("$(")) {
      this.#at += 2;
      this.commands(")");
    } else if (rest.startsWith("${")) {
      this.#at += 2;
      this.#quotedUntil("}");
    } else {
      this.#at += 1;
    }
  }

  /** Text in which only expansions mean something. */
  #quotedUntil(end: string): void {
    while (this.#at < this.#text.length && !this.#text.startsWith(end, this.#at)) {
      const rest = this.#text.slice(this.#at, this.#at + 2);
      if (end === '"' && (rest.startsWith("'") || rest === "$'")) {
        this.#at += 1;
      } else if (end === "))" && rest.startsWith("(")) {
        this.#at += 1;
        this.#quotedUntil(")");
      } else {
        this.#piece();
      }
    }
    this.#at += end.length;
  }

  /** Words that are no commands. */
  #until(end: RegExp): void {
    while (this.#at < this.#text.length && !end.test(this.#text.slice(this.#at, this.#at + 2))) {
      if (/[\s()|&;<>]/.test(this.#text[this.#at] ?? "")) {
        this.#at += 1;
      } else {
        this.#word();
      }
    }
    this.#at += 1;
  }

  #condition(): void {
    while (this.#at < this.#text.length) {
      if (/[\s()|&;<>]/.test(this.#text[this.#at] ?? "")) {
        this.#at += 1;
      } else if (this.#word() === "]]") {
        return;
      }
    }
  }

  #case(): void {
    this.#until(/^[ \t]/);
    this.#word();
    this.#until(/^in/);
    this.#at += 1;
    while (this.#at < this.#text.length) {
      this.#at += /^(?:\s|#[^\n]*\n)*/.exec(this.#text.slice(this.#at))?.[0].length ?? 0;
      if (/^esac\b/.test(this.#text.slice(this.#at, this.#at + 5))) {
        this.#at += 4;
        return;
      }
      this.#until(/^\)/);
      this.commands("");
    }
  }

  #skipDocuments(): void {
    for (const end of this.#documents) {
      const found = this.#text.indexOf(`\n${end}\n`, this.#at - 1);
      if (found === -1) {
        throw new Error(`no end of the here-document ${end}`);
      }
      this.#at = found + end.length + 2;
    }
    this.#documents = [];
  }
}
