/** What is on a host's disk and in its kernel, to compare before and after. */
import type { Lab } from "../../support/lab";
import { hosts, onAll } from "./stack";

/** Written by the system itself all the time. */
const RESTLESS = [
  ...["/dev", "/proc", "/run", "/sys", "/tmp"],
  ...["/var/cache", "/var/lib/systemd", "/var/log", "/var/tmp"],
];

/** The copies that useradd and userdel make of the files they change, and their lock. */
const ACCOUNT_COPIES = /^\/etc\/((passwd|shadow|group|gshadow|subuid|subgid)-|\.pwd\.lock)$/;

const LIST = `find / -xdev \\( ${RESTLESS.map((path) => `-path ${path}`).join(" -o ")} \\) -prune \\
  -o ! -type d -printf '%p %M %u:%g %s %l TIME\\n' -o -printf '%p %M %u:%g\\n'
find /etc -xdev -type f ! -name group ! -name gshadow -exec sha256sum {} + | awk '{ print $2, $1 }'
for file in /etc/group /etc/gshadow; do sed "s|^|$file |" $file; done
systemctl list-unit-files --no-legend --no-pager | awk '$2 != "transient" { print "unit", $1, $2 }'
nft list ruleset | sed 's/^/nft /'
ps -eo comm= | grep -c '^etcd' | sed 's/^/etcd processes /'
ss -Hltn | awk '{ print "listens", $4 }'`;

/**
 * One line for each file, directory, unit, packet filter rule and listening port, on each host.
 *
 * @param times also tell a file that was written again with the same content.
 */
export async function hostStates(lab: Lab, times: boolean): Promise<string[][]> {
  const script = LIST.replace("TIME", times ? "%T@" : "");
  const states = await onAll(lab, script, hosts);
  return states.map((state) =>
    state
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => !ACCOUNT_COPIES.test(line.split(" ")[0] ?? ""))
      .sort(),
  );
}

export interface Difference {
  readonly added: readonly string[];
  readonly gone: readonly string[];
}

export function difference(before: readonly string[], after: readonly string[]): Difference {
  const [old, now] = [new Set(before), new Set(after)];
  return {
    added: after.filter((line) => !old.has(line)),
    gone: before.filter((line) => !now.has(line)),
  };
}
