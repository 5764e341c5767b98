/** Databases that are full or corrupt, made on the lab's hosts. */
import type { Lab } from "../../support/lab";
import { ETCDCTL } from "./etcdctl";
import { on } from "./stack";

/**
 * Puts values through a host's member until etcd takes no more: of 700 kB into one key, or of 100 kB each into a key of its own,
 * which leaves little room for free pages between them.
 */
export async function fill(
  lab: Lab,
  host: string,
  { distinct }: { readonly distinct: boolean },
): Promise<void> {
  const output = await on(
    lab,
    host,
    `head -c ${distinct ? 75_000 : 525_000} /dev/urandom | base64 -w 0 >/tmp/value
    for turn in $(seq 1 400); do
      ${ETCDCTL} put full${distinct ? "-$(date +%s%N)" : ""} </tmp/value 2>&1 | grep -v '^{' | grep -v OK && break
    done || true`,
  );
  if (!output.includes("database space exceeded")) {
    throw new Error(`${host}: the database did not fill up: ${output}`);
  }
}

/** Small writes through a host's member; each must succeed. */
export async function writesFor(lab: Lab, host: string, seconds: number): Promise<void> {
  const written = await on(
    lab,
    host,
    `set -e; count=0 end=$(($(date +%s) + ${seconds}))
    while [ "$(date +%s)" -lt $end ]; do ${ETCDCTL} put small "$(date +%N)" >/dev/null; count=$((count + 1)); sleep 0.5; done
    echo $count`,
  );
  if (Number(written) < seconds / 4) {
    throw new Error(`${host}: only ${written} writes in ${seconds} s`);
  }
}

/** Of the member on a host, hexadecimal. */
export function memberOf(lab: Lab, host: string): Promise<string> {
  return on(lab, host, "cut -d ' ' -f 2 /var/lib/etcd-on-pulumi/identity");
}

/** Flips bytes of a value in the database of a host's running member, and has the cluster compact them. */
export async function corrupt(lab: Lab, host: string): Promise<void> {
  const value = "value-that-is-flipped-AAAAAAAA";
  await on(lab, host, `${ETCDCTL} put flipped ${value} && ${ETCDCTL} put other 1 && sleep 1`);
  await on(
    lab,
    host,
    `db=/var/lib/etcd/member/snap/db
    offsets=$(grep -aboF ${value} $db | cut -d : -f 1); test -n "$offsets"
    for offset in $offsets; do printf BBBB | dd of=$db bs=1 seek=$((offset + 22)) conv=notrunc status=none; done
    ${ETCDCTL} compaction $(${ETCDCTL} get flipped --write-out json | sed 's/.*"revision":\\([0-9]*\\).*/\\1/')`,
  );
}
