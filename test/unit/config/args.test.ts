/** The arguments' interfaces and the schema have the same keys, and types that other languages can have too. */
import { readFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";
import { z } from "zod";
import { schema } from "../../../components/config/schema";
import { renderArguments } from "../../../docs/arguments";
import { keysOf } from "../../../docs/configuration";
import { renderPackageSchema } from "../../../docs/package-schema";

const FILE = "components/config/args.ts";
const text = readFileSync(FILE, "utf8");

const packageSchema = z.object({
  types: z.record(
    z.string(),
    z.object({ properties: z.record(z.string(), z.object({ secret: z.boolean().optional() })) }),
  ),
});

interface Member {
  readonly type: string;
  readonly optional: boolean;
  readonly documented: boolean;
}

/** By name and member, as the compiler reads them. */
function interfaces(): ReadonlyMap<string, ReadonlyMap<string, Member>> {
  const file = ts.createSourceFile(FILE, text, ts.ScriptTarget.ES2022, true);
  return new Map(
    file.statements.filter(ts.isInterfaceDeclaration).map(({ name, members }) => [
      name.text,
      new Map(
        members.filter(ts.isPropertySignature).map((member) => [
          member.name.getText(file),
          {
            type: member.type?.getText(file) ?? "",
            optional: member.questionToken !== undefined,
            documented: ts.getJSDocCommentsAndTags(member).length > 0,
          },
        ]),
      ),
    ]),
  );
}

/** Every argument by its path, as docs/configuration.md names the keys. */
function flat(name: string, prefix = ""): readonly (readonly [path: string, member: Member])[] {
  return [...(interfaces().get(name) ?? [])].flatMap(([key, member]) => {
    const path = `${prefix}${key}`;
    const inner = member.type.replace("[]", "");
    const below = member.type.endsWith("[]") ? `${path}[].` : `${path}.`;
    return [[path, member] as const, ...(interfaces().has(inner) ? flat(inner, below) : [])];
  });
}

const members = flat("EtcdClusterArgs");

test(`${FILE} is up to date (npm run docs)`, () => {
  expect(text).toBe(renderArguments());
});

test("plugin/schema.json is up to date (npm run docs), and says what is secret", () => {
  const text = readFileSync("plugin/schema.json", "utf8");
  expect(text).toBe(renderPackageSchema());
  const { types } = packageSchema.parse(JSON.parse(text));
  const secrets = Object.entries(types).flatMap(([type, { properties }]) =>
    Object.entries(properties).flatMap(([name, { secret }]) =>
      secret ? [`${type.split(":")[2]}.${name}`] : [],
    ),
  );
  expect(secrets).toEqual([
    "NodeSsh.privateKey",
    ...["privateKey", "privateKeyPassphrase", "password", "sudoPassword"].map((n) => `Ssh.${n}`),
    "Bastion.privateKey",
    ...["password", "environment", "privateKey"].map((n) => `Backup.${n}`),
  ]);
});

test("every key of the configuration is an argument, and the other way round", () => {
  expect(members.map(([path]) => path)).toEqual(keysOf(schema, true).map(({ name }) => name));
});

test("what may come from a resource is an Input, and nothing else", () => {
  const inputs = members.filter(([, { type }]) => type.includes("pulumi.Input<"));
  expect(inputs.map(([path]) => path)).toEqual([
    "nodes[].address",
    "nodes[].ssh.host",
    "nodes[].ssh.privateKey",
    "nodes[].ssh.hostKey",
    "ssh.privateKey",
    "ssh.privateKeyPassphrase",
    "ssh.password",
    "ssh.hostKeys",
    "ssh.sudoPassword",
    "ssh.bastion.host",
    "ssh.bastion.privateKey",
    "ssh.bastion.hostKey",
    ...["repository", "password", "environment", "caCertificate", "privateKey", "hostKey"].map(
      (name) => `backup.${name}`,
    ),
  ]);
});

test("what has to be given is not optional", () => {
  const required = members.filter(([, { optional }]) => !optional);
  expect(required.map(([path]) => path)).toEqual([
    "nodes",
    "nodes[].name",
    "nodes[].address",
    "ssh.bastion.host",
  ]);
});

test("each argument says what it is, and has a type without unions", () => {
  const plain = /^(string|number|boolean|pulumi\.Input<string>)$/;
  for (const [path, { type, documented }] of members) {
    expect({ path, documented }).toEqual({ path, documented: true });
    const inner = type.replace(/\[\]$|^Record<string, (.*)>$/, "$1");
    expect(plain.test(inner) || interfaces().has(inner), `${path}: ${type}`).toBe(true);
  }
});
