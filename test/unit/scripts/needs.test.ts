/** What the scripts need of a host, and that the look says so when it is not there. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { JOB_SCRIPTS, plain, type ScriptName } from "../../../components/scripts/bundle";
import { HOST, PaperCluster, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, type Outcome, whyNot } from "../../support/paper-host";
import { RUNNING, runningMember } from "../../support/paper-member";
import { callsOf } from "../../support/shell-commands";

const SCRIPTS: readonly ScriptName[] = [
  ...(["leave", "install", "member", "drain", "lost", "health", "probe"] as const),
  ...(["results", "backups"] as const),
  ...JOB_SCRIPTS,
];
const NEEDS = readFileSync(join(__dirname, "../../../components/scripts/lib/needs.sh"), "utf8");

/** The commands of a table in needs.sh. */
function listed(table: string): string[] {
  const text = new RegExp(`^${table}='([^']*)'`, "m").exec(NEEDS)?.[1] ?? "";
  return text.split("\n").flatMap((line) => line.split(" ").slice(1));
}
const ALWAYS = listed("LOOK_COMMANDS");
const STEPS_ALONE = listed("STEP_COMMANDS");
/** Looked for where they are needed (missing_for_steps). */
const AT_TIMES = ["curl", "wget", "nft", "apt-get", "systemd-analyze", "systemd-run"];
/** Called only where it was called by the look's own shell. */
const OPTIONAL = ["sudo"];
/** What the text of a unit, the line that unpacks the scripts, or a shell that becomes another program calls. */
const ELSEWHERE = ["base64", "gzip", "sh", "touch", "rm", "nft", "nice"];

describe("the commands that the scripts call", () => {
  test("are read as bash reads them", () => {
    const text = `
f() { if a "$(b 'c d')" | e; then x=1 g <<<"$(h)"; fi; } # no i
case $1 in j) k ;; l | m) [[ $n == o ]] && p ;; esac
for q in r s; do ! t >u || v; done < <(w | exec timeout --kill-after 1 "$x" setpriv --reuid y -- z)
cat <<END
aa bb
END
local -a cc=(dd "$(ee)")
find . -exec ff {} +
echo $((1 + $(gg))) "$(hh "$(ii)")" 'jj' "kk; ll" {ll}>&- mm
for ((nn = 0; nn < 3; nn++)); do oo; done; timeout --signal INT --kill-after 5 "$pp" "$qq" rr; timeout 3 /bin/ss tt`;
    const { called, defined } = callsOf(text);
    expect([...defined]).toEqual(["f"]);
    expect([...called].sort()).toEqual(
      [
        ...["a", "b", "e", "g", "h", "k", "[[", "p", "t", "v", "w", "exec", "timeout", "setpriv"],
        ...["z", "cat", "local", "ee", "find", "ff", "echo", "gg", "hh", "ii", "oo"],
      ]
        .filter((word) => word !== "[[")
        .sort(),
    );
  });

  test("are all looked for, and nothing else is", () => {
    const builtins = execFileSync("bash", ["-c", "compgen -b"], { encoding: "utf8" }).split("\n");
    const calls = SCRIPTS.map((script) => callsOf(plain(script)));
    const known = new Set([...builtins, ...calls.flatMap(({ defined }) => [...defined])]);
    const called = new Set(calls.flatMap((one) => [...one.called]));
    const needed = [...called].filter((word) => !known.has(word));
    expect([...new Set([...needed, ...ELSEWHERE])].sort()).toEqual(
      [...new Set([...ALWAYS, ...STEPS_ALONE, ...AT_TIMES, ...OPTIONAL])].sort(),
    );
  });
});

const reason = whyNot();

describe.skipIf(reason !== undefined)(`on a host${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const VALUES = {
    ...{
      ...HOST,
      ...RUNNING,
      FIREWALL: "yes",
      MARK: "0badcafe",
      RECOVER_SNAPSHOT: "",
      COMPACTS: "yes",
    },
    ...{ NODES: "etcd01 192.168.1.83\netcd02 192.168.1.84\netcd03 192.168.1.85" },
  };
  const STEP = {
    ...VALUES,
    ...{ ISSUER: "-", CLIENT_KEY: "a", CLIENT_PEM: "b", SERVER_KEY: "c", SERVER_PEM: "d" },
    ...{ PEER_KEY: "e", PEER_PEM: "f", GATEWAY_PEM: "", GATEWAY_KEY: "" },
    ...{ DOWNLOAD_URL: "http://127.0.0.1:1", SHA256_AMD64: "a", SHA256_ARM64: "a" },
    ...{ LISTED_SUMS: "no", LOST_ADDRESSES: "192.168.1.85", WORK: "" },
  };
  const findings = ({ stdout }: Outcome) =>
    stdout.split("\n").flatMap((line) => (line.startsWith("finding ") ? [line.slice(8)] : []));
  const bare = { ...VALUES, NODES: "etcd01 127.0.0.1", ADDRESS: "127.0.0.1" };

  /** The answers of a look in each of these situations, which `undo` takes back. */
  const looks = (situations: readonly string[], values = bare) =>
    cluster.each("probe", "probe", values, situations).map(findings);

  test("nothing is missing on a good one, bare or running", () => {
    expect(looks(["true"])).toEqual([[]]);
    runningMember(host, cluster, RUNNING);
    host.sh(`mkdir -p ${STATE}/receipts; touch ${STATE}/receipts/host`);
    expect(looks(["true"], VALUES)).toEqual([[]]);
  });

  test("each command that is missing is told, bare or running", () => {
    // What runs the tests' own loop has to be somewhere else.
    const loop = `
      mkdir -p /var/paper/tools; cp /usr/bin/{bash,mv} /var/paper/tools; export PATH=/var/paper/tools
      for name in ${[...ALWAYS, ...STEPS_ALONE].join(" ")}; do
        for place in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
          [ ! -e $place/$name ] && [ ! -L $place/$name ] || mv $place/$name $place/$name.hidden
        done
        answer=$(bash -s -- missing </var/paper/needs 2>&1) || true
        echo "$name: $answer"
        for place in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do
          [ ! -e $place/$name.hidden ] && [ ! -L $place/$name.hidden ] || mv $place/$name.hidden $place/$name
        done
      done`;
    host.write(
      "/var/paper/needs",
      `${plain("probe")}\nFIREWALL=yes UPGRADE=no\nmissing() { missing=(); missing_commands "$LOOK_COMMANDS"; missing_for_steps; printf '%s\\n' "\${missing[@]}"; }\n"$@"\n`,
    );
    const told = host.sh(loop).split("\n");
    expect(told.map((line) => line.replace(/; install the package \S+$/, ""))).toEqual(
      [...ALWAYS, ...STEPS_ALONE].map((name) => `${name}: has no ${name} command`),
    );
  });

  test("a look that lacks what it calls itself is an answer with that alone", () => {
    host.sh("mv /usr/bin/sed /usr/bin/sed.hidden");
    const { status, stdout, stderr } = host.run("probe", ["probe"], VALUES);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /^\nbegin 0badcafe\nclock \d+\nfinding always has no sed command; install the package sed\nend 0badcafe\n$/,
    );
    expect(host.run("host", ["apply", "create 2026-11-22T10:20:30Z"], VALUES)).toEqual({
      status: 1,
      stdout: "",
      stderr:
        "etcd01: preflight checks failed; nothing was changed\n  - has no sed command; install the package sed\n",
    });
  });

  test("what only some configurations need is told with them", () => {
    host.sh("mv /usr/sbin/nft /usr/sbin/nft.hidden; mv /usr/bin/apt-get /usr/bin/apt-get.hidden");
    const without = { ...bare, FIREWALL: "no" };
    expect(looks(["true"], without)).toEqual([[]]);
    expect(looks(["true"], { ...bare, UPGRADE: "yes" })[0]).toEqual([
      "change has no nft command; install the package nftables, or set etcd:host.firewall to false",
      "change has no apt-get command, and etcd:host.upgrade is true; set it to false",
    ]);
    host.sh(
      "rm -f /usr/local/sbin/curl; for name in curl wget; do mv /usr/bin/$name /usr/bin/$name.hidden || true; done",
    );
    expect(looks(["true"], without)).toEqual([
      ["change has neither curl nor wget; install one of them"],
    ]);
  });

  const PLACES = [
    ...["/etc", "/etc/systemd/system", "/run", "/run/systemd/system", "/opt", "/usr"],
    ...["/usr/local/bin", "/var/lib", "/var/backups", "/etc/kubernetes"],
  ];

  test("each read-only place is told, bare or running, before the first step fails there", () => {
    const situations = PLACES.map(
      (path, index) => `${index === 0 ? "true" : `umount -l ${PLACES[index - 1]}`}
        mkdir -p ${path}; mount --bind ${path} ${path}; mount -o remount,bind,ro ${path}`,
    );
    const last = `umount -l ${PLACES.at(-1)}`;
    const told = (found: readonly string[], path: string) =>
      found.find((line) =>
        line.startsWith(`change has a read-only file system at ${path}, where `),
      );
    const compare = (values: typeof VALUES) => {
      const looked = looks(situations, values);
      host.sh(last);
      for (const [index, path] of PLACES.entries()) {
        expect(told(looked[index] ?? [], path), path).toBeDefined();
      }
    };
    compare(bare);
    // The first step says it in the same words and changes nothing.
    host.sh("mount --bind /opt /opt; mount -o remount,bind,ro /opt");
    expect(host.run("host", ["apply", "create 2026-11-22T10:20:30Z"], bare).stderr).toBe(
      "etcd01: preflight checks failed; nothing was changed\n  - has a read-only file system at /opt, where /opt is written to; make it writable (mount -o remount,rw /opt)\n",
    );
    host.sh("umount /opt");
    runningMember(host, cluster, RUNNING);
    host.sh(`mkdir -p ${STATE}/receipts; touch ${STATE}/receipts/host`);
    compare(VALUES);
  });

  test("all that the steps write is among the places that are looked at", () => {
    const release = "/opt/etcd-on-pulumi/v3.6.14";
    cluster.is({ members: THREE.slice(0, 1) });
    host.sh(`rm /usr/local/bin/etcdctl; mkdir -p ${release}; cp /bin/true ${release}/etcd
      cp /bin/true ${release}/etcdutl; ln -s /var/paper/etcdctl-stub ${release}/etcdctl`);
    const manifest = `describe ${release}/etcd ${release}/etcdctl ${release}/etcdutl >${release}/manifest`;
    expect(cluster.run("binaries", manifest, STEP).status).toBe(0);
    host.sh("touch /var/paper/begin; sleep 0.05");
    for (const [script, call] of [
      ["install", "apply 'create 2026-11-22T10:20:30Z'"] as const,
      ["member", `apply "bootstrap $(date -u +%FT%TZ)"`] as const,
      ["leave", "remove"] as const,
    ]) {
      const { status, stderr } = cluster.run(script, call, { ...STEP, NODES: bare.NODES });
      expect({ script, call, status, stderr: stderr.replaceAll(/^etcd01: .*\n/gm, "") }).toEqual({
        ...{ script, call, status: 0, stderr: "" },
      });
    }
    const written = host
      .sh(
        `for top in etc opt usr var run; do find /$top -xdev -newer /var/paper/begin -type d; done`,
      )
      .split("\n")
      .filter((path) => !path.startsWith("/var/paper") && path !== "/usr/local/sbin");
    const { stdout } = host.run(
      "probe",
      ["eval", 'there=(); written_places; IFS=,; printf %s "$' + '{places[*]}"'],
      bare,
    );
    const places = stdout.split(",");
    const missing = written.filter(
      (path) => !places.some((place) => path === place || `${path}/`.startsWith(`${place}/`)),
    );
    // Where an empty directory that was ours cannot be removed, it stays.
    expect(missing.filter((path) => path !== "/opt")).toEqual([]);
    expect(written).toEqual(expect.arrayContaining(["/etc", "/usr/local/bin", "/var/lib"]));
  });

  test("what is immutable is told with the way to change it", () => {
    const made = host.sh(`mkdir -p /etc/kubernetes; mount -t tmpfs paper /etc/kubernetes
      if chattr +i /etc/kubernetes 2>/dev/null; then echo yes; fi`);
    const [found] = looks(["true"]);
    host.sh("chattr -i /etc/kubernetes 2>/dev/null || true; umount /etc/kubernetes");
    // An older kernel's tmpfs has no such files.
    expect(found).toEqual(
      made === "yes"
        ? [
            "change has /etc/kubernetes, which not even root can write to: it is immutable (chattr -i /etc/kubernetes), or a security module forbids it",
          ]
        : [],
    );
  });

  test("a place that is not a directory is told, and a link to nowhere", () => {
    host.sh(
      "rm -rf /opt/etcd-on-pulumi; echo x >/opt/etcd-on-pulumi; rm -rf /var/backups; ln -s /gone /var/backups",
    );
    expect(looks(["true"])).toEqual([
      [
        "change has something at /opt/etcd-on-pulumi that is not a directory; move it away",
        "change has a symbolic link at /var/backups that does not lead to a directory (/gone); make that directory, or remove the link",
      ],
    ]);
  });

  test("releases where nothing can be run, or for which there is no room, are told", () => {
    host.sh("mount -t tmpfs -o size=100m,noexec paper /opt");
    const [found = []] = looks(["true"]);
    host.sh("umount /opt");
    expect(found).toEqual([
      "change has a file system at /opt that is mounted noexec, and etcd is to run from /opt/etcd-on-pulumi there; mount it without (mount -o remount,exec /opt)",
      "change has 100 MiB free on the disk of /opt, and 200 MiB are needed there; free some space",
    ]);
  });

  test("full disks are told, by room or by inodes", () => {
    host.sh(
      "mkdir -p /var/backups; mount -t tmpfs -o size=4m paper /var/backups; mount -t tmpfs -o nr_inodes=20 paper /etc/kubernetes 2>/dev/null || { mkdir -p /etc/kubernetes; mount -t tmpfs -o nr_inodes=20 paper /etc/kubernetes; }",
    );
    const [found = []] = looks(["true"]);
    host.sh("umount /var/backups /etc/kubernetes");
    expect(found).toEqual([
      "change has 4 MiB free on the disk of /var/backups, and 16 MiB are needed there; free some space",
      expect.stringMatching(
        /^change has 1\d inodes free on the disk of \/etc\/kubernetes, so hardly any file can be created there; delete some files$/,
      ),
    ]);
  });

  test("a disk for the data that is not mounted stops every run", () => {
    host.sh("printf '# x\\nUUID=1 /var/lib/etcd ext4 defaults 0 2\\n' >/etc/fstab");
    const words = (source: string) =>
      `always expects a disk mounted at /var/lib/etcd (according to ${source}), but none is mounted; mount it (mount /var/lib/etcd), or remove that entry`;
    expect(looks(["true"])).toEqual([[words("/etc/fstab")]]);
    host.sh(
      "rm /etc/fstab; mkdir -p /run/systemd/generator; touch /run/systemd/generator/var-lib-etcd.mount",
    );
    expect(looks(["true"])).toEqual([[words("/run/systemd/generator/var-lib-etcd.mount")]]);
    host.sh("mkdir -p /var/lib/etcd; mount -t tmpfs paper /var/lib/etcd");
    const [found] = looks(["true"]);
    host.sh("umount /var/lib/etcd");
    expect(found).toEqual([]);
  });

  test("a dpkg that was interrupted is told when packages are to be upgraded", () => {
    host.sh("mkdir -p /var/lib/dpkg/updates; touch /var/lib/dpkg/updates/0001");
    expect(looks(["true"])).toEqual([[]]);
    expect(looks(["true"], { ...bare, UPGRADE: "yes" })).toEqual([
      [
        "change has an interrupted dpkg run, and etcd:host.upgrade is true; finish it first (dpkg --configure -a)",
      ],
    ]);
  });
});
