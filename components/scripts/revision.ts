/**
 * What a step is told to do: the argument of its `apply`, of the form `MODE[ TIME[ NAME=VALUE]...][ # REASON]`. A new one makes the
 * step run again. Its receipt on the host keeps it, and it comes back from there while nothing changes. Read by the scripts in one
 * place (lib/base.sh, read_revision), which ignores the reason.
 */

export interface Mode {
  /** For docs/protocol.md. */
  readonly does: string;
  /** Names of its values in their order, with a `?` where one may be missing. */
  readonly values?: readonly `${Name}${"" | "?"}`[];
  /** Without a receipt the state alone keeps it: the same in each run. */
  readonly time?: "optional";
}

type Name = "cluster" | "member" | "of" | "rebuilt" | "snapshot";

/** The modes of each step. */
export const MODES = {
  install: {
    create: { does: "The host lacks a receipt of this step." },
    repair: { does: "The host is not as this step left it." },
    renew: { does: "Certificates are renewed." },
  },
  member: {
    bootstrap: {
      does: "No inspected host has a cluster. Without a quorum to join, bootstrap a new cluster, within an hour of TIME.",
    },
    uninspected: {
      does: "The hosts were not inspected. Without a quorum to join, bootstrap a new cluster where no member was ever ready.",
    },
    join: {
      does: "A cluster exists. Without data, join it; first remove the old members of the `rebuilt` nodes, which have lost theirs too.",
      values: ["rebuilt?"],
    },
    "start-unchecked": {
      does: "Start the stopped member without its initial corruption check, because another member is to be rebuilt.",
    },
    move: { does: "Give the member its new peer URL, and restart it there." },
    rebuild: {
      does: "Remove `member` if it is this host's, set its data aside, and join again.",
      values: ["member"],
    },
    recover: {
      does: "Start a new cluster instead of `cluster`, from this host's data or from `snapshot`: a file here, or `latest` or an ID in the repository, which is one of the clusters `of`.",
      values: ["cluster", "snapshot?", "of?"],
    },
    "join-recovered": {
      does: "Set data of `cluster` aside, and join the cluster that was recovered.",
      values: ["cluster"],
    },
    "snapshot-first": {
      does: "Take a snapshot before the version changes, although the members' versions differ already: no host has one.",
    },
    change: {
      does: "The host's member was last told to be something else than the configuration says.",
    },
    repair: { does: "The host, its unit or the running etcd is not as this step left it." },
    renew: { does: "The CA certificate is renewed." },
  },
  health: {
    gate: { does: "Wait for the member, and compare what the members see.", time: "optional" },
  },
  lost: { lost: { does: "Remove the members of lost nodes.", time: "optional" } },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Mode>>>>;

export type RevisedStep = keyof typeof MODES;

/** What a step is told, without when and why. */
export interface Instruction<Step extends RevisedStep = RevisedStep> {
  readonly mode: keyof (typeof MODES)[Step] & string;
  readonly values?: Readonly<Partial<Record<Name, string | readonly string[]>>>;
}

export interface Revision<Step extends RevisedStep = RevisedStep> extends Instruction<Step> {
  /** In UTC, to the second (`revisionTime`). Two repairs of the same thing must differ. */
  readonly time?: string;
  /** One line for people, which changes nothing in what the step does. */
  readonly reason?: string;
}

const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
const VALUE = "[A-Za-z0-9_./,+-]+";

/** @throws on what the step would refuse, which is a mistake of this program. */
export function formatRevision<Step extends RevisedStep>(
  step: Step,
  { mode, time, values = {}, reason }: Revision<Step>,
): string {
  const pairs = Object.entries(values).map(
    ([name, value]) => `${name}=${[value].flat().join(",")}`,
  );
  const text = [mode, ...(time === undefined ? [] : [time]), ...pairs].join(" ");
  if (!isRevision(step, text)) {
    throw new Error(`"${text}" is no revision of the step ${step}`);
  }
  return reason === undefined ? text : `${text} # ${reason}`;
}

/** Whether the step understands it: one that another release of this program wrote may be none. */
export function isRevision(step: RevisedStep, text: string): boolean {
  const modes: Readonly<Record<string, Mode>> = MODES[step];
  const [told = ""] = text.split(" # ");
  return Object.entries(modes).some(([mode, { values = [], time }]) => {
    const pairs = values.map((name) =>
      name.endsWith("?") ? `(?: ${name.slice(0, -1)}=${VALUE})?` : ` ${name}=${VALUE}`,
    );
    const rest = ` ${TIME}${pairs.join("")}`;
    return new RegExp(`^${mode}${time === undefined ? rest : `(?:${rest})?`}$`).test(told);
  });
}

/** @returns the time in it, if it has one. */
export function timeOf(revision: string): string | undefined {
  return new RegExp(`^[a-z-]+ (${TIME})(?: |$)`).exec(revision)?.[1];
}

export function revisionTime(now: Date): string {
  return now.toISOString().replace(/\.\d+Z$/, "Z");
}
