/** A hostile process of the etcd user on a lab host, which keeps swapping what root's scripts may meet. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { checkout, type Lab } from "../../support/lab";
import { on } from "./stack";

/** What it plants, below /var/lib; see planter.sh. */
export const PLANTED = [
  ...["etcd/log", "etcd/x", "etcd/member/x.db", "etcd/member/wal/x.wal", "etcd/member/snap/x.snap"],
  ...["etcd.replay/log", "etcd.replay/x", "etcd.replay/member/log", "etcd.restored/x"],
];

/** Begins that on a host, with root's files that are none of its business. */
export async function plant(lab: Lab, host: string): Promise<void> {
  const planter = readFileSync(join(checkout, "test/support/planter.sh")).toString("base64");
  await on(
    lab,
    host,
    `mkdir -p /etc/PLANTED.d; chmod 777 /etc/PLANTED.d; echo root >/etc/PLANTED; chmod 600 /etc/PLANTED
    echo ${planter} | base64 -d >/run/planter.sh
    systemd-run --quiet --unit planter --property User=etcd --property CPUQuota=5% bash /run/planter.sh ${PLANTED.join(" ")}`,
  );
}

/** Ends it: nothing outside of the etcd user's own directories has become its own or changed. */
export async function expectNothingPlanted(lab: Lab, host: string): Promise<void> {
  const script = `systemctl stop planter
    stat -c '%a %U:%G %s' /etc/PLANTED; ls /etc/PLANTED.d
    find / -xdev -user etcd -not -path '/var/lib/etcd*' -not -path '/proc/*' -not -path '/etc/kubernetes/*'`;
  expect(await on(lab, host, script)).toBe("600 root:root 5");
}
