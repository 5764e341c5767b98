import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, PKI, STATE, THREE } from "../support/paper-cluster";
import { hostForEach, whyNot } from "../support/paper-host";
import { RUNNING, runningMember } from "../support/paper-member";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const UNIT = "/etc/systemd/system/etcd.service";
describe.skipIf(reason !== undefined)(`step member, running${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const run = (call: string, change: Partial<typeof RUNNING> = {}) =>
    cluster.run("member", call, { ...RUNNING, ...change });
  const apply = (change: Partial<typeof RUNNING> = {}) => run('apply "repair, now"', change);
  const systemd = () =>
    host.sh("grep -E '^(start|stop|restart|disable)' /var/paper/systemctl || true");
  /** What the next start would find. */
  const installed = () =>
    host.sh(`cat ${UNIT} /etc/etcd.env ${PKI}/ca.pem; readlink /usr/local/bin/etcd`).split("\n");
  const release = (version: string) => `/opt/etcd-on-pulumi/v${version}/etcd`;

  beforeEach(() => {
    runningMember(host, cluster, RUNNING);
  });

  test("is not restarted when nothing that it has loaded changed", () => {
    expect(apply()).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(systemd()).toBe("");
    expect(host.sh(`head -n 1 ${STATE}/receipts/member`)).toBe("revision repair, now");
  });

  test("is not restarted for a file that was changed by hand and is put back", () => {
    host.sh(`echo other >/etc/etcd.env; rm ${PKI}/ca.pem`);
    expect(apply().status).toBe(0);
    expect(systemd()).toBe("");
    expect(installed()).toEqual([
      "[Service]",
      "PEER_NAME=etcd01",
      "certificate ca",
      release("3.6.16"),
    ]);
  });

  describe("a restart", () => {
    test.each([
      ["flag", "settings changed: max-wals=7", { UNIT_TEXT: "[Service]\n  --max-wals=7" }],
      ["unit", "unit changed", { UNIT_TEXT: "[Service] new" }],
      ["CA bundle", "CA bundle changed", { CA_PEM: "certificate ca and another" }],
      ["environment", "/etc/etcd.env changed", { ENVIRONMENT: "PEER_NAME=other" }],
    ])("follows a new %s, once", (_, reason, change) => {
      expect(apply(change)).toMatchObject({
        status: 0,
        stderr: `etcd01: restarting etcd: ${reason}\n`,
      });
      expect(systemd()).toBe("restart --no-block etcd.service");
      expect(apply(change)).toMatchObject({ status: 0, stderr: "" });
      expect(systemd()).toBe("restart --no-block etcd.service");
    });

    test("hands the leadership over first, to a voter that is well", () => {
      cluster.is({
        members: THREE.map((member) => ({ ...member, learner: member.id === "a2" })),
        leader: "a1",
      });
      const { status, stderr } = apply({ UNIT_TEXT: "[Service] new" });
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: "etcd01: leadership handed over to etcd03\netcd01: restarting etcd: unit changed\n",
      });
      expect(cluster.changes()).toEqual([`${LOCAL}: move-leader a3`]);
    });

    test("says so when nobody takes the leadership over", () => {
      cluster.is({ members: THREE, leader: "a1" });
      host.sh("echo move-leader >/var/paper/refuses");
      const { status, stderr } = apply({ UNIT_TEXT: "[Service] new" });
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr:
          "etcd01: nobody took over the leadership: Error: etcdserver: refused move-leader\netcd01: restarting etcd: unit changed\n",
      });
    });

    test("is refused while another member is sick, by name, and nothing was touched", () => {
      cluster.is({ members: THREE, leader: "a1", sick: ["192.168.1.85"] });
      const before = installed();
      expect(apply({ VERSION: "3.6.17", CA_PEM: "new" })).toEqual({
        status: 1,
        stdout: "",
        stderr:
          "etcd01: not restarted, because another member is not healthy: etcd03 (https://192.168.1.85:2380); bring it back first\n",
      });
      expect(systemd()).toBe("");
      expect(installed()).toEqual(before);
      expect(cluster.changes()).toEqual([]);
    });

    test("is refused in words when there is no quorum", () => {
      cluster.is({});
      const { status, stderr } = run('status_field() { echo a1; }; apply "repair, now"', {
        VERSION: "3.6.17",
      });
      expect(status).toBe(1);
      expect(stderr).toBe(
        "etcd01: not restarted, because no quorum of the cluster answers; bring the other members back first\n",
      );
      expect(systemd()).toBe("");
    });

    test("outlasts a long stop, after which the unit is inactive for a moment", () => {
      host.sh("echo 'echo deactivating >/var/paper/property-ActiveState' >/var/paper/on-start");
      // Each look at the unit takes a second of the script's clock.
      const clock = `READY_SECONDS=90; looks=0; sleep() {
        SECONDS=$((SECONDS + 1)) looks=$((looks + 1))
        case $looks in
          8) echo inactive >/var/paper/property-ActiveState ;;
          9) echo active >/var/paper/property-ActiveState ;;
        esac
      }`;
      const { status, stderr } = run(`${clock}; apply "repair, now"`, { VERSION: "3.6.17" });
      expect(status, stderr).toBe(0);
      expect(stderr).toMatch(/\netcd01: restarting etcd: version 3.6.16 to 3.6.17\n$/);
    });

    test("that never comes to a start is given up", () => {
      host.sh("echo 'echo inactive >/var/paper/property-ActiveState' >/var/paper/on-start");
      const clock = "READY_SECONDS=90; sleep() { SECONDS=$((SECONDS + 1)); }";
      expect(run(`${clock}; apply "repair, now"`, { VERSION: "3.6.17" }).stderr).toContain(
        "etcd starts neither with the new files nor with the last good ones",
      );
    });

    test("does not wait for a sick learner", () => {
      cluster.is({
        members: THREE.map((member) => ({ ...member, learner: member.id === "a3" })),
        leader: "a2",
        sick: ["192.168.1.85"],
      });
      expect(apply({ VERSION: "3.6.17" }).status).toBe(0);
    });
  });

  describe("a member that waits for a quorum", () => {
    beforeEach(() => {
      cluster.is({});
      host.sh("rm /var/paper/on-start; echo activating >/var/paper/property-ActiveState");
    });

    test("is left waiting, and the step does not wait with it", () => {
      expect(apply()).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(systemd()).toBe("start --no-block etcd.service");
    });

    test("begins anew when it has loaded something else", () => {
      expect(apply({ CA_PEM: "certificate ca, renewed" })).toMatchObject({ status: 0, stderr: "" });
      expect(systemd()).toBe("restart --no-block etcd.service");
    });

    test("is waited for when the others have one", () => {
      cluster.is({ members: THREE, leader: "a2" });
      expect(apply().stderr).toContain("etcd is not ready after 0 s (unit activating)");
    });
  });

  describe("the mark of what etcd trusts", () => {
    const BOTH = { TRUST: "-\n2027", CA_PEM: "certificate ca and another" };
    const mark = () => host.sh(`cat ${STATE}/trust`).split("\n");

    test("follows the CAs that it has loaded", () => {
      expect(apply()).toMatchObject({ status: 0 });
      expect(mark()).toEqual(["-"]);
      expect(apply(BOTH)).toMatchObject({ status: 0 });
      expect(mark()).toEqual(["-", "2027"]);
      expect(apply({ TRUST: "2027", CA_PEM: "certificate another" })).toMatchObject({ status: 0 });
      expect(mark()).toEqual(["2027"]);
    });

    test("holds in between what etcd trusts before and after", () => {
      apply();
      expect(run("keep_good; install_files; exit 9", BOTH).status).toBe(9);
      expect(mark()).toEqual(["-"]);
      apply(BOTH);
      run("keep_good; install_files; exit 9", { TRUST: "2027", CA_PEM: "certificate another" });
      expect(mark()).toEqual(["2027"]);
      run("keep_good; install_files; exit 9", { TRUST: "-", CA_PEM: "certificate ca" });
      expect(mark()).toEqual([""]);
    });
  });

  describe("a CA that has expired", () => {
    /** As openssl shows the CAs that the process has loaded. */
    const ending = (...ends: string[]) =>
      `openssl() { case $1 in pkcs7) printf '    Not After : %s\\n' ${ends.map((end) => `'${end}'`).join(" ")} ;; esac; };`;
    const [PAST, FUTURE] = ["Nov 21 10:00:00 2020 GMT", "Nov 21 10:00:00 2099 GMT"];
    const renew = (...ends: string[]) =>
      run(`${ending(...ends)} apply "renew: ca.pem, now"`, { CA_PEM: "certificate ca, renewed" });

    test("is replaced with a restart that asks nobody and waits for nobody", () => {
      cluster.is({});
      host.sh("rm /var/paper/on-start");
      expect(renew(PAST, PAST)).toEqual({
        status: 0,
        stdout: "",
        stderr: "etcd01: restarting etcd: the CA that it trusts has expired\n",
      });
      expect(systemd()).toBe("restart --no-block etcd.service");
      expect(installed()).toContain("certificate ca, renewed");
      expect(apply({ CA_PEM: "certificate ca, renewed" })).toMatchObject({ status: 0, stderr: "" });
    });

    test("is still known for the loaded one after a run that was killed before the restart", () => {
      cluster.is({});
      run("keep_good; install_files", { CA_PEM: "certificate ca, renewed" });
      expect(renew(PAST).stderr).toContain("the CA that it trusts has expired");
    });

    test.each([[[PAST, FUTURE]], [[]]])("is not meant by %j: the others are asked", (ends) => {
      cluster.is({});
      expect(renew(...ends).stderr).toBe(
        "etcd01: not restarted, because no quorum of the cluster answers; bring the other members back first\n",
      );
      expect(systemd()).toBe("");
    });
  });

  describe("a start that fails", () => {
    const broken = { UNIT_TEXT: "[Service] broken", CA_PEM: "new ca" };
    const GOOD = ["[Service]", "PEER_NAME=etcd01", "certificate ca", release("3.6.16")];

    test("brings the last good files back, starts with them and shows etcd's words", () => {
      expect(apply(broken)).toEqual({
        status: 1,
        stdout: "",
        stderr:
          "etcd01: restarting etcd: unit changed; CA bundle changed\n" +
          "etcd01: etcd did not start with the new files, and was started again with the last good ones; its words:\nlast words of etcd\n",
      });
      expect(installed()).toEqual(GOOD);
      expect(host.sh("cat /var/paper/property-ActiveState")).toBe("active");
      expect(host.sh(`ls ${STATE}/receipts/member 2>/dev/null || true`)).toBe("");
    });

    test("shows the reason of a panic, not the stacks behind it", () => {
      const journal = [
        '{"level":"info","msg":"starting etcd server"}',
        '{"level":"panic","msg":"execute job failed","panic":"unmarshal should never fail"}',
        "panic: unmarshal should never fail [recovered]",
        "\tpanic: execute job failed",
        "goroutine 210 [running]:",
        "go.uber.org/zap/zapcore.CheckWriteAction.OnWrite(0x2?, 0x1177ab9?, {0x0?})",
        "\tgo.uber.org/zap@v1.27.1/zapcore/entry.go:196 +0x54",
        "created by go.etcd.io/etcd/pkg/v3/schedule.NewFIFOScheduler in goroutine 192",
        "etcd.service: Failed with result 'exit-code'.",
      ];
      host.journal(journal);
      const words = apply(broken).stderr.split("its words:\n")[1];
      expect(words).toBe([journal[1], journal[2], journal[8], ""].join("\n"));
    });

    test("is tried again by the next run, and the good files are still known", () => {
      apply(broken);
      expect(apply({ ...broken, CA_PEM: "newer ca" }).stderr).toContain("the last good ones");
      expect(installed()).toEqual(GOOD);
      expect(apply({ VERSION: "3.6.17" })).toMatchObject({ status: 0 });
      expect(installed().at(-1)).toBe(release("3.6.17"));
    });

    test("does not take the files of a killed run for good ones", () => {
      // The run wrote its files and kept the good ones, and was gone before the restart.
      expect(run("keep_good; install_files", broken).status).toBe(0);
      expect(apply({ ...broken, CA_PEM: "newer ca" }).stderr).toContain("the last good ones");
      expect(installed()).toEqual(GOOD);
    });

    test("without good files says etcd's words", () => {
      host.sh(`rm ${STATE}/running`);
      expect(apply(broken).stderr).toBe(
        "etcd01: restarting etcd: what it has loaded is not known\netcd01: etcd did not start; its words:\nlast words of etcd\n",
      );
    });

    test("with the good files as well says so", () => {
      host.sh("echo 'echo failed >/var/paper/property-ActiveState' >/var/paper/on-start");
      expect(apply(broken).stderr).toContain(
        "etcd starts neither with the new files nor with the last good ones; its words:",
      );
    });
  });

  describe("a drop-in", () => {
    test("that overrides the unit is taken away, and what it set goes with a restart", () => {
      host.sh("mkdir -p /etc/systemd/system/etcd.service.d; cd /etc/systemd/system/etcd.service.d");
      host.sh("cd /etc/systemd/system/etcd.service.d; touch mine.conf addresses.conf");
      host.sh(`echo ${UNIT}.d/addresses.conf ${UNIT}.d/mine.conf >/var/paper/property-DropInPaths`);
      expect(apply().stderr).toBe(
        `etcd01: removing ${UNIT}.d/mine.conf, which overrides the unit\netcd01: restarting etcd: what it has loaded is not known\n`,
      );
      expect(host.sh(`ls ${UNIT}.d`)).toBe("addresses.conf");
    });

    test.each([
      ["younger than the process", "1 hour ago", UNIT, ""],
      ["older than the process", "1 hour", UNIT, "restart --no-block etcd.service"],
      ["of set-property", "1 hour", "/etc/systemd/system.control/etcd.service", ""],
    ])("%s is taken away with the restart it needs", (_, started, unit, calls) => {
      host.sh(`mkdir -p ${unit}.d; touch ${unit}.d/mine.conf
        echo ${unit}.d/mine.conf >/var/paper/property-DropInPaths
        date -d '${started}' >/var/paper/property-ExecMainStartTimestamp`);
      expect(apply().status).toBe(0);
      expect(systemd()).toBe(calls);
      expect(host.sh(`ls ${unit}.d`)).toBe("");
    });

    test("for more than etcd is not ours to take", () => {
      host.sh("echo /etc/systemd/system/service.d/all.conf >/var/paper/property-DropInPaths");
      expect(apply().stderr).toContain("all.conf overrides the unit for more than etcd");
    });
  });

  describe("a process", () => {
    // A shell in etcd's place, with these flags and variables, while `call` runs.
    const beside = (environment: string, flags: string, call: string) =>
      run(`env -i ${environment} sleep 60 ${flags} & pid=$!
        until [[ $(tr '\\0' ' ' </proc/$pid/cmdline) == sleep* ]]; do :; done
        echo $pid >/var/paper/property-MainPID
        ln -sfn /proc/$pid/exe /usr/local/bin/etcd
        trap "kill $pid" EXIT
        ${call}`);
    const keep = `printf '%s\\n' sleep 60 1s >${STATE}/process`;

    test.each([
      ["with the flags it was given", "", "1s", ""],
      ["with what etcd reads on a first start alone", "ETCD_INITIAL_CLUSTER_STATE=new", "1s", ""],
      ["with another flag", "", "1s 2s", "etcd runs with 2s\n"],
      ["without one of its flags", "", "", "etcd runs without 1s\n"],
      ["with a variable", "ETCD_DEBUG=1 A=b", "1s", "etcd runs with ETCD_DEBUG=1\n"],
    ])("%s is seen for what it is", (_, environment, flags, words) => {
      const call = `${keep}; process_differences $pid /usr/local/bin/etcd`;
      expect(beside(environment, flags, call)).toEqual({ status: 0, stdout: words, stderr: "" });
    });

    test("that no start of this program was kept of is not judged", () => {
      expect(beside("", "2s", "process_differences $pid /usr/local/bin/etcd").stdout).toBe("");
      expect(run(`${keep}; process_differences 0 x; process_differences '' x`).stdout).toBe("");
    });

    test("of another binary is seen by what it is, not by where it is", () => {
      const moved = (setup: string) =>
        beside(
          "",
          "1s",
          `kill $pid; D=$RELEASES/v3.6.16; cp /bin/sleep $D/etcd; ln -sfn $D/etcd /usr/local/bin/etcd
          printf 'file 755 root:root %s %s\\n' "$(stat -c 'size-%s-changed-%Y' $D/etcd)" $D/etcd >$D/manifest
          ${setup} 60 1s & pid=$!; until [ "$(readlink /proc/$pid/exe)" != /usr/bin/bash ]; do :; done
          trap "kill $pid" EXIT
          process_of $pid >${STATE}/process
          cp -a $D/etcd $D/new; mv $D/new $D/etcd
          process_differences $pid /usr/local/bin/etcd`,
        ).stdout;
      // Its file is another one of the same content: the release came back.
      expect(moved("$D/etcd")).toBe("");
      expect(moved("cp /bin/sleep /opt/sleep; /opt/sleep")).toBe("etcd runs from /opt\n");
      expect(
        moved("cp /bin/sleep $D/x; touch -d @1 $D/x; cp -a $D/etcd $D/y; mv $D/x $D/etcd; $D/etcd"),
      ).toBe("etcd runs from a binary that was replaced\n");
    });

    test("that somebody linked and started is started again, whatever the link says", () => {
      expect(beside("", "1s", `${keep}; apply 'repair, now'`).stderr).toMatch(
        /^etcd01: restarting etcd: etcd runs from \S+/,
      );
    });

    test("that somebody started with other flags is started again", () => {
      expect(beside("", "2s", `${keep}; apply 'repair, now'`).stderr).toMatch(
        /^etcd01: restarting etcd: etcd runs with(out)? /,
      );
      expect(systemd()).toBe("restart --no-block etcd.service");
      expect(host.sh(`[ -e ${STATE}/process ] || echo gone`)).toBe("gone");
    });
  });

  test("the data directory goes back to etcd alone, while it runs", () => {
    host.sh("chmod 755 /var/lib/etcd; chown -R root:root /var/lib/etcd");
    expect(apply().status).toBe(0);
    expect(host.sh("stat -c '%a %U:%G' /var/lib/etcd /var/lib/etcd/member/wal")).toMatch(
      /^700 etcd:etcd\n\d+ etcd:etcd$/,
    );
    expect(systemd()).toBe("");
  });

  test("a full database is compacted, defragmented and disarmed; a corrupt one is left", () => {
    host.sh("echo 'memberID:161 alarm:NOSPACE' >/var/paper/alarms");
    expect(apply()).toMatchObject({ status: 0 });
    expect(cluster.changes()).toEqual([
      `${LOCAL}: compaction --physical 7`,
      `${LOCAL}: defrag`,
      `${LOCAL}: alarm disarm`,
    ]);
    host.sh("echo 'memberID:161 alarm:CORRUPT' >/var/paper/alarms");
    expect(apply().stderr).toContain(
      "an alarm that no program should clear: memberID:161 alarm:CORRUPT",
    );
  });
});
