/** restic as the scripts run it: its locks, its words, and what it is told. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { quote } from "../../../components/scripts/bundle";
import { STATE } from "../../support/paper-cluster";
import { whyNot } from "../../support/paper-host";
import { CANARY, RESTIC, RepositoryHost } from "../../support/real-cluster";

const reason = whyNot();

describe.skipIf(reason !== undefined)(`restic${reason ? ` (${reason})` : ""}`, () => {
  const repository = new RepositoryHost();
  const { filled, call, locks } = repository;
  const host = () => repository.host;

  beforeAll(() => repository.start(), 30 * 60_000);
  afterAll(() => repository.close());
  beforeEach(() => repository.clean());

  describe("a lock", () => {
    /** A backup that goes on until it is killed, on the host of that name; its number is in /var/held. */
    const hold = (name: string, pid = "restic has none of its own") =>
      host().sh(`mkfifo /var/fifo 2>/dev/null || true
        case "${pid}" in restic*) ns="" ;; *) ns="--pid --fork --kill-child --mount-proc" ;; esac
        setsid unshare --uts $ns bash -c 'hostname "$1"
          case $2 in restic*) exec ${RESTIC} backup --stdin --quiet </var/fifo ;; esac
          echo $(($2 - 1)) >/proc/sys/kernel/ns_last_pid
          ${RESTIC} backup --stdin --quiet </var/fifo & wait' - "${name}" "${pid}" >/dev/null 2>&1 &
        echo $! >/var/held; exec {w}>/var/fifo
        for turn in {1..100}; do if [ -n "$(ls /var/repository/locks)" ]; then break; fi; sleep 0.1; done
        sleep 1000 >/dev/null 2>&1 <&$w & echo $! >/var/writer`);
    const NAME = "$(uname -n)";
    const release = () =>
      host().sh("kill -KILL $(cat /var/held) $(cat /var/writer) 2>/dev/null || true; sleep 0.3");
    const forget = "LOCK_PATIENCE=1; forget_old";
    /** As if this host had run what has the lock. */
    const CACHE = "/var/cache/etcd-on-pulumi";
    const noted = (pid: string) =>
      host().sh(`mkdir -p ${CACHE}/runs; echo "${pid} 0" >${CACHE}/runs/${pid}`);

    test("of somebody who is at work is waited for, and said", () => {
      filled();
      hold(NAME);
      const { status, stdout } = call(forget);
      release();
      expect(stdout).toMatch(
        /^unable to create lock in backend: repository is already locked by PID \d+ on \S+ by root \(UID 0, GID 0\), lock was created at [-\d]+ [:\d]+ \(.* ago\)\n$/,
      );
      expect(status).toBe(1);
      expect(locks()).not.toBe("");
    });

    test("of a run here that was killed is removed", () => {
      filled();
      hold(NAME);
      release();
      expect(locks()).not.toBe("");
      // Another host may have the same name.
      const { stdout, status } = call(forget);
      expect(status).toBe(1);
      expect(locks()).not.toBe("");
      noted(/ PID (\d+) /.exec(stdout)?.[1] ?? "");
      expect(call(forget)).toMatchObject({ status: 0, stdout: "" });
      expect(locks()).toBe("");
    });

    test("of another host is left alone while it is young", () => {
      filled();
      hold("etcd02.0badcafe");
      release();
      const { stdout } = call(forget);
      noted(/ PID (\d+) /.exec(stdout)?.[1] ?? "");
      expect(call(forget).status).toBe(1);
      expect(locks()).not.toBe("");
    });

    test("whose number another process has by now does that process no harm", () => {
      filled();
      host().sh(
        "env --default-signal=HUP sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >/var/victim",
      );
      // restic had the number of that process, in a namespace of its own.
      hold(NAME, host().sh("cat /var/victim"));
      release();
      const words = call("restic_here 20 forget --host x --keep-last 1 2>&1 || true").stdout;
      expect(words).toContain(`by PID ${host().sh("cat /var/victim")} on `);
      noted(host().sh("cat /var/victim"));
      expect(call(forget).status).toBe(1);
      expect(locks()).not.toBe("");
      // One that has ended has no words any more.
      expect(
        host().sh("tr '\\0' ' ' </proc/$(cat /var/victim)/cmdline; kill $(cat /var/victim)"),
      ).toBe("sleep 1000 ");
    });

    describe("in the way of a command", () => {
      const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
      /** What restic is called for when it finds these locks: the first is in the way, and exclusive when it is alone. */
      const calls = (locks: readonly { pid: string; host: string; age: number }[]) => {
        const [first] = locks;
        const exclusively = locks.length === 1 ? " exclusively" : "";
        const conflict = `Fatal: unable to create lock in backend: repository is already locked${exclusively} by PID ${first?.pid} on ${first?.host} by root (UID 0, GID 0)\nlock was created at ${ago(
          first?.age ?? 0,
        )
          .slice(0, 19)
          .replace("T", " ")} (1h ago)\nstorage ID 52256a07`;
        host().write("/var/conflict", `${conflict}\n`);
        locks.forEach(({ pid, host: hostname, age }, index) => {
          const json = { time: ago(age), exclusive: false, hostname, username: "root" };
          host().write(
            `/var/lock-${String(index).padStart(64, "0")}`,
            JSON.stringify({ ...json, pid: Number(pid) }, undefined, 2),
          );
        });
        host().sh(`: >/var/restic-calls; cat >/usr/local/sbin/restic <<'END'
#!/bin/bash
while [[ $1 == -* ]]; do case $1 in --cache-dir) shift ;; esac; shift; done
printf '%s\\n' "$*" >>/var/restic-calls
case $1 in
  unlock) exit 0 ;;
  list) ls /var/lock-* | cut -d - -f 2; if [ -e /var/more ]; then grep -c ^list /var/restic-calls; fi ;;
  cat) cat "/var/lock-$3" ;;
  *) cat /var/conflict >&2; exit 1 ;;
esac
END
chmod 0755 /usr/local/sbin/restic`);
        noted("4000000");
        call("LOCK_PATIENCE=0; sleep() { :; }; locking_restic 5 prune");
        host().sh("rm -f /var/lock-*");
        return host()
          .sh("cat /var/restic-calls")
          .split("\n")
          .filter((line) => line.startsWith("unlock"))
          .slice(0, 1);
      };
      const here = () => host().sh("uname -n");

      test("is removed when all of them are nobody's any more", () => {
        const dead = { pid: "4000000", host: here(), age: 1 };
        const old = { pid: "1", host: "etcd02", age: 45 };
        expect(calls([dead])).toEqual(["unlock"]);
        expect(calls([dead, old])).toEqual(["unlock"]);
        // restic asks no process for a sign of life then.
        expect(calls([{ ...old, host: here() }])).toEqual(["unlock"]);
        // Another one has come meanwhile.
        host().sh("touch /var/more");
        expect(calls([dead, old])).toEqual([]);
        host().sh("rm /var/more");
      });

      test("is left alone when one of them may be somebody's", () => {
        const dead = { pid: "4000000", host: here(), age: 1 };
        for (const other of [
          { pid: "4000000", host: "etcd02", age: 11 },
          { pid: "4000001", host: here(), age: 11 },
          { pid: "1", host: here(), age: 11 },
        ]) {
          const asked = [calls([other]), calls([dead, other]), calls([other, dead])];
          expect(asked).toEqual([[], [], []]);
        }
      });
    });
  });

  describe("restic", () => {
    /** Of which version or what, what it says on standard error, and what is made of it. */
    const SAID: readonly (readonly [string, string, string])[] = [
      [
        "0.11",
        'Fatal: unable to open config file: Stat: Get "http://127.0.0.1:1/bucket/?location=": dial tcp 127.0.0.1:1: connect: connection refused\nIs there a repository at the following location?\ns3:http://127.0.0.1:1/bucket\n',
        'unable to open config file: Stat: Get "http://127.0.0.1:1/bucket/?location=": dial tcp 127.0.0.1:1: connect: connection refused',
      ],
      [
        "0.14 with ssh",
        "subprocess ssh: ssh: connect to host 127.0.0.1 port 22: Connection refused\nFatal: unable to open repository at sftp:nobody@127.0.0.1:/x: unable to start the sftp session, error: EOF\n",
        "ssh: connect to host 127.0.0.1 port 22: Connection refused",
      ],
      [
        "0.14 after a check",
        "check snapshots, trees and blobs\n[0:00] 100.00%  2 / 2 snapshots\nPack ID does not match, want 6c304b03, got 0cf5d8d4\nFatal: repository contains errors\n",
        "Pack ID does not match, want 6c304b03, got 0cf5d8d4",
      ],
      [
        "0.18",
        '{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}\n',
        "wrong password or no key found; etcd:backup.password is not the password of this repository",
      ],
      [
        "0.18 without credentials",
        '{"message_type":"exit_error","code":1,"message":"Fatal: unable to open repository at s3:http://127.0.0.1:1/bucket: s3.getCredentials: no credentials found. Use `-o s3.unsafe-anonymous-auth=true` for anonymous authentication"}\n',
        "unable to open repository at s3:http://127.0.0.1:1/bucket: s3.getCredentials: no credentials found. Use `-o s3.unsafe-anonymous-auth=true` for anonymous authentication",
      ],
      [
        "0.18 after a check",
        "pack 6db1036b contains 2 errors: [blob eb8e1d78: ciphertext verification failed]\nThe repository contains damaged pack files.\nFatal: repository contains errors\n",
        "pack 6db1036b contains 2 errors: [blob eb8e1d78: ciphertext verification failed]",
      ],
      [
        "a full disk",
        "Save(<data/bee42112>) returned error, retrying after 552.3ms: OpenFile: open /x/data/be: no space left on device\nFatal: unable to save snapshot: OpenFile: open /x/data/be: no space left on device\n",
        "unable to save snapshot: OpenFile: open /x/data/be: no space left on device",
      ],
      [
        "credentials that only append",
        "unable to remove snapshot 1a2b3c4d from the repository: blob not removed, server response: 403 Forbidden (403)\n",
        "unable to remove snapshot 1a2b3c4d from the repository: blob not removed, server response: 403 Forbidden (403)",
      ],
      [
        "a URL with who logs in",
        'Fatal: Head "https://user:pass@host/x": EOF\n',
        'Head "https://host/x": EOF',
      ],
      [
        "a secret",
        `Fatal: bad key ${CANARY}-key, and ${CANARY}-password\n`,
        "bad key ***, and ***",
      ],
      ["control characters", "Fatal: a\u0007b\u001b[31mred\n", "a?bred"],
      ["nothing", "", "restic ended with status 1"],
    ];

    test("is understood, whatever version it is and whatever happened", () => {
      SAID.forEach(([, words], index) => {
        host().write(`/var/words-${index}`, words);
      });
      const { stdout } = call(
        SAID.map((_, index) => `reason_of_restic 1 5 </var/words-${index}`).join("\n"),
      );
      expect(stdout.trim().split("\n")).toEqual(SAID.map(([, , made]) => made));
    });

    test("that could remove nothing has failed, although 0.18 calls that a success", () => {
      host().write(
        "/usr/local/sbin/restic",
        "#!/bin/bash\necho 'Remove(<snapshot/e01c399445>) failed: unexpected HTTP response (403): 403 Forbidden' >&2\necho 'unable to remove snapshot/e01c39 from the repository' >&2\n",
      );
      host().sh("chmod 0755 /usr/local/sbin/restic");
      expect(call("forget_old")).toMatchObject({
        ...{ status: 1 },
        stdout:
          "Remove(<snapshot/e01c399445>) failed: unexpected HTTP response (403): 403 Forbidden\n",
      });
    });

    test("that is ended for its time is told with what it was waiting for", () => {
      host().sh(`cat >/usr/local/sbin/restic <<'END'
#!/bin/bash
echo 'Stat(<config/>) returned error, retrying after 1.138186132s: Head "http://:***@127.0.0.1:1/config": connection refused' >&2
exec sleep 30
END
chmod 0755 /usr/local/sbin/restic`);
      expect(call("RESTIC_ENDS=1; restic_here 1 snapshots 2>&1 || true").stdout).toBe(
        'no answer within 1 s: Head "http://127.0.0.1:1/config": connection refused\n',
      );
    });

    test("is noted while it may have a lock, and stays noted where it did not end by itself", () => {
      const runs = "ls /var/cache/etcd-on-pulumi/runs | wc -l";
      host().sh(
        `printf '%s\\n' '#!/bin/bash' '${runs} >>/var/noted; if [ "$(cat /var/how)" = killed ]; then trap "" INT; sleep 5; fi' >/usr/local/sbin/restic; chmod 0755 /usr/local/sbin/restic; echo well >/var/how`,
      );
      call(
        "bound_cache; restic_here 5 snapshots --no-lock; restic_here 5 unlock; restic_here 5 prune",
      );
      expect(host().sh(`cat /var/noted; ${runs}`)).toBe("0\n0\n1\n0");
      host().sh("echo killed >/var/how");
      call("RESTIC_ENDS=1; restic_here 1 prune || true");
      expect(host().sh(runs)).toBe("1");
      expect(host().sh("cat /var/cache/etcd-on-pulumi/runs/*")).toMatch(/^\d+ \d{10,}$/);
      // It outlives the rest of the cache.
      call("MOST_CACHE=-1; bound_cache");
      expect(host().sh(`rm /var/noted; ${runs}`)).toBe("1");
    });

    test("gets its secrets where nobody else looks, and nothing of them stays", () => {
      host().sh(`cat >/usr/local/sbin/restic <<'END'
#!/bin/bash
exec >>/var/restic-saw
echo "password $(cat "$RESTIC_PASSWORD_FILE")"
env | grep -E '^(RESTIC|AWS|HOME|TZ)' | sort
while [ $# -gt 0 ]; do
  case $1 in --cacert) echo "ca $(cat "$2")" && shift ;; -o) echo "$2" && shift ;; --cache-dir) shift ;; *) echo "argument $1" ;; esac
  shift
done
cat ${STATE}/jobs/repository-host
stat -c '%a %n' ${STATE}/jobs/repository-*
END
chmod 0755 /usr/local/sbin/restic; : >/var/restic-saw`);
      expect(
        call("bound_cache; restic_here 5 snapshots --json", {
          ...{ REPOSITORY: "sftp://etcd@[fd00::1]:2222//srv/x", REPOSITORY_CA: "certificate" },
          ...{ REPOSITORY_KEY: `${CANARY}-private`, REPOSITORY_HOST_KEY: "ssh-ed25519 AAAA" },
        }),
      ).toMatchObject({ status: 0, stderr: "" });
      const place = `${STATE}/jobs`;
      expect(host().sh("cat /var/restic-saw").split("\n")).toEqual([
        `password ${CANARY}-password`,
        `AWS_SECRET_ACCESS_KEY=${CANARY}-key`,
        "HOME=/root",
        expect.stringMatching(/^RESTIC_PASSWORD_FILE=\/dev\/fd\/\d+$/),
        "RESTIC_REPOSITORY=sftp://etcd@[fd00::1]:2222//srv/x",
        "TZ=UTC",
        "argument --cleanup-cache",
        `sftp.command=ssh -F none -i ${place}/repository-key -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes -o UserKnownHostsFile=${place}/repository-host -o GlobalKnownHostsFile=none -o HostKeyAlias=repository -o StrictHostKeyChecking=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -p 2222 -l etcd fd00::1 -s sftp`,
        "ca certificate",
        "argument snapshots",
        "argument --json",
        "repository ssh-ed25519 AAAA",
        `600 ${place}/repository-host`,
        `600 ${place}/repository-key`,
      ]);
      expect(host().sh(`cat ${place}/repository-key`)).toBe(`${CANARY}-private`);
    });

    test("is told how to log in, and for nothing that ssh could take for an option", () => {
      const ways = (repositories: readonly string[]) =>
        call(
          repositories
            .map((one) => `REPOSITORY=${quote(one)}; ssh_command || echo "none"; echo`)
            .join("\n"),
        )
          .stdout.trim()
          .split(/\n+/);
      expect(
        ways([
          ...["sftp:etcd@backup.example.org:/srv/x", "sftp:backup:relative/path"],
          ...["sftp://backup:22/x", "sftp:-oProxyCommand=x:/y", "sftp:a b:/y", "sftp://h;x/y"],
        ]).map((line) => line.replace(/^.*CountMax=4/, "")),
      ).toEqual([
        ...[" -l etcd backup.example.org -s sftp", " backup -s sftp", " -p 22 backup -s sftp"],
        ...["none", "none", "none"],
      ]);
    });
  });
});
