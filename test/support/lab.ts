/** Drives a lab from a test through its command line, as a person would. */
import { type StdioOptions, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const checkout = dirname(dirname(__dirname));

/** How a command ended. `code` is 128 + the signal's number when a signal ended it. */
export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Variables on top of the test's own environment; `undefined` removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to the command's standard input, which is then closed. @default nothing */
  readonly input?: string;
  /** After this the command and its children are killed and the call fails. @default 120000 */
  readonly timeoutMs?: number;
  /** @default the checkout */
  readonly cwd?: string;
}

/**
 * Runs a program without a shell and collects what it prints.
 *
 * @throws when it cannot be started or is still running after `timeoutMs`
 */
export function runCommand(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<Result> {
  const [program = "", ...args] = command;
  const timeoutMs = options.timeoutMs ?? 120_000;

  return new Promise((resolve, reject) => {
    // A process group of its own, so that a timeout reaches the grandchildren too.
    const child = spawn(program, args, {
      cwd: options.cwd ?? checkout,
      env: { ...process.env, ...options.env },
      detached: true,
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let timedOut = false;

    const timer = setTimeout(() => {
      timedOut = true;

      if (child.pid !== undefined) {
        process.kill(-child.pid, "SIGKILL");
      }
    }, timeoutMs);

    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    // A command that does not read its input closes the pipe: that is its right.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      const result = {
        code: code ?? 137,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      };

      if (timedOut) {
        reject(new Error(`still running after ${timeoutMs} ms: ${describe(command, result)}`));
      } else {
        resolve(result);
      }
    });
  });
}

function describe(command: readonly string[], result: Result): string {
  return `${command.join(" ")}\nexit code ${result.code}\n${result.stdout}${result.stderr}`;
}

/**
 * One lab of this checkout, by name: labs of different names run side by side. The verbs that
 * change the lab fail the test when they fail; `run`, `exec` and `verb` return any exit code.
 */
export class Lab {
  /** The run state: `ssh/id_ed25519`, `ssh/known_hosts`, `backend/`, `mirror/`, `logs/`. */
  public readonly directory: string;
  /** What its processes and control groups have in their names. */
  public readonly identity: string;

  public constructor(
    public readonly name: string,
    private readonly env: CommandOptions["env"] = {},
  ) {
    this.directory = join(checkout, ".lab", name);
    this.identity = createHash("sha256").update(`${checkout}\n${name}\n`).digest("hex").slice(0, 8);
  }

  /** Any verb with its arguments. */
  public verb(args: readonly string[], options: CommandOptions = {}): Promise<Result> {
    return runCommand(["bash", "lab/lab.sh", ...args], {
      ...options,
      env: { ...this.env, ...options.env, LAB_NAME: this.name },
    });
  }

  /** Runs a program in the operator namespace, with Pulumi and etcdctl on PATH. */
  public run(command: readonly string[], options: CommandOptions = {}): Promise<Result> {
    // The verb must be found from any working directory.
    return runCommand(["bash", join(checkout, "lab/lab.sh"), "run", "--", ...command], {
      ...options,
      env: { ...this.env, ...options.env, LAB_NAME: this.name },
    });
  }

  /** Runs a shell script on a host as root, also when its sshd is down. */
  public exec(host: string, script: string, options: CommandOptions = {}): Promise<Result> {
    return this.verb(["exec", host, "--", "sh", "-c", script], options);
  }

  /** Exactly the first `nodes` hosts run afterwards; a cold cache is filled first. */
  public up(nodes: number): Promise<Result> {
    return this.must(["up", "--nodes", String(nodes)], 30 * 60_000);
  }

  public down(purge = false): Promise<Result> {
    return this.must(purge ? ["down", "--purge"] : ["down"]);
  }

  /** All hosts back to bare new disks; the Pulumi backend is left alone. */
  public reset(): Promise<Result> {
    return this.must(["reset"]);
  }

  /** A power cut, and a copy of all disks and of the backend. */
  public save(image: string): Promise<Result> {
    return this.must(["save", image]);
  }

  /** All disks and the backend as they were then; the hosts boot. */
  public load(image: string): Promise<Result> {
    return this.must(["load", image]);
  }

  public kill(host: string): Promise<Result> {
    return this.must(["kill", host]);
  }

  public boot(host: string): Promise<Result> {
    return this.must(["boot", host]);
  }

  public wipe(host: string): Promise<Result> {
    return this.must(["wipe", host]);
  }

  public cut(...hosts: readonly string[]): Promise<Result> {
    return this.must(["cut", ...hosts]);
  }

  public heal(): Promise<Result> {
    return this.must(["heal"]);
  }

  /** Builds these etcd releases unless they are cached; minutes for a new one. */
  public release(...versions: readonly string[]): Promise<Result> {
    return this.must(["release", ...versions], 30 * 60_000);
  }

  /** `start`, `stop`, `clear` or `cut` of one of the lab's repositories; the first start builds its server. */
  public repository(...words: readonly string[]): Promise<Result> {
    return this.must(["repository", ...words], 30 * 60_000);
  }

  /**
   * What `etcd:sha256` says of a release that this lab serves: its own build is not the official tarball.
   *
   * @returns nothing for one that it does not serve
   */
  public digests(version: string): Readonly<Record<string, string>> {
    const file = join(this.directory, "releases", `v${version}`, "SHA256SUMS");
    const sums = existsSync(file) ? readFileSync(file, "utf8") : "";
    const lines = sums.matchAll(/^([0-9a-f]{64}) [ *]etcd-v\S+-linux-(amd64|arm64)\.tar\.gz$/gm);
    return Object.fromEntries([...lines].map(([, digest = "", name = ""]) => [name, digest]));
  }

  private async must(args: readonly string[], timeoutMs = 120_000): Promise<Result> {
    const result = await this.verb(args, { timeoutMs });

    if (result.code !== 0) {
      throw new Error(`lab ${this.name}: ${describe(args, result)}`);
    }

    return result;
  }
}

/** The address of a lab host: `etcd01` is 192.168.1.83. */
export function hostAddress(host: string): string {
  return `192.168.1.${82 + Number(host.replace("etcd", ""))}`;
}

/**
 * A lab that no other test has until this process ends: files of tests run side by side, each with hosts of its own. By a lock, because
 * vitest gives two processes the same VITEST_POOL_ID where one group of projects follows another.
 */
export function testLab(env: CommandOptions["env"] = {}): Lab {
  mkdirSync(join(checkout, ".lab"), { recursive: true });
  for (let number = 1; number < 10; number += 1) {
    const name = number === 1 ? "test" : `test-${number}`;
    // It stays open, and the lock with it, whoever took that: no other process inherits it.
    const lock = openSync(join(checkout, ".lab", `${name}.lock`), "w");
    const stdio: StdioOptions = ["ignore", "ignore", "inherit", lock];
    if (spawnSync("flock", ["--nonblock", "3"], { stdio }).status === 0) {
      return new Lab(name, env);
    }
    closeSync(lock);
  }
  throw new Error("other tests have all labs from test to test-9; wait until they have ended");
}
