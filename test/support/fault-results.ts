/** What became of the cells of the fault matrix: judged, kept a line each, and shown as a table. */
import { table } from "../../docs/table";

/** done: the run did its work; stopped: it failed and said why; the next one did the work in both cases. */
export type Outcome = "done" | "stopped" | "broken";

export interface CellResult {
  readonly operation: string;
  readonly fault: string;
  readonly seed: number;
  /** What was checked out when the campaign was begun. */
  readonly commit: string;
  readonly outcome: Outcome;
  /** When the fault struck, in words. */
  readonly moment: string;
  /** What the run said when it failed, in one line; of a broken cell what is wrong. */
  readonly words: string;
  readonly seconds: number;
}

/** Lines of a shell or of its tools, which tell nobody what was being done. */
const RAW =
  /(?:^|\s)(?:main|bash|environment): line \d+:|^\s*(?:awk|cat|chmod|chown|cp|dd|find|install|ln|mkdir|mv|nft|printf|rm|sed|stat|tar|tee|touch): /m;

/** What a host says of its work when all goes well. */
const PROGRESS =
  /left the cluster|leadership transferred|joined as a learner|restarting etcd:|final snapshot:|was removed from the cluster|clearing the alarm|will be repaired/;

/**
 * The engine deletes steps when the program has ended, so nobody but the plugin says that a host was lost in one. Its words name the
 * step, and docs/troubleshooting.md has the rest.
 */
const LOST_IN_DELETE =
  /\((etcd0\d-\w+)\):\n\s*error: (wait: remote command exited without exit status or exit signal: running "bash -s -- delete")/;
/** In a destroy, which runs no program, nor one that cannot be dialled. */
const NOT_DIALLED =
  /^Destroying [\s\S]*\((etcd0\d-\w+)\):\n\s*error: (after \d+ failed attempts: dial tcp \S+: .+)/;

/**
 * Why a run failed, as it said itself: the line of a host that has a cause in it.
 *
 * @returns undefined when no line names a host and a cause; then nobody knows what to do.
 */
export function reasonOf(said: string): string | undefined {
  const lines = said
    .split("\n")
    .map((line) => line.trim().replace(/^(?:- |error: |warning: )+/, ""));
  // A refusal of the whole edit has the host behind the setting.
  const told = /^etcd0\d: .{12,}|^etcd:version \S+: refused while .*\betcd0\d\b.*; .{12,}/;
  const own = lines
    .filter((line) => told.test(line) && !RAW.test(line) && !PROGRESS.test(line))
    .at(-1);
  const [, step, words] = LOST_IN_DELETE.exec(said) ?? NOT_DIALLED.exec(said) ?? [];
  return own ?? (step === undefined ? undefined : `${step}: ${words}`);
}

/** A line that only a shell or a tool wrote, if there is one that no host explains in the next: a tool's may stand above that. */
export function rawLine(said: string): string | undefined {
  const lines = said.split("\n");
  return lines
    .find(
      (line, index) =>
        RAW.test(line) &&
        (/: line \d+:/.test(line) || !/^\s*etcd0\d: failed while /.test(lines[index + 1] ?? "")),
    )
    ?.trim();
}

export const cellName = ({ operation, fault }: Pick<CellResult, "operation" | "fault">) =>
  `${operation}/${fault.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "")}`;

/** @param wanted patterns with `*`, comma separated; none wants all. */
export function isWanted(name: string, wanted: string | undefined): boolean {
  return (
    wanted === undefined ||
    wanted.split(",").some((pattern) => {
      const parts = pattern.split("*").map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"));
      return new RegExp(`^${parts.join(".*")}$`).test(name);
    })
  );
}

/** A line each, as the campaign keeps them. */
export function readResults(text: string): readonly CellResult[] {
  return text.split("\n").flatMap((line): CellResult[] => (line === "" ? [] : [JSON.parse(line)]));
}

/** A page with another table between its marks. */
export function withMatrix(page: string, matrix: string): string {
  const [begin, end] = ["<!-- faults -->", "<!-- end of faults -->"];
  const [before, after] = [page.indexOf(begin), page.indexOf(end)];
  if (before < 0 || after < before) {
    throw new Error(`the page has not the marks ${begin} and ${end}`);
  }
  return `${page.slice(0, before + begin.length)}\n\n${matrix}\n\n${page.slice(after)}`;
}

/** A column for each operation, a line for each fault; the last result of a cell counts. */
export function renderMatrix(
  results: readonly CellResult[],
  operations: readonly string[],
  faults: readonly string[],
): string {
  const cells = new Map(results.map((result) => [cellName(result), result]));
  const rows = faults.map((fault) => [
    fault,
    ...operations.map((operation) => cells.get(cellName({ operation, fault }))?.outcome ?? "-"),
  ]);
  return table(["", ...operations], rows);
}
