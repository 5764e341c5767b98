/** What is changed by hand on a host is seen in a preview, and one up takes it back. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { DRIFT_CASES, roundsOf, stepOf } from "./support/drift-cases";
import { freshCluster } from "./support/fresh";
import {
  CLUSTER,
  hosts,
  logins,
  MAIN_PID,
  nameIn,
  on,
  printed,
  resources,
  succeed,
} from "./support/stack";

const stack = freshCluster("drift");
const { lab } = stack;

const rounds = roundsOf(DRIFT_CASES, hosts).map((round) => ({
  cases: [...round].flatMap(([host, cases]) => cases.map((drift) => ({ host, ...drift }))),
}));

test.each(
  rounds.map(({ cases }) => ({
    cases,
    name: cases.map(({ host, what }) => `${host}: ${what}`).join("; "),
  })),
)("$name", async ({ cases }) => {
  const before = new Map<string, string>();
  for (const { what, host, look } of cases) {
    before.set(what, await on(lab, host, look));
  }
  for (const { host, change } of cases) {
    await on(lab, host, change);
  }
  for (const { what, host, look } of cases) {
    // Some commands fail to print at all when the thing they look at is gone.
    expect((await lab.exec(host, look)).stdout.trimEnd(), what).not.toBe(before.get(what));
  }
  const pids = new Map(
    await Promise.all(
      hosts.map(async (host): Promise<[string, string]> => [host, await on(lab, host, MAIN_PID)]),
    ),
  );

  const preview = await succeed(stack.preview({ args: ["--diff"] }));
  for (const { host, ...drift } of cases) {
    expect(printed(preview)).toContain(`${host}: ${drift.words}`);
    const [, diff = ""] = preview.stdout.split(`::${CLUSTER}-${host}-${stepOf(drift)}]`);
    const [, reason = ""] =
      /=> "bash -p -s -- apply 'repair \S+ # (.*?)'(?: host-\S+ etcd-\S+ install-\S+)?"/.exec(
        diff,
      ) ?? [];
    expect(reason.split("; ")).toContainEqual(expect.stringContaining(drift.words));
  }

  expect(resources(await succeed(stack.up())).updated).toBeGreaterThan(0);
  for (const { what, host, look } of cases) {
    expect(await on(lab, host, look), what).toBe(before.get(what));
  }
  for (const host of hosts) {
    const restarts = cases.some((drift) => drift.host === host && drift.restarts !== undefined);
    const restarted = (await on(lab, host, MAIN_PID)) !== pids.get(host);
    if (!cases.some((drift) => drift.host === host && drift.mayRestart)) {
      expect(restarted, `${host} was restarted`).toBe(restarts);
    }
  }
  await succeed(stack.previewNothing());
});

test("a gate whose recorded words are not understood runs again, once", async () => {
  const file = join(lab.directory, "spoilt.json");
  const state = z.looseObject({
    deployment: z.looseObject({
      resources: z.array(z.looseObject({ urn: z.string(), outputs: z.looseObject({}).optional() })),
    }),
  });
  const spoilt = state.parse(JSON.parse(await stack.exportState()));
  for (const { urn, outputs } of spoilt.deployment.resources) {
    if (nameIn(urn) === "etcd02-health" && outputs !== undefined) {
      outputs.stdout = "Welcome to etcd02";
    }
  }
  writeFileSync(file, JSON.stringify(spoilt));
  await succeed(stack.pulumi(["stack", "import", "--file", file]));
  expect(printed(await succeed(stack.preview({ args: ["--diff"] })))).toMatch(
    /=> "bash -p -s -- apply 'gate \S+ # what the gates said before is not understood/,
  );
  expect(resources(await succeed(stack.up())).updated).toBe(hosts.length);
  await succeed(stack.previewNothing());
});

describe("the look", () => {
  test("logs in once on each host", async () => {
    const before = await logins(lab);
    await succeed(stack.previewNothing());
    expect(await logins(lab)).toEqual(before.map((count) => count + 1));
  });

  test("is not taken when the configuration says so", async () => {
    stack.configure({ drift: false });
    // The gates' inputs say what was seen of the members' steps.
    await succeed(stack.up());
    await on(lab, "etcd01", "echo EXTRA=1 >>/etc/etcd.env");
    const before = await logins(lab);
    await succeed(stack.previewNothing());
    expect(await logins(lab)).toEqual(before);
    stack.configure({});
  });

  test("at a host that hangs takes seconds; it is named, and the others are repaired", async () => {
    const signal = (name: string) =>
      on(lab, "etcd03", `systemctl kill --kill-whom=main --signal=${name} ssh.service`);
    const begin = Date.now();
    expect((await succeed(stack.preview())).stdout).toContain("etcd01: /etc/etcd.env changed");
    const usual = Date.now() - begin;
    await signal("STOP");
    try {
      const again = Date.now();
      const preview = await succeed(stack.preview());
      expect(Date.now() - again).toBeLessThan(usual + 15_000);
      for (const result of [preview, await succeed(stack.up())]) {
        expect(printed(result)).toContain(
          "etcd03: unreachable, so it was not checked for drift and its steps are left unchanged: SSH to root@192.168.1.85:22",
        );
      }
      expect(await on(lab, "etcd01", "grep -c EXTRA /etc/etcd.env || true")).toBe("0");
    } finally {
      await signal("CONT");
    }
    // Back again, it is looked at, and the gates with it.
    await succeed(stack.up());
    await succeed(stack.previewNothing());
  });
});
