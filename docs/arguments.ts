import { z } from "zod";
import { backupSchema, keepSchema } from "../components/config/backup";
import { isSecretMap, unwrap } from "../components/config/check";
import { defragSchema, maintenanceSchema } from "../components/config/maintenance";
import {
  bastionSchema,
  destroySchema,
  hostSchema,
  nodeSchema,
  nodeSshSchema,
  pkiSchema,
  recoverSchema,
  schema,
  sshSchema,
  subjectSchema,
} from "../components/config/schema";
import { sha256 } from "../components/config/values";

/** One argument of the component. */
export interface Argument {
  readonly name: string;
  /** As TypeScript has it. */
  readonly type: string;
  readonly required: boolean;
  readonly secret: boolean;
  /** As TypeScript writes it; undefined where there is none, or where it is that of its parts. */
  readonly default: string | undefined;
  readonly description: string;
  /** What it is made of, where that is an interface. */
  readonly parts: z.core.$ZodType | undefined;
}

/** The interfaces, outermost first, with what each one is. */
export const INTERFACES: ReadonlyMap<
  z.core.$ZodType,
  readonly [name: string, description: string]
> = new Map<z.core.$ZodType, readonly [string, string]>([
  [schema, ["EtcdClusterArgs", "Arguments of an `EtcdCluster`."]],
  [nodeSchema, ["EtcdNodeArgs", "One machine of the cluster."]],
  [nodeSshSchema, ["NodeSshArgs", "How one node is reached, where it differs from the others."]],
  [sha256, ["DigestArgs", "SHA-256 digests of the release's tarballs, in hexadecimal."]],
  [sshSchema, ["SshArgs", "How the nodes are reached."]],
  [bastionSchema, ["BastionArgs", "A machine that connections go through."]],
  [pkiSchema, ["PkiArgs", "The certificates; every length of time is in hours."]],
  [subjectSchema, ["SubjectArgs", "Subject of the CA."]],
  [hostSchema, ["HostArgs", "What is managed on a node, and what a node must have."]],
  [backupSchema, ["BackupArgs", "Snapshots that the hosts take by themselves."]],
  [keepSchema, ["KeepArgs", "Which snapshots stay in the repository."]],
  [
    maintenanceSchema,
    ["MaintenanceArgs", "What the hosts do about their databases by themselves."],
  ],
  [defragSchema, ["DefragArgs", "When a member is defragmented."]],
  [destroySchema, ["DestroyArgs", "What a destroy leaves behind."]],
  [recoverSchema, ["RecoverArgs", "Recovery of a cluster that has permanently lost its quorum."]],
]);

/** The arguments that an object of the schema stands for. */
export function argumentsOf(object: z.core.$ZodType): readonly Argument[] {
  const inner = unwrap(object);
  return inner instanceof z.ZodObject
    ? Object.entries(inner.shape).map(([name, part]: [string, z.ZodType]) => argument(name, part))
    : [];
}

function argument(name: string, part: z.ZodType): Argument {
  const meta = part.meta() ?? {};
  const parts = partsOf(part);
  const empty = part.safeParse(undefined);
  const required = meta.needed === true || !empty.success;
  const hasDefault = !required && empty.data !== undefined && parts === undefined;
  return {
    name,
    type: typeOf(part),
    required,
    secret: typeWord(part) === "secret string" || isSecretMap(unwrap(part)),
    default: hasDefault ? JSON.stringify(empty.data) : undefined,
    description: inCode(meta),
    parts,
  };
}

function partsOf(part: z.core.$ZodType): z.core.$ZodType | undefined {
  const inner = unwrap(part);
  const element = inner instanceof z.ZodArray ? unwrap(inner.element) : inner;
  return element instanceof z.ZodObject ? element : undefined;
}

/** A description without what only a stack's configuration has need of: the type in words. */
function inCode({ inCode: own, description = "" }: Record<string, unknown>): string {
  return String(own ?? description).replace(/^Map: (.)/, (_, first: string) => first.toUpperCase());
}

const PLAIN: Readonly<Record<string, string>> = {
  boolean: "boolean",
  integer: "number",
  string: "string",
  "secret string": "string",
  // What a flag of etcd is set to: without unions other languages can have the interface too.
  "string, integer or boolean": "string",
};

function typeOf(part: z.core.$ZodType): string {
  const meta = part instanceof z.ZodType ? part.meta() : undefined;
  const inner = unwrap(part);
  if (meta?.standIn !== undefined && !(inner instanceof z.ZodRecord)) {
    return `pulumi.Input<${plainType(part)}>`;
  }
  if (inner instanceof z.ZodArray) {
    return `${typeOf(inner.element)}[]`;
  }
  if (inner instanceof z.ZodRecord) {
    return `Record<string, ${typeOf(inner.valueType)}>`;
  }
  return INTERFACES.get(inner)?.[0] ?? plainType(part);
}

function plainType(part: z.core.$ZodType): string {
  const word = typeWord(part);
  const type = PLAIN[word];
  if (type === undefined) {
    throw new Error(`no type of TypeScript for ${word}`);
  }
  return type;
}

/** The type as the schema says it, of a value that is made of no others. */
function typeWord(part: z.core.$ZodType): string {
  const word = part instanceof z.ZodType ? part.meta()?.type : undefined;
  const inner = unwrap(part);
  return inner === part || String(word) in PLAIN ? String(word) : typeWord(inner);
}

/** The whole text of components/config/args.ts. */
export function renderArguments(): string {
  const interfaces = [...INTERFACES].map(
    ([object, [name, description]]) =>
      `/** ${description} */\nexport interface ${name} {\n${argumentsOf(object).map(member).join("")}}\n`,
  );
  return `// Written by "npm run docs" from components/config/schema.ts.
import type * as pulumi from "@pulumi/pulumi";

${interfaces.join("\n")}`;
}

function member({ name, type, required, default: value, description }: Argument): string {
  const comment =
    value === undefined
      ? `  /** ${description} */\n`
      : `  /**\n   * ${description}\n   *\n   * @default ${value}\n   */\n`;
  return `${comment}  ${name}${required ? "" : "?"}: ${type};\n`;
}
