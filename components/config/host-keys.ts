import { readFileSync } from "node:fs";
import type { z } from "zod";
import { findHostKey, type KnownHosts, parseKnownHosts } from "./known-hosts";
import { reasonOf } from "./private-key";
import type { Path, Problems } from "./problems";
import type { sshSchema } from "./schema";
import { expand, type Surroundings } from "./surroundings";

type Ssh = z.output<typeof sshSchema>;

/** A mistake in one of these leaves open whether a key is missing, so none is reported missing. */
const SOURCES = ["hostKeys", "knownHostsFile", "insecureIgnoreHostKeys", "bastion"];

/** A name or an address of a host, and where it is written. */
export interface Named {
  readonly name: string;
  readonly path: Path;
}

/** Where a key is missing. */
export interface Missing {
  readonly path: Path;
  /** Where the host's name or address is written. */
  readonly host: Path;
}

/** The public keys that the machines are recognised by: those configured, then known_hosts. */
export class HostKeys {
  readonly #ssh: Ssh;
  readonly #sourcesAreRight: boolean;
  readonly #surroundings: Surroundings;
  readonly #problems: Problems;
  readonly #unverified: string[] = [];
  #file: KnownHosts | "unreadable" | undefined;

  constructor(
    ssh: Ssh,
    wrong: ReadonlySet<string>,
    surroundings: Surroundings,
    problems: Problems,
  ) {
    this.#ssh = ssh;
    this.#sourcesAreRight = !SOURCES.some((field) => wrong.has(field));
    this.#surroundings = surroundings;
    this.#problems = problems;
  }

  /** A key for a host that does not exist is a typing mistake, and the right host has none. */
  checkNames(nodes: readonly Named[]): void {
    const { bastion } = this.#ssh;
    const all = [
      ...nodes,
      ...(bastion === undefined ? [] : [{ name: bastion.host, path: ["ssh", "bastion", "host"] }]),
    ];
    const known = all.map(({ name, path }) => this.#problems.conceal(path, name));
    for (const name of Object.keys(this.#ssh.hostKeys)) {
      if (all.some((host) => host.name === name)) {
        continue;
      }
      this.#problems.add(
        ["ssh", "hostKeys", name],
        `no node has this name or address; known are ${known.join(", ")}`,
      );
    }
  }

  /**
   * The key of one machine. A missing one is reported, unless the configuration says in words that it
   * may be missing.
   *
   * @param names the machine's address and name, the more trustworthy first.
   * @param missing where a missing one is reported; undefined where it is no mistake.
   */
  find(names: readonly string[], port: number, missing: Missing | undefined): string | undefined {
    const configured = names.map((name) => this.#ssh.hostKeys[name]).find((key) => key);
    if (configured !== undefined) {
      return configured;
    }
    const known = this.#knownHosts();
    const found = known === "unreadable" ? undefined : findHostKey(known, names, port);
    if (found !== undefined && "key" in found) {
      return found.key;
    }
    const host = names[0] ?? "";
    if (found === undefined && this.#ssh.insecureIgnoreHostKeys) {
      const last = names.at(-1) ?? host;
      this.#unverified.push(
        missing !== undefined && last === host ? this.#problems.conceal(missing.host, last) : last,
      );
    } else if (this.#sourcesAreRight && missing !== undefined) {
      const problem = known === "unreadable" ? known : (found?.unusable ?? "none");
      const shown = this.#problems.conceal(missing.host, host);
      this.#problems.add(missing.path, this.#missing(problem, shown, port));
    }
    return undefined;
  }

  /** The same from known_hosts alone, and a missing one is no problem. */
  known(names: readonly string[], port: number): string | undefined {
    const known = this.#knownHosts();
    const found = known === "unreadable" ? undefined : findHostKey(known, names, port);
    return found !== undefined && "key" in found ? found.key : undefined;
  }

  warnings(): string[] {
    return this.#unverified.length === 0
      ? []
      : [
          `${this.#problems.key(["ssh", "insecureIgnoreHostKeys"])}: the host key of ${this.#unverified.join(", ")} is not ` +
            "known and not checked; whoever answers at the address receives the private keys",
        ];
  }

  #missing(problem: "unreadable" | "revoked" | "rsa" | "none", host: string, port: number): string {
    const file = this.#ssh.knownHostsFile;
    const at = port === 22 ? "" : `-p ${port} `;
    const scan =
      `write the key here, or run ssh-keyscan -t ed25519 ${at}${host} >> ${file} ` +
      "and compare the fingerprint";
    switch (problem) {
      case "unreadable":
        return `missing, and ${file} cannot be read; write the key here, or name a readable file`;
      case "revoked":
        return `missing, and the key of ${host} in ${file} is revoked; give the host a new key`;
      case "rsa":
        return `missing, and ${file} has only an RSA key of ${host}, which cannot be verified; ${scan}`;
      case "none":
        return `missing, and ${file} has no key of ${host}; ${scan}`;
      default:
        return problem satisfies never;
    }
  }

  #knownHosts(): KnownHosts | "unreadable" {
    this.#file ??= this.#read(expand(this.#ssh.knownHostsFile, this.#surroundings));
    return this.#file;
  }

  #read(file: string): KnownHosts | "unreadable" {
    try {
      return parseKnownHosts(readFileSync(file, "utf8"));
    } catch (error) {
      return reasonOf(error) === "ENOENT" ? [] : "unreadable";
    }
  }
}
