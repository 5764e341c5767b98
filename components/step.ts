import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Connection, Endpoint } from "./connection";
import { assemble, quote, type ScriptName } from "./shell";

/** The steps of a node in the order they depend on each other. */
export const STEPS = ["host", "binaries", "files", "member", "health"] as const;
export type StepName = (typeof STEPS)[number];

/** A host that does not answer is given up after this many dials of `DIAL_SECONDS` each. */
const DIALS = 3;
const DIAL_SECONDS = 10;

/**
 * How much of a step that exists already stays as the state has it: nothing, its revision (the
 * hosts were not looked at), everything (its host does not answer, so nothing is planned there),
 * or everything for good (its host is lost, and is not dialled for the removal either).
 */
export type Hold = "nothing" | "revision" | "everything" | "for good";

const HELD: Readonly<Record<Hold, string[]>> = {
  nothing: [],
  revision: ["create"],
  everything: ["connection", "create", "delete", "stdin"],
  "for good": ["connection", "create", "delete", "stdin"],
};

export interface StepArgs {
  readonly connection: Connection;
  readonly script: ScriptName;
  /** Values of the script, by variable name. */
  readonly values: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /**
   * Why the step runs, in words. The run writes it into its receipt on the host; a new one makes
   * the step run again.
   */
  readonly revision: pulumi.Input<string>;
  readonly hold: Hold;
}

/**
 * One idempotent piece of work on one host, the only door to `@pulumi/command`. `create` is run
 * again on every change (there is no `update`), `delete` takes the work back. There are no
 * triggers: they replace, and a replacement runs `delete`. Values travel on standard input, as
 * secrets, so a private key among them is in no command line, log or error.
 */
export function step(
  name: string,
  args: StepArgs,
  opts: pulumi.CustomResourceOptions,
): remote.Command {
  const shell = args.connection.sudo ? "sudo -n bash -s --" : "bash -s --";
  const stdin = pulumi.output(args.values).apply((values) => assemble(args.script, values));
  return new remote.Command(
    name,
    {
      connection: toConnection(args.connection),
      create: pulumi.output(args.revision).apply((revision) => `${shell} apply ${quote(revision)}`),
      delete: `${shell} remove`,
      stdin: args.script === "files" ? pulumi.secret(stdin) : stdin,
      addPreviousOutputInEnv: false,
      logging: remote.Logging.Stderr,
    },
    {
      ...opts,
      ignoreChanges: HELD[args.hold],
      retainOnDelete: args.hold === "for good",
    },
  );
}

function toConnection(connection: Connection) {
  return {
    ...toEndpoint(connection),
    ...(connection.bastion === undefined ? {} : { proxy: toEndpoint(connection.bastion) }),
  };
}

function toEndpoint(endpoint: Endpoint) {
  return {
    host: endpoint.host,
    port: endpoint.port,
    user: endpoint.user,
    privateKey: endpoint.privateKey === undefined ? undefined : pulumi.secret(endpoint.privateKey),
    agentSocketPath: endpoint.agentSocket,
    hostKey: endpoint.hostKey,
    dialErrorLimit: DIALS,
    perDialTimeout: DIAL_SECONDS,
  };
}
