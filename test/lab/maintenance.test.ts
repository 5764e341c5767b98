/**
 * Databases that are looked after without an operator: defragmented under the load, and full ones healed. ROUNDS of each (1);
 * `npm run campaign -- maintenance` takes twenty.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { generator } from "../support/random";
import { ask, ETCDCTL, leaderOf } from "./support/etcdctl";
import { freshCluster } from "./support/fresh";
import { fill, writesFor } from "./support/full";
import { unnoticed } from "./support/load";
import {
  defragmentNow,
  fragment,
  MIB,
  resultOf,
  secondsUntilWrite,
  sizesOf,
} from "./support/maintenance";
import { hosts, on, onAll, succeed } from "./support/stack";

const QUOTA = 16 * MIB;
/** Of data, before some of it is deleted. */
const MEBIBYTES = Number(process.env.MEBIBYTES ?? 120);
const seed = Number(process.env.SEED ?? 1);
const random = generator(seed);
const rounds = Array.from({ length: Number(process.env.ROUNDS ?? 1) }, (_, index) => index + 1);
/** Its timer does not elapse here: the tests start the job. */
const maintenance = { defrag: { schedule: "*-01-01 04:00", minimumBytes: 100 * MIB } };

const stack = freshCluster("maintenance", { config: { maintenance } });
const { lab } = stack;

async function expectWhole(): Promise<void> {
  expect(await ask(lab, hosts[0] ?? "", "alarm list")).toBe("");
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
  expect(await onAll(lab, `${ETCDCTL} endpoint health >/dev/null && echo well`)).toEqual(
    hosts.map(() => "well"),
  );
}

describe("a look for the alarm", () => {
  test("costs well under a hundredth of a processor, and leaves nothing in the journal", async () => {
    const looks = 20;
    const cost = await on(
      lab,
      "etcd02",
      `systemctl stop etcd-maintenance-nospace.timer
      ticks() { awk '{ print $14 + $15 }' /proc/$1/stat; }
      etcd=$(systemctl show --property MainPID --value etcd.service)
      journald=$(systemctl show --property MainPID --value systemd-journald.service)
      systemctl start etcd-maintenance-nospace.service
      before="$(ticks 1) $(ticks $journald) $(ticks $etcd)"
      for turn in $(seq ${looks}); do systemctl reset-failed etcd-maintenance-nospace.service; systemctl start etcd-maintenance-nospace.service; done
      echo "$before $(ticks 1) $(ticks $journald) $(ticks $etcd)"
      systemctl start etcd-maintenance-nospace.timer`,
    );
    // What it needs itself is its shell's and that one's programs', which systemd forgets.
    const own = await on(
      lab,
      "etcd02",
      `bash -c 'for turn in $(seq ${looks}); do /bin/bash -p /var/lib/etcd-on-pulumi/jobs/maintenance.sh nospace; done; awk "{ print \\$16 + \\$17 }" /proc/$$/stat'`,
    );
    const [before0 = 0, before1 = 0, before2 = 0, after0 = 0, after1 = 0, after2 = 0] = cost
      .split(" ")
      .map(Number);
    const others = after0 + after1 + after2 - before0 - before1 - before2;
    const milliseconds = ((Number(own) + others) * 10) / looks;
    console.log(
      `a look: ${milliseconds} ms of a processor, ${(Number(own) * 10) / looks} of them its own; every 15 s that is ${(milliseconds / 150).toFixed(2)} % of one`,
    );
    expect(Number(own)).toBeGreaterThan(0);
    expect(milliseconds).toBeLessThan(100);
    const said = await on(
      lab,
      "etcd02",
      "journalctl --unit etcd-maintenance-nospace.service --output cat",
    );
    // That of the leader's host has a result, once in an hour.
    expect(said.replace(/^etcd02: maintenance-nospace: ok .* # nothing to do$/, "")).toBe("");
  });
});

describe("defragmentation", () => {
  test.each(rounds)("of three members, nearly half of whose pages are free, round %i", async () => {
    await fragment(lab, MEBIBYTES);
    const before = await sizesOf(lab);
    const leader = await leaderOf(lab);
    console.log(
      before
        .map(
          ({ size, used }) =>
            `${Math.round(size / MIB)} MiB, ${Math.round(100 - (100 * used) / size)} % free`,
        )
        .join("; "),
    );
    await unnoticed("a defragmentation", lab, stack, () => defragmentNow(lab));
    const after = await sizesOf(lab);
    expect(await resultOf(lab, leader)).toMatch(
      /^ok - - - - # defragmented (etcd0\d \([\d.]+ to [\d.]+ MiB\)(, )?){3}$/,
    );
    after.forEach(({ size, used }, index) => {
      expect(size).toBeLessThan((before[index]?.size ?? 0) * 0.65);
      expect(used).toBeGreaterThan(size * 0.8);
    });
    expect(await leaderOf(lab)).not.toBe(leader);
    await expectWhole();
  });
});

describe("a full database", () => {
  beforeAll(async () => {
    stack.configure({
      maintenance,
      settings: { "quota-backend-bytes": QUOTA, "compact-hash-check-time": "1s" },
    });
    await on(
      lab,
      "etcd01",
      `${ETCDCTL} del --prefix fragment >/dev/null; ${ETCDCTL} compaction --physical $(${ETCDCTL} get x --write-out json | sed 's/.*"revision":\\([0-9]*\\).*/\\1/')`,
    );
    for (const host of hosts) {
      await ask(lab, host, "defrag");
    }
    await succeed(stack.up());
  });

  test.each(rounds)(
    "takes writes again within half a minute, with nobody around, round %i",
    async (round) => {
      const host = hosts[round % hosts.length] ?? "";
      await fill(lab, host, { distinct: false });
      const seconds = await secondsUntilWrite(lab, host, 60);
      console.log(`NOSPACE was over after ${seconds.toFixed(1)} s`);
      expect(seconds).toBeLessThan(30);
      await writesFor(lab, host, 3);
      await expectWhole();
    },
  );

  test.each(rounds)(
    `does so although the job is killed on its way (seed ${seed}), round %i`,
    async (round) => {
      const host = hosts[round % hosts.length] ?? "";
      await fill(lab, host, { distinct: false });
      const milliseconds = Math.round(random() * 4000);
      const kill = `timeout 25 sh -c 'until grep -qs nospace /run/etcd-on-pulumi.job; do sleep 0.05; done; : >/run/etcd-on-pulumi.job; sleep ${milliseconds / 1000}; systemctl kill --signal KILL etcd-maintenance-nospace.service' || true`;
      const [, seconds] = await Promise.all([onAll(lab, kill), secondsUntilWrite(lab, host, 90)]);
      console.log(
        `killed after ${milliseconds} ms, NOSPACE was over after ${seconds.toFixed(1)} s`,
      );
      expect(seconds).toBeLessThan(60);
      await expectWhole();
    },
  );
});
