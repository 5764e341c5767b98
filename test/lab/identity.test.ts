/**
 * Data that is not the host's own: nothing is started on it, nothing of it is deleted. And learners
 * that a run which was killed left behind.
 */
import { beforeAll, expect, test } from "vitest";
import { ETCDCTL } from "./support/etcdctl";
import { freshCluster } from "./support/fresh";
import { on, onAll, printed, refuse, succeed } from "./support/stack";

const stack = freshCluster("identity");
const { lab } = stack;
const STATE = "/var/lib/etcd-on-pulumi";
const IDS = `cat ${STATE}/identity`;
const CONTENT = "cd /var/lib/etcd && find . -type f -exec sha256sum {} + | sort";

// All of this is the same where a shell prints of its own accord: words of the look and of the gate, a title, no line end.
beforeAll(() =>
  on(
    lab,
    "etcd02",
    String.raw`printf '%s\n' "printf 'empty\ncluster 1\n\033]0;etcd02\007begin x'" >/root/.bashrc`,
  ),
);

/** Preview and up refuse with these words; etcd02 runs nothing and its data stays as it is. */
async function expectRefused(words: string): Promise<void> {
  const before = await on(lab, "etcd02", CONTENT);
  for (const run of [() => stack.preview(), () => stack.up()]) {
    expect(await refuse(run())).toContain(words);
  }
  expect(await on(lab, "etcd02", CONTENT)).toBe(before);
  expect(await on(lab, "etcd02", "systemctl is-active etcd.service || true")).toBe("inactive");
}

const members = async () =>
  (await succeed(stack.etcdctl(["member", "list"]))).stdout.trim().split("\n").sort();

test("every host knows its member and its cluster, as etcd itself has them", async () => {
  const outputs = await stack.outputs();
  expect(await onAll(lab, IDS)).toEqual(
    ["etcd01", "etcd02", "etcd03"].map((name) => {
      const id = outputs.members.find((member) => member.name === name)?.id;
      return `${outputs.clusterId} ${id}`;
    }),
  );
});

test("a data directory of another cluster is refused, whatever its member is called", async () => {
  const list = await members();
  await on(
    lab,
    "etcd02",
    `systemctl stop etcd.service; mv /var/lib/etcd /root/own
    (timeout -s TERM 4 /usr/local/bin/etcd --name etcd02 --data-dir /var/lib/etcd || true) 2>/dev/null
    chown -R etcd:etcd /var/lib/etcd`,
  );
  await expectRefused("of cluster cdf818194e3a8c32; its own member is");
  expect(await members()).toEqual(list);
});

test("so is a copy of another member's disk", async () => {
  await on(lab, "etcd03", "systemctl stop etcd.service; tar -C /var/lib -cf /root/copy.tar etcd");
  const copy = await on(lab, "etcd03", "base64 -w 0 /root/copy.tar; systemctl start etcd.service");
  await lab.exec("etcd02", "rm -r /var/lib/etcd; base64 -d | tar -C /var/lib -xf -", {
    input: copy,
  });
  const { clusterId, members: all } = await stack.outputs();
  const [second, third] = ["etcd02", "etcd03"].map((name) => all.find((one) => one.name === name));
  await expectRefused(
    `etcd02: has data in /var/lib/etcd of member ${third?.id} of cluster ${clusterId}; its own member is ${second?.id}`,
  );
});

test("with its own data back the host goes on as the member that it was", async () => {
  const list = await members();
  await on(lab, "etcd02", "rm -r /var/lib/etcd; mv /root/own /var/lib/etcd");
  await succeed(stack.up());
  await succeed(stack.previewNothing());
  expect(await members()).toEqual(list);
});

test("data of a member that was removed meanwhile is put aside, the host joins afresh", async () => {
  const { members: all, clusterId } = await stack.outputs();
  const id = all.find(({ name }) => name === "etcd02")?.id ?? "";
  await on(lab, "etcd02", "systemctl stop etcd.service");
  await succeed(stack.etcdctl(["member", "remove", id], ["etcd01", "etcd03"]));
  expect(printed(await succeed(stack.preview()))).toContain(
    `etcd02: its member ${id} was removed from the cluster; its data will be moved aside, and the host rejoins`,
  );
  const up = await succeed(stack.up());
  expect(up.stdout).toContain(`the previous data was moved to /var/lib/etcd.removed-${id}-`);
  await succeed(stack.previewNothing());
  expect((await stack.outputs()).clusterId).toBe(clusterId);
  const { stdout } = await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]));
  expect(stdout).toBe("Esto es una prueba\n");
  expect(await on(lab, "etcd02", "ls -d /var/lib/etcd.removed-*/member/wal")).toContain(id);
});

test("a learner that nobody will ever start is named and taken out", async () => {
  const list = await members();
  const added = await on(
    lab,
    "etcd01",
    `sleep 6; ${ETCDCTL} member add etcd09 --learner --peer-urls https://192.168.1.91:2380`,
  );
  const id = /Member +([0-9a-f]+) added/.exec(added)?.[1];
  const words = `learner ${id} at https://192.168.1.91:2380 belongs to no configured node: will be repaired`;
  expect(printed(await succeed(stack.preview()))).toContain(words);
  await succeed(stack.up());
  expect(await members()).toEqual(list);
  await succeed(stack.previewNothing());
});

test("a host's own learner, whose run was killed before its promotion, is promoted by the next", async () => {
  const { members: all } = await stack.outputs();
  const id = all.find(({ name }) => name === "etcd03")?.id ?? "";
  await on(lab, "etcd03", "systemctl stop etcd.service; rm -r /var/lib/etcd/member");
  const added = await on(
    lab,
    "etcd01",
    `${ETCDCTL} member remove ${id} >/dev/null; sleep 6
    ${ETCDCTL} member add etcd03 --learner --peer-urls https://192.168.1.85:2380`,
  );
  const learner = /Member +([0-9a-f]+) added/.exec(added)?.[1];
  const peers = ["01=https://192.168.1.83", "02=https://192.168.1.84", "03=https://192.168.1.85"];
  await on(
    lab,
    "etcd03",
    `cd /var/lib/etcd-on-pulumi; rm -f formed identity
    printf '%s\\n' ETCD_INITIAL_CLUSTER_STATE=existing ETCD_INITIAL_CLUSTER=${peers
      .map((peer) => `etcd${peer}:2380`)
      .join(",")} >first-start.env
    systemctl start etcd.service`,
  );
  expect(printed(await succeed(stack.preview()))).toContain(
    `etcd03: its member ${learner} is still a learner and will be promoted`,
  );
  const up = await succeed(stack.up());
  expect(up.stdout).toContain(`member ${learner} joined as a learner and was promoted`);
  expect((await members()).join()).not.toContain("true");
  await succeed(stack.previewNothing());
});

test("a learner at a running member's own address is nobody's: the member has it back", async () => {
  const list = await members();
  const { members: all } = await stack.outputs();
  const id = all.find(({ name }) => name === "etcd01")?.id ?? "";
  // Whoever has a client's certificate can do that.
  const added = await on(
    lab,
    "etcd02",
    `sleep 6; ${ETCDCTL} member update ${id} --peer-urls https://192.168.1.99:2380 >/dev/null
    ${ETCDCTL} member add x --learner --peer-urls https://192.168.1.83:2380`,
  );
  const learner = /Member +([0-9a-f]+) added/.exec(added)?.[1];
  const preview = printed(await succeed(stack.preview()));
  expect(preview).toContain("etcd01 moves from 192.168.1.99 to 192.168.1.83");
  expect(preview).not.toContain("etcd01 is removed");
  const up = await succeed(stack.up());
  expect(up.stdout).toContain(
    `member ${learner} at https://192.168.1.83:2380, which never ran here, is removed`,
  );
  expect(await members()).toEqual(list);
  await succeed(stack.previewNothing());
});

test("one host's word that the cluster was given up for its own moves nobody else", async () => {
  const { clusterId } = await stack.outputs();
  const others = ["etcd02", "etcd03"];
  const kept = await onAll(lab, IDS, others);
  const list = (await succeed(stack.etcdctl(["member", "list"], others))).stdout;
  // What root on one host can do: a cluster of one from its own database, with the marks of a recovery.
  const peer = "https://192.168.1.83:2380";
  await on(
    lab,
    "etcd01",
    `systemctl stop etcd.service
    etcdutl snapshot restore /var/lib/etcd/member/snap/db --skip-hash-check --data-dir /root/forged --name etcd01 \
      --initial-cluster etcd01=${peer} --initial-advertise-peer-urls ${peer} --initial-cluster-token forged 2>/dev/null
    rm -r /var/lib/etcd/member; mv /root/forged/member /var/lib/etcd/; chown -R etcd:etcd /var/lib/etcd
    systemctl start etcd.service
    until ids=$(${ETCDCTL} endpoint status --write-out fields 2>/dev/null | sed -nE 's/^"(ClusterID|MemberID)" : //p') && [ -n "$ids" ]; do sleep 0.2; done
    printf '%x %x\n' $ids >${STATE}/identity; echo ${clusterId} >${STATE}/recovered`,
  );
  const message = await refuse(stack.up());
  expect(message).toContain("no host was changed:");
  expect(message).toMatch(/^ +- etcd01: /m);
  expect(message).not.toMatch(/^ +- etcd0[23]: /m);
  expect(await onAll(lab, IDS, others)).toEqual(kept);
  expect((await succeed(stack.etcdctl(["member", "list"], others))).stdout).toBe(list);
  expect(
    await onAll(lab, "ls -d /var/lib/etcd.before-recovery-* 2>/dev/null || true", others),
  ).toEqual(["", ""]);
  // The remedy: what it forged is moved away, and it joins again.
  await on(
    lab,
    "etcd01",
    `systemctl stop etcd.service; mv /var/lib/etcd/member /root/; rm ${STATE}/recovered ${STATE}/identity`,
  );
  await succeed(stack.up());
  await succeed(stack.previewNothing());
  expect((await stack.outputs()).clusterId).toBe(clusterId);
});
