/** `npm run status` where things are broken, with etcdctl's and Pulumi's answers as they were recorded. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const directory = mkdtempSync(join(tmpdir(), "etcd-status-"));
afterAll(() => rmSync(directory, { recursive: true }));

// Nobody listens there.
const ENDPOINTS = [1, 2, 3].map((host) => `https://127.0.0.${host}:2379`);
const OUTPUTS = {
  endpoints: ENDPOINTS,
  members: [1, 2, 3].map((host) => ({
    name: `etcd0${host}`,
    peerUrls: `https://127.0.0.${host}:2380`,
    id: `a${host}`,
  })),
  clusterId: "c1",
  version: "3.6.14",
  caCertificate: "",
  clientCertificate: "",
  clientKey: "",
};
const DEAD =
  '{"level":"warn","msg":"retrying"}\n$endpoint is unhealthy: failed to commit proposal: context deadline exceeded\nError: unhealthy cluster';

interface Answers {
  /** What etcdctl says on standard error of a member that is not healthy; of one that is, nothing. */
  readonly health: readonly string[];
  /** As JSON; nothing where none comes. */
  readonly status: readonly string[];
}

function stub(name: string, script: string): void {
  writeFileSync(join(directory, name), `#!/bin/bash\n${script}`);
  chmodSync(join(directory, name), 0o755);
}

function status(outputs: object, { health, status: states }: Answers) {
  stub("pulumi", `cat <<'END'\n${JSON.stringify(outputs)}\nEND\n`);
  const cases = ENDPOINTS.map(
    (endpoint, index) => `
      "${endpoint} health") if [ -n '${health[index]}' ]; then printf '%s\\n' "$(endpoint=$2; cat <<END
${health[index]}
END
)" >&2; exit 1; fi ;;
      "${endpoint} status") ${states[index] === "" ? "exit 1" : `printf '%s' '${states[index]}'`} ;;`,
  );
  stub("etcdctl", `endpoint=$2; case "$2 $4" in ${cases.join("")}\nesac\n`);
  const {
    stdout,
    stderr,
    status: code,
  } = spawnSync("node", ["tools/start.cjs", "tools/status.ts"], {
    encoding: "utf8",
    env: { ...process.env, PATH: `${directory}:${process.env.PATH}` },
  });
  return { code, stderr, lines: stdout.split("\n").map((line) => line.replace(/ {2,}/g, " ")) };
}

const state = (member: number, leader: number, change: object = {}) => {
  const known = { header: { member_id: member }, version: "3.6.14", dbSize: 1048576, ...change };
  return JSON.stringify([{ Status: leader === 0 ? known : { ...known, leader } }]);
};

describe("npm run status", () => {
  test("of a healthy cluster ends with 0", () => {
    const { code, lines } = status(OUTPUTS, {
      health: ["", "", ""],
      status: [state(1, 2), state(2, 2), state(3, 2)],
    });
    expect(code).toBe(0);
    expect(lines[2]).toMatch(
      /^etcd02 a2 https:\/\/127.0.0.2:2379 healthy leader 3.6.14 1.0 MiB connect ECONNREFUSED/,
    );
    expect(lines).toContain("cluster c1: 3 of 3 members healthy, one leader");
  });

  test("with a member that is down says why, and ends with 1", () => {
    const { code, lines } = status(OUTPUTS, {
      health: ["", "", DEAD],
      status: [state(1, 2), state(2, 2), ""],
    });
    expect(code).toBe(1);
    expect(lines[3]).toMatch(/^etcd03 a3 https:\/\/127.0.0.3:2379 UNHEALTHY \? \? \? connect/);
    expect(lines).toContain("cluster c1: 2 of 3 members healthy, one leader");
    expect(lines).toContain(
      "warning: etcd03: failed to commit proposal: context deadline exceeded",
    );
  });

  test("without a leader shows what the one member knows, and ends with 2", () => {
    const { code, lines, stderr } = status(OUTPUTS, {
      health: [DEAD, DEAD, DEAD],
      status: [state(1, 0, { errors: ["etcdserver: no leader"] }), "", "no JSON at all"],
    });
    expect([code, stderr]).toEqual([2, ""]);
    expect(lines[1]).toMatch(/UNHEALTHY no leader 3.6.14 1.0 MiB/);
    expect(lines[2]).toMatch(/UNHEALTHY \? \? \?/);
    expect(lines).toContain("cluster c1: 0 of 3 members healthy, no leader seen, no quorum");
  });

  test("under an alarm knows that a quorum answers", () => {
    const alarm =
      "$endpoint is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE \nError: unhealthy cluster";
    const { code, lines } = status(OUTPUTS, {
      health: [alarm, alarm, DEAD],
      status: [state(1, 1), state(2, 1), ""],
    });
    expect(code).toBe(1);
    expect(lines[1]).toMatch(/ALARM NOSPACE leader/);
  });

  test("of a stack whose first up failed says what to do, and ends with 2", () => {
    const { code, stderr } = status({}, { health: ["", "", ""], status: ["", "", ""] });
    expect(code).toBe(2);
    expect(stderr).toBe(
      "error: the selected stack has no cluster outputs, because no `pulumi up` of it has completed; run `pulumi up`, or select another stack\n",
    );
  });
});
