import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { schema } from "../components/config/schema";
import { type Argument, argumentsOf } from "./arguments";
import { table } from "./table";

/** What an `EtcdCluster` has for the rest of a program. */
export const OUTPUTS: readonly (readonly [name: string, type: string, meaning: string])[] = [
  ["endpoints", "string[]", "Client URLs of all nodes that are not lost."],
  ["members", "Member[]", "Name, ID and addresses of each member."],
  ["clusterId", "string", "ID of the cluster, hexadecimal."],
  ["version", "string", "Version of etcd that the cluster works by."],
  ["caCertificate", "string", "PEM; of two CAs while a rotation is in progress."],
  ["clientCertificate", "string", "PEM."],
  ["clientKey", "string", "PEM, PKCS #8. Secret."],
  ["retiredClusters", "string[]", "IDs of the clusters that recoveries gave up."],
];

/** The text of a file of an example. */
const example = (file: string) => readFileSync(join(__dirname, "../examples", file), "utf8").trim();

interface Row {
  readonly name: string;
  readonly argument: Argument;
}

function rowsOf(object: z.core.$ZodType, prefix = ""): readonly Row[] {
  return argumentsOf(object).flatMap((argument): Row[] => {
    const name = `${prefix}${argument.name}`;
    const below = argument.type.endsWith("[]") ? `${name}[].` : `${name}.`;
    return [
      { name, argument },
      ...(argument.parts === undefined ? [] : rowsOf(argument.parts, below)),
    ];
  });
}

function defaultCell({ required, default: value }: Argument): string {
  if (required) {
    return "required";
  }
  return value === undefined ? "" : `\`${value}\``;
}

function argumentTable(): string {
  return table(
    ["Argument", "Type", "Default", "Meaning"],
    rowsOf(schema).map(({ name, argument }) => [
      `\`${name}\``,
      `\`${argument.type.replaceAll("pulumi.", "")}\``,
      defaultCell(argument),
      argument.description,
    ]),
  );
}

/** The whole text of docs/component.md. */
export function renderComponent(): string {
  return `# The component

<!-- Written by "npm run docs" from components/config/schema.ts, docs/component.ts and examples/. -->

\`EtcdCluster\` is a component that any Pulumi program can use. The program of this repository is one that has its arguments from
the stack's configuration.

The package \`etcd-on-pulumi\` is in no registry yet. \`npm pack\` in this repository writes it to a file, which is installed in the
directory of the program:

\`\`\`
npm install ./etcd-on-pulumi-VERSION.tgz
\`\`\`

In JavaScript ([examples/package](../examples/package)):

\`\`\`js
${example("package/index.js")}
\`\`\`

The machine that runs Pulumi needs an OpenSSH client (8.5 or newer), as it does for the program of this repository.

## Arguments

The rules are those of [the configuration](configuration.md), which also says what a change of each key does on a running cluster.
All mistakes are reported at once, before anything is touched:

\`\`\`
2 errors in the arguments of EtcdCluster "main":
  - args.ssh.privateKey: is given beside privateKeyFile; leave out one of the two
  - args.host.firewal: unknown key; did you mean firewall?
\`\`\`

What a run finds and does begins with the component's name: \`main: etcd01: …\`.

What is not an \`Input\` decides which resources there are, and the program knows it by itself. An \`Input\` may come from a resource
of the same program. While its value is not known, as in the preview that would make the machine, the node cannot be inspected, and the
preview says which one; \`up\` waits for the value and inspects the node then.

A value that is a secret stays out of every message. An address is no secret: it is in certificates and in the members' list.
Relative paths are relative to the directory of the program that runs.

${argumentTable()}

## Outputs

All are properties of the component, and \`Output\`s.

${table(
  ["Output", "Type", "Meaning"],
  OUTPUTS.map(([name, type, meaning]) => [`\`${name}\``, `\`${type}\``, meaning]),
)}

## Several clusters

One program may have several clusters, each on hosts of its own: two on one host would use the same ports and the same directory.
In TypeScript, the first one on a machine whose address is an output ([examples/two-clusters](../examples/two-clusters)):

\`\`\`ts
${example("two-clusters/index.ts")}
\`\`\`

## Other languages

The package has a plugin, which Pulumi starts for programs in any language. It needs Node 20 or newer where Pulumi runs, and a Pulumi CLI
that lets a plugin end by itself: 3.206 or newer; with an older one a destroy within three minutes after an \`up\` is refused.

A program in YAML names the plugin's directory ([examples/yaml](../examples/yaml)):

\`\`\`yaml
${example("yaml/Pulumi.yaml")}
\`\`\`

Arguments are named as in the table, and messages name them so. For a language with types, Pulumi generates a package from the plugin's schema:

\`\`\`
pulumi package add ./node_modules/etcd-on-pulumi/plugin/pulumi-resource-etcd-on-pulumi
\`\`\`

The tests run YAML; packages generated for other languages are not tested. When an \`up\` stops because it has lost a host, Pulumi says beside
the reason that the plugin exited prematurely: the reason is the error before that.
`;
}
