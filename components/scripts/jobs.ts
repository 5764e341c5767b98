/** What a host's timers start, and what is told to the step that installs them (lib/jobs.sh). */
import type { ClusterConfig, NodeConfig } from "../config";
import { hostScript, type JobScript, quote } from "./bundle";
import { repositorySecrets, repositoryValues, sha256, yesNo } from "./values";

/** What a timer starts. */
interface Job {
  readonly unit: string;
  readonly script: JobScript;
  /** The function of the script. */
  readonly call: string;
  /** As systemd's OnCalendar has it. */
  readonly schedule: string;
}

/** How often the hosts look for the alarm: nothing is written while it is raised. */
const LOOK_FOR_NOSPACE = "*:*:0/15";

function jobsOf({ backup, maintenance }: ClusterConfig): readonly Job[] {
  const job = (unit: string, script: JobScript, call: string, schedule: string | undefined) =>
    schedule === undefined ? [] : [{ unit: `etcd-${unit}`, script, call, schedule }];
  const healed = maintenance?.noSpace ? LOOK_FOR_NOSPACE : undefined;
  return [
    ...job("backup", "backup", "run", backup?.schedule),
    ...job(
      "backup-check",
      "backup",
      "check",
      backup?.repository === undefined ? undefined : "weekly",
    ),
    ...job("drill", "drill", "run", backup?.drill),
    ...job("maintenance", "maintenance", "run", maintenance?.defrag?.schedule),
    ...job("maintenance-nospace", "maintenance", "nospace", healed),
  ];
}

/** The scripts that the hosts' timers run. */
export function jobScripts(config: ClusterConfig): readonly JobScript[] {
  return [...new Set(jobsOf(config).map(({ script }) => script))];
}

/** `UNIT SCRIPT CALL SCHEDULE`, a line each. */
export function jobLines(config: ClusterConfig): string {
  return jobsOf(config)
    .map(({ unit, script, call, schedule }) =>
      [unit, hostScript(script).name, call, schedule].join(" "),
    )
    .join("\n");
}

/** What the jobs of a host are told, as shell assignments: secret. Nothing where there are no jobs. */
export function jobValues(config: ClusterConfig, node: NodeConfig, token: string): string {
  if (jobsOf(config).length === 0) {
    return "";
  }
  const values = {
    ...{ NODE: node.name, ADDRESS: node.address, PKI: config.pki.directory, TOKEN: token },
    VERSION: config.release.version,
    ...backupValues(config),
    ...repositorySecrets(config.backup),
    ...maintenanceValues(config),
  };
  return Object.entries(values)
    .map(([name, value]) => `${name}=${quote(value)}`)
    .join("\n");
}

/** Of what is no secret in them: in a preview it tells whether the jobs have changed. */
export function jobsDigest(config: ClusterConfig): string {
  return sha256(
    JSON.stringify([jobLines(config), backupValues(config), maintenanceValues(config)]),
  );
}

function backupValues({ backup, recover }: ClusterConfig) {
  const { hourly = 0, daily = 0, weekly = 0, monthly = 0 } = backup?.keep ?? {};
  return {
    BACKUP_LOCAL: String(backup?.local ?? 0),
    BACKUP_KEEP: [hourly, daily, weekly, monthly].join(" "),
    BACKUP_PRUNE: yesNo(backup?.prune ?? false),
    ...repositoryValues(backup),
    SNAPSHOT_CLUSTER: recover?.snapshotCluster ?? "",
  };
}

function maintenanceValues({ maintenance }: ClusterConfig) {
  return {
    DEFRAG: yesNo(maintenance?.defrag !== undefined),
    DEFRAG_MINIMUM_BYTES: String(maintenance?.defrag?.minimumBytes ?? 0),
    DEFRAG_FRAGMENTATION: String(maintenance?.defrag?.fragmentation ?? 0),
    HEAL_NOSPACE: yesNo(maintenance?.noSpace ?? false),
  };
}
