import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClusterConfig, ConfigError, readConfig } from "../../../components/config";
import type { Surroundings } from "../../../components/config/surroundings";

/** A public host key that is well formed and belongs to nobody; `seed` makes it differ. */
export function hostKey(seed: number, type = "ssh-ed25519"): string {
  return `${type} ${Buffer.concat([sized(type), Buffer.alloc(36, seed)]).toString("base64")}`;
}

/** The outer form of a private key in OpenSSH's format, with no key in it. */
export function privateKey(cipher = "none"): string {
  const body = Buffer.concat([Buffer.from("openssh-key-v1\0"), sized(cipher), sized("rest")]);
  const name = "OPENSSH PRIVATE KEY";
  return `-----BEGIN ${name}-----\n${body.toString("base64")}\n-----END ${name}-----\n`;
}

function sized(text: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, Buffer.from(text)]);
}

export const NODES = [
  { name: "etcd01", address: "192.168.1.83" },
  { name: "etcd02", address: "192.168.1.84" },
  { name: "etcd03", address: "192.168.1.85" },
];

/** A new home and project directory with these files in them, each readable by the owner alone. */
export function operator(files: Readonly<Record<string, string>>): Surroundings {
  const home = mkdtempSync(join(tmpdir(), "etcd-config-"));
  const directory = join(home, "project");
  mkdirSync(join(home, ".ssh"));
  mkdirSync(directory);
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(home, name), text);
    chmodSync(join(home, name), 0o600);
  }
  return { directory, home };
}

/** An operator with a key, who has met the three nodes. */
export const usual = (): Surroundings =>
  operator({
    ".ssh/id_ed25519": privateKey(),
    ".ssh/known_hosts": NODES.map(({ address }) => `${address} ${hostKey(1)}\n`).join(""),
  });

export type Raw = Readonly<Record<string, unknown>>;

export function read(raw: Raw, where: Surroundings, secrets: readonly string[] = []) {
  return readConfig(raw, "etcd", new Set(secrets), where);
}

/** The mistakes in a configuration; empty when there are none. */
export function mistakes(
  raw: Raw,
  where: Surroundings,
  secrets: readonly string[] = [],
): readonly string[] {
  return failure(() => read(raw, where, secrets))?.problems ?? [];
}

export function failure(load: () => ClusterConfig): ConfigError | undefined {
  try {
    load();
    return undefined;
  } catch (error) {
    if (error instanceof ConfigError) {
      return error;
    }
    throw error;
  }
}
