import { z } from "zod";
import { unwrap } from "../components/config/check";
import { schema } from "../components/config/schema";
import { FLAGS, refusedFlagReason } from "../components/etcd/flags";
import { table } from "./table";

/** One key of the configuration as the documentation and Pulumi.yaml show it. */
export interface Key {
  /** Without the namespace; a list's element has `[]` behind the list's name. */
  readonly name: string;
  readonly type: string;
  readonly default: unknown;
  readonly required: boolean;
  readonly description: string;
  /** What a change of it does on a running cluster; undefined where nobody has said so. */
  readonly edit: string | undefined;
}

/** The keys below an object of the schema, one level deep or all the way down. */
export function keysOf(object: z.core.$ZodType, deep: boolean, prefix = ""): Key[] {
  const inner = unwrap(object);
  if (!(inner instanceof z.ZodObject)) {
    return [];
  }
  return Object.entries(inner.shape).flatMap(([name, part]: [string, z.core.$ZodType]): Key[] => {
    const meta = part instanceof z.ZodType ? part.meta() : undefined;
    const type = typeOf(part);
    const key: Key = {
      name: `${prefix}${name}`,
      type,
      default: part instanceof z.ZodType ? part.safeParse(undefined).data : undefined,
      required: part instanceof z.ZodType && !part.safeParse(undefined).success,
      description: meta?.description ?? "",
      edit: typeof meta?.edit === "string" ? meta.edit : undefined,
    };
    if (!deep) {
      return [key];
    }
    const body = unwrap(part);
    return body instanceof z.ZodArray
      ? [key, ...keysOf(body.element, true, `${prefix}${name}[].`)]
      : [key, ...keysOf(body, true, `${prefix}${name}.`)];
  });
}

function typeOf(part: z.core.$ZodType): string {
  const own = part instanceof z.ZodType ? part.meta()?.type : undefined;
  if (typeof own === "string") {
    return own;
  }
  const inner = unwrap(part);
  if (inner instanceof z.ZodObject) {
    return "map";
  }
  if (inner instanceof z.ZodArray) {
    return `list of ${typeOf(inner.element)}s`;
  }
  if (inner instanceof z.ZodRecord) {
    return `map of ${typeOf(inner.valueType)}s`;
  }
  return inner === part ? "string" : typeOf(inner);
}

function defaultCell(key: Key): string {
  if (key.required) {
    return "required";
  }
  if (key.default === undefined || key.type === "map") {
    return "";
  }
  return `\`${JSON.stringify(key.default)}\``;
}

function keyTable(keys: readonly Key[]): string {
  return table(
    ["Key", "Type", "Default", "Meaning", "A change on a running cluster"],
    keys.map((key) => [
      `\`${key.name}\``,
      key.type,
      defaultCell(key),
      key.description,
      key.edit ?? "",
    ]),
  );
}

function flagTable(): string {
  const rows = [...FLAGS].map(([name, { in35 }]) => {
    const old = { same: "same name", experimental: `\`experimental-${name}\``, no: "-" }[in35];
    return [`\`${name}\``, old];
  });
  return table(["Flag in 3.6 and 3.7", "In 3.5"], rows);
}

const REFUSED_EXAMPLES = [
  "name",
  "data-dir",
  "initial-cluster",
  "listen-client-urls",
  "cert-file",
  "auto-tls",
  "discovery",
  "force-new-cluster",
  "unsafe-no-fsync",
  "config-file",
  "enable-v2",
  "memory-mlock",
  "logger",
  "host-whitelist",
  "client-cert-allowed-hostname",
];

/** The whole text of docs/configuration.md. */
export function renderConfiguration(): string {
  const refused = REFUSED_EXAMPLES.map(
    (name) => `- \`${name}\`: ${refusedFlagReason(name, (key) => `etcd:${key}`) ?? ""}.`,
  );
  return `# Configuration

<!-- Written by "npm run docs" from components/config/schema.ts. -->

Every key has the namespace \`etcd:\`. Parts of a map or list are set with \`--path\`:

\`\`\`
pulumi config set --path 'nodes[3].name' etcd04
pulumi config set --path 'nodes[3].address' 192.168.1.86
pulumi config set --path 'settings.quota-backend-bytes' 4294967296
\`\`\`

Secrets are refused in plain text. They are encrypted with \`--secret\`, a private key from its file:

\`\`\`
pulumi config set --secret --path 'ssh.password'
pulumi config set --secret --path 'ssh.privateKey' < id_ed25519
pulumi config set --secret --path 'backup.password'
pulumi config set --secret --path 'backup.environment.AWS_SECRET_ACCESS_KEY'
\`\`\`

\`backup\` and \`maintenance\` are off until they are given, and \`etcd:backup: {}\` in the stack's file takes every default. A repository has
no password in its address: messages show it. Variables in \`backup.environment\` have names of capital letters; those that the shell, the
loader, ssh or the job itself reads are refused, and restic's own, which the other keys set.

All mistakes are reported at once, before anything is touched. A key that does not exist is a
mistake. Paths are absolute, below \`~\`, or relative to the project directory.

## Keys

${keyTable(keysOf(schema, true))}

## Settings

\`settings\` takes flags of etcd without their dashes. Those below are accepted, with values that the
version of etcd in \`version\` accepts; \`election-timeout\` must be at least 10 times
\`heartbeat-interval\`. \`log-level\` goes up to \`warn\`: the journal has to say why a member does not start, and that it was removed.

${flagTable()}

With \`metrics: extensive\` etcd also counts how long each request took. Without it the rule
\`etcdGRPCRequestsSlow\` of etcd's own mixin for Prometheus has no data, and never fires.

Flags of 3.5 that became feature gates are accepted for 3.5 alone; later versions take
\`feature-gates: NAME=true,NAME=false\`. Flags that the program sets itself, or that would break the
cluster, are refused:

${refused.join("\n")}
`;
}
