import { assemble, type ScriptName } from "../../components/scripts/bundle";
import type { INSTALLED } from "../../components/scripts/steps";

/** A part of the step `install`, which the tests run alone. */
export type Part = (typeof INSTALLED)[number];

/** What the step does with each of them, beside what comes before and after it. */
const PARTS: Readonly<Record<Part, string>> = {
  host: 'refuse_unfit; read_revision "$1"; mkdir -p "$STATE"; chmod 0755 "$STATE"; install_host "$1"',
  binaries: 'read_revision "$1"; install_binaries "$1"',
  jobs: 'read_revision "$1"; install_jobs "$1"',
  files: 'read_revision "$1"; install_leaves "$1"',
};
const CALL = 'run_step "$@" </dev/null\n';

/** As `assemble`; of a part the step `install`, whose `apply` does that part alone. */
export function assembleAny(
  script: ScriptName | Part,
  values: Readonly<Record<string, string>>,
): string {
  if (!(script === "host" || script === "binaries" || script === "files" || script === "jobs")) {
    return assemble(script, values);
  }
  const whole = assemble("install", values);
  return `${whole.slice(0, -CALL.length)}apply() { ${PARTS[script]}; }\n${CALL}`;
}
