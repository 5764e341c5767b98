/** `npm run status` of a real cluster in each of its states, and of what is left of an `up` that failed or was killed. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Report } from "../../tools/report";
import { hostAddress } from "../support/lab";
import { freshCluster } from "./support/fresh";
import { killedUp } from "./support/interrupt";
import { eventually, hosts, on, refuse, Stack, succeed, tool } from "./support/stack";

const stack = freshCluster("status", { hosts: 4 });
const { lab } = stack;
let outputs: Awaited<ReturnType<Stack["outputs"]>>;

beforeAll(async () => {
  outputs = await stack.outputs();
});

/** Seconds, on processors that are shared with all hosts and another lab; alone it is less than half of it. */
const SOON = 25;

interface Looked {
  readonly code: number;
  readonly lines: readonly string[];
  readonly report: Report;
}

/** As a table and as JSON, each within the time that a monitoring system waits. */
async function status(of = stack): Promise<Looked> {
  const run = async (...args: readonly string[]) => {
    const began = Date.now();
    const result = await of.run(tool("status", ...args, "--config-file", of.configFile));
    expect((Date.now() - began) / 1000).toBeLessThan(SOON);
    expect(result.stderr).toBe("");
    return result;
  };
  const table = await run();
  const json = await run("--json");
  expect(json.code).toBe(table.code);
  const lines = table.stdout.trimEnd().split("\n");
  return { code: json.code, lines, report: JSON.parse(json.stdout) };
}

async function reported(): Promise<Report> {
  const { stdout } = await stack.run(tool("status", "--json", "--config-file", stack.configFile));
  return JSON.parse(stdout);
}

const healths = ({ members }: Report) => members.map(({ name, health }) => `${name} ${health}`);
const roles = ({ members }: Report) => members.map(({ role }) => role);

const start = (...names: readonly string[]) =>
  Promise.all(names.map((host) => on(lab, host, "systemctl start etcd.service")));

test("a healthy cluster: a line for each member, one leader, the certificates' ends", async () => {
  const { code, lines, report } = await status();
  expect(code).toBe(0);
  expect(lines[0]).toMatch(/^MEMBER +ID +ENDPOINT +HEALTH +ROLE +VERSION +DB +CERTIFICATE$/);
  outputs.members.forEach(({ name, id }, index) => {
    expect(lines[index + 1]).toMatch(
      new RegExp(
        `^${name} +${id} +https://${hostAddress(name)}:2379 +healthy +(leader|follower) +` +
          "3\\.6\\.14 +[0-9.]+ of 2048\\.0 MiB +until \\d{4}-\\d\\d-\\d\\d$",
      ),
    );
  });
  expect(lines.slice(4)).toEqual([
    "",
    `cluster ${outputs.clusterId}: 3 of 3 members healthy, one leader`,
  ]);
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(report).toEqual({
    ...{ status: "healthy", clusterId: outputs.clusterId, quorum: true },
    leader: expect.stringMatching(/^etcd0[123]$/),
    members: outputs.members.map(({ name, id }) => ({
      ...{ name, id, endpoint: `https://${hostAddress(name)}:2379`, health: "healthy" },
      role: expect.stringMatching(/^(leader|follower)$/),
      ...{ version: "3.6.14", databaseBytes: expect.any(Number), quotaBytes: 2147483648 },
      ...{ certificateEnd: time, alarms: [], reason: null },
    })),
    ...{ clientCertificateEnd: time, caCertificateEnd: time },
    ...{ backup: null, backupCheck: null, drill: null, maintenance: null, noSpace: null },
    ...{ notAsked: [], warnings: [] },
  });
  expect(roles(report).sort()).toEqual(["follower", "follower", "leader"]);
});

test("a host without power: its member is unhealthy, the others serve", async () => {
  await lab.kill("etcd03");
  const { code, lines, report } = await status();
  await lab.boot("etcd03");
  expect(code).toBe(1);
  expect(lines[3]).toMatch(/^etcd03 .* UNHEALTHY +\? +\? +\? +no answer$/);
  expect(lines).toContain(`cluster ${outputs.clusterId}: 2 of 3 members healthy, one leader`);
  expect(report).toMatchObject({ status: "degraded", quorum: true });
  expect(report.warnings).toEqual(["etcd03: no answer"]);
});

test("a quorum that is down: no leader, and what the last member knows", async () => {
  await Promise.all(
    ["etcd02", "etcd03"].map((host) => on(lab, host, "systemctl stop etcd.service")),
  );
  await eventually("a leader that is left alone knows it", async () => {
    const [role] = roles(await reported());
    return role === "no leader";
  });
  const { code, lines, report } = await status();
  await start("etcd02", "etcd03");
  expect(code).toBe(2);
  expect(lines[1]).toMatch(/^etcd01 .* UNHEALTHY +no leader +3\.6\.14 /);
  expect(lines[5]).toContain("0 of 3 members healthy, no leader seen, no quorum");
  expect(report).toMatchObject({ status: "no quorum", quorum: false, leader: null });
  expect(report.members[0]).toMatchObject({
    ...{ role: "no leader", version: "3.6.14", reason: "etcdserver: no leader" },
  });
  expect(report.members[1]).toMatchObject({
    ...{ role: null, reason: `connect ECONNREFUSED ${hostAddress("etcd02")}:2379` },
  });
});

test("members that are cut off from one another: none has a leader", async () => {
  await lab.cut("etcd01");
  await lab.cut("etcd02");
  await eventually("no member has a leader", async () => {
    return roles(await reported()).every((role) => role === "no leader");
  });
  const { code, report } = await status();
  await lab.heal();
  expect(code).toBe(2);
  expect(healths(report)).toEqual(hosts.map((name) => `${name} unhealthy`));
  await eventually("there is a leader again", async () => {
    return (await reported()).status === "healthy";
  });
});

describe("after an up", () => {
  const four = [...hosts, "etcd04"].map((name) => ({ name, address: hostAddress(name) }));

  afterAll(async () => {
    await on(lab, "etcd02", "rm -f /etc/systemd/system/etcd.service.d/broken.conf");
  });

  test("that failed: the cluster as it is", async () => {
    const broken = "[Service]\\nExecStartPre=/bin/false\\n";
    const unit = "/etc/systemd/system/etcd.service.d";
    await on(
      lab,
      "etcd02",
      `mkdir -p ${unit}; printf '${broken}' >${unit}/broken.conf; chattr +i ${unit}/broken.conf; systemctl daemon-reload`,
    );
    stack.configure({ settings: { "snapshot-count": 5000 } });
    await refuse(stack.up());
    const { code, report } = await status();
    await on(
      lab,
      "etcd02",
      `chattr -i ${unit}/broken.conf; rm ${unit}/broken.conf; systemctl daemon-reload`,
    );
    expect(code).toBe(1);
    expect(report.members.map(({ name }) => name)).toEqual(hosts);
    expect(healths(report)).toContain("etcd02 unhealthy");
    await succeed(stack.up());
  });

  test("that was killed while a member joined: with that one, which no output names", async () => {
    stack.configure({ settings: { "snapshot-count": 5000 }, nodes: four });
    // Its certificates, its steps "leave", "install" and "member"; the gates have not passed.
    await killedUp(stack, { word: "created", events: 9, delay: 0 });
    const { code, lines, report } = await status();
    expect(code).toBe(0);
    expect(healths(report)).toEqual([...hosts, "etcd04"].map((name) => `${name} healthy`));
    expect(lines[4]).toMatch(
      /^etcd04 +[0-9a-f]+ +https:\/\/192\.168\.1\.86:2379 +healthy +follower /,
    );
    expect((await stack.outputs()).members).toHaveLength(3);
    await succeed(stack.up());
    const after = await status();
    expect(after.code).toBe(0);
    expect(after.report.members).toHaveLength(4);
  });

  test("that was the first one, and failed: says so", async () => {
    const first = new Stack(lab, "first");
    await first.create();
    await refuse(first.up());
    const args = ["--config-file", first.configFile];
    const error =
      "the selected stack has no cluster outputs, because no `pulumi up` of it has completed; run `pulumi up`, or select another stack";
    expect(await first.run(tool("status", ...args))).toEqual({
      ...{ code: 2, stdout: "", stderr: `error: ${error}\n` },
    });
    const json = await first.run(tool("status", "--json", ...args));
    expect([json.code, json.stderr, JSON.parse(json.stdout)]).toEqual([2, "", { error }]);
  });
});
