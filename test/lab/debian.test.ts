/**
 * The life of a cluster on every supported release of Debian at once: each of its hosts runs another one. LAB_DEBIAN chooses others
 * (LAB_DEBIAN=trixie npx vitest run test/lab/debian.test.ts).
 */
import { expect, test } from "vitest";
import { hostAddress } from "../support/lab";
import { freshStack } from "./support/fresh";
import { expectOneCluster } from "./support/interrupt";
import { NEWER } from "./support/operations";
import { eventually, hosts, MAIN_PID, on, onAll, printed, succeed } from "./support/stack";

const debian = process.env.LAB_DEBIAN ?? "bullseye,bookworm,trixie";
const stack = freshStack("debian", { debian, hosts: 4, releases: [NEWER] });
const { lab } = stack;
const FOUR = [...hosts, "etcd04"];

/** The configuration has these nodes. */
function configure(names: readonly string[], values: Readonly<Record<string, unknown>>): void {
  const nodes = names.map((name) => ({ name, address: hostAddress(name) }));
  stack.configure({ nodes, ...values });
}

const key = async () =>
  (await succeed(stack.etcdctl(["get", "--print-value-only", "clavePrueba"]))).stdout.trim();

test("is created on hosts of these releases, each with the same sandbox", async () => {
  const suites = debian.split(",");
  expect(await onAll(lab, ". /etc/os-release; echo $VERSION_CODENAME", FOUR)).toEqual(
    FOUR.map((_, index) => suites[index % suites.length]),
  );
  await succeed(stack.up());
  await expectOneCluster(stack);
  await succeed(stack.etcdctl(["put", "clavePrueba", "Esto es una prueba"]));
  for (const report of await onAll(lab, "systemd-analyze security --no-pager etcd.service")) {
    const exposure = /Overall exposure level for etcd\.service: ([0-9.]+)/.exec(report)?.[1];
    expect(Number(exposure)).toBeLessThanOrEqual(1.0);
  }
});

test("drift on each host is seen, and taken back by one up", async () => {
  const before = await onAll(lab, MAIN_PID);
  await onAll(
    lab,
    "nft delete table inet etcd; chmod 777 /etc/etcd.env; rm /etc/kubernetes/pki/etcd/client.pem",
  );
  const preview = printed(await succeed(stack.preview()));
  for (const host of hosts) {
    expect(preview).toContain(`${host}: firewall table inet etcd removed`);
    expect(preview).toContain(`${host}: /etc/etcd.env has mode 777, not `);
    expect(preview).toMatch(new RegExp(`${host}: \\S+/client.pem removed`));
  }
  await succeed(stack.up());
  expect(await onAll(lab, MAIN_PID)).toEqual(before);
  await succeed(stack.previewNothing());
});

test("goes up a series, member by member", async () => {
  stack.configure({ version: NEWER });
  await succeed(stack.up());
  expect(await onAll(lab, "etcd --version | head -n 1")).toEqual(
    hosts.map(() => `etcd Version: ${NEWER}`),
  );
  await succeed(stack.previewNothing());
});

test("a fourth joins, one whose disk was wiped comes back, and one leaves", async () => {
  configure(FOUR, { version: NEWER });
  await succeed(stack.up());
  await lab.wipe("etcd03");
  await succeed(stack.up());
  expect(await key()).toBe("Esto es una prueba");
  configure(FOUR.slice(1), { version: NEWER });
  await succeed(stack.up());
  const members = (await stack.outputs()).members.map(({ name }) => name);
  expect(members.sort()).toEqual(FOUR.slice(1));
  expect(await on(lab, "etcd01", "ls -d /etc/etcd.env /var/lib/etcd 2>&1 || true")).not.toMatch(
    /^\//m,
  );
  await succeed(stack.previewNothing());
});

test("its hosts come back from a power cut by themselves", async () => {
  for (const host of FOUR.slice(1)) {
    await lab.kill(host);
    await lab.boot(host);
    await eventually(
      `etcd on ${host}`,
      async () => (await lab.exec(host, "systemctl is-active --quiet etcd.service")).code === 0,
    );
  }
  expect(await key()).toBe("Esto es una prueba");
  await succeed(stack.previewNothing());
});

test("its CA is rotated in three runs", async () => {
  configure(FOUR.slice(1), { version: NEWER, pki: { rotate: "second" } });
  for (let run = 1; run <= 3; run += 1) {
    expect(printed(await succeed(stack.up()))).toContain(`"second", ${run} of 3`);
  }
  expect(await key()).toBe("Esto es una prueba");
  await succeed(stack.previewNothing());
});

test("destroy leaves nothing but the final snapshot", async () => {
  await succeed(stack.destroy());
  const left =
    "find / -xdev \\( -name '*etcd*' -o -name kubernetes \\) -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/backups/etcd*'; nft list tables; getent passwd etcd || true";
  expect(await onAll(lab, left, FOUR)).toEqual(FOUR.map(() => ""));
});
