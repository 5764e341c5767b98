import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { JOBS, STEPS } from "./steps";

const lib = (...names: readonly string[]) => names.map((name) => `lib/${name}`);
const steps = (...names: readonly string[]) => names.map((name) => `steps/${name}`);
const jobs = (...names: readonly string[]) => names.map((name) => `jobs/${name}`);

/** Every question to etcd reads its answer by one grammar. */
const ETCD = lib("member-list", "etcd");
const STEP = lib("base", "scripts", "lock", "keep");
/** What lies on the host, and whose it is. */
const HOLDINGS = lib("as-etcd", "belongings", "data", "data-identity");
/** Each part of it is installed by one function and removed by another. */
const INSTALLED = lib("host", "binaries", "gateway", "held-back", "files", "jobs");
const ALARMS = lib("hash", "alarms", "causes");
/** Files on the host, and the repository that has more of them. */
const SNAPSHOT = lib("snapshot", "repository");
const JOB = [...lib("base", "lock", "as-etcd"), ...ETCD, ...lib("jobs-run")];

/** The files that make one script, each followed by the ones it calls. */
const PARTS = {
  leave: [
    ...[...STEP, ...HOLDINGS, ...ETCD, ...lib("membership", "firewall"), ...SNAPSHOT],
    ...lib("depart"),
    ...[...INSTALLED, ...steps("leave")],
  ],
  install: [
    ...[...STEP, ...HOLDINGS, ...lib("needs", "preflight"), ...ETCD],
    ...[...lib("membership", "firewall", "release"), ...INSTALLED, ...steps("install")],
  ],
  member: [
    ...[...STEP, ...HOLDINGS, ...ETCD],
    ...[...lib("membership"), ...SNAPSHOT],
    ...lib("version-change", "wait", "restart", "move", "learners"),
    ...[
      ...lib("recovery"),
      ...ALARMS,
      ...lib("rebuild", "gateway", "held-back"),
      ...steps("member"),
    ],
  ],
  drain: [
    ...[...lib("base", "lock", "as-etcd"), ...ETCD],
    ...[...lib("data-identity", "membership", "depart"), ...steps("drain")],
  ],
  lost: [...lib("base", "lock"), ...ETCD, ...lib("membership"), ...steps("lost")],
  health: [
    ...[...STEP, ...lib("as-etcd"), ...ETCD],
    ...lib("data-identity", "version-change", "wait", "membership", "firewall"),
    ...[...ALARMS, ...lib("jobs"), ...steps("health")],
  ],
  probe: [
    ...[...STEP, ...HOLDINGS, ...lib("needs", "preflight"), ...ETCD, ...ALARMS],
    ...[...SNAPSHOT, ...lib("disk", "job-results"), ...steps("probe")],
  ],
  results: [...lib("base", "lock", "job-results"), ...steps("results")],
  backups: [
    ...JOB,
    ...lib("data-identity"),
    ...SNAPSHOT,
    ...lib("job-results"),
    ...steps("backups"),
  ],
  backup: [...JOB, ...lib("data-identity"), ...SNAPSHOT, ...lib("hash"), ...jobs("backup")],
  drill: [...JOB, ...lib("data-identity"), ...SNAPSHOT, ...lib("hash"), ...jobs("drill")],
  maintenance: [
    ...[...JOB, ...lib("version-change", "wait", "hash", "alarms"), ...jobs("maintenance")],
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type ScriptName = keyof typeof PARTS;

/** Those that steps run; the others are sent whole. */
export const STEP_SCRIPTS = [...STEPS, "lost"] as const;

/** Those that the timers of a host run: the step `install` puts them there (lib/jobs.sh). */
export const JOB_SCRIPTS = JOBS;

export type JobScript = (typeof JOB_SCRIPTS)[number];

export type StepScript = (typeof STEP_SCRIPTS)[number];

/** What is called from outside of a script, beside the function of its own name. */
const CALLS = ["run_step", "apply", "delete"];
const CALLS_OF_PROBE = ["keep_lock"];
const CALLS_OF_JOBS = ["run_step", "run_job", "run", "check", "nospace", "clean_up"];

/** A function of a script: one line, or from the line with its name to the one that closes it. */
const FUNCTION = /^([a-z_]\w*)\(\) (?:\{.*\}|[{(]\n[\s\S]*?\n[})])\n/gm;

/** One word of a POSIX shell command, whatever is in it. */
export function quote(value: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

/**
 * What is sent to `bash -p -s -- FUNCTION ARGUMENT...` on standard input where the host is asked, and nothing is kept of it: the values
 * as quoted assignments, then what the script has need of in its files, packed into one line, then the call.
 *
 * @param values shell variables by name, uppercase.
 */
export function assemble(script: ScriptName, values: Readonly<Record<string, string>>): string {
  const base64 = packedScript(script);
  // bash reads a script on its standard input byte by byte, a system call each; so it has head read the line.
  const read = `eval "$(head -c ${base64.length} | base64 -d | gzip -d)"\n${base64}\n`;
  // The call's own standard input is closed: nothing it starts may read on in the script.
  return `${assignments(values)}${read}run_step "$@" </dev/null\n`;
}

/**
 * The same for a step, whose script the run has put on the host before (lib/scripts.sh): the state keeps every step's text twice, is
 * written at every step, and shows in a preview by this one name that a script has changed.
 */
export function stepInput(script: StepScript, values: Readonly<Record<string, string>>): string {
  const loader = source(script === "leave" ? "lib/load-leave" : "lib/load");
  return `${assignments({ ...values, SCRIPT: hostScript(script).name })}${loader}`;
}

/** A script as a host has it. */
export interface HostScript {
  /** `STEP-DIGEST`, the beginning of the text's SHA-256. */
  readonly name: string;
  readonly text: string;
}

const DIGEST_LENGTH = 16;

export const hostScript = remembered((script: StepScript | JobScript): HostScript => {
  const text = plain(script);
  const digest = createHash("sha256").update(text).digest("hex").slice(0, DIGEST_LENGTH);
  return { name: `${script}-${digest}`, text };
});

/** Every host of an inspection is sent the same one. */
const packedScript = remembered((script: ScriptName) => packed(plain(script)));

/** One file, without whole-line comments. Most scripts have most files. */
const source = remembered((part: string) =>
  readFileSync(join(__dirname, `${part}.sh`), "utf8").replace(/^\s*#.*\n/gm, ""),
);

/** What is made of a name is made once. */
function remembered<Name extends string, Made>(make: (name: Name) => Made): (name: Name) => Made {
  const known = new Map<Name, Made>();
  return (name) => {
    const made = known.get(name) ?? make(name);
    known.set(name, made);
    return made;
  };
}

function assignments(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${quote(value)}\n`)
    .join("");
}

function callsOf(script: ScriptName): readonly string[] {
  if (JOB_SCRIPTS.some((name) => name === script)) {
    return CALLS_OF_JOBS;
  }
  return script === "probe" ? [...CALLS, ...CALLS_OF_PROBE] : CALLS;
}

/** In base64. A host unpacks it again, so any packing of the text does. */
export function packed(text: string): string {
  return gzipSync(text).toString("base64");
}

/** The script's files, without whole-line comments and without functions that it never calls. Exported for the tests. */
export function plain(script: ScriptName): string {
  const text = PARTS[script].map(source).join("\n");
  const functions = new Map<string, string>();
  const beside = text.replace(FUNCTION, (whole: string, name: string) => {
    // Of several with one name bash takes the last.
    functions.set(name, whole);
    return "";
  });
  const called = new Set<string>();
  const follow = (words: string): void => {
    for (const [name] of words.matchAll(/\w+/g)) {
      const body = functions.get(name);
      if (body !== undefined && !called.has(name)) {
        called.add(name);
        follow(body);
      }
    }
  };
  follow([beside, script, ...callsOf(script)].join(" "));
  return text.replace(FUNCTION, (whole: string, name: string) =>
    called.has(name) && functions.get(name) === whole ? whole : "",
  );
}
