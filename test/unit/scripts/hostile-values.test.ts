import { beforeEach, describe, expect, test } from "vitest";
import type { ScriptName } from "../../../components/scripts/bundle";
import type { Part } from "../../support/install-parts";
import { PaperCluster, STATE } from "../../support/paper-cluster";
import { hostForEach, type Outcome, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const RUN = "touch /var/paper/ran";

/** What somebody may write into etcd's member list, a process or a journal. */
const HOSTILE: readonly string[] = [
  `x';${RUN};'`,
  `https://etcd02:2380,https://x'&${RUN}>pwned;':2380`,
  `https://x";${RUN};":2380`,
  `https://$(${RUN}):2380`,
  `\`${RUN}\``,
  `a[$(${RUN})]`,
  `https://[::1]/x;${RUN};:2380`,
  `https://192.168.1.84:2380;${RUN}`,
  `a\n${RUN}\n`,
  `$IFS|${RUN}|`,
  "a\nempty\nformed\nfinding nothing",
  "*",
  "/etc/*",
  "-rf",
  "-",
  "--help",
  "a b, c",
  ".*\\",
  "^[",
  "%s%n%n",
  "\u001b]0;owned\u0007\u001b[2J",
  "a\r\u009b31mb",
];
/** Each as bash's `value`, and as Go prints it with %q in `quoted`; the last is too long to be written here. */
const SITUATIONS = [
  ...HOSTILE.map((value) => `value=${ansi(value)}; quoted=${ansi(goQuoted(value))}`),
  `value=$(printf 'A%.0s' {1..65536}); quoted="\\"$value\\""`,
];

/** For what takes long. */
const FEW = SITUATIONS.filter((_, index) => index < 6 || index > SITUATIONS.length - 3);

/** A word of bash with nothing left to expand. */
function ansi(value: string): string {
  const bytes = [...Buffer.from(value)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`);
  return `$'${bytes.join("")}'`;
}

/** Enough of Go's strconv.Quote. */
function goQuoted(value: string): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The list of three with that as the second's name and the third's URL. */
const LISTED = `{ printf '"ID" : 161\n"Name" : "etcd01"\n"PeerURL" : "https://192.168.1.83:2380"\n"ClientURL" : "https://192.168.1.83:2379"\n"IsLearner" : false\n\n'
    printf '"ID" : 162\n"Name" : %s\n"PeerURL" : "https://192.168.1.84:2380"\n"ClientURL" : "https://192.168.1.84:2379"\n"IsLearner" : false\n\n' "$quoted"
    printf '"ID" : 163\n"Name" : "etcd03"\n"PeerURL" : "https://192.168.1.85:2380"\n"PeerURL" : %s\n"ClientURL" : "https://192.168.1.85:2379"\n"IsLearner" : false\n\n' "$quoted"
  } >/var/paper/members-fields`;

describe.skipIf(reason !== undefined)(`hostile values${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const NODES = "etcd01 192.168.1.83\netcd02 192.168.1.84\netcd03 192.168.1.85";
  const VALUES = {
    ...RUNNING,
    NODES,
    UPGRADE: "no",
    MANAGE_HOSTS: "no",
    FIREWALL: "no",
    CLIENT_NETWORKS: "",
    MINIMUM_MEMORY: "1",
    MINIMUM_DISK: "1",
    MARK: "0badcafe",
    ARCHITECTURES: "amd64 arm64",
    RECOVER_SNAPSHOT: "",
    COMPACTS: "no",
    LOST_ADDRESSES: "192.168.1.85",
  };

  /** Nothing ran, and a terminal or a log may be given all of it. */
  const harmless = ({ stdout, stderr }: Outcome) => {
    expect(host.sh("ls /var/paper; ls / /root; ls")).not.toMatch(/^(ran|pwned|pwned;.*)$/m);
    expect(stderr).not.toMatch(/[^\n\x20-\x7e\xa0-\xff]/);
    for (const line of `${stdout}\n${stderr}`.split("\n")) {
      expect(line.length).toBeLessThanOrEqual(4096);
    }
  };

  beforeEach(() => {
    runningMember(host, cluster, RUNNING);
    host.sh(`mkdir -p ${STATE}/receipts; touch ${STATE}/changing ${STATE}/receipts/host
      printf 'ActiveState=active\nMainPID=0\n' >/var/paper/property-ActiveState,DropInPaths,MainPID`);
  });

  describe("in the member list end every step before any use of them, and say whose they are", () => {
    const steps: readonly (readonly [string, ScriptName | Part, string, Record<string, string>])[] =
      [
        [
          "move",
          "member",
          "apply 'move 2026-11-22T10:20:30Z # here to there'",
          { ADDRESS: "127.0.0.9" },
        ],
        [
          "restart",
          "member",
          "apply 'repair 2026-11-22T10:20:30Z'",
          { UNIT_TEXT: "[Service] new" },
        ],
        ["join", "member", "rm -rf $DATA/member; apply 'join 2026-11-22T10:20:30Z'", {}],
        [
          "start",
          "member",
          "echo inactive >/var/paper/property-ActiveState; apply 'repair 2026-11-22T10:20:30Z'",
          {},
        ],
        ["recover", "member", "apply 'recover 2026-11-22T10:20:30Z cluster=cafe'", {}],
        ["leave", "leave", "remove", {}],
        ["lost", "lost", "apply lost", {}],
        ["host", "host", "apply 'create 2026-11-22T10:20:30Z'", {}],
        ["gate", "health", "apply gate", {}],
      ];

    test.each(steps)("%s", (_, script, call, change) => {
      const outcomes = cluster.each(
        script,
        call,
        { ...VALUES, ...change },
        (script === "lost" ? SITUATIONS : FEW).map((situation) => `${situation}\n${LISTED}`),
      );
      for (const outcome of outcomes) {
        harmless(outcome);
        expect(outcome.status).toBe(1);
        const lines = outcome.stderr.trim().split("\n");
        expect(lines).toEqual([
          expect.stringMatching(
            /^etcd01: member a2 of the cluster has the name "[^\n]{1,125}, which this program cannot handle; /,
          ),
          expect.stringMatching(
            /^member a3 of the cluster has the peer URL "[^\n]{1,125}, which this program cannot handle; correct it \(npm run etcdctl -- member update a3 --peer-urls https:\/\/ADDRESS:2380\), or remove it \(npm run etcdctl -- member remove a3\)$/,
          ),
        ]);
      }
      expect(cluster.changes()).toEqual([]);
      // A member that was ready before needs nobody's list to be started.
      const starts = host.sh("grep -cE '^(start|restart)' /var/paper/systemctl || true");
      expect(starts).toBe(call.includes("inactive") ? String(FEW.length) : "0");
    });

    test("are findings of the look at the host, which prints nothing else of them", () => {
      const outcomes = cluster.each(
        "probe",
        "probe",
        VALUES,
        FEW.map((situation) => `${situation}\n${LISTED}`),
      );
      for (const outcome of outcomes) {
        harmless(outcome);
        const lines = outcome.stdout.split("\n");
        expect(lines.filter((line) => line.startsWith("member "))).toEqual([]);
        expect(lines.filter((line) => line.startsWith("foreign member a"))).toHaveLength(2);
        expect(lines).not.toContain("empty");
      }
    });
  });

  test("in a member's status do not pass for a field of it", () => {
    const fields = ["ClusterID", "Leader", "Version", "RaftIndex", "RaftAppliedIndex"];
    const call = `for field in ${fields.join(" ")} IsLearner DowngradeEnabled; do
        ! status_field "$LOCAL" "$field" || [ "$field" = IsLearner ] || echo "$field"
      done; caught_up "$LOCAL"`;
    const outcomes = cluster.each(
      "member",
      call,
      VALUES,
      FEW.map(
        (situation) =>
          `${situation}; cd /var/paper; for field in ${fields.join(" ")} DowngradeEnabled; do printf '%s' "$value" >field-a1-$field; done`,
      ),
    );
    for (const outcome of outcomes) {
      harmless(outcome);
      expect(outcome).toEqual({ status: 0, stdout: "false", stderr: "" });
    }
  });

  test.each<[string, ScriptName, string]>([
    ["the gate", "health", "apply gate"],
    ["a restart", "member", "apply 'repair 2026-11-22T10:20:30Z'"],
    ["the look", "probe", "probe"],
  ])("in a member's status and alarms harm nobody in %s", (_, script, call) => {
    const outcomes = cluster.each(
      script,
      call,
      { ...VALUES, VERSION: "3.7.2", PREDECESSORS: "3.6.0" },
      FEW.map(
        (situation) =>
          `${situation}; cd /var/paper; for field in ClusterID Version Leader RaftIndex; do printf '%s' "$value" >field-a2-$field; done
          printf 'memberID:161 alarm:%s\n' "$value" >alarms`,
      ),
    );
    for (const outcome of outcomes) {
      harmless(outcome);
    }
  });

  test.each([
    ["leave", 'was_removed || true; fail "$(journal 9)"'],
    ["member", 'fail "$(why etcd.service) $(journal 9)"'],
  ] as const)("in the journal are words of etcd's at most, to the step %s", (step, call) => {
    const outcomes = cluster.each(
      step,
      call,
      VALUES,
      SITUATIONS.map(
        (situation) =>
          `${situation}; { printf '{"msg":"%s","local-member-id":"%s"}\n' "$value" "$value"; printf '%s\n' "$value"; } >/var/paper/journal`,
      ),
    );
    for (const outcome of outcomes) {
      harmless(outcome);
      expect(outcome).toMatchObject({ status: 1, stdout: "" });
      expect(outcome.stderr).toMatch(/^etcd01: /);
    }
  });

  test("in the flags and the environment of the running etcd are flags", () => {
    const outcomes = cluster.each(
      "member",
      `exec -a "$(cat /var/paper/value; printf x)" sh -c 'sleep 5; :' - "$(cat /var/paper/value)" '' '@' ']' &
      pid=$!; until [ "$(readlink /proc/$pid/exe)" != "$(readlink /proc/$$/exe)" ]; do command sleep 0.01; done
      : >$PROCESS; echo --gone >>$PROCESS; echo >>$PROCESS
      said=$(process_differences $pid /usr/local/bin/etcd) || true
      kill $pid
      [[ $said == *"etcd runs without --gone"* ]] || exit 9
      fail "$said"`,
      VALUES,
      SITUATIONS.map((situation) => `${situation}; printf '%s' "$value" >/var/paper/value`),
    );
    for (const outcome of outcomes) {
      harmless(outcome);
      expect(outcome).toMatchObject({ status: 1, stdout: "" });
      expect(outcome.stderr).toMatch(/^etcd01: etcd runs with/);
      expect(outcome.stderr).not.toContain("subscript");
    }
  });

  test.each<[string, ScriptName | Part]>([
    ["host", "host"],
    ["member", "member"],
  ])("as a step's revision are words in its receipt on the %s", (_, script) => {
    const outcomes = cluster.each(
      script,
      'apply "repair 2026-11-22T10:20:30Z # $(cat /var/paper/value)"',
      VALUES,
      FEW.map((situation) => `${situation}; printf '%s' "$value" >/var/paper/value`),
    );
    for (const outcome of outcomes) {
      harmless(outcome);
      expect(outcome).toMatchObject({ status: 0, stdout: "" });
    }
  });

  test("as addresses are dialled by nobody", () => {
    const call = `! dials "https://$(cat /var/paper/value):2379"
      ! dials "$(cat /var/paper/value)"
      NODES="etcd02 $(cat /var/paper/value)"; neighbours_reachable >/dev/null; source_address >/dev/null
      former_addresses "a1 x https://$(cat /var/paper/value):2380 false yes"`;
    for (const outcome of cluster.each(
      "host",
      call,
      VALUES,
      FEW.map((situation) => `${situation}; printf '%s' "$value" >/var/paper/value`),
    )) {
      harmless(outcome);
    }
  });
});
