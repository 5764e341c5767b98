import { FLAGS, flagsOf, GATE_OF, type Kind, refusedFlagReason } from "../etcd/flags";
import { type Minor, minorOf, type Version } from "../etcd/versions";
import { nearest, type Problems } from "./problems";
import { crossProblems, crossWarnings } from "./settings-rules";
import { valueProblem } from "./settings-values";

/** The settings as etcd takes them, and what the operator should know about them. */
export interface CheckedSettings {
  readonly settings: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
}

/**
 * Checks further etcd flags against those of a version and reports every mistake.
 *
 * @param version undefined when it is wrong itself: names cannot be checked then.
 */
export function checkSettings(
  raw: Readonly<Record<string, string>>,
  version: Version | undefined,
  problems: Problems,
): CheckedSettings {
  const minor = version === undefined ? undefined : minorOf(version);
  if (minor === undefined) {
    return { settings: {}, warnings: [] };
  }
  const known = flagsOf(minor);
  const right = new Map<string, string>();
  for (const [name, value] of Object.entries(raw)) {
    const kind = known.get(name);
    const path = ["settings", name];
    const problem =
      kind === undefined
        ? nameProblem(name, value, minor, known, problems)
        : valueProblem(kind, value, minor, (part) => problems.show(path, part));
    if (problem === undefined) {
      right.set(name, value);
    } else {
      problems.add(path, problem);
    }
  }
  const conceal = (name: string, text: string) => problems.conceal(["settings", name], text);
  for (const [name, text] of crossProblems(right, conceal)) {
    problems.add(["settings", name], text);
  }
  const warnings = crossWarnings(right, conceal).map(
    ([name, text]) => `${problems.key(["settings", name])}: ${text}`,
  );
  return { settings: Object.fromEntries(right), warnings };
}

/** Says what is wrong with a name that the version does not take. */
function nameProblem(
  name: string,
  value: string,
  minor: Minor,
  known: ReadonlyMap<string, Kind>,
  problems: Problems,
): string {
  const reason = refusedFlagReason(name, (key) => problems.key([key]));
  if (reason !== undefined) {
    return `cannot be set: ${reason}`;
  }
  const gate = GATE_OF.get(name);
  if (gate !== undefined) {
    return `is a feature gate since etcd 3.6; write feature-gates: ${gate}=${problems.conceal(["settings", name], value)}`;
  }
  const plain = name.replace(/^experimental-/, "");
  if (plain !== name && known.has(plain)) {
    return `is called ${plain} since etcd 3.6; write that`;
  }
  if (known.has(`experimental-${name}`)) {
    return `is called experimental-${name} in etcd ${minor}; write that`;
  }
  if (FLAGS.has(name)) {
    return `is not known to etcd ${minor}; leave it out, or use etcd 3.6 or later`;
  }
  const spelled = name
    .replace(/^-+|^ETCD_/g, "")
    .replaceAll("_", "-")
    .toLowerCase();
  const meant = known.has(spelled) ? spelled : nearest(spelled, known.keys());
  const hint = meant === undefined ? `see "etcd --help" for its flags` : `did you mean ${meant}?`;
  return `unknown flag of etcd ${minor}; ${hint}`;
}
