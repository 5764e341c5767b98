import { OperatorError } from "../errors";

export type Path = readonly (string | number)[];

/**
 * The configuration cannot be used. The message starts with the number of mistakes and has one
 * line for each; the CLI prints it without a stack trace.
 */
export class ConfigError extends OperatorError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    const count = problems.length === 1 ? "1 error" : `${problems.length} errors`;
    super(`${count} in the configuration:\n${problems.map((line) => `  - ${line}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** Collects mistakes, so that one run reports all of them. */
export class Problems {
  readonly #found: { path: Path; text: string }[] = [];
  readonly #namespace: string;
  readonly #secretKeys: ReadonlySet<string>;

  constructor(namespace: string, secretKeys: ReadonlySet<string> = new Set()) {
    this.#namespace = namespace;
    this.#secretKeys = secretKeys;
  }

  /** `text` says what is wrong and what would be right; it must not repeat a secret value. */
  add(path: Path, text: string): void {
    const key = this.key(path);
    if (!this.#found.some((known) => known.text === text && this.key(known.path) === key)) {
      this.#found.push({ path, text });
    }
  }

  /** Names a key the way `pulumi config set --path` takes it. */
  key(path: Path): string {
    return `${this.#namespace}:${path.map(segment).join("").replace(/^\./, "")}`;
  }

  /** Whether the stack's configuration has the key encrypted. */
  isSecret(path: Path): boolean {
    return this.#secretKeys.has(String(path[0]));
  }

  /** A value as it can be shown in a message: short, and never a secret. */
  show(path: Path, value: unknown): string {
    return this.isSecret(path) ? "[secret]" : show(value);
  }

  get isEmpty(): boolean {
    return this.#found.length === 0;
  }

  /** One line for each mistake, in the order of `topLevel`, the rest first. */
  lines(topLevel: readonly string[]): string[] {
    const rank = (path: Path): number => topLevel.indexOf(String(path[0]));
    return [...this.#found]
      .sort((a, b) => rank(a.path) - rank(b.path))
      .map(({ path, text }) => `${this.key(path)}: ${text}`);
  }
}

function segment(part: string | number): string {
  if (typeof part === "number") {
    return `[${part}]`;
  }
  return /^[A-Za-z0-9_-]+$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
}

const SHOWN = 60;

function show(value: unknown): string {
  if (Array.isArray(value)) {
    return value.length === 0 ? "an empty list" : "a list";
  }
  if (typeof value === "object" && value !== null) {
    return "a map";
  }
  const text = JSON.stringify(value) ?? String(value);
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
