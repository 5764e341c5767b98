import { schema } from "../components/config/schema";
import { CLUSTER_TYPE } from "../components/recorded";
import { type Argument, argumentsOf, INTERFACES } from "./arguments";
import { OUTPUTS } from "./component";

/** A type in Pulumi's schema of packages. */
interface TypeSpec {
  readonly type?: string;
  readonly $ref?: string;
  readonly items?: TypeSpec;
  readonly additionalProperties?: TypeSpec;
  /** Whether it has to be known before the resources are. */
  readonly plain?: boolean;
}

interface PropertySpec extends TypeSpec {
  readonly description: string;
  readonly secret?: boolean;
}

interface ObjectSpec {
  readonly description: string;
  readonly properties: Readonly<Record<string, PropertySpec>>;
  readonly required: readonly string[];
}

const [PACKAGE = "", MODULE = ""] = CLUSTER_TYPE.split(":");

const PLAIN: Readonly<Record<string, string>> = {
  boolean: "boolean",
  number: "integer",
  string: "string",
};

const MEMBER: ObjectSpec = {
  description: "A member as the cluster lists it.",
  properties: {
    name: { type: "string", description: "Its name, which is that of its node." },
    peerUrls: { type: "string", description: "Peer URLs, comma separated." },
    id: { type: "string", description: "Hexadecimal." },
  },
  required: ["name", "peerUrls", "id"],
};

/** In the generated SDKs the arguments' types end in `Args` by themselves. */
const token = (name: string) => `${PACKAGE}:${MODULE}:${name.replace(/Args$/, "")}`;

/** @param type as TypeScript has it. */
function typeSpec(type: string): TypeSpec {
  const [, wrapper, inner = ""] = /^(pulumi\.Input|Record)<(?:string, )?(.+)>$/.exec(type) ?? [];
  if (wrapper === "pulumi.Input") {
    return typeSpec(inner);
  }
  if (wrapper === "Record") {
    return { type: "object", additionalProperties: argumentSpec(inner) };
  }
  if (type.endsWith("[]")) {
    return { type: "array", items: argumentSpec(type.slice(0, -2)) };
  }
  const plain = PLAIN[type];
  return plain === undefined ? { type: "object", $ref: `#/types/${token(type)}` } : { type: plain };
}

function argumentSpec(type: string): TypeSpec {
  return type.startsWith("pulumi.Input<") ? typeSpec(type) : { ...typeSpec(type), plain: true };
}

function propertySpec({ type, description, default: value, secret }: Argument): PropertySpec {
  return {
    description: value === undefined ? description : `${description} Default: ${value}.`,
    ...argumentSpec(type),
    ...(secret ? { secret } : {}),
  };
}

function objectSpec(description: string, all: readonly Argument[]): ObjectSpec {
  return {
    description,
    properties: Object.fromEntries(all.map((each) => [each.name, propertySpec(each)])),
    required: all.filter(({ required }) => required).map(({ name }) => name),
  };
}

function outputSpecs(): ObjectSpec["properties"] {
  return Object.fromEntries(
    OUTPUTS.map(([name, type, description]) => [
      name,
      {
        description,
        ...outputType(type),
        ...(description.includes("Secret") ? { secret: true } : {}),
      },
    ]),
  );
}

function outputType(type: string): TypeSpec {
  return type.endsWith("[]")
    ? { type: "array", items: typeSpec(type.slice(0, -2)) }
    : typeSpec(type);
}

/** The whole text of plugin/schema.json: what generated SDKs and programs without one know of the component. */
export function renderPackageSchema(): string {
  const parts = [...INTERFACES].filter(([object]) => object !== schema);
  const { properties, required } = objectSpec("", argumentsOf(schema));
  const versioned = { respectSchemaVersion: true };
  const text = {
    name: PACKAGE,
    description: "A TLS-only etcd cluster on plain Debian hosts",
    license: "MIT",
    language: { csharp: versioned, go: versioned, nodejs: versioned, python: versioned },
    types: {
      [token("Member")]: { type: "object", ...MEMBER },
      ...Object.fromEntries(
        parts.map(([object, [name, description]]) => [
          token(name),
          { type: "object", ...objectSpec(description, argumentsOf(object)) },
        ]),
      ),
    },
    resources: {
      [CLUSTER_TYPE]: {
        isComponent: true,
        description: "A TLS-only etcd cluster on plain Debian hosts.",
        properties: outputSpecs(),
        required: OUTPUTS.map(([name]) => name),
        inputProperties: properties,
        requiredInputs: required,
      },
    },
  };
  return `${JSON.stringify(text, null, 2)}\n`;
}
