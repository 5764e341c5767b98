/** What the job "maintenance" did on the lab's hosts, and databases that it has something to do with. */
import type { Lab } from "../../support/lab";
import { ETCDCTL } from "./etcdctl";
import { eventually, hosts, on, onAll } from "./stack";

const STATE = "/var/lib/etcd-on-pulumi";
export const MIB = 2 ** 20;

/** The job's outcome on a host, of its last run: "ok - - - - # defragmented ...", without its times; nothing before the first. */
export async function resultOf(lab: Lab, host: string, job = "maintenance"): Promise<string> {
  const line = await on(lab, host, `cat ${STATE}/results/${job} 2>/dev/null || true`);
  return line.trim().replace(/^(\w+) \S+ \d+/, "$1");
}

/** As its timer does it: on all hosts at once. Returns when it has ended on each. */
export async function defragmentNow(lab: Lab): Promise<void> {
  await onAll(lab, "systemctl start etcd-maintenance.service");
}

/** Bytes that each host's database has in all and in use. */
export async function sizesOf(lab: Lab): Promise<{ size: number; used: number }[]> {
  const texts = await onAll(lab, `${ETCDCTL} endpoint status --write-out json`);
  return texts.map((text) => {
    const [, size, used] = /"dbSize":(\d+).*"dbSizeInUse":(\d+)/.exec(text) ?? [];
    return { size: Number(size), used: Number(used) };
  });
}

/** Grows the databases by about so many MiB, of which about half is free then. */
export async function fragment(lab: Lab, mebibytes: number): Promise<void> {
  const first = hosts[0] ?? "";
  const begin = Date.now();
  const remove = (prefix: string) =>
    on(
      lab,
      first,
      `${ETCDCTL} del --prefix ${prefix} >/dev/null
      ${ETCDCTL} compaction --physical $(${ETCDCTL} put small "$(date +%s)" --write-out json | sed 's/.*"revision":\\([0-9]*\\).*/\\1/') >/dev/null`,
    );
  // Of an earlier time.
  await remove("fragment-");
  // A command on a host may take two minutes.
  for (let done = 0; done < mebibytes; done += 100) {
    await on(
      lab,
      first,
      `value=$(head -c 75000 /dev/urandom | base64 -w 0)
      for turn in $(seq ${begin + done} ${begin + Math.min(done + 100, mebibytes)}); do
        { echo; for key in 0 1 2 3 4 5 6 7 8 9; do echo "put fragment-$key-$turn $value"; done; printf '\\n\\n'; } | ${ETCDCTL} txn >/dev/null
      done`,
    );
  }
  const areFree = async (share: number) =>
    (await sizesOf(lab)).every(({ size, used }) => (size - used) / size >= share);
  for (const key of [0, 8, 4, 2, 6]) {
    await remove(`fragment-${key}-`);
    // Each member works it off in its own time, and tells what it has free at its writes.
    for (let turn = 0; turn < 10; turn += 1) {
      await on(lab, first, `${ETCDCTL} put small "$(date +%s)" >/dev/null; sleep 0.2`);
      if (await areFree(0.45)) {
        return;
      }
    }
  }
  throw new Error("less than 45 % of the databases are free");
}

/** Seconds until a write through a host's member succeeds. */
export async function secondsUntilWrite(lab: Lab, host: string, patience: number): Promise<number> {
  const begin = Date.now();
  await eventually(
    "a write is accepted",
    async () => (await lab.exec(host, `${ETCDCTL} put small "$(date +%s)" 2>/dev/null`)).code === 0,
    patience,
  );
  return (Date.now() - begin) / 1000;
}
