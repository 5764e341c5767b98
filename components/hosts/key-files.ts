/** Private keys of which only the text is configured, as files: OpenSSH's client reads a key from nowhere else. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection, Endpoint } from "../config/types";

export interface Dialled {
  /** The connection with a file for each of its keys. */
  readonly connection: Connection;
  /** Removes the files that were written. */
  close(): void;
}

/** Directories that there are, for a run that is ended meanwhile: it leaves no key behind. */
const open = new Set<string>();
let watched = false;

function remove(directory: string): void {
  open.delete(directory);
  rmSync(directory, { recursive: true, force: true });
}

/** The files can be read by this user alone, and are needed for as long as a login takes. */
export function withKeyFiles(connection: Connection): Dialled {
  if (!isTextAlone(connection) && !isTextAlone(connection.bastion)) {
    return { connection, close: () => undefined };
  }
  const directory = mkdtempSync(join(tmpdir(), "etcd-identity-"));
  open.add(directory);
  if (!watched) {
    watched = true;
    process.on("exit", () => open.forEach(remove));
  }
  const filed = <E extends Endpoint>(endpoint: E, name: string): E => {
    if (!isTextAlone(endpoint)) {
      return endpoint;
    }
    const privateKeyFile = join(directory, name);
    writeFileSync(privateKeyFile, endpoint.privateKey ?? "", { mode: 0o600 });
    return { ...endpoint, privateKeyFile };
  };
  const { bastion } = connection;
  return {
    connection: {
      ...filed(connection, "node"),
      ...(bastion === undefined ? {} : { bastion: filed(bastion, "bastion") }),
    },
    close: () => remove(directory),
  };
}

function isTextAlone(endpoint: Endpoint | undefined): boolean {
  return endpoint?.privateKey !== undefined && endpoint.privateKeyFile === undefined;
}
