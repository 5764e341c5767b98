/** One look at the cluster of the selected stack: its members are asked, and the hosts for what their jobs have done. */
import type { ClusterConfig } from "../components/config";
import { askResults } from "../components/hosts/results";
import { type StackConfiguration, stackConfiguration, WARN_HOURS } from "./configuration";
import { notAskedOf } from "./hosts";
import { jobsOf, jobWarnings, NO_JOBS, NOTHING_KNOWN } from "./jobs";
import { askMembers, type Seen } from "./members";
import { type AskedJobs, makeReport, type Report } from "./report";
import { askableOutputs, messageOf } from "./stack";

/**
 * @param configFile of the stack, where it is not the one that the CLI looks for.
 * @throws Error when nobody can be asked.
 */
export async function look(
  configFile?: string,
): Promise<{ readonly report: Report; readonly seen: Seen }> {
  const now = new Date();
  // Each asks the backend first, and then all hosts at once.
  const [{ outputs, seen }, { warnHours, asked }] = await Promise.all([
    askCluster(),
    askHosts(configFile, now),
  ]);
  return { report: makeReport({ ...asked, outputs, seen, warnHours, now }), seen };
}

async function askCluster() {
  const outputs = await askableOutputs();
  return { outputs, seen: await askMembers(outputs) };
}

/** Never fails: what the cluster says of itself does not depend on it. */
async function askHosts(configFile: string | undefined, now: Date) {
  try {
    const configuration = await stackConfiguration(configFile);
    return { warnHours: configuration.warnHours, asked: await askJobs(configuration, now) };
  } catch (error) {
    const problem = unread(error);
    return {
      warnHours: WARN_HOURS,
      asked: { jobs: NO_JOBS, notAsked: [], jobWarnings: [problem] },
    };
  }
}

/** No host is logged in to that has nothing to say. */
async function askJobs(configuration: StackConfiguration, now: Date): Promise<AskedJobs> {
  const { backup, maintenance } = configuration;
  if (!backup && !maintenance) {
    return { jobs: NO_JOBS, notAsked: [], jobWarnings: [] };
  }
  let config: ClusterConfig;
  try {
    config = configuration.read();
  } catch (error) {
    const jobs = {
      ...NO_JOBS,
      ...(backup ? { backup: NOTHING_KNOWN } : {}),
      ...(maintenance ? { maintenance: NOTHING_KNOWN, noSpace: NOTHING_KNOWN } : {}),
    };
    return { jobs, notAsked: [], jobWarnings: [unread(error)] };
  }
  const hosts = await askResults(config);
  const jobs = jobsOf(config, hosts, now);
  return {
    jobs,
    notAsked: notAskedOf(hosts),
    jobWarnings: jobWarnings(config, jobs, hosts, now),
  };
}

function unread(error: unknown): string {
  const words = messageOf(error)
    .replace(/:\n\s*- /, ": ")
    .replace(/\n\s*(- )?/g, "; ");
  return `nothing is known of backups, because the stack's configuration cannot be read: ${words}`;
}
