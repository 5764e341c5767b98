/** Two operators at once: the hosts say who is at work. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freshStack } from "./support/fresh";
import { killedUp } from "./support/interrupt";
import {
  eventually,
  hosts,
  MAIN_PID,
  on,
  onAll,
  printed,
  refuse,
  Stack,
  succeed,
} from "./support/stack";

const first = freshStack("first");
const { lab } = first;
const second = new Stack(lab, "second");
const HELD = "! flock -n -s /run/etcd-on-pulumi.lock true";

beforeAll(async () => {
  // Backends of their own would not know of each other either.
  await second.create();
});

test("the second one is told who holds the hosts, by the preview and by the up", async () => {
  // Long enough at work for the others to come by.
  await on(
    lab,
    "etcd03",
    `touch /run/wait; printf '#!/bin/sh\\nwhile [ -e /run/wait ]; do sleep 0.2; done\\nexec /usr/bin/curl "$@"\\n' >/usr/local/sbin/curl; chmod 755 /usr/local/sbin/curl`,
  );
  const up = first.up();
  await eventually("the first up is at work", async () => {
    const { code } = await lab.exec("etcd03", `${HELD} && ls /var/lib/etcd-on-pulumi`);
    return code === 0;
  });
  const [looked, refused] = await Promise.all([second.preview(), refuse(second.up())]);
  const words =
    /etcd0[123]: locked by \S+@\S+ \(stack first, process \d+\) since [-0-9]+ [:0-9]+ UTC/;
  expect(refused).toContain("another pulumi up is in progress; nothing was changed:");
  expect(refused).toMatch(words);
  expect(printed(looked)).toMatch(words);
  await on(lab, "etcd03", "rm /run/wait");
  await succeed(up);
  await on(lab, "etcd03", "rm /usr/local/sbin/curl");
  expect(await second.exportState()).not.toContain("remote:Command");
});

test("when it is done the hosts are free, and nothing differs because of it", async () => {
  await onAll(lab, "flock -n -s /run/etcd-on-pulumi.lock true");
  expect(printed(await succeed(first.previewNothing()))).not.toContain("locked by");
});

test("another stack, which has neither the CA nor the state of this cluster, is refused then too", async () => {
  const state = `find /etc/kubernetes /etc/etcd* /etc/systemd/system /etc/hosts /var/lib/etcd-on-pulumi /opt/etcd-on-pulumi -printf '%p %T@ %m %u\\n' | sort
    systemctl show --property MainPID etcd.service; nft list ruleset`;
  const before = await onAll(lab, state);
  for (const run of [() => second.preview(), () => second.up(), () => second.preview()]) {
    const message = await refuse(run());
    expect(message).toContain("these hosts belong to another stack; nothing was changed:");
    expect(message).toMatch(
      /etcd02 has a member of the cluster with the token etcd-cluster-[0-9a-f]{8}; this stack's is /,
    );
  }
  expect(await onAll(lab, state)).toEqual(before);
  expect(await second.exportState()).not.toContain("remote:Command");
  await succeed(first.previewNothing());
});

describe("a run that ends while a step goes on", () => {
  const APPLYING = "flock -n /run/etcd-on-pulumi.applying true";
  const quota = (bytes: number) => first.configure({ settings: { "quota-backend-bytes": bytes } });
  const pids = () => onAll(lab, MAIN_PID);
  /** The host of the member that is to restart next, once its step is at work. */
  async function slowed(): Promise<string> {
    let found: string | undefined;
    await eventually("a member's step waits", async () => {
      const busy = await onAll(lab, `[ ! -e /run/waits ] || echo yes`);
      found = hosts.find((_, index) => busy[index] === "yes");
      return found !== undefined;
    });
    return found ?? "none";
  }
  const goOn = () => onAll(lab, "rm -f /run/wait /run/waits");

  beforeAll(async () => {
    await onAll(
      lab,
      `printf '#!/bin/sh\\ncase $1 in restart) while [ -e /run/wait ]; do : >/run/waits; sleep 0.2; done ;; esac\\nexec /usr/bin/systemctl "$@"\\n' >/usr/local/sbin/systemctl
      chmod 755 /usr/local/sbin/systemctl`,
    );
  });
  afterAll(() => onAll(lab, "rm -f /usr/local/sbin/systemctl /run/wait /run/waits"));

  test("because it lost a host begins no further step, and says why", async () => {
    await onAll(lab, "touch /run/wait");
    const before = await pids();
    quota(1073741824);
    const up = first.up();
    const busy = await slowed();
    const other = hosts.find((name) => name !== busy) ?? "";
    await on(lab, other, "pkill -f '^bash -p -s -- probe'");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    await goOn();
    const said = await refuse(up);
    expect(said).toMatch(
      new RegExp(`error: ${other}: lost the SSH session that holds this run's lock \\(.+\\)`),
    );
    const after = await pids();
    expect(hosts.filter((_, index) => before[index] !== after[index])).toEqual([busy]);
    await succeed(first.up());
    await succeed(first.previewNothing());
  });

  test("because it was killed gives the hosts free at once, and the next one waits for the step", async () => {
    await onAll(lab, "touch /run/wait");
    quota(2147483648);
    const killed = killedUp(first, { word: "updated", events: 0, delay: 20 });
    const busy = await slowed();
    await killed;
    await onAll(lab, "flock -w 5 -s /run/etcd-on-pulumi.lock true");
    await on(lab, busy, `! ${APPLYING}`);
    const whose = `steps of an earlier run by \\S+@\\S+ \\(stack first, process \\d+\\) since [-0-9]+ [:0-9]+ UTC`;
    expect(printed(await succeed(first.preview()))).toMatch(
      new RegExp(`${busy}: still in progress: ${whose}`),
    );
    const up = first.up();
    await eventually("the next one has the lock", async () => {
      const { code } = await lab.exec(busy, HELD);
      return code === 0;
    });
    await new Promise((resolve) => setTimeout(resolve, 3000));
    await goOn();
    expect(printed(await succeed(up))).toContain(
      `${busy}: steps of an earlier run, or a job, are still in progress there; waiting up to 3 minutes`,
    );
    await succeed(first.previewNothing());
  });
});

test("a member does not leave while an up is at work on its host", async () => {
  await on(
    lab,
    "etcd03",
    `systemd-run --quiet --unit holder sh -c 'exec 9>/run/etcd-on-pulumi.lock; flock 9; echo "alice@laptop since 12:03" >&9; exec sleep 1000'
    until ${HELD}; do sleep 0.1; done`,
  );
  expect(await refuse(first.destroy())).toContain(
    "etcd03: not touched: this host is locked by alice@laptop since 12:03; wait until that run is done",
  );
  await on(lab, "etcd03", "systemctl stop holder");
  await succeed(first.destroy());
});
