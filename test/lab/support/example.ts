/** An example of the package in a directory of its own, installed and run as a user would. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { checkout, type Lab, type Result, runCommand } from "../../support/lab";
import { succeed } from "./stack";

/** Packs the package, once for all examples of a lab. @returns the path of the tarball */
export async function packed(lab: Lab): Promise<string> {
  const directory = join(lab.directory, "package");
  mkdirSync(directory, { recursive: true });
  const pack = ["npm", "pack", "--silent", "--pack-destination", directory];
  await succeed(runCommand(pack));
  const [tarball = ""] = readdirSync(directory);
  return join(directory, tarball);
}

export class Example {
  readonly directory: string;

  constructor(
    readonly lab: Lab,
    readonly name: string,
  ) {
    this.directory = join(lab.directory, "examples", name);
  }

  /** Copies it, installs what it needs beside the package, and makes its stack. */
  async install(tarball: string): Promise<void> {
    cpSync(join(checkout, "examples", this.name), this.directory, { recursive: true });
    const install = ["npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit"];
    const options = { cwd: this.directory, timeoutMs: 600_000 };
    await succeed(runCommand([...install, tarball], options));
    await succeed(this.pulumi("stack", "init", this.name));
  }

  /** The file of the program, changed. */
  edit(file: string, from: string, to: string): void {
    const path = join(this.directory, file);
    const text = readFileSync(path, "utf8");
    expect(text).toContain(from);
    writeFileSync(path, text.replace(from, to));
  }

  append(file: string, text: string): void {
    appendFileSync(join(this.directory, file), text);
  }

  async configure(values: Readonly<Record<string, unknown>>): Promise<void> {
    for (const [key, value] of Object.entries(values)) {
      await this.#set([key], typeof value === "string" ? value : JSON.stringify(value));
    }
  }

  /** @param word on standard input, as a secret of several lines has to be. */
  secret(key: string, word: string): Promise<void> {
    return this.#set(["--secret", key], word);
  }

  async #set(words: readonly string[], input: string): Promise<void> {
    const set = ["pulumi", "config", "set", ...words];
    await succeed(this.lab.run(set, { cwd: this.directory, input }));
  }

  pulumi(...words: readonly string[]): Promise<Result> {
    const command = ["pulumi", ...words, "--non-interactive", "--color", "never"];
    return this.lab.run(command, { cwd: this.directory, timeoutMs: 300_000 });
  }

  preview(...words: readonly string[]): Promise<Result> {
    return this.pulumi("preview", ...words);
  }

  /** With the preview before it, as people do. */
  up(): Promise<Result> {
    return this.pulumi("up", "--yes");
  }

  destroy(): Promise<Result> {
    return this.pulumi("destroy", "--yes");
  }
}
