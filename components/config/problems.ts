import { OperatorError } from "../errors";
import { type Path, pathText, type Wording } from "./wording";

export type { Path } from "./wording";

/**
 * The configuration cannot be used. The message starts with the number of mistakes and has one
 * line for each; the CLI prints it without a stack trace.
 */
export class ConfigError extends OperatorError {
  readonly problems: readonly string[];

  /** @param place completes `errors in ...`. */
  constructor(problems: readonly string[], place: string) {
    const count = problems.length === 1 ? "1 error" : `${problems.length} errors`;
    super(`${count} in ${place}:\n${problems.map((line) => `  - ${line}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** Collects mistakes, so that one run reports all of them. */
export class Problems {
  readonly #found: { path: Path; text: string }[] = [];
  readonly wording: Wording;
  readonly #secrets: ReadonlySet<string>;

  /** @param secrets paths as `pathText` writes them; what lies below one is secret too. */
  constructor(wording: Wording, secrets: ReadonlySet<string> = new Set()) {
    this.wording = wording;
    this.#secrets = secrets;
  }

  /** `text` says what is wrong and what would be right; it must not repeat a secret value. */
  add(path: Path, text: string): void {
    const key = this.key(path);
    if (!this.#found.some((known) => known.text === text && this.key(known.path) === key)) {
      this.#found.push({ path, text });
    }
  }

  /** Names a key as those who wrote it know it. */
  key(path: Path): string {
    return this.wording.key(path);
  }

  /** Whether the value is encrypted in the stack's configuration, or a secret of the program. */
  isSecret(path: Path): boolean {
    return (
      this.#secrets.size > 0 &&
      [...path.keys(), path.length].some((end) => this.#secrets.has(pathText(path.slice(0, end))))
    );
  }

  /** A value as it can be shown in a message: short, and never a secret. */
  show(path: Path, value: unknown): string {
    return this.conceal(path, show(value));
  }

  /** `text`, which has the value at `path` in it, as it can be shown. */
  conceal(path: Path, text: string): string {
    return this.isSecret(path) ? "[secret]" : text;
  }

  get isEmpty(): boolean {
    return this.#found.length === 0;
  }

  /** All of them as one error. */
  error(topLevel: readonly string[]): ConfigError {
    return new ConfigError(this.lines(topLevel), this.wording.place);
  }

  /** One line for each mistake, in the order of `topLevel`, the rest first. */
  lines(topLevel: readonly string[]): string[] {
    const rank = (path: Path): number => topLevel.indexOf(String(path[0]));
    return [...this.#found]
      .sort((a, b) => rank(a.path) - rank(b.path))
      .map(({ path, text }) => `${this.key(path)}: ${text}`);
  }
}

const SHOWN = 60;

function show(value: unknown): string {
  if (Array.isArray(value)) {
    return value.length === 0 ? "an empty list" : "a list";
  }
  if (typeof value === "object" && value !== null) {
    return "a map";
  }
  if (typeof value === "function") {
    return "a function";
  }
  if (typeof value === "symbol") {
    return value.description ?? "a symbol";
  }
  // JSON has no word for NaN, and cannot write a bigint.
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  if (/PRIVATE KEY|\\n/.test(text)) {
    return "a text of several lines";
  }
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}..."` : text;
}

/** The known name closest to a mistyped or shortened one, if one is close enough to be meant. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const [typed, right] = [name.toLowerCase(), candidate.toLowerCase()];
    const shortened = typed.length > 2 && right.startsWith(typed);
    const distance = shortened ? 1 : editDistance(typed, right);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, substitution));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
