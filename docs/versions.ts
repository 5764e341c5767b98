import { CONDITIONS, rollProblem, SERIES_STEPS } from "../components/etcd/upgrade-paths";
import { formatVersion, MINORS, type Version } from "../components/etcd/versions";
import { table } from "./table";

const BEGIN = "<!-- generated: npm run docs -->";
const END = "<!-- end -->";

/** The pairs of series, as the program judges them. */
function pairs(): string {
  const release = (series: string, patch: number): Version => {
    const [major = 0, minor = 0] = series.split(".").map(Number);
    return { major, minor, patch };
  };
  const rows = MINORS.flatMap((from) =>
    MINORS.flatMap((to): string[][] => {
      if (from === to) {
        return [[`${from}.x`, `any other ${to}.x`, "allowed"]];
      }
      const move = SERIES_STEPS.find((each) => each.from === from && each.to === to);
      if (move === undefined) {
        const refusal = rollProblem(release(from, 99), release(to, 99)) ?? "";
        return [[`${from}.x`, `${to}.x`, `refused: ${refusal.replace(/^\S+ is /, "")}`]];
      }
      const down = to < from;
      const old = down ? to : from;
      const wrong = formatVersion(release(old, move.olderPatch - 1));
      const [least, below] = [`${old}.${move.olderPatch} or later`, `${old} up to ${wrong}`];
      return down
        ? [
            [`${from}.x`, least, "allowed, through etcd's downgrade procedure"],
            [`${from}.x`, below, `refused: ${move.otherwise}`],
          ]
        : [
            [least, `${to}.x`, "allowed"],
            [below, `${to}.x`, `refused: ${move.otherwise}`],
          ];
    }),
  );
  return table(["From", "To", "Verdict"], rows);
}

function conditions(): string {
  return table(
    ["Refused while", "What to do", "Midway"],
    CONDITIONS.map(({ when, remedy, applies }) => [
      when,
      remedy,
      applies === "always" ? "refused too" : "goes on",
    ]),
  );
}

/** docs/versions.md with its two tables made anew from the program's rules. */
export function renderVersions(page: string): string {
  const made = [pairs(), conditions()];
  return page.replace(
    new RegExp(`${BEGIN}\n[^]*?${END}`, "g"),
    () => `${BEGIN}\n${made.shift() ?? ""}\n${END}`,
  );
}
