/** What a lab has left on this machine, read from /proc and /sys and not from the lab. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

export interface LabProcess {
  readonly pid: number;
  readonly command: string;
}

const namespaceTypes = ["net", "mnt", "pid"] as const;
const groupRoots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/** A file of /proc, or nothing when its process ends meanwhile. */
function readProc(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The processes of the lab with this identity, as its control groups name them; no zombies. */
export function processesOf(identity: string): LabProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => readProc(`/proc/${pid}/cgroup`).includes(`/etcd-lab-${identity}/`))
    .map((pid) => ({
      pid: Number(pid),
      command: readProc(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim(),
    }))
    .filter(({ command }) => command !== "");
}

/** The inode numbers of the namespaces these processes have and this process has not. */
export function namespacesOf(processes: readonly LabProcess[]): string[] {
  const found = new Set<string>();

  for (const { pid } of processes) {
    for (const type of namespaceTypes) {
      try {
        const link = readlinkSync(`/proc/${pid}/ns/${type}`);

        if (link !== readlinkSync(`/proc/self/ns/${type}`)) {
          found.add(link.replace(/\D/g, ""));
        }
      } catch {
        // The process ended meanwhile.
      }
    }
  }

  return [...found];
}

/** The control groups of the lab with this identity. */
export function groupsOf(identity: string): string[] {
  return groupRoots
    .map((root) => `${root}/etcd-lab-${identity}`)
    .filter((path) => existsSync(path));
}

/** @throws when `condition` is still false after ten seconds */
export async function waitFor(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;

  while (!(await condition())) {
    if (Date.now() > deadline) {
      throw new Error("what was waited for did not happen within 10 s");
    }

    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
