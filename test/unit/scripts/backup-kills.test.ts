/** The job "backup" killed at many points, and run again: real etcd and real restic, on a paper host. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { STATE } from "../../support/paper-cluster";
import { type PaperHost, paperHost, whyNot } from "../../support/paper-host";
import { BackupHost, RESTIC, RESTIC_PROGRAM, startCluster } from "../../support/real-cluster";

const reason = whyNot();

describe.skipIf(reason !== undefined)(`backup.sh, killed${reason ? ` (${reason})` : ""}`, () => {
  let host: PaperHost;
  let backup: BackupHost;

  beforeAll(async () => {
    host = await paperHost();
    await startCluster(host, "3.6.14", 1);
    backup = new BackupHost(host);
    backup.clean();
    backup.run();
    backup.keep();
  }, 30 * 60_000);
  afterAll(() => host?.close());
  beforeEach(() => backup.clean());

  /** With the whole of its control group, as systemd does; the job is the leader of a session. */
  const killed = (call: string, prelude: string) => {
    host.write(
      "/var/kill-session",
      `#!/bin/bash
read -r session <"/var/session"
for stat in /proc/[0-9]*/stat; do
  read -r line <"$stat" 2>/dev/null || continue
  read -r _ _ _ its _ <<<"\${line##*) }"
  if [ "$its" = "$session" ]; then pids="$pids \${stat//[!0-9]/}"; fi
done
kill -KILL $pids
`,
    );
    host.sh("chmod 0755 /var/kill-session");
    return backup.run(
      call,
      `echo $$ >/var/session; kill_all() { bash /var/kill-session; sleep 5; }; ${prelude}`,
    );
  };
  /** restic that is killed as soon as it has locked the repository for this command. */
  const RESTIC_DIES = (command: string) => `cat >/usr/local/sbin/restic <<'END'
#!/bin/bash
case " $* " in *" ${command} "*) ;; *) exec ${RESTIC_PROGRAM} "$@" ;; esac
{
  for turn in {1..200}; do
    if [ -n "$(ls /var/repository/locks)" ]; then break; fi
    sleep 0.02
  done
  exec bash /var/kill-session
} </dev/null >/dev/null 2>&1 &
exec ${RESTIC_PROGRAM} "$@"
END
chmod 0755 /usr/local/sbin/restic`;
  const KILL_IN = (name: string) =>
    `eval "$(declare -f ${name} | sed '1s/${name}/really/')"; ${name}() { really "$@"; kill_all; }`;

  test.each<[string, string, string, string]>([
    ["with a snapshot that is not verified", "run", KILL_IN("take_snapshot"), "true"],
    ["while it is hashed", "run", 'cp() { command cp "$@"; kill_all; }', "true"],
    ["before it is pushed", "run", "push_snapshot() { kill_all; }", "true"],
    ["while it is pushed", "run", ":", RESTIC_DIES("backup")],
    ["while old ones are forgotten", "run", ":", RESTIC_DIES("forget")],
    ["while the repository is pruned", "check", ":", RESTIC_DIES("prune")],
    ["while it is checked", "check", ":", RESTIC_DIES("check")],
  ])("%s leaves nothing that keeps the next run from its work", (_, call, prelude, setup) => {
    backup.filled();
    host.sh(setup);
    // On its own, so that its session is not the test's.
    const first = killed(call, prelude);
    expect(first.status).not.toBe(0);
    expect(backup.result(call === "run" ? "backup.good" : "backup-check.good")).toBe("");
    host.sh("rm -f /usr/local/sbin/restic");
    expect(backup.run(call)).toMatchObject({ status: 0 });
    expect(backup.result(call === "run" ? "backup" : "backup-check")).toMatch(/^ok /);
    expect(backup.locks()).toBe("");
    expect(backup.files().filter((file) => !/^scheduled-etcd01-\w+\.db$/.test(file))).toEqual([]);
    expect(host.sh(`ls ${STATE}/results ${STATE}/jobs`)).not.toMatch(/\.(words|new-\d+)/);
    expect(host.sh(`${RESTIC} check 2>&1 | tail -n 1`)).toBe("no errors were found");
  });
});
