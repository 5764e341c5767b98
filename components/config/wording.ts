export type Path = readonly (string | number)[];

/** How a run speaks of a cluster to those who wrote its configuration. */
export interface Naming {
  /** In front of all that is said: which cluster it is, where a program may have several. */
  readonly cluster: string;
  /** In front of a key. */
  readonly keys: string;
}

/** How those who wrote a configuration know it: what its keys are called there, and how one writes there. */
export interface Wording extends Naming {
  /** Completes `errors in ...`. */
  readonly place: string;
  /** Complete `... is not a list; ` and `... is not a map; `. */
  readonly list: string;
  readonly map: string;
  /** A node as it is written. */
  readonly node: string;
  key(path: Path): string;
  /** What is wrong with a secret in plain text; undefined where nobody but the program sees it. */
  plainSecret(key: string): string | undefined;
}

/** @param namespace of the keys in the stack's configuration. */
export function stackWording(namespace: string): Wording {
  return {
    cluster: "",
    keys: `${namespace}:`,
    place: "the configuration",
    list: 'write one entry a line, each after "- "',
    map: 'write lines of the form "key: value" below the key',
    node: "{name: etcd01, address: 192.168.1.83}",
    // As `pulumi config set --path` takes it.
    key: (path) => `${namespace}:${pathText(path)}`,
    // In clear it would be in the stack's file, and in everybody's copy of it.
    plainSecret: (key) =>
      `is in plain text in the stack's configuration; take it out, change it, and set it with pulumi config set --secret --path '${key}'`,
  };
}

/** @param name of the component. */
export function argumentWording(name: string): Wording {
  return {
    cluster: `${name}: `,
    keys: "args.",
    place: `the arguments of EtcdCluster ${JSON.stringify(name)}`,
    list: 'write an array such as ["10.0.0.0/8"]',
    map: "write an object such as { key: value }",
    node: '{ name: "etcd01", address: "192.168.1.83" }',
    key: (path) => `args${path.map(segment).join("")}`,
    // Where a program has its values from cannot be seen here; the component passes them on as secrets.
    plainSecret: () => undefined,
  };
}

/** One text for each path: `nodes[0].address`. */
export function pathText(path: Path): string {
  return path.map(segment).join("").replace(/^\./, "");
}

function segment(part: string | number): string {
  if (typeof part === "number") {
    return `[${part}]`;
  }
  return /^[A-Za-z0-9_-]+$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
}
