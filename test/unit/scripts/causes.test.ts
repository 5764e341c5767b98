/** Why etcd does not start, in its own words: made with real ones of all three series, on loopback. */
import { homedir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readCauses } from "../../../docs/causes";
import { ARCH } from "../../support/artifacts";
import { Lab } from "../../support/lab";
import { PKI } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const ALL = ["3.5.35", "3.6.14", "3.7.2"];
const CACHE =
  process.env.LAB_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "etcd-on-pulumi");
const RELEASES = join(CACHE, `releases-${ARCH}`);
const MAKER = join(__dirname, "..", "..", "support", "real-etcd.sh");

/** What happened (support/real-etcd.sh), what the line shown has, what is said of it, in which series. */
const REAL: readonly (readonly [string, string, string, readonly string[]])[] = [
  ["old copy", "tocommit(", "older than what it has acknowledged", ALL],
  ["damaged pages", "age expected to be", "member/snap/db is damaged", ALL],
  ["no database in it", "invalid database", "member/snap/db is damaged", ["3.6.14"]],
  ["database gone", "failed to recover v3 backend", "or is missing", ["3.5.35"]],
  ["damaged journal", "walpb: crc mismatch", "member/wal is damaged", ALL],
  ["entries of 3.5", "unmarshal should never fail", "3.7 cannot read", ["3.7.2"]],
  ["newer data", "invalid downgrade", "by a newer minor version", ["3.5.35"]],
  ["newer data", "is not supported", "by a newer minor version", ["3.6.14"]],
  ["unknown flag", "flag provided but not defined: -no-such-flag", "etcd:settings", ALL],
  ["wrong value", 'invalid value "many" for flag', "etcd:settings", ["3.5.35"]],
  ["unknown gate", "unrecognized feature gate: Nope", "etcd:settings", ["3.6.14", "3.7.2"]],
  ["port in use", "bind: address already in use", "ss -ltnp", ["3.7.2"]],
  ["address not here", "bind: cannot assign requested", "nodes[].address", ["3.6.14"]],
  ["certificate missing", "good.pem: no such file", "The next pulumi up writes those", ["3.6.14"]],
  ["key unreadable", "good-key.pem: permission denied", "may not read that file", ["3.6.14"]],
  ["key of another", "private key does not match", "do not belong together", ["3.6.14"]],
  ["no certificate in it", "failed to find any PEM", "or are damaged", ["3.6.14"]],
  ["disk full", "no space left on device", "df -h /var/lib/etcd", ALL],
  ["disk read-only", "read-only file system", "mounted read-only", ["3.6.14"]],
  ["directory of root", "permission denied", "the next pulumi up sets the owner", ["3.6.14"]],
  ["files of root", "permission denied", "the next pulumi up sets the owner", ALL],
  ["database of root", "permission denied", "the next pulumi up sets the owner", ["3.6.14"]],
  ["removed", "permanently removed from the cluster", "rejoins", ALL],
  ["wiped", "has already been bootstrapped", "Run pulumi up again", ["3.6.14"]],
  ["other members", "member count is unequal", "Run pulumi up again", ["3.5.35"]],
  ["not in the list", "find local name", "Run pulumi up again", ["3.6.14"]],
  ["nobody answers", "could not retrieve cluster information", "Start them first", ["3.7.2"]],
  ["another cluster", "cluster ID mismatch", "belong to a different cluster", ["3.6.14"]],
  ["expired", "has expired or is not yet valid", "timedatectl", ["3.6.14"]],
  ["of another CA", "remote error: tls: ", "its own journal says why", ["3.6.14"]],
  [
    "not for its address",
    "certificate is valid for 127.0.0.9",
    "its certificate does not list",
    ["3.7.2"],
  ],
  ["refused by others", "remote error: tls: bad certificate", "own journal says why", ["3.6.14"]],
  ["alone", "connection refused", "Another member is not listening", ["3.5.35"]],
];

/** As systemd and the kernel say it, and what takes more than a loopback to be made. */
const SAID: readonly (readonly [string, string])[] = [
  ['{"level":"fatal","error":"a1 found data inconsistency with peers"}', "hashkv --cluster"],
  ["etcd.service: A process of this unit has been killed by the OOM killer.", "out of memory"],
  [
    "etcd.service: Main process exited, code=exited, status=203/EXEC",
    "cannot run /usr/local/bin/etcd",
  ],
  ["etcd.service: Main process exited, code=exited, status=238/STATE_DIRECTORY", "cannot use"],
  ["etcd.service: Main process exited, code=exited, status=217/USER", "user or the group etcd"],
  ["etcd.service: Main process exited, code=exited, status=226/NAMESPACE", "sandbox"],
  ["etcd.service: Failed to load environment files: No such file or directory", "environment"],
  [
    '{"level":"panic","error":"write /var/lib/etcd/member/wal: input/output error"}',
    "disk is failing",
  ],
  [
    '{"level":"info","msg":"db file is flocked by another process, or taking too long"}',
    "fuser -v /var/lib/etcd",
  ],
  ['{"level":"warn","error":"x509: certificate signed by unknown authority"}', "a different CA"],
  ['{"level":"warn","error":"dial tcp 192.168.1.84:2380: i/o timeout"}', "2379 and 2380"],
  ['{"level":"warn","error":"etcdserver: too many requests"}', "no leader"],
];

describe.skipIf(reason !== undefined)(
  `why etcd does not start${reason ? ` (${reason})` : ""}`,
  () => {
    const host = hostForEach();
    const why = (call = "why etcd.service") =>
      host.run("member", ["eval", call], { PKI }).stdout.trimEnd().split("\n");
    const matched = new Set<string>();
    const causeOf = (line: string) => {
      const found = readCauses().find(({ pattern }) => new RegExp(pattern).test(line));
      matched.add(found?.pattern ?? "");
      return found;
    };

    beforeAll(async () => {
      await new Lab("test").release(...ALL);
    }, 30 * 60_000);

    test.each(
      REAL.flatMap(([what, line, meaning, versions]) =>
        versions.map((version) => [what, version, line, meaning] as const),
      ),
    )("'%s' with %s is told in its words, with the remedy", (what, version, line, meaning) => {
      const pattern = line.replaceAll(/[()[\]]/g, ".");
      host.sh(`timeout 50 bash ${MAKER} ${RELEASES} ${version} '${what}' '${pattern}' >&2`);
      const [shown = "", said, ...more] = why();
      expect(shown).toContain(line);
      expect(said).toContain(meaning);
      expect(more).toEqual([]);
      expect(shown.length).toBeLessThan(1000);
      expect(shown).not.toMatch(/"(ts|caller|stacktrace)":/);
      if (causeOf(shown)?.kind === "rebuild") {
        expect(said).toMatch(
          /set etcd:nodes\[\]\.rebuild of this node to ([0-9a-f]{8,16}|the ID of its member \(npm run status\)) and run/,
        );
      }
    });
    test.each(SAID)("%s has its remedy", (line, meaning) => {
      host.journal(["etcd.service: Scheduled restart job", line]);
      const [shown, said, ...more] = why();
      expect(shown).toBe(line);
      expect(said).toContain(meaning);
      expect(more).toEqual([]);
      causeOf(line);
    });

    test("covers every cause that is known", () => {
      const missing = readCauses().filter(({ pattern }) => !matched.has(pattern));
      expect(missing.map(({ pattern }) => pattern)).toEqual([]);
    });

    describe("is told", () => {
      const FATAL =
        '{"level":"fatal","ts":"2026-11-27T11:27:30Z","caller":"etcdmain/etcd.go:183","msg":"discovery failed","error":"SAID","stacktrace":"main\\n\\t\\"x\\""}';
      const PLAIN =
        '2026-11-27T11:27:30.708Z\tfatal\tetcdmain/etcd.go:183\tdiscovery failed\t{"error": "SAID"}';
      const fatal = (words: string) => FATAL.replace("SAID", words);

      test("from either format of the log, without its time, its place and its stack", () => {
        host.journal([fatal("bind: address already in use")]);
        expect(why()[0]).toBe(
          '{"level":"fatal","msg":"discovery failed","error":"bind: address already in use"}',
        );
        host.journal([
          PLAIN.replace("SAID", "bind: address already in use"),
          "main.main",
          "\tx.go:1",
        ]);
        expect(why()).toEqual([
          'fatal: discovery failed\t{"error": "bind: address already in use"}',
          expect.stringContaining("ss -ltnp"),
        ]);
      });

      test("of the last start, and not of one before etcd was ready or was stopped", () => {
        for (const mark of ["Started etcd.service - etcd.", "Stopping etcd.service - etcd..."]) {
          host.journal([fatal("no space left on device"), mark, fatal("at the disco")]);
          expect(why()).toEqual([
            '{"level":"fatal","msg":"discovery failed","error":"at the disco"}',
          ]);
        }
        host.journal([fatal("no space left on device"), fatal("bind: address already in use")]);
        expect(why()[1]).toContain("ss -ltnp");
      });

      test("by what is gravest when no cause is known", () => {
        const lines = [
          '{"level":"warn","msg":"a warning"}',
          '{"level":"error","msg":"an error"}',
          '{"level":"error","msg":"setting up serving from embedded etcd failed.","error":"http: Server closed"}',
          "etcd.service: Main process exited, code=exited, status=1/FAILURE",
        ];
        host.journal(lines);
        expect(why()).toEqual([lines[1]]);
        host.journal([lines[0] ?? "", lines[3] ?? ""]);
        expect(why()).toEqual([lines[3]]);
        host.journal([lines[0] ?? ""]);
        expect(why()).toEqual([lines[0]]);
      });

      test("as a hint only when etcd did not end, the better one first", () => {
        const refused = '{"level":"warn","error":"connect: connection refused"}';
        const expired =
          '{"level":"warn","error":"x509: certificate has expired or is not yet valid"}';
        host.journal([expired, refused, refused]);
        expect(why()[0]).toBe(expired);
        host.journal([expired, fatal("permission denied")]);
        expect(why()[0]).toContain("permission denied");
      });

      test("in lines that a terminal and the engine's log can take", () => {
        host.journal([fatal(`no space left on device \u001b[2J${"x".repeat(70_000)}`)]);
        const [shown = ""] = why();
        expect(shown.length).toBeLessThanOrEqual(4096);
        expect(shown).toMatch(/^[ -~]*$/);
      });
    });
  },
);
