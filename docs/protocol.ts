import { GATE_WORDS, type Rule } from "../components/hosts/answer-grammar";
import { BACKUP_WORDS } from "../components/hosts/backups";
import { PROBE_WORDS } from "../components/hosts/probe-words";
import { MODES, type Mode } from "../components/scripts/revision";
import { table } from "./table";

const BEGIN = "<!-- generated: npm run docs -->";
const END = "<!-- end -->";

/** The modes of the steps; those that several steps have alike, once. */
function modes(): string {
  const steps = new Map<Readonly<Record<string, Mode>>, string[]>();
  for (const [step, own] of Object.entries(MODES)) {
    steps.set(own, [...(steps.get(own) ?? []), `\`${step}\``]);
  }
  const rows = [...steps].flatMap(([own, names]) =>
    Object.entries(own).map(([mode, { does, values = [] }]) => [
      names.join(", "),
      `\`${mode}\``,
      values
        .map((name) => (name.endsWith("?") ? `[\`${name.slice(0, -1)}\`]` : `\`${name}\``))
        .join(" "),
      does,
    ]),
  );
  return table(["step", "mode", "values", "what the step does, or why it runs"], rows);
}

function words(grammar: Readonly<Record<string, Rule>>): string {
  return table(
    ["line", "how often", "what it says"],
    Object.entries(grammar).map(([word, { form, most = 1, required, says }]) => [
      `\`${[word, form].join(" ").trim()}\``,
      required ? "once" : most === 1 ? "at most once" : `at most ${most} times`,
      says,
    ]),
  );
}

/** docs/protocol.md with its tables made anew from those of the program. */
export function renderProtocol(page: string): string {
  const made = [modes(), words(PROBE_WORDS), words(GATE_WORDS), words(BACKUP_WORDS)];
  return page.replace(
    new RegExp(`${BEGIN}\n[^]*?${END}`, "g"),
    () => `${BEGIN}\n${made.shift() ?? ""}\n${END}`,
  );
}
