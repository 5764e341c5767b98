import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";
import type { ScriptName } from "../../components/scripts/bundle";
import { assembleAny, type Part } from "./install-parts";

/**
 * A host on paper: namespaces of its own in which everything under /etc, /opt, /run, /usr and /var
 * can be written and is thrown away, with an empty network and no other processes. systemctl and
 * journalctl are stubs (see `paper/`); nftables and everything else are the real ones.
 */
export interface PaperHost {
  /** Runs a function of a step's script exactly as the program does. */
  run(
    script: ScriptName | Part,
    call: readonly string[],
    values?: Readonly<Record<string, string>>,
  ): Outcome;
  /** Runs bash on the host and gives its standard output, without the last newline. */
  sh(script: string): string;
  /** Makes a file, whatever is in it. */
  write(path: string, content: string): void;
  /** What etcd has in the journal, a line each. */
  journal(lines: readonly string[]): void;
  /** Makes it as new. */
  reset(): void;
  close(): void;
}

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const STUBS = join(__dirname, "paper");
const NAMESPACES = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"];

// As the session of the up's look does.
const HELD = ["flock", "/run/etcd-on-pulumi.lock"];

// The keeper holds the namespaces and ends with its standard input, so it cannot outlive the tests.
const KEEPER = "echo ready; read -r _ || true";

/** Why no host can be put on paper here, or undefined when one can. */
export function whyNot(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "it takes root on Linux";
  }
  const tried = spawnSync("unshare", [...NAMESPACES, "true"], { encoding: "utf8" });
  return tried.status === 0 ? undefined : `unshare: ${tried.error?.message ?? tried.stderr}`;
}

/**
 * One host for all tests of the surrounding block, as new before each of them: making namespaces
 * takes the kernel far longer than making overlays.
 */
export function hostForEach(): PaperHost {
  let host: PaperHost | undefined;
  const made = () => {
    if (host === undefined) {
      throw new Error("the paper host is made before the tests, not while they are collected");
    }
    return host;
  };
  beforeAll(async () => {
    host = await paperHost();
  });
  beforeEach(() => made().reset());
  afterAll(() => host?.close());
  return {
    run: (...args) => made().run(...args),
    sh: (script) => made().sh(script),
    write: (path, content) => made().write(path, content),
    journal: (lines) => made().journal(lines),
    reset: () => made().reset(),
    close: () => made().close(),
  };
}

export async function paperHost(): Promise<PaperHost> {
  const keeper = spawn("unshare", [...NAMESPACES, "bash", "-c", KEEPER], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  await ready(keeper);
  // The first process of the new process namespace: unshare itself stays outside of it.
  const [first] = readFileSync(`/proc/${keeper.pid}/task/${keeper.pid}/children`, "utf8").split(
    " ",
  );
  const inside = (args: readonly string[], input = ""): Outcome => {
    const { status, stdout, stderr } = spawnSync(
      "nsenter",
      ["--target", first ?? "", "--mount", "--net", "--pid", "--", ...args],
      { encoding: "utf8", input },
    );
    return { status, stdout, stderr };
  };
  const must = (what: string, { status, stdout, stderr }: Outcome): string => {
    if (status !== 0) {
      throw new Error(`${what}: exit ${status}: ${stderr}`);
    }
    return stdout.replace(/\n$/, "");
  };
  const reset = () => {
    must("reset", inside(["bash", join(STUBS, "host.sh"), STUBS]));
  };
  const write = (path: string, content: string) => {
    must(path, inside(["tee", path], content));
  };
  reset();
  return {
    run: (script, call, values = {}) =>
      inside(
        [...(call[0] === "apply" ? HELD : []), "bash", "-s", "--", ...call],
        assembleAny(script, { NODE: "etcd01", ...values }),
      ),
    sh: (script) => must(script, inside(["bash", "-c", `set -euo pipefail; ${script}`])),
    write,
    journal: (lines) => write("/var/paper/journal", lines.map((line) => `${line}\n`).join("")),
    reset,
    close: () => {
      keeper.stdin?.end();
    },
  };
}

async function ready(keeper: ChildProcess): Promise<void> {
  let stderr = "";
  keeper.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const first = keeper.stdout === null ? Promise.resolve() : once(keeper.stdout, "data");
  const ended = once(keeper, "exit").then(([code]) => {
    throw new Error(`no paper host, exit ${String(code)}: ${stderr}`);
  });
  await Promise.race([first, ended]);
  // Its end is expected from here on.
  ended.catch(() => undefined);
}

/**
 * For `sh`: everything that a step could leave behind, with mode, owner and size, and the
 * content of what several programs write to.
 */
export const TREE = String.raw`
look() {
  find "$@" ! -name '*-' ! -name .pwd.lock \
    \( -type f -printf '%m %u:%g %s %p\n' -o -printf '%m %u:%g %p %l\n' \) 2>/dev/null || true
}
{
  look /etc /opt/etcd* /var/lib/etcd* /var/backups /usr/local/bin
  sha256sum /etc/hosts /etc/passwd /etc/group /etc/shadow /etc/gshadow
} | sort
`;
