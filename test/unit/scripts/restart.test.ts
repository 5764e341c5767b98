import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, PKI, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const UNIT = "/etc/systemd/system/etcd.service";
describe.skipIf(reason !== undefined)(`step member, running${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const run = (call: string, change: Partial<typeof RUNNING> = {}) =>
    cluster.run("member", call, { ...RUNNING, ...change });
  const apply = (change: Partial<typeof RUNNING> = {}) =>
    run('apply "repair 2026-11-22T10:20:30Z"', change);
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
    expect(host.sh(`head -n 1 ${STATE}/receipts/member`)).toBe(
      "revision repair 2026-11-22T10:20:30Z",
    );
  });

  test("is not restarted for a file that was changed by hand and is put back", () => {
    host.sh(`echo other >/etc/etcd.env; rm ${PKI}/ca.pem`);
    expect(apply().status).toBe(0);
    expect(systemd()).toBe("");
    expect(installed()).toEqual([
      "[Service]",
      "PEER_NAME=etcd01",
      "certificate ca",
      release("3.6.14"),
    ]);
  });

  describe("the gateway", () => {
    const OWN = "[Service]\n  --client-cert-file=/pki/gateway.pem";
    const files = () =>
      host.sh(`cd ${PKI}; for f in server* gateway*; do [ ! -e $f ] || echo $f: $(cat $f); done`);
    /** The process after the next start, in the place of etcd. */
    const starts = (...flags: string[]) =>
      host.sh(`cat >>/var/paper/on-start <<'END'
(for fd in 10 11 12 13; do exec {fd}>&-; done; exec -a etcd bash -c 'while :; do sleep 9; done' ${flags.join(" ")}) >/dev/null 2>&1 &
echo $! >/var/paper/property-MainPID
END
cd ${PKI}; echo old >server.pem; echo new >server.pem.next; echo pair | tee gateway.pem >gateway-key.pem`);

    test("gets a pair of its own, and then the server certificate that it could not use", () => {
      starts("x", "--client-cert-file=/pki/gateway.pem");
      expect(apply({ UNIT_TEXT: OWN }).status).toBe(0);
      expect(files()).toBe("server.pem: new\ngateway-key.pem: pair\ngateway.pem: pair");
    });

    test("keeps the old server certificate when etcd does not start with the new files", () => {
      starts("x");
      expect(apply({ UNIT_TEXT: `${OWN} broken` }).status).toBe(1);
      expect(files()).toContain("server.pem: old\nserver.pem.next: new");
    });

    test("loses the pair once etcd runs without it", () => {
      starts("x");
      host.sh(`rm ${PKI}/server.pem.next`);
      expect(apply({ UNIT_TEXT: "[Service] new" }).status).toBe(0);
      expect(files()).toBe("server.pem: old");
    });
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

    describe("into another directory of certificates", () => {
      const OLD = "/etc/kubernetes/pki/etcd";
      const NEW = "/etc/etcd/pki";
      const unit = (directory: string, more = "") =>
        `[Service]${more}\n  --trusted-ca-file=${directory}/ca.pem \\\n  --max-wals=7`;
      const move = (more = "") =>
        cluster.run("member", 'apply "change 2026-11-22T10:20:30Z"', {
          ...RUNNING,
          PKI: NEW,
          UNIT_TEXT: unit(NEW, more),
        });
      const there = () =>
        host.sh(`find ${OLD} ${NEW} -type f 2>/dev/null | sort || true`).split("\n");

      beforeEach(() => {
        host.reset();
        runningMember(host, cluster, { ...RUNNING, UNIT_TEXT: unit(OLD) });
        host.sh(`
          mkdir -p ${NEW}; touch ${OLD}/{client,client-key,server}.pem ${NEW}/{client,client-key,server}.pem
          printf '%s\\n' {${OLD},${NEW}}/{client,client-key,server}.pem >>${STATE}/made-files
          printf '%s\\n' /etc/kubernetes /etc/kubernetes/pki ${OLD} /etc/etcd ${NEW} >${STATE}/made-directories`);
      });

      test("asks with the certificates of before, and then leaves the old one clean", () => {
        expect(move()).toMatchObject({
          status: 0,
          stderr:
            "etcd01: restarting etcd: settings changed: trusted-ca-file=/etc/etcd/pki/ca.pem (was trusted-ca-file=/etc/kubernetes/pki/etcd/ca.pem)\n".replace(
              "(was trusted-ca-file=",
              "(was ",
            ),
        });
        expect(systemd()).toBe("restart --no-block etcd.service");
        expect(there()).toEqual(
          ["ca", "client-key", "client", "server"].map((name) => `${NEW}/${name}.pem`),
        );
        expect(host.sh(`ls -d /etc/kubernetes 2>/dev/null || sort ${STATE}/made-directories`)).toBe(
          `/etc/etcd\n${NEW}`,
        );
        expect(move().stderr).toBe("");
        expect(systemd()).toBe("restart --no-block etcd.service");
      });

      test("leaves what others have there", () => {
        host.sh(`touch ${OLD}/theirs.pem`);
        expect(move().status).toBe(0);
        expect(there()).toContain(`${OLD}/theirs.pem`);
        expect(there()).not.toContain(`${OLD}/server.pem`);
      });

      test("goes back to the old one when etcd does not start, and can be repeated", () => {
        expect(move(" broken").stderr).toContain("rolled back to the last working one");
        expect(installed().slice(0, 2)).toEqual([
          "[Service]",
          `  --trusted-ca-file=${OLD}/ca.pem \\`,
        ]);
        expect(there()).toContain(`${OLD}/server.pem`);
        expect(move().status).toBe(0);
        expect(there()).not.toContain(`${OLD}/server.pem`);
      });

      test("is asked from the old one by the look that plans it", () => {
        const asked = cluster.run("probe", "pki_in_use", { PKI: NEW });
        expect(asked.stdout).toBe(OLD);
        move();
        expect(cluster.run("probe", "pki_in_use", { PKI: NEW }).stdout).toBe(NEW);
      });
    });

    test("hands the leadership over first, to a voter that is well", () => {
      cluster.is({
        members: THREE.map((member) => ({ ...member, learner: member.id === "a2" })),
        leader: "a1",
      });
      const { status, stderr } = apply({ UNIT_TEXT: "[Service] new" });
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: "etcd01: leadership transferred to etcd03\netcd01: restarting etcd: unit changed\n",
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
          "etcd01: leadership transfer failed: Error: etcdserver: refused move-leader\netcd01: restarting etcd: unit changed\n",
      });
    });

    test("is refused while another member is sick, by name, and nothing was touched", () => {
      cluster.is({ members: THREE, leader: "a1", sick: ["192.168.1.85"] });
      const before = installed();
      expect(apply({ VERSION: "3.6.17", CA_PEM: "new" })).toEqual({
        status: 1,
        stdout: "",
        stderr:
          "etcd01: not restarted, because another member is unhealthy: etcd03 (https://192.168.1.85:2380); start it first\n",
      });
      expect(systemd()).toBe("");
      expect(installed()).toEqual(before);
      expect(cluster.changes()).toEqual([]);
    });

    describe("with a unit that asks peers for a name", () => {
      const NAME = "peer.etcd.invalid";
      const unit = { UNIT_TEXT: `[Service]\n  --peer-cert-allowed-hostname=${NAME}` };
      /** What shows this certificate on the peer port of etcd02, and then refuses ours. */
      const show = (names: string) =>
        host.sh(`
          cd /var/paper; ip link set lo up; ip addr replace 192.168.1.84/32 dev lo
          openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out pem \
            -subj /CN=etcd02 -addext subjectAltName=${names} 2>/dev/null
          cp pem ${PKI}/peer.pem; cp key ${PKI}/peer-key.pem
          if [ -e server ]; then kill "$(cat server)" || true; sleep 0.1; fi
          openssl s_server -quiet -tls1_2 -Verify 1 -verify_return_error -accept 192.168.1.84:2380 -cert pem -key key >/dev/null 2>&1 & echo $! >server
          until (: </dev/tcp/192.168.1.84/2380) 2>/dev/null; do sleep 0.05; done`);

      test("is refused while a member's peer certificate lacks it, by name, and nothing was touched", () => {
        show("DNS:etcd02,DNS:localhost,IP:192.168.1.84");
        const before = installed();
        expect(apply(unit)).toEqual({
          status: 1,
          stdout: "",
          stderr: `etcd01: not restarted, because it would reject the peer certificate of etcd02 (https://192.168.1.84:2380), which lacks the name ${NAME}; the next pulumi up that reaches that host installs a new one\n`,
        });
        expect(systemd()).toBe("");
        expect(installed()).toEqual(before);
        expect(cluster.changes()).toEqual([]);
        show(`DNS:etcd02,DNS:localhost,DNS:${NAME},IP:192.168.1.84`);
        expect(apply(unit)).toMatchObject({ status: 0 });
        expect(systemd()).toBe("restart --no-block etcd.service");
      });
    });

    test("is refused in words when there is no quorum", () => {
      cluster.is({});
      const { status, stderr } = run(
        'status_field() { echo a1; }; apply "repair 2026-11-22T10:20:30Z"',
        {
          VERSION: "3.6.17",
        },
      );
      expect(status).toBe(1);
      expect(stderr).toBe(
        "etcd01: not restarted, because the cluster has no quorum; start the other members first\n",
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
      const { status, stderr } = run(`${clock}; apply "repair 2026-11-22T10:20:30Z"`, {
        VERSION: "3.6.17",
      });
      expect(status, stderr).toBe(0);
      expect(stderr).toMatch(/\netcd01: restarting etcd: version 3.6.14 to 3.6.17\n$/);
    });

    test("that never comes to a start is given up", () => {
      host.sh("echo 'echo inactive >/var/paper/property-ActiveState' >/var/paper/on-start");
      const clock = "READY_SECONDS=90; sleep() { SECONDS=$((SECONDS + 1)); }";
      expect(
        run(`${clock}; apply "repair 2026-11-22T10:20:30Z"`, { VERSION: "3.6.17" }).stderr,
      ).toContain("etcd starts neither with the new configuration nor with the last working one");
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
      expect(apply().stderr).toContain(
        "etcd is not ready, and there has been no progress for 0 s; its unit is activating:",
      );
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
      expect(run("save_last_good; install_files; exit 9", BOTH).status).toBe(9);
      expect(mark()).toEqual(["-"]);
      apply(BOTH);
      run("save_last_good; install_files; exit 9", {
        TRUST: "2027",
        CA_PEM: "certificate another",
      });
      expect(mark()).toEqual(["2027"]);
      run("save_last_good; install_files; exit 9", { TRUST: "-", CA_PEM: "certificate ca" });
      expect(mark()).toEqual([""]);
    });
  });

  describe("a CA that has expired", () => {
    /** As openssl shows the CAs that the process has loaded. */
    const ending = (...ends: string[]) =>
      `openssl() { case $1 in pkcs7) printf '    Not After : %s\\n' ${ends.map((end) => `'${end}'`).join(" ")} ;; esac; };`;
    const [PAST, FUTURE] = ["Nov 21 10:00:00 2020 GMT", "Nov 21 10:00:00 2099 GMT"];
    const renew = (...ends: string[]) =>
      run(`${ending(...ends)} apply "renew 2026-11-22T10:20:30Z # ca.pem"`, {
        CA_PEM: "certificate ca, renewed",
      });

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
      run("save_last_good; install_files", { CA_PEM: "certificate ca, renewed" });
      expect(renew(PAST).stderr).toContain("the CA that it trusts has expired");
    });

    test.each([[[PAST, FUTURE]], [[]]])("is not meant by %j: the others are asked", (ends) => {
      cluster.is({});
      expect(renew(...ends).stderr).toBe(
        "etcd01: not restarted, because the cluster has no quorum; start the other members first\n",
      );
      expect(systemd()).toBe("");
    });
  });

  describe("a start that fails", () => {
    const broken = { UNIT_TEXT: "[Service] broken", CA_PEM: "new ca" };
    const GOOD = ["[Service]", "PEER_NAME=etcd01", "certificate ca", release("3.6.14")];

    test("brings the last good files back, starts with them and shows etcd's words", () => {
      expect(apply(broken)).toEqual({
        status: 1,
        stdout: "",
        stderr:
          "etcd01: restarting etcd: unit changed; CA bundle changed\n" +
          "etcd01: etcd did not become ready with the new configuration; rolled back to the last working one: etcd is not ready, and there has been no progress for 0 s; its unit is failed:\nlast words of etcd\n",
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
      const words = apply(broken).stderr.split("its unit is failed:\n")[1];
      expect(words).toMatch(
        /^panic: unmarshal should never fail \[recovered\]\nIts WAL has entries that etcd 3\.5 wrote .*\n$/,
      );
      host.journal(
        journal.map((line) => line.replace("unmarshal should never fail", "at the disco")),
      );
      expect(apply(broken).stderr.split("its unit is failed:\n")[1]).toBe(
        [journal[1], journal[2], ""]
          .join("\n")
          .replaceAll("unmarshal should never fail", "at the disco"),
      );
    });

    test("is tried again by the next run, and the good files are still known", () => {
      apply(broken);
      expect(apply({ ...broken, CA_PEM: "newer ca" }).stderr).toContain("the last working one");
      expect(installed()).toEqual(GOOD);
      expect(apply({ VERSION: "3.6.17" })).toMatchObject({ status: 0 });
      expect(installed().at(-1)).toBe(release("3.6.17"));
    });

    test("does not take the files of a killed run for good ones", () => {
      // The run wrote its files and kept the good ones, and was gone before the restart.
      expect(run("save_last_good; install_files", broken).status).toBe(0);
      expect(apply({ ...broken, CA_PEM: "newer ca" }).stderr).toContain("the last working one");
      expect(installed()).toEqual(GOOD);
    });

    test("without good files says etcd's words", () => {
      host.sh(`rm ${STATE}/running`);
      expect(apply(broken).stderr).toBe(
        "etcd01: restarting etcd: the loaded configuration is unknown\netcd01: etcd did not become ready: etcd is not ready, and there has been no progress for 0 s; its unit is failed:\nlast words of etcd\n",
      );
    });

    test("with the good files as well says so", () => {
      host.sh("echo 'echo failed >/var/paper/property-ActiveState' >/var/paper/on-start");
      expect(apply(broken).stderr).toContain(
        "etcd starts neither with the new configuration nor with the last working one. With the new one: etcd is not ready",
      );
    });
  });

  describe("a drop-in", () => {
    test("that overrides the unit is taken away, and what it set goes with a restart", () => {
      host.sh("mkdir -p /etc/systemd/system/etcd.service.d; cd /etc/systemd/system/etcd.service.d");
      host.sh("cd /etc/systemd/system/etcd.service.d; touch mine.conf addresses.conf");
      host.sh(`echo ${UNIT}.d/addresses.conf ${UNIT}.d/mine.conf >/var/paper/property-DropInPaths`);
      expect(apply().stderr).toMatch(
        /^etcd01: \S+\/mine\.conf, which overrides the unit, was moved to \/var\/backups\/etcd\/kept\/\S+\/mine\.conf\netcd01: restarting etcd: the loaded configuration is unknown\n$/,
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

    test("of a package is not ours to take", () => {
      host.sh(
        "echo /usr/lib/systemd/system/etcd.service.d/x.conf >/var/paper/property-DropInPaths",
      );
      expect(apply().stderr).toContain("x.conf overrides the unit from a directory of packages");
    });

    test("for all services, as the images of containers make them, is left as it is", () => {
      const path = "/run/systemd/system/service.d/zzz-lxc-service.conf";
      host.sh(`mkdir -p /run/systemd/system/service.d; touch ${path}
        echo ${path} >/var/paper/property-DropInPaths`);
      expect(apply()).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(systemd()).toBe("");
      expect(host.sh(`ls ${path}`)).toBe(path);
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
          `kill $pid; D=$RELEASES/v3.6.14; cp /bin/sleep $D/etcd; ln -sfn $D/etcd /usr/local/bin/etcd
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
      expect(beside("", "1s", `${keep}; apply 'repair 2026-11-22T10:20:30Z'`).stderr).toMatch(
        /^etcd01: restarting etcd: etcd runs from \S+/,
      );
    });

    test("that somebody started with other flags is started again", () => {
      expect(beside("", "2s", `${keep}; apply 'repair 2026-11-22T10:20:30Z'`).stderr).toMatch(
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
      "https://192.168.1.83:2379: defrag",
      "https://192.168.1.85:2379: defrag",
      "https://192.168.1.84:2379: defrag",
      `${LOCAL}: alarm disarm`,
    ]);
    host.sh("echo 'memberID:161 alarm:CORRUPT' >/var/paper/alarms");
    expect(apply().stderr).toBe("etcd01: alarm still raised: CORRUPT of etcd01\n");
  });
});
