import * as pulumi from "@pulumi/pulumi";
import { privateKey } from "./fixtures";

/** A resource as the program registered it. */
export interface Registered {
  readonly type: string;
  /** Without the cluster's, which is in front of all of them. */
  readonly name: string;
  /** Name of the parent. */
  readonly parent?: string;
  /** With the types of all ancestors, as the engine makes it: two equal ones are an error there. */
  readonly urn: string;
  /** Names. */
  readonly dependsOn: readonly string[];
  readonly ignoreChanges: readonly string[];
  readonly deleteBeforeReplace: boolean;
  readonly retainOnDelete: boolean;
  /** Durations as the engine reads them, by operation. */
  readonly timeouts: pulumi.CustomTimeouts;
  /** As the engine receives them: secrets are objects, which `visible` and `reveal` know. */
  inputs: Readonly<Record<string, unknown>>;
}

export interface Graph {
  readonly resources: readonly Registered[];
  /** The resource of this name. */
  get(name: string): Registered;
  /** All of one type. */
  ofType(type: string): readonly Registered[];
}

export const COMMAND = "command:remote:Command";

/** The SDK's wire format of secrets. */
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isSecret(value: unknown): boolean {
  return isMap(value) && value[SIGNATURE] === SECRET;
}

/** A value without its secret wrappers. */
export function reveal(value: unknown): unknown {
  return walk(value, reveal);
}

/** A value as a person may see it in a preview: secrets are gone. */
export function visible(value: unknown): unknown {
  return walk(value, () => "[secret]");
}

function walk(value: unknown, secret: (content: unknown) => unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((entry) => walk(entry, secret));
  }
  if (!isMap(value)) {
    return value;
  }
  if (isSecret(value)) {
    return secret(value.value);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, walk(entry, secret)]),
  );
}

/**
 * Runs a program against a pretended engine and records every resource. In a preview, as in a real
 * one of a first up, nothing that a provider computes is known.
 *
 * @param build makes the resources; the options must reach the outermost one.
 */
export async function record(
  build: (opts: pulumi.ComponentResourceOptions) => void | Promise<void>,
  preview = false,
): Promise<Graph> {
  const resources: Registered[] = [];
  const own = (name: string) => name.replace(/^etcd-/, "");
  const made = new Map<pulumi.Resource, Registered>();
  const received = new Map<string, Readonly<Record<string, unknown>>>();
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        received.set(`${type} ${own(name)}`, inputs);
        return {
          id: preview ? undefined : `${name}-id`,
          state: stateOf(type, own(name), inputs, preview),
        };
      },
      // A stack without outputs, to whoever asks for its own.
      call: ({ inputs }) => ({ outputs: {}, ...inputs }),
    },
    "etcd",
    "test",
    preview,
    "organization",
  );
  // What mocks do not show: a transformation of the outermost component sees all its descendants.
  const transformation: pulumi.ResourceTransformation = ({ type, name, resource, opts }) => {
    const parent = opts.parent === undefined ? undefined : made.get(opts.parent);
    const before = parent === undefined ? "" : `${parent.urn.split("::")[0]}$`;
    const registered: Registered = {
      type,
      name: own(name),
      ...(parent === undefined ? {} : { parent: parent.name }),
      urn: `${before}${type}::${name}`,
      dependsOn: [opts.dependsOn ?? []]
        .flat()
        .map((dependency) => (pulumi.Resource.isInstance(dependency) ? dependency : undefined))
        .map((dependency) => (dependency && made.get(dependency)?.name) ?? "unknown"),
      ignoreChanges: opts.ignoreChanges ?? [],
      deleteBeforeReplace: "deleteBeforeReplace" in opts && opts.deleteBeforeReplace === true,
      retainOnDelete: opts.retainOnDelete === true,
      timeouts: opts.customTimeouts ?? {},
      inputs: {},
    };
    made.set(resource, registered);
    resources.push(registered);
    return undefined;
  };
  await build({ transformations: [transformation] });
  await pulumi.runtime.disconnect();
  for (const registered of resources) {
    registered.inputs = received.get(`${registered.type} ${registered.name}`) ?? {};
  }
  return {
    resources,
    get: (name) => {
      const found = resources.find((resource) => resource.name === name);
      if (found === undefined) {
        throw new Error(`the program registered no resource named ${name}`);
      }
      return found;
    },
    ofType: (wanted) => resources.filter(({ type }) => type === wanted),
  };
}

/** What the providers would answer, with a recognisable text for every key and certificate. */
function stateOf(
  type: string,
  name: string,
  inputs: Readonly<Record<string, unknown>>,
  preview: boolean,
): Record<string, unknown> {
  if (preview) {
    return { ...inputs };
  }
  switch (type) {
    case "tls:index/privateKey:PrivateKey":
      // Not marked as secret: the program must not rely on a provider for that.
      return { ...inputs, privateKeyPem: privateKey(name), publicKeyPem: `public ${name}\n` };
    case "tls:index/certRequest:CertRequest":
      return { ...inputs, certRequestPem: `request ${name}\n` };
    case "tls:index/selfSignedCert:SelfSignedCert":
    case "tls:index/locallySignedCert:LocallySignedCert":
      return {
        ...inputs,
        certPem: `certificate ${name}\n`,
        validityEndTime: "2031-11-21T00:00:00Z",
      };
    case "random:index/randomId:RandomId":
      return { ...inputs, hex: "etcd-cluster-0badcafe" };
    case COMMAND:
      return { ...inputs, stdout: GATE, stderr: "" };
    default:
      return { ...inputs };
  }
}

/** What the gate prints on every host. */
export const GATE = `begin etcd-cluster-0badcafe
cluster cafe
version 3.6.14
peer a1 etcd01 https://192.168.1.83:2380
peer a2 etcd02 https://192.168.1.84:2380
peer a3 etcd03 https://192.168.1.85:2380
end etcd-cluster-0badcafe`;
