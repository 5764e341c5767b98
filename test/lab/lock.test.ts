/** Two operators at once: the hosts say who is at work. */
import { beforeAll, expect, test } from "vitest";
import { freshStack } from "./support/fresh";
import { killedUp } from "./support/interrupt";
import { eventually, on, onAll, printed, refuse, Stack, succeed } from "./support/stack";

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
    /etcd0[123]: an up of \S+@\S+ \(stack first, process \d+\) since [-0-9]+ [:0-9]+ UTC is at work/;
  expect(refused).toContain("another up is at work, nothing was changed:");
  expect(refused).toMatch(words);
  expect(printed(looked)).toMatch(words);
  await on(lab, "etcd03", "rm /run/wait");
  await succeed(up);
  await on(lab, "etcd03", "rm /usr/local/sbin/curl");
  expect(await second.exportState()).not.toContain("remote:Command");
});

test("when it is done the hosts are free, and nothing differs because of it", async () => {
  await onAll(lab, "flock -n -s /run/etcd-on-pulumi.lock true");
  expect(printed(await succeed(first.previewNothing()))).not.toContain("is at work");
});

test("another stack, which has neither the CA nor the state of this cluster, is refused then too", async () => {
  const state = `find /etc/kubernetes /etc/etcd* /etc/systemd/system /etc/hosts /var/lib/etcd-on-pulumi /opt/etcd-on-pulumi -printf '%p %T@ %m %u\\n' | sort
    systemctl show --property MainPID etcd.service; nft list ruleset`;
  const before = await onAll(lab, state);
  for (const run of [() => second.preview(), () => second.up(), () => second.preview()]) {
    const message = await refuse(run());
    expect(message).toContain("the hosts are another stack's, nothing was changed on them:");
    expect(message).toMatch(
      /etcd02 has a member of the cluster with the token etcd-cluster-[0-9a-f]{8}; this stack's is /,
    );
  }
  expect(await onAll(lab, state)).toEqual(before);
  expect(await second.exportState()).not.toContain("remote:Command");
  await succeed(first.previewNothing());
});

test("a run that is killed gives the hosts free at once", async () => {
  first.configure({ settings: { "quota-backend-bytes": 1073741824 } });
  await killedUp(first, { word: "updated", events: 1, delay: 0.1 });
  await onAll(lab, "flock -w 5 -s /run/etcd-on-pulumi.lock true");
  await succeed(first.up());
  await succeed(first.previewNothing());
});

test("a member does not leave while an up is at work on its host", async () => {
  await on(
    lab,
    "etcd03",
    `systemd-run --quiet --unit holder sh -c 'exec 9>/run/etcd-on-pulumi.lock; flock 9; echo "alice@laptop since 12:03" >&9; exec sleep 1000'
    until ${HELD}; do sleep 0.1; done`,
  );
  expect(await refuse(first.destroy())).toContain(
    "etcd03: not touched, because an up of alice@laptop since 12:03 is at work on this host; wait until it is done",
  );
  await on(lab, "etcd03", "systemctl stop holder");
  await succeed(first.destroy());
});
