/** `npm run backups`: the snapshots that there are, in the repository and on the hosts; with `now`, one more. */
import type { ClusterConfig } from "../components/config";
import { listBackups, renderList } from "./backup-list";
import { backUpNow, renderResult } from "./backup-now";
import { readCommandLine } from "./command-line";
import { stackConfiguration } from "./configuration";
import { main } from "./stack";

/** Exit code: something could not be read, or there is no new snapshot. */
const FAILED = 1;

const words = process.argv.slice(2);
/** Also for the error about words that nobody understands. */
const json = words.includes("--json");

void main(
  async () => {
    const usage = "npm run backups [-- [now] [--json] [--config-file FILE]]";
    const { verb, configFile } = readCommandLine(words, usage, ["now"]);
    const config = await backupConfig(configFile);
    return verb === "now" ? now(config) : list(config);
  },
  FAILED,
  json,
);

async function list(config: ClusterConfig): Promise<number> {
  const found = await listBackups(config);
  print(found, renderList(found));
  return found.notAsked.length > 0 || (found.repository?.error ?? null) !== null ? FAILED : 0;
}

async function now(config: ClusterConfig): Promise<number> {
  if (!json) {
    const hosts = [...config.connections.keys()].join(", ");
    console.error(`waiting for etcd-backup.service, started on ${hosts}`);
  }
  const made = await backUpNow(config);
  print(made, renderResult(made));
  return 0;
}

function print(value: object, text: string): void {
  console.log(json ? JSON.stringify(value, null, 2) : text);
}

/** @throws Error when there is none for backups. */
async function backupConfig(file: string | undefined): Promise<ClusterConfig> {
  const configuration = await stackConfiguration(file);
  if (!configuration.backup) {
    throw new Error("etcd:backup is not configured, so there are no backups; see docs/backup.md");
  }
  return configuration.read();
}
