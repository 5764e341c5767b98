/** One Pulumi stack of a test's lab, driven through the CLI as an operator would. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import { outputsSchema, type StackOutputs } from "../../../tools/stack";
import { hostAddress, type Lab, type Result } from "../../support/lab";

/** Configuration without its namespace: `{ version: "3.6.14" }` is `etcd:version`. */
export type Values = Readonly<Record<string, unknown>>;

export interface RunOptions {
  /** Further arguments of the CLI. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** @default 5 minutes */
  readonly timeoutMs?: number;
  /** On standard input. @default nothing */
  readonly input?: string;
}

/** The tls stand-in's clock: so many hours back, so that what is made by it ends that much earlier. */
export function hoursBack(hours: number): RunOptions {
  return { env: { LAB_NOW: new Date(Date.now() - hours * 3_600_000).toISOString() } };
}

const salted = z.object({ encryptionsalt: z.string() });

export const hosts: readonly string[] = ["etcd01", "etcd02", "etcd03"];

/** Run on a host: the process ID of its member, 0 when there is none. */
export const MAIN_PID = "systemctl show --property MainPID --value etcd.service";

const stateSchema = z.object({
  deployment: z.object({
    resources: z
      .array(z.object({ urn: z.string(), dependencies: z.array(z.string()).default([]) }))
      .default([]),
  }),
});

/** The lab's. A CA keeps its subject for life. */
export const subject = {
  country: "US",
  locality: "Springfield",
  organization: "Example Corp",
  organizationalUnit: "Infrastructure",
  province: "Illinois",
};

/** As index.ts calls it; in front of the names of the cluster's resources. */
export const CLUSTER = "etcd";

/** A resource's name without that of the cluster. */
export function nameIn(urn: string): string {
  return (urn.split("::").at(-1) ?? "").replace(new RegExp(`^${CLUSTER}-`), "");
}

export class Stack {
  /** The stack's configuration, outside the checkout's own files. */
  readonly configFile: string;
  readonly #directory: string;
  #salt = "";

  constructor(
    readonly lab: Lab,
    readonly name: string,
  ) {
    this.#directory = join(lab.directory, "project");
    this.configFile = join(this.#directory, `Pulumi.${name}.yaml`);
  }

  /** Makes the stack; `values` go on top of what reaches the lab's three hosts. */
  async create(values: Values = {}): Promise<void> {
    // The CLI writes the new stack's salt beside the Pulumi.yaml it finds: not into the checkout.
    mkdirSync(this.#directory, { recursive: true });
    writeFileSync(join(this.#directory, "Pulumi.yaml"), "name: etcd\nruntime: nodejs\n");
    rmSync(this.configFile, { force: true });
    const init = ["pulumi", "stack", "init", "--no-select", "--stack", this.name];
    await succeed(this.lab.run(init, { cwd: this.#directory }));
    this.#salt = salted.parse(parse(readFileSync(this.configFile, "utf8"))).encryptionsalt;
    this.configure(values);
    // The project's own tools work on the selected stack.
    await succeed(this.lab.run(["pulumi", "stack", "select", this.name]));
  }

  /** Replaces the configuration: what reaches the lab's hosts, and `values` on top. */
  configure(values: Values): void {
    const config = Object.fromEntries(
      Object.entries({ ...reachable(this.lab, values), ...values }).map(([key, value]) => [
        `etcd:${key}`,
        value,
      ]),
    );
    writeFileSync(this.configFile, stringify({ config, encryptionsalt: this.#salt }));
  }

  /** Adds a secret to the configuration, until that is replaced. One of several lines has to be on standard input. */
  async secret(path: string, word: string): Promise<void> {
    const set = ["config", "set", "--secret", "--path", `etcd:${path}`];
    await succeed(this.pulumi(set, { args: ["--config-file", this.configFile], input: word }));
  }

  /** Any command of the CLI on this stack. */
  pulumi(command: readonly string[], options: RunOptions = {}): Promise<Result> {
    return this.run(
      [
        ...["pulumi", ...command, "--stack", this.name],
        ...["--non-interactive", "--color", "never", ...(options.args ?? [])],
      ],
      options,
    );
  }

  /** Any command in the operator namespace; the stack made last is the selected one. */
  run(command: readonly string[], options: RunOptions = {}): Promise<Result> {
    const { env, timeoutMs = 300_000, input } = options;
    return this.lab.run(command, { env, timeoutMs, ...(input === undefined ? {} : { input }) });
  }

  up(options: RunOptions & { readonly skipPreview?: boolean } = {}): Promise<Result> {
    const quick = options.skipPreview === false ? [] : ["--skip-preview"];
    return this.pulumi(["up", "--yes", "--config-file", this.configFile, ...quick], options);
  }

  preview(options: RunOptions = {}): Promise<Result> {
    return this.pulumi(["preview", "--config-file", this.configFile], options);
  }

  /** Exit code 0 means that nothing would change. */
  previewNothing(): Promise<Result> {
    return this.preview({ args: ["--expect-no-changes"] });
  }

  destroy(options: RunOptions = {}): Promise<Result> {
    const quick = ["--yes", "--skip-preview"];
    return this.pulumi(["destroy", "--config-file", this.configFile, ...quick], options);
  }

  /** Frees the lock of a run that was killed. */
  cancel(): Promise<Result> {
    return this.pulumi(["cancel", "--yes"]);
  }

  /** All outputs, secrets in clear. */
  async outputs(): Promise<StackOutputs> {
    const { stdout } = await succeed(this.pulumi(["stack", "output", "--json", "--show-secrets"]));
    return outputsSchema.parse(JSON.parse(stdout));
  }

  async exportState(showSecrets = false): Promise<string> {
    const secrets = showSecrets ? ["--show-secrets"] : [];
    return (await succeed(this.pulumi(["stack", "export", ...secrets]))).stdout;
  }

  /** @param name such as `etcd01-member` */
  stepUrn(name: string): string {
    const types =
      "etcd-on-pulumi:index:EtcdCluster$etcd-on-pulumi:index:Node$command:remote:Command";
    return `urn:pulumi:${this.name}::etcd::${types}::${CLUSTER}-${name}`;
  }

  /** Those of the state; what a killed run left pending is not among them. */
  async stateResources() {
    return stateSchema.parse(JSON.parse(await this.exportState())).deployment.resources;
  }

  /** Forgets the stack without touching its hosts. */
  async remove(): Promise<void> {
    await succeed(this.pulumi(["stack", "rm", "--force", "--yes", "--preserve-config"]));
  }

  /** The project's etcdctl, through all members or through those on the named hosts only. */
  etcdctl(args: readonly string[], through?: readonly string[]): Promise<Result> {
    const env: Record<string, string> =
      through === undefined ? {} : { ETCDCTL_ENDPOINTS: through.map(endpoint).join(",") };
    return this.run(tool("etcdctl", ...args), { env });
  }
}

export function endpoint(host: string): string {
  return `https://${hostAddress(host)}:2379`;
}

/** What every test's configuration has: the article's nodes and subject, the lab's key, its mirror and its build's digest. */
function reachable(lab: Lab, { version = DEFAULT_VERSION }: Values): Values {
  return {
    nodes: hosts.map((name) => ({ name, address: hostAddress(name) })),
    ssh: {
      privateKeyFile: join(lab.directory, "ssh/id_ed25519"),
      knownHostsFile: join(lab.directory, "ssh/known_hosts"),
    },
    pki: { subject },
    downloadUrl: "http://192.168.1.1:8080",
    sha256: lab.digests(String(version)),
  };
}

/** A tool of the project, as `npm run` starts it. */
export function tool(name: string, ...args: readonly string[]): readonly string[] {
  return ["node", "tools/start.cjs", `tools/${name}.ts`, ...args];
}

/** How the operator's connection to a host's port ends: 0 it was taken, 1 refused, 124 nobody answered for two seconds. */
export async function connect(lab: Lab, host: string, port: number): Promise<number> {
  const dial = `: </dev/tcp/${hostAddress(host)}/${port}`;
  return (await lab.run(["timeout", "2", "bash", "-c", dial])).code;
}

/** A lab whose hosts, backend and configuration are new, whatever an earlier test left. */
export async function freshLab(lab: Lab, nodes: number = hosts.length): Promise<void> {
  await lab.down(true);
  await lab.up(nodes);
}

/** @throws with all that was printed when the command failed */
export async function succeed(running: Promise<Result>): Promise<Result> {
  const result = await running;
  if (result.code !== 0) {
    throw new Error(`exit code ${result.code}, expected 0\n${printed(result)}`);
  }
  return result;
}

/** @throws with all that was printed when the command did not fail */
export async function refuse(running: Promise<Result>): Promise<string> {
  const result = await running;
  if (result.code === 0) {
    throw new Error(`exit code 0, expected a failure\n${printed(result)}`);
  }
  return printed(result);
}

export function printed(result: Result): string {
  return `${result.stdout}${result.stderr}`;
}

/** What a script prints on a host as root, without the last newline. */
export async function on(lab: Lab, host: string, script: string): Promise<string> {
  const result = await lab.exec(host, script);
  if (result.code !== 0) {
    throw new Error(`${host}: exit code ${result.code} of ${script}\n${printed(result)}`);
  }
  return result.stdout.trimEnd();
}

/** The same on all hosts at once, in their order. */
export function onAll(
  lab: Lab,
  script: string,
  names: readonly string[] = hosts,
): Promise<string[]> {
  return Promise.all(names.map((host) => on(lab, host, script)));
}

/** @throws when `condition` is still false after `seconds` */
export async function eventually(
  what: string,
  condition: () => Promise<boolean>,
  seconds = 60,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > deadline) {
      throw new Error(`not within ${seconds} s: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** How many SSH logins the sshd of each host has accepted since the host was made. */
export async function logins(lab: Lab, names: readonly string[] = hosts): Promise<number[]> {
  const script = "journalctl --unit ssh.service --output cat | grep -c '^Accepted ' || true";
  return (await onAll(lab, script, names)).map(Number);
}

export interface Resources {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
}

/** The counts at the end of a preview or an up, whichever words it uses. */
export function resources(result: Result): Resources {
  const text = result.stdout.slice(result.stdout.lastIndexOf("Resources:"));
  const count = (words: RegExp) => Number(words.exec(text)?.[1] ?? 0);
  return {
    created: count(/(\d+) (?:to create|created)/),
    updated: count(/(\d+) (?:to update|updated)/),
    unchanged: count(/(\d+) unchanged/),
  };
}
