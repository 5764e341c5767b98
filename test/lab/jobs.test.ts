/** The timers of the hosts: installed, drift when somebody stops them, in nobody's way, and gone with the node. */
import { describe, expect, test } from "vitest";
import { leaderOf } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { eventually, hosts, MAIN_PID, on, onAll, printed, succeed } from "./support/stack";

const TIMERS = ["etcd-backup.timer", "etcd-maintenance.timer", "etcd-maintenance-nospace.timer"];
const STATE = "/var/lib/etcd-on-pulumi";
const config = (schedule: string) => ({
  backup: { schedule, local: 1 },
  maintenance: { defrag: {} },
});

const stack = freshStack("jobs", { config: config("hourly") });
const { lab } = stack;
const pids = () => onAll(lab, MAIN_PID);
const states = () =>
  onAll(lab, `systemctl is-active ${TIMERS.join(" ")}; systemctl is-enabled ${TIMERS.join(" ")}`);
const inOrder = hosts.map(() =>
  [...TIMERS.map(() => "active"), ...TIMERS.map(() => "enabled")].join("\n"),
);

test("a create starts them on every host, and the first backup on the one that leads", async () => {
  await succeed(stack.up());
  expect(await states()).toEqual(inOrder);
  await eventually("every host has been asked for its backup", async () => {
    const ended = await onAll(
      lab,
      "journalctl --unit etcd-backup.service --output cat | grep -cE 'nothing to do: the member|backup: (ok|failed) ' || true",
    );
    return ended.every((count) => Number(count) > 0);
  });
  const results = await onAll(lab, `ls ${STATE}/results/backup 2>/dev/null || true`);
  expect(results.filter((path) => path !== "")).toHaveLength(1);
  // The sandbox keeps nothing from a job that it has need of.
  expect(await onAll(lab, "systemctl is-failed etcd-backup.service || true")).toEqual(
    hosts.map(() => "inactive"),
  );
  await succeed(stack.previewNothing());
});

test("are drift when they are stopped or disabled, and are put right without a restart", async () => {
  const before = await pids();
  await on(lab, "etcd02", "systemctl stop etcd-backup.timer");
  await on(lab, "etcd03", "systemctl disable --quiet etcd-maintenance.timer");
  const words = printed(await succeed(stack.preview()));
  expect(words).toContain("etcd02: etcd-backup.timer is inactive");
  expect(words).toContain("etcd03: etcd-maintenance.timer is disabled");
  await succeed(stack.up());
  expect(await states()).toEqual(inOrder);
  expect(await pids()).toEqual(before);
  await succeed(stack.previewNothing());
});

test("have another schedule as soon as the configuration has, without a restart", async () => {
  const before = await pids();
  const next = "systemctl show --property NextElapseUSecRealtime --value etcd-backup.timer";
  stack.configure(config("*-*-* 03:17:00"));
  await succeed(stack.up());
  for (const elapse of await onAll(lab, next)) {
    expect(elapse).toContain(" 03:17:00 ");
  }
  expect(await pids()).toEqual(before);
  await succeed(stack.previewNothing());
});

describe("a job that is at work", () => {
  const hold = (host: string) =>
    on(
      lab,
      host,
      `systemd-run --quiet --unit job sh -c 'exec 9<>/run/etcd-on-pulumi.job; flock 9; echo "backup since 08:00" >&9; touch /run/holds; while [ -e /run/holds ]; do sleep 0.2; done'
      until [ -e /run/holds ]; do sleep 0.1; done`,
    );

  test("is waited for by an up", async () => {
    await hold("etcd02");
    const up = stack.up();
    await eventually("the up has the host", async () => {
      const { code } = await lab.exec("etcd02", "! flock -n -s /run/etcd-on-pulumi.lock true");
      return code === 0;
    });
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await on(lab, "etcd02", "rm /run/holds");
    expect(printed(await succeed(up))).toContain(
      "etcd02: steps of an earlier run, or a job, are still in progress there; waiting up to 3 minutes",
    );
  });

  test("waits for an up itself", async () => {
    const log = "journalctl --unit etcd-maintenance.service --output cat";
    // On the others there is nothing to wait for.
    const leader = await leaderOf(lab);
    await on(
      lab,
      leader,
      `systemd-run --quiet --unit holder sh -c 'exec 9>/run/etcd-on-pulumi.lock; flock 9; echo "alice@laptop since 12:03" >&9; touch /run/holds; while [ -e /run/holds ]; do sleep 0.2; done'
      until [ -e /run/holds ]; do sleep 0.1; done; systemctl start --no-block etcd-maintenance.service`,
    );
    await eventually("it waits", async () =>
      (await on(lab, leader, log)).includes(
        "waiting up to 30 minutes for the pulumi up by alice@laptop since 12:03",
      ),
    );
    await on(lab, leader, "rm /run/holds");
    await eventually("it has ended", async () =>
      /inactive|failed/.test(
        await on(lab, leader, "systemctl is-active etcd-maintenance.service || true"),
      ),
    );
  });
});

test("are gone when the cluster is, with all that their jobs left", async () => {
  await succeed(stack.destroy());
  const left = await onAll(
    lab,
    `find /etc/systemd/system /var/lib/systemd/timers -name '*etcd-*'; ls -d ${STATE} /var/cache/etcd-on-pulumi 2>/dev/null
    systemctl list-units --all --plain --no-legend 'etcd-*'`,
  );
  expect(left).toEqual(hosts.map(() => ""));
});
