import { quote } from "../../components/scripts/bundle";
import { STATE } from "./paper-cluster";
import type { PaperHost } from "./paper-host";

/** A snapshot in the repository of a paper host. */
export interface PaperSnapshot {
  /** Eight digits. */
  readonly id: string;
  readonly time?: string;
  readonly revision?: number;
  readonly size?: number;
  readonly cluster?: string;
  readonly release?: string;
  readonly hash?: string;
}

const TOKEN = "etcd-cluster-0badcafe";

/** A restic that answers from files below /var/paper and keeps its calls in /var/paper/restic: for what steps make of its answers. */
export function paperRestic(host: PaperHost, snapshots: readonly PaperSnapshot[]): void {
  const json = snapshots.map(
    ({
      id,
      time = "2026-11-20T08:00:00Z",
      revision = 7,
      size = 41,
      cluster = "cafe",
      release = "3.6.14",
      hash = "deadbeef",
    }) => ({
      ...{ time, hostname: TOKEN, paths: ["/etcd.db"] },
      tags: Object.entries({ cluster, revision, release, node: "etcd02", hash, size }).map(
        ([name, value]) => `${name}=${value}`,
      ),
      ...{ id: id.padEnd(64, "0"), short_id: id },
    }),
  );
  host.write("/var/paper/snapshots", JSON.stringify(json));
  host.write(
    "/usr/local/sbin/restic",
    `#!/bin/bash
printf '%s\\n' "$*" >>/var/paper/restic
if [ -e /var/paper/restic-fails ]; then cat /var/paper/restic-fails >&2; exit 1; fi
case " $* " in
  *' snapshots '*) cat /var/paper/snapshots ;;
  *' cat config '*) echo '{ "version": 1, "id": "${"ab".repeat(32)}" }' ;;
  *' backup '*) cat >/var/paper/pushed; echo 'snapshot 1a2b3c4d saved' ;;
  *' dump '*)
    echo snapshot
    printf '%b' "$(echo snapshot | sha256sum | cut -c 1-64 | sed 's/../\\\\x&/g')"
    ;;
esac
`,
  );
  host.sh(": >/var/paper/restic; chmod 0755 /usr/local/sbin/restic");
}

/** What the step `install` leaves for the jobs. */
export function withRepository(
  host: PaperHost,
  repository = "s3:https://s3.example.org/etcd",
): void {
  const values = {
    ...{ NODE: "etcd01", ADDRESS: "192.168.1.83", PKI: "/etc/kubernetes/pki/etcd", TOKEN },
    ...{ VERSION: "3.6.14", BACKUP_LOCAL: "3", BACKUP_KEEP: "24 7 4 12", BACKUP_PRUNE: "yes" },
    ...{ REPOSITORY: repository, REPOSITORY_PASSWORD: "swordfish", REPOSITORY_ENVIRONMENT: "" },
    ...{ REPOSITORY_CA: "", REPOSITORY_KEY: "", REPOSITORY_HOST_KEY: "" },
  };
  const text = Object.entries(values)
    .map(([name, value]) => `${name}=${quote(value)}\n`)
    .join("");
  host.sh(`mkdir -p ${STATE}/jobs`);
  host.write(`${STATE}/jobs/values`, text);
}
