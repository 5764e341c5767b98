/** `npm run status` in every state of a cluster, with etcdctl's and Pulumi's answers as they were recorded. */
import { type AddressInfo, createServer as listenSilently } from "node:net";
import { createServer } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { look } from "../../../tools/look";
import { EXIT, renderReport } from "../../../tools/report";
import { forge } from "../../lab/support/forged";
import { keysIn, keysOf } from "../../support/documented-keys";
import { Operator, type Said } from "../../support/operator";
import type { Answer } from "../../support/sshd";
import { NODES, said, threeHosts } from "../../support/three-hosts";

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
const id = (hex: string) => Number.parseInt(hex, 16);
const WELL: Said = { stdout: '[{"endpoint":"x","health":true,"took":"17.102018ms"}]\n' };
const sick = (error: string): Said => ({
  stdout: JSON.stringify([{ endpoint: "x", health: false, took: "5s", error }]),
  stderr: "Error: unhealthy cluster\n",
  code: 1,
});
const DEAD = sick("context deadline exceeded");
const SILENT: Said = { stderr: "Error: context deadline exceeded\n", code: 1 };

/** A member's status; a leader that is 0 is left out, as etcdctl leaves it out. */
function state(member: number, leader: number, change: object = {}): Said {
  const header = { cluster_id: id("c1"), member_id: id(`a${member}`), revision: 1, raft_term: 3 };
  const known = { header, version: "3.6.14", dbSize: 1048576, dbSizeQuota: 2147483648 };
  const seen = leader === 0 ? known : { ...known, leader: id(`a${leader}`) };
  return { stdout: JSON.stringify([{ Endpoint: "x", Status: { ...seen, ...change } }]) };
}

function list(...members: readonly (readonly [string, string, string?])[]): Said {
  return {
    stdout: JSON.stringify({
      header: { cluster_id: id("c1"), member_id: id("a1"), raft_term: 3 },
      members: members.map(([hex, name, endpoint]) => ({
        ID: id(hex),
        ...(name === "" ? {} : { name }),
        peerURLs: ["https://127.0.0.9:2380"],
        ...(endpoint === undefined ? {} : { clientURLs: [endpoint] }),
      })),
    }),
  };
}

const ALL = list(
  ...ENDPOINTS.map((endpoint, index) => [`a${index + 1}`, `etcd0${index + 1}`, endpoint] as const),
);

interface Cluster {
  /** By member: its health, and its status. */
  readonly members: readonly (readonly [Said, Said])[];
  readonly list?: Said;
}

const HEALTHY: Cluster = {
  members: [1, 2, 3].map((member) => [WELL, state(member, 2)]),
  list: ALL,
};

function member(operator: Operator, endpoint: string, [health, status]: readonly [Said, Said]) {
  const of = (question: string) => `--endpoints ${endpoint} endpoint ${question} --write-out json`;
  operator.says("etcdctl", of("health"), health);
  operator.says("etcdctl", of("status"), status);
}

/** Where that cluster and this stack are. */
function operatorOf(
  { members, list: listed = SILENT }: Cluster,
  outputs: Readonly<Record<string, unknown>> = OUTPUTS,
  config: Readonly<Record<string, unknown>> = { nodes: NODES },
): Operator {
  const operator = new Operator();
  operator.outputs(outputs);
  operator.config(config, ["backup"]);
  ENDPOINTS.forEach((endpoint, index) => {
    member(operator, endpoint, members[index] ?? [DEAD, SILENT]);
  });
  const all = `--endpoints ${ENDPOINTS.join(",")} member list --write-out json`;
  operator.says("etcdctl", all, listed);
  return operator;
}

/** What it prints, both ways, and its exit code. */
async function both(operator: Operator) {
  operator.beHere();
  const { report, seen } = await look();
  return { code: EXIT[report.status], table: renderReport(report, seen), json: report };
}

describe("the cluster", () => {
  test("that is healthy: exit code 0", async () => {
    const { code, table, json } = await both(operatorOf(HEALTHY));
    expect(code).toBe(0);
    expect(table).toMatchInlineSnapshot(`
      "MEMBER  ID  ENDPOINT                HEALTH   ROLE      VERSION  DB                 CERTIFICATE
      etcd01  a1  https://127.0.0.1:2379  healthy  follower  3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.1:2379
      etcd02  a2  https://127.0.0.2:2379  healthy  leader    3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.2:2379
      etcd03  a3  https://127.0.0.3:2379  healthy  follower  3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.3:2379

      cluster c1: 3 of 3 members healthy, one leader"
    `);
    expect(json).toMatchInlineSnapshot(`
      {
        "backup": null,
        "backupCheck": null,
        "caCertificateEnd": null,
        "clientCertificateEnd": null,
        "clusterId": "c1",
        "drill": null,
        "leader": "etcd02",
        "maintenance": null,
        "members": [
          {
            "alarms": [],
            "certificateEnd": null,
            "databaseBytes": 1048576,
            "endpoint": "https://127.0.0.1:2379",
            "health": "healthy",
            "id": "a1",
            "name": "etcd01",
            "quotaBytes": 2147483648,
            "reason": null,
            "role": "follower",
            "version": "3.6.14",
          },
          {
            "alarms": [],
            "certificateEnd": null,
            "databaseBytes": 1048576,
            "endpoint": "https://127.0.0.2:2379",
            "health": "healthy",
            "id": "a2",
            "name": "etcd02",
            "quotaBytes": 2147483648,
            "reason": null,
            "role": "leader",
            "version": "3.6.14",
          },
          {
            "alarms": [],
            "certificateEnd": null,
            "databaseBytes": 1048576,
            "endpoint": "https://127.0.0.3:2379",
            "health": "healthy",
            "id": "a3",
            "name": "etcd03",
            "quotaBytes": 2147483648,
            "reason": null,
            "role": "follower",
            "version": "3.6.14",
          },
        ],
        "noSpace": null,
        "notAsked": [],
        "quorum": true,
        "status": "healthy",
        "warnings": [],
      }
    `);
  });

  test("with a member that is down: says why, exit code 1", async () => {
    const members = [...HEALTHY.members.slice(0, 2), [DEAD, SILENT] as const];
    const { code, table, json } = await both(operatorOf({ members, list: ALL }));
    expect(code).toBe(1);
    expect(table).toMatchInlineSnapshot(`
      "MEMBER  ID  ENDPOINT                HEALTH     ROLE      VERSION  DB                 CERTIFICATE
      etcd01  a1  https://127.0.0.1:2379  healthy    follower  3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.1:2379
      etcd02  a2  https://127.0.0.2:2379  healthy    leader    3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.2:2379
      etcd03  a3  https://127.0.0.3:2379  UNHEALTHY  ?         ?        ?                  connect ECONNREFUSED 127.0.0.3:2379

      cluster c1: 2 of 3 members healthy, one leader
      warning: etcd03: connect ECONNREFUSED 127.0.0.3:2379"
    `);
    expect(json).toMatchObject({ status: "degraded", quorum: true, leader: "etcd02" });
    expect(json.members[2]).toMatchInlineSnapshot(`
      {
        "alarms": [],
        "certificateEnd": null,
        "databaseBytes": null,
        "endpoint": "https://127.0.0.3:2379",
        "health": "unhealthy",
        "id": "a3",
        "name": "etcd03",
        "quotaBytes": null,
        "reason": "connect ECONNREFUSED 127.0.0.3:2379",
        "role": null,
        "version": null,
      }
    `);
  });

  test("without a leader: shows what the members know, exit code 2", async () => {
    const lost = state(1, 0, { errors: ["etcdserver: no leader"] });
    const garbage: Said = { stdout: "no JSON at all" };
    const { code, table, json } = await both(
      operatorOf({
        members: [
          [DEAD, lost],
          [DEAD, SILENT],
          [garbage, { stdout: '[{"Status":{"dbSize":"much"}}]' }],
        ],
      }),
    );
    expect(code).toBe(2);
    expect(table).toMatchInlineSnapshot(`
      "MEMBER  ID  ENDPOINT                HEALTH     ROLE       VERSION  DB                 CERTIFICATE
      etcd01  a1  https://127.0.0.1:2379  UNHEALTHY  no leader  3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.1:2379
      etcd02  a2  https://127.0.0.2:2379  UNHEALTHY  ?          ?        ?                  connect ECONNREFUSED 127.0.0.2:2379
      etcd03  a3  https://127.0.0.3:2379  UNHEALTHY  ?          ?        ?                  connect ECONNREFUSED 127.0.0.3:2379

      cluster c1: 0 of 3 members healthy, no leader seen, no quorum
      warning: etcd01: connect ECONNREFUSED 127.0.0.1:2379
      warning: etcd02: connect ECONNREFUSED 127.0.0.2:2379
      warning: etcd03: connect ECONNREFUSED 127.0.0.3:2379"
    `);
    expect(json).toMatchObject({ status: "no quorum", quorum: false, leader: null });
    expect(json.members[0]).toMatchObject({
      health: "unhealthy",
      role: "no leader",
      databaseBytes: 1048576,
    });
  });

  test("of which two say that they lead is degraded", async () => {
    const members = [[WELL, state(1, 1)] as const, ...HEALTHY.members.slice(1)];
    const { code, json } = await both(operatorOf({ members, list: ALL }));
    expect(code).toBe(1);
    expect(json).toMatchObject({
      leader: null,
      warnings: ["2 leaders among the members that answer"],
    });
  });

  test("under an alarm: names the member, exit code 1", async () => {
    const alarm = sick("Active Alarm(s): NOSPACE ");
    const errors = [`memberID:${id("a1")} alarm:NOSPACE `];
    const { code, table, json } = await both(
      operatorOf({
        members: [
          [alarm, state(1, 1, { errors, dbSize: 2040109466 })],
          [alarm, state(2, 1, { errors })],
          [DEAD, SILENT],
        ],
        list: ALL,
      }),
    );
    expect(code).toBe(1);
    expect(table).toMatch(/ALARM NOSPACE +leader +3.6.14 +1945.6 of 2048.0 MiB/);
    expect(json.members.map(({ health, alarms }) => [health, alarms])).toEqual([
      ["alarm", ["NOSPACE"]],
      ["alarm", []],
      ["unhealthy", []],
    ]);
    expect(json.warnings).toEqual([
      "etcd01: its database uses 1945.6 of 2048.0 MiB",
      "etcd03: connect ECONNREFUSED 127.0.0.3:2379",
      "alarm NOSPACE of etcd01; see docs/alarms.md",
    ]);
  });

  test("from before 3.6 says no quota, and no member of an alarm that it does not name", async () => {
    const alarm = sick("Active Alarm(s): NOSPACE ");
    const of = (one: number) => [alarm, state(one, 1, { dbSizeQuota: undefined })] as const;
    const { code, table, json } = await both(operatorOf({ members: [1, 2, 3].map(of), list: ALL }));
    expect(code).toBe(1);
    expect(table).toContain(" 1.0 MiB ");
    expect(json.members[0]).toMatchObject({ health: "alarm", quotaBytes: null, alarms: [] });
    expect(json.warnings).toEqual(["alarm NOSPACE; see docs/alarms.md"]);
  });
});

describe("an up that was killed", () => {
  test("while members came and went: all that are there now are asked", async () => {
    const operator = operatorOf({
      members: [...HEALTHY.members.slice(0, 2), [DEAD, SILENT]],
      list: list(
        ["a1", "etcd01", ENDPOINTS[0]],
        ["a2", "etcd02", ENDPOINTS[1]],
        ["a4", "etcd04", "https://127.0.0.4:2379"],
        ["a5", ""],
        ["a6", "etcd06\u001b[2J", "--endpoints=https://127.0.0.6:2379"],
      ),
    });
    member(operator, "https://127.0.0.4:2379", [
      sick("etcdserver: rpc not supported for learner"),
      state(4, 2, { isLearner: true }),
    ]);
    const { code, table } = await both(operator);
    expect(code).toBe(1);
    expect(table).toMatchInlineSnapshot(`
      "MEMBER      ID  ENDPOINT                HEALTH     ROLE      VERSION  DB                 CERTIFICATE
      etcd01      a1  https://127.0.0.1:2379  healthy    follower  3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.1:2379
      etcd02      a2  https://127.0.0.2:2379  healthy    leader    3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.2:2379
      etcd03      a3  https://127.0.0.3:2379  UNHEALTHY  ?         ?        ?                  connect ECONNREFUSED 127.0.0.3:2379
      etcd04      a4  https://127.0.0.4:2379  UNHEALTHY  learner   3.6.14   1.0 of 2048.0 MiB  connect ECONNREFUSED 127.0.0.4:2379
      ?           a5  ?                       UNHEALTHY  ?         ?        ?                  ?
      etcd06?[2J  a6  ?                       UNHEALTHY  ?         ?        ?                  ?

      cluster c1: 2 of 6 members healthy, one leader
      warning: etcd03: is not in the cluster's member list
      warning: etcd04: connect ECONNREFUSED 127.0.0.4:2379
      warning: a5: was added and never started
      warning: etcd06?[2J: has no client URL of this program's"
    `);
  });

  test("while a member moved: it is asked where it is now, and counts once", async () => {
    const moved = "https://127.0.0.7:2379";
    const operator = operatorOf({
      members: [...HEALTHY.members.slice(0, 2), [DEAD, SILENT]],
      list: list(
        ["a1", "etcd01", ENDPOINTS[0]],
        ["a2", "etcd02", ENDPOINTS[1]],
        ["a3", "etcd03", moved],
      ),
    });
    member(operator, moved, [WELL, state(3, 2)]);
    const { code, json } = await both(operator);
    expect([code, json.warnings]).toEqual([0, []]);
    expect(json.members.map(({ id: own, endpoint }) => [own, endpoint])).toEqual([
      ["a1", ENDPOINTS[0]],
      ["a2", ENDPOINTS[1]],
      ["a3", moved],
    ]);
  });

  test("in a recovery: says that it is another cluster than the stack's", async () => {
    const { code, json } = await both(operatorOf(HEALTHY, { ...OUTPUTS, clusterId: "c0" }));
    expect(code).toBe(1);
    expect(json.clusterId).toBe("c1");
    expect(json.warnings[0]).toBe("etcd01: is in cluster c1, and the stack's outputs name c0");
  });

  test("and left only what it takes to ask: names come from the cluster", async () => {
    const { members: _, clusterId, version, ...left } = OUTPUTS;
    const { code, json } = await both(operatorOf(HEALTHY, left));
    expect(code).toBe(0);
    expect(json.clusterId).toBe("c1");
    expect(json.members.map(({ name }) => name)).toEqual(["etcd01", "etcd02", "etcd03"]);
  });

  test.each([
    ["nothing", {}],
    [
      "endpoints that are not known yet",
      { ...OUTPUTS, endpoints: "04da6b54-80e4-46f7-96ec-b56ff0331ba9" },
    ],
    ["endpoints that are none", { ...OUTPUTS, endpoints: ["http://127.0.0.1:2379"] }],
  ])(
    "before there was a cluster, and left %s: says what to do, exit code 2",
    async (_, outputs) => {
      const operator = operatorOf(HEALTHY, outputs);
      const error =
        "the selected stack has no cluster outputs, because no `pulumi up` of it has completed; run `pulumi up`, or select another stack";
      expect(await operator.run("status")).toEqual({
        code: 2,
        stdout: "",
        stderr: `error: ${error}\n`,
      });
      const json = await operator.run("status", "--json");
      expect([json.code, json.stderr, JSON.parse(json.stdout)]).toEqual([2, "", { error }]);
    },
  );
});

describe("certificates", () => {
  const ca = forge({ commonName: "etcd", uses: ["cert_signing"], isCa: true, hours: 24 * 365 });
  const other = forge({ commonName: "etcd", uses: ["cert_signing"], isCa: true });
  const server = { commonName: "etcd01", uses: ["server_auth"], ipAddresses: ["127.0.0.1"] };
  const client = forge({ commonName: "client", uses: ["client_auth"], hours: 24 * 100 }, ca);

  /** A member that presents that one. */
  async function presents({ certificate, key }: { certificate: string; key: string }) {
    const listening = createServer({ cert: certificate, key });
    listening.on("tlsClientError", () => undefined);
    await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void listening.close());
    const address: AddressInfo | string | null = listening.address();
    const port = typeof address === "object" ? address?.port : 0;
    const endpoint = `https://127.0.0.1:${port}`;
    const operator = operatorOf(HEALTHY, {
      ...OUTPUTS,
      endpoints: [endpoint],
      ...{ caCertificate: ca.certificate, clientCertificate: client.certificate },
      clientKey: client.key,
    });
    member(operator, endpoint, [WELL, state(1, 1)]);
    const listed = `--endpoints ${endpoint} member list --write-out json`;
    operator.says("etcdctl", listed, list(["a1", "etcd01", endpoint]));
    return both(operator);
  }

  test("that last: their ends", async () => {
    const { code, table, json } = await presents(forge({ ...server, hours: 24 * 365 }, ca));
    expect(code).toBe(0);
    const [{ certificateEnd = null } = {}] = json.members;
    expect(Date.parse(certificateEnd ?? "")).toBeGreaterThan(Date.now() + 360 * 86_400_000);
    expect(table).toContain(`until ${certificateEnd?.slice(0, 10)}`);
    expect(json.clientCertificateEnd).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(json.caCertificateEnd).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  test("that end soon are warned of", async () => {
    const { code, json } = await presents(forge({ ...server, hours: 24 * 10 }, ca));
    expect(code).toBe(1);
    expect(json.warnings).toEqual([
      `etcd01: its server certificate expires on ${json.members[0]?.certificateEnd}, in 9 days`,
    ]);
  });

  test("that have ended show when", async () => {
    const { code, json } = await presents(forge({ ...server, begins: -48, hours: 24 }, ca));
    expect(code).toBe(1);
    expect(json.warnings).toEqual([
      `etcd01: its server certificate expired on ${json.members[0]?.certificateEnd}; run pulumi up`,
    ]);
  });

  test("of another CA are not believed", async () => {
    const { table, json } = await presents(forge(server, other));
    expect(json.members[0]?.certificateEnd).toBeNull();
    expect(table).toMatch(/not trusted \([A-Z_]+\)/);
  });
});

async function hosts(config: Readonly<Record<string, unknown>>, ...answers: readonly Answer[]) {
  const operator = operatorOf(HEALTHY);
  return { operator, servers: await threeHosts(operator, config, ...answers) };
}

const ago = (seconds: number) =>
  `${new Date(Date.now() - seconds * 1000).toISOString().slice(0, 19)}Z`;
const REPOSITORY = { repository: "/srv/restic/etcd", password: "xyzzy" };

describe("jobs", () => {
  test("that are in order: exit code 0, with the newest of all hosts", async () => {
    const { operator } = await hosts(
      { backup: { ...REPOSITORY, drill: "weekly" }, maintenance: { defrag: {} } },
      {
        stdout: said(
          "bootstrapped",
          `job backup failed ${ago(9000)} - - - 3600 no space left`,
          `job-good backup ${ago(12_600)} 1200 1048576 0a0b0c0d`,
          `job maintenance ok ${ago(86_400 * 9)} - - - 600`,
        ),
      },
      {
        stdout: said(
          `job backup ok ${ago(5400)} 1234 1048576 a1b2c3d4 3600`,
          `job-good backup ${ago(5400)} 1234 1048576 a1b2c3d4`,
          `job backup-check ok ${ago(86_400 * 3)} - - - 604800`,
          `job drill ok ${ago(86_400 * 5)} 1100 - 00112233 604800`,
        ),
      },
      { stdout: said() },
    );
    const { code, table, json } = await both(operator);
    expect(json.warnings).toEqual([]);
    expect(code).toBe(0);
    expect(table.split("\n").slice(-4)).toMatchInlineSnapshot(`
      [
        "backup: 90 minutes ago on etcd02, revision 1234, 1.0 MiB, a1b2c3d4",
        "check of the repository: 3 days ago on etcd02",
        "restore drill: 5 days ago on etcd02, revision 1100, 00112233",
        "maintenance: 9 days ago on etcd01",
      ]
    `);
    expect(json.backup).toEqual({
      lastGood: {
        host: "etcd02",
        time: expect.stringMatching(/Z$/),
        ageSeconds: expect.closeTo(5400, -1),
        ...{ revision: 1234, bytes: 1048576, id: "a1b2c3d4", remark: null },
      },
      lastFailure: {
        host: "etcd01",
        time: expect.stringMatching(/Z$/),
        ageSeconds: expect.closeTo(9000, -1),
        reason: "no space left",
      },
      intervalSeconds: 3600,
    });
    expect(json.backupCheck?.lastGood).toMatchObject({ host: "etcd02", revision: null, id: null });
    expect(json.drill).toMatchObject({ intervalSeconds: 604800, lastFailure: null });
    expect(json.maintenance).toMatchObject({ intervalSeconds: 600 });
    expect(json.notAsked).toEqual([]);
  });

  test.each<[string, readonly string[], RegExp]>([
    [
      "is older than two of its intervals",
      [`job backup ok ${ago(7300)} 1 1 aa 3600`],
      /^backup: the last good one is 2 h 1 min old \(revision 1, snapshot aa in the repository\), and one is due every 1 h; /,
    ],
    [
      "failed after the last good one",
      [
        `job backup failed ${ago(60)} - - - 3600 the server's key has changed\u001b[31m`,
        `job-good backup ${ago(3600)} 1 1 aa`,
      ],
      /^backup: failed on etcd01 1 min( \d+ s)? ago: the server's key has changed\?\[31m; the last good one is 1 h /,
    ],
    [
      "failed, and there was never a good one",
      [`job backup failed ${ago(60)} - - - -`],
      /^backup: failed on etcd01 1 min( \d+ s)? ago; there is no good one$/,
    ],
    [
      "was made, and has something to say",
      [`job backup ok ${ago(60)} 1 1 aa 3600 old snapshots are not removed`],
      /^backup: old snapshots are not removed$/,
    ],
    [
      "has never run",
      [`receipt jobs create ${ago(7300)} host-1`],
      /^backup: there is none yet, and one is due every 1 h; /,
    ],
  ])("of which the backup %s: exit code 1", async (_, lines, warning) => {
    const { operator } = await hosts(
      { backup: {} },
      { stdout: said("bootstrapped", ...lines) },
      ...[{ stdout: said() }, { stdout: said() }],
    );
    const { code, json } = await both(operator);
    expect(json.warnings).toEqual([expect.stringMatching(warning)]);
    expect(code).toBe(1);
  });

  test("that have just been configured have done nothing yet: exit code 0", async () => {
    const stdout = said("bootstrapped", `receipt jobs create ${ago(60)} host-1`);
    const { operator } = await hosts({ backup: {} }, ...[1, 2, 3].map(() => ({ stdout })));
    const { code, table, json } = await both(operator);
    expect([code, json.warnings]).toEqual([0, []]);
    expect(table).toContain("backup: none yet\n".trimEnd());
    expect(json.backup).toEqual({ lastGood: null, lastFailure: null, intervalSeconds: null });
  });

  test("that maintenance did last long ago are no matter, one that failed is", async () => {
    const results = (...lines: readonly string[]) => ({ stdout: said("bootstrapped", ...lines) });
    const failed = await hosts(
      { maintenance: { defrag: {} } },
      results(
        `job maintenance failed ${ago(9)} - - - 600 etcd02 does not answer`,
        `job maintenance-nospace failed ${ago(9)} - - - 15 the alarm is back`,
      ),
      ...[results(), results()],
    );
    expect((await both(failed.operator)).json.warnings).toEqual([
      expect.stringMatching(
        /^maintenance: failed on etcd01 \d+ s ago: etcd02 does not answer; there is no good one$/,
      ),
      expect.stringMatching(/^healing of NOSPACE: failed on etcd01 \d+ s ago: the alarm is back; /),
    ]);
  });

  test("of hosts that cannot be asked: which and why, exit code 1", async () => {
    const { operator } = await hosts(
      { backup: {} },
      { stdout: said(`job backup ok ${ago(60)} 1 1 aa 3600`, "job backup ok yesterday") },
      { code: 1, stderr: "etcd02: failed while reading the results of its jobs\n" },
    );
    const { code, json } = await both(operator);
    expect(code).toBe(1);
    expect(json.notAsked.map(({ host, reason }) => `${host}: ${reason}`)).toEqual([
      expect.stringMatching(
        /^etcd01: root@127\.0\.0\.1:\d+ accepted the login, but did not answer as expected: it printed the malformed job line "job backup ok yesterday" /,
      ),
      expect.stringMatching(
        /^etcd02: root@127\.0\.0\.1:\d+ accepted the login, but the command exited with code 1: etcd02: failed while reading/,
      ),
      expect.stringMatching(
        /^etcd03: SSH to root@127\.0\.0\.1:3 failed: ssh: connect to host 127\.0\.0\.1 port 3: Connection refused$/,
      ),
    ]);
    // Nobody knows, so nothing is said of the backups themselves.
    expect(json.warnings).toHaveLength(3);
    expect(json.backup).toEqual({ lastGood: null, lastFailure: null, intervalSeconds: null });
  });

  test("that are not configured: nobody is logged in to", async () => {
    const { operator, servers } = await hosts({}, {});
    const { code, json } = await both(operator);
    expect([code, json.backup, json.maintenance, json.warnings]).toEqual([0, null, null, []]);
    expect(servers.flatMap(({ logins }) => logins)).toEqual([]);
  });

  test("that a wrong configuration has: what is wrong, and the cluster all the same", async () => {
    const operator = operatorOf(HEALTHY, OUTPUTS, {
      nodes: NODES,
      backup: { password: "xyzzy", schedule: "sometimes;" },
    });
    const { code, json } = await both(operator);
    expect(code).toBe(1);
    expect(json.members.map(({ health }) => health)).toEqual(["healthy", "healthy", "healthy"]);
    expect(json.backup).toEqual({ lastGood: null, lastFailure: null, intervalSeconds: null });
    expect(json.warnings).toEqual([
      expect.stringMatching(
        /^nothing is known of backups, because the stack's configuration cannot be read: \d+ errors in the configuration: etcd:/,
      ),
    ]);
    expect(JSON.stringify(json)).not.toContain("xyzzy");
  });

  test("of a stack whose configuration is elsewhere", async () => {
    const operator = operatorOf(HEALTHY, OUTPUTS, { nodes: [] });
    expect((await both(operator)).json.warnings).toEqual([
      "nothing is known of backups, because the stack's configuration cannot be read: it has no nodes; if it is in another file, name that with --config-file",
    ]);
    const there = { "etcd:nodes": { value: JSON.stringify(NODES), objectValue: NODES } };
    operator.says("pulumi", "config --json --show-secrets --config-file /etc/there.yaml", {
      stdout: JSON.stringify(there),
    });
    const { code, stderr } = await operator.run("status", "--config-file", "/etc/there.yaml");
    expect([code, stderr]).toEqual([0, ""]);
  });
});

describe("the command", () => {
  test("prints a table, or JSON alone, and ends with the same code", async () => {
    const operator = operatorOf({ members: HEALTHY.members.slice(1), list: SILENT });
    const [table, json] = await Promise.all([
      operator.run("status"),
      operator.run("status", "--json"),
    ]);
    expect([table.code, table.stderr, json.code, json.stderr]).toEqual([1, "", 1, ""]);
    operator.beHere();
    const { report, seen } = await look();
    expect(JSON.parse(json.stdout)).toEqual(report);
    expect(table.stdout).toBe(`${renderReport(report, seen)}\n`);
  });

  test("ends in ten seconds, whatever does not answer", async () => {
    const silent = listenSilently();
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void silent.close());
    const address: AddressInfo | string | null = silent.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const { operator } = await hosts({ backup: {} }, { after: "what nobody says" });
    const late: Said = { ...WELL, seconds: 60 };
    const endpoint = `https://127.0.0.1:${port}`;
    operator.outputs({ ...OUTPUTS, endpoints: [endpoint] });
    member(operator, endpoint, [late, late]);
    operator.says("etcdctl", `--endpoints ${endpoint} member list --write-out json`, late);
    const started = Date.now();
    const { code, stdout, stderr } = await operator.run("status", "--json");
    expect((Date.now() - started) / 1000).toBeLessThan(10);
    expect([code, stderr]).toEqual([2, ""]);
    const report = JSON.parse(stdout);
    expect(report.members[0]).toMatchObject({ health: "unhealthy", reason: "no answer" });
    expect(report.notAsked[0]).toMatchObject({
      host: "etcd01",
      reason: expect.stringContaining("did not answer in time"),
    });
  });

  test.each([
    [["--jsn"], 'unknown option "--jsn"'],
    [["now"], 'unknown argument "now"'],
    [["--json", "--", "x"], 'unknown option "--"'],
    [["--config-file"], "--config-file names no file"],
  ])("refuses %j with its usage, exit code 2", async (args, what) => {
    const error = `${what}; usage: npm run status [-- [--json] [--config-file FILE]]`;
    const ended = await new Operator().run("status", ...args);
    expect(ended).toEqual(
      args.includes("--json")
        ? { code: 2, stdout: `${JSON.stringify({ error }, null, 2)}\n`, stderr: "" }
        : { code: 2, stdout: "", stderr: `error: ${error}\n` },
    );
  });

  test("says in one line what Pulumi says, or that it or etcdctl is not there", async () => {
    const operator = operatorOf(HEALTHY);
    operator.says("pulumi", "stack output --json --show-secrets", {
      ...{ stderr: "error: no stack selected\nrun `pulumi stack select`\n", code: 255 },
    });
    expect(await operator.run("status")).toEqual({
      ...{ code: 2, stdout: "" },
      stderr:
        "error: pulumi stack output --json --show-secrets failed: no stack selected; run `pulumi stack select`\n",
    });
    operator.outputs(OUTPUTS);
    operator.lacks("etcdctl");
    expect(await operator.run("status")).toMatchObject({
      code: 2,
      stderr:
        "error: cannot run etcdctl (spawn etcdctl ENOENT); install the etcd 3.6.14 release on this machine\n",
    });
    operator.lacks("pulumi");
    expect(await operator.run("status")).toMatchObject({
      code: 2,
      stderr: "error: cannot run pulumi: it is not on PATH; install the Pulumi CLI\n",
    });
  });
});

test("docs/commands.md has the keys of the JSON, and no others", async () => {
  const result = `ok ${ago(5400)} 1234 1048576 a1b2c3d4`;
  const { operator } = await hosts(
    { backup: {} },
    { stdout: said("bootstrapped", `job backup failed ${ago(60)} - - - 3600 no space`) },
    { stdout: said(`job-good backup ${result.slice(3)}`) },
  );
  const errors = [`memberID:${id("a1")} alarm:NOSPACE `];
  member(operator, ENDPOINTS[0] ?? "", [
    sick("Active Alarm(s): NOSPACE "),
    state(1, 2, { errors }),
  ]);
  const { json } = await both(operator);
  const documented = keysIn("docs/commands.md", "Status");
  expect(documented).toEqual(keysOf(json));
});
