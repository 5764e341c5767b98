import { remote } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Connection, Endpoint } from "./config/types";
import { plainWords, remoteInput, remoteShell } from "./hosts/remote-shell";
import { unknownOutput } from "./outputs";
import { quote, type StepScript, stepInput } from "./scripts/bundle";
import { type Freeze, MINUTES } from "./scripts/steps";

/**
 * A dial is repeated so often, the last time 36 s after the first: a host that takes a few new connections in thirty seconds
 * (`ufw limit ssh`) has taken one by then. One that does not answer is given up after two minutes.
 */
const REDIALS = 15;
const DIAL_SECONDS = 5;
const FROZEN: Readonly<Record<Freeze, string[]>> = {
  none: [],
  revision: ["create"],
  all: ["connection", "create", "delete", "stdin"],
  retained: ["connection", "create", "delete", "stdin"],
};

export interface StepArgs {
  readonly connection: Connection;
  readonly script: StepScript;
  /** Values of the script, by variable name. */
  readonly values: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** What the step is told to do (scripts/revision.ts); `leave` does nothing before it is deleted. */
  readonly revision?: pulumi.Input<string>;
  /** Of an input that is secret as a whole, words that tell its parts: the script ignores them, a preview shows which of them changed. */
  readonly parts?: readonly string[];
  readonly freeze: Freeze;
  /** Whether all addresses, logins and keys are; in a preview resources of the same program may be yet to make them. */
  readonly known: boolean;
}

/**
 * One idempotent piece of work on one host, the only door to `@pulumi/command`. `create` is run
 * again on every change (there is no `update`). One step of a node has a `delete` and nothing else: making and changing it dials
 * nobody, and it takes back what all of them did (scripts/steps/leave.sh). There are no triggers: they replace, which makes two connections of one.
 * Values travel on standard input, as secrets, so a private key among them is in no command line,
 * log or error.
 */
export function step(
  name: string,
  args: StepArgs,
  opts: pulumi.CustomResourceOptions,
): remote.Command {
  const shell = remoteShell(args.connection);
  const limit = `${MINUTES[args.script]}m`;
  const stdin = args.known
    ? pulumi
        .output(args.values)
        .apply((values) => remoteInput(args.connection, stepInput(args.script, values)))
    : unknownOutput<string>();
  const secret = args.script === "install" || args.connection.sudoPassword !== undefined;
  return new remote.Command(
    name,
    {
      connection: args.known ? toConnection(args.connection) : unknownOutput<Dialled>(),
      ...(args.revision === undefined
        ? { delete: `${shell} delete` }
        : {
            create: pulumi
              .output(args.revision)
              .apply((revision) =>
                [`${shell} apply`, quote(plainWords(revision)), ...(args.parts ?? [])].join(" "),
              ),
          }),
      stdin: secret ? pulumi.secret(stdin) : stdin,
      addPreviousOutputInEnv: false,
      logging: remote.Logging.Stderr,
    },
    {
      ...opts,
      // The other way round, the old step would be deleted after the program's end, when nothing tells any more that its node stays.
      deleteBeforeReplace: true,
      // Of what does something.
      customTimeouts:
        args.revision === undefined ? { delete: limit } : { create: limit, update: limit },
      ignoreChanges: FROZEN[args.freeze],
      retainOnDelete: args.freeze === "retained",
    },
  );
}

type Dialled = ReturnType<typeof toConnection>;

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
    // The plugin finds the agent by SSH_AUTH_SOCK itself: its socket, another one in every session, is no input.
    privateKey: secretly(endpoint.privateKey),
    privateKeyPassword: secretly(endpoint.privateKeyPassphrase),
    password: secretly(endpoint.password),
    hostKey: endpoint.hostKey,
    dialErrorLimit: REDIALS,
    perDialTimeout: DIAL_SECONDS,
  };
}

function secretly(text: string | undefined): pulumi.Output<string> | undefined {
  return text === undefined ? undefined : pulumi.secret(text);
}
