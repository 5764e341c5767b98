/** The machine of an operator who runs the tools: beside a pulumi and an etcdctl that only answer what a test has them say. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { onTestFinished } from "vitest";
import { type Result, runCommand } from "./lab";

export interface Said {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly code?: number;
  /** Only after so many. */
  readonly seconds?: number;
}

/** Looks for the answer to its own arguments, and says it. */
const STUB = (answers: string) => `#!/bin/bash
key=$(printf '%s' "$*" | tr -c 'A-Za-z0-9.,' _)
if [ ! -d "${answers}/$key" ]; then echo "no answer to: $*" >&2; exit 1; fi
cd "${answers}/$key"
sleep "$(cat seconds)" </dev/null >/dev/null 2>&1
cat stderr >&2
cat stdout
exit "$(cat code)"
`;

const ROOT = join(__dirname, "../..");

export class Operator {
  readonly directory = mkdtempSync(join(tmpdir(), "etcd-operator-"));

  constructor() {
    onTestFinished(() => rmSync(this.directory, { recursive: true }));
    for (const command of ["pulumi", "etcdctl"]) {
      mkdirSync(join(this.directory, command), { recursive: true });
      this.#script(command, STUB(join(this.directory, command)));
    }
    mkdirSync(join(this.directory, "bin"), { recursive: true });
  }

  #script(command: string, text: string): void {
    const bin = join(this.directory, "bin");
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, command), text);
    chmodSync(join(bin, command), 0o755);
  }

  /** What a command says to these arguments. */
  says(command: "pulumi" | "etcdctl", args: string, said: Said): void {
    const directory = join(this.directory, command, args.replace(/[^A-Za-z0-9.,]/g, "_"));
    mkdirSync(directory, { recursive: true });
    const { stdout = "", stderr = "", code = 0, seconds = 0 } = said;
    for (const [file, text] of Object.entries({ stdout, stderr, code, seconds })) {
      writeFileSync(join(directory, file), String(text));
    }
  }

  outputs(outputs: object): void {
    const stdout = JSON.stringify(outputs);
    this.says("pulumi", "stack output --json --show-secrets", { stdout });
  }

  /** By keys without their namespace; those in `secrets` are. */
  config(values: Readonly<Record<string, unknown>>, secrets: readonly string[] = []): void {
    const printed = Object.entries(values).map(([key, value]) => [
      `etcd:${key}`,
      typeof value === "object"
        ? { value: JSON.stringify(value), objectValue: value, secret: secrets.includes(key) }
        : { value: String(value), secret: secrets.includes(key) },
    ]);
    const stdout = JSON.stringify(Object.fromEntries(printed));
    this.says("pulumi", "config --json --show-secrets", { stdout });
  }

  /** The machine does not have that command. */
  lacks(command: "pulumi" | "etcdctl"): void {
    rmSync(join(this.directory, "bin", command));
  }

  /** On which the commands are, and none of the same name that this machine has. */
  get path(): string {
    return [join(this.directory, "bin"), "/usr/bin", "/bin"].join(delimiter);
  }

  /** Runs a tool as `npm run` does. */
  run(tool: string, ...args: readonly string[]): Promise<Result> {
    return runCommand([process.execPath, "tools/start.cjs", `tools/${tool}.ts`, ...args], {
      cwd: ROOT,
      env: { PATH: this.path },
    });
  }

  /** Has this process find the commands, until the test is over. */
  beHere(): void {
    const { PATH: before } = process.env;
    process.env.PATH = this.path;
    onTestFinished(() => {
      process.env.PATH = before;
    });
  }
}
