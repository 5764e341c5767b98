/** What others have on a host, beside ours or in its way, stays theirs from the first look to the destroy; with etcd's data on disks of their own. */
import { expect, test } from "vitest";
import { freshStack } from "./support/fresh";
import { difference, hostStates } from "./support/host-state";
import { connect, eventually, hosts, on, printed, refuse, succeed } from "./support/stack";

const stack = freshStack("belongings");
const { lab } = stack;
const DATA = "/var/lib/etcd";
const table = (host: string) =>
  on(lab, host, "nft list table inet etcd >/dev/null 2>&1 && echo yes || echo no");
const nodes = (...names: readonly string[]) =>
  names.map((name) => ({ name, address: `192.168.1.${82 + Number(name.slice(-1))}` }));

/** Files of others in Data, on each host. */
const THEIRS: readonly string[] = ["backup/x.db", "default/member/wal/x", "lost+found/f"];
const theirs = (host: string) =>
  on(lab, host, `cd ${DATA} && cat ${THEIRS.join(" ")} && echo all there`);

test("what stands in the way is found on all hosts at once, and nothing is touched", async () => {
  await on(
    lab,
    "etcd01",
    `mkdir -p /srv/disk ${DATA} /etc/kubernetes/pki/etcd
    mount --bind /srv/disk ${DATA}
    mkdir -p ${DATA}/member/wal; echo theirs >${DATA}/member/wal/x
    echo theirs >/etc/kubernetes/pki/etcd/server.pem; echo theirs >/usr/local/bin/etcdctl
    printf 'Defaults:operator log_input\\n' >/etc/sudoers.d/log`,
  );
  await on(lab, "etcd02", `mkdir -p ${DATA}; mount -t tmpfs -o size=512m disk ${DATA}`);
  await on(
    lab,
    "etcd03",
    `mkdir -p /srv/data; ln -s /srv/data ${DATA}
    printf '# BEGIN etcd on Pulumi\\n10.0.0.1 theirs\\n' >>/etc/hosts`,
  );
  const before = await hostStates(lab, true);
  for (const user of ["root", "operator"]) {
    stack.configure({ ssh: { ...reach(), user } });
    const message = await refuse(user === "root" ? stack.preview() : stack.up());
    const listed = [...new Set([...message.matchAll(/^ *- (.*)$/gm)].map(([, line]) => line))];
    expect(listed).toEqual([
      "etcd01: has a file that is not this program's at /usr/local/bin/etcdctl; move it away first",
      "etcd01: has a file that is not this program's at /etc/kubernetes/pki/etcd/server.pem; move it away first",
      ...(user === "root"
        ? []
        : [
            'etcd01: has a sudo that logs its input (log_input, to /var/log/sudo-io/00/00/01), which would include private keys; add "Defaults:operator !log_input" to its sudoers, or log in as root',
          ]),
      `etcd01: has data of another etcd in ${DATA}/member; move it away first (mv ${DATA}/member ${DATA}/member.foreign)`,
      `etcd02: has 512 MiB free under ${DATA}; etcd:host.minimumDisk asks for 1024`,
      `etcd03: has a symbolic link at ${DATA}, which systemd does not accept as a state directory; remove the link and mount the disk there instead (mount --bind /srv/data ${DATA}, and the same in /etc/fstab)`,
      expect.stringMatching(/^etcd03: has a damaged block in \/etc\/hosts: /),
    ]);
  }
  const after = await hostStates(lab, true);
  for (const [index, host] of hosts.entries()) {
    const { added, gone } = difference(before[index] ?? [], after[index] ?? []);
    expect({ added, gone }, host).toEqual({ added: [], gone: [] });
  }
});

function reach() {
  return {
    privateKeyFile: `${lab.directory}/ssh/id_ed25519`,
    knownHostsFile: `${lab.directory}/ssh/known_hosts`,
  };
}

test("by the remedies that were printed a cluster is made, and leaves what is beside it alone", async () => {
  await on(
    lab,
    "etcd01",
    `mv ${DATA}/member ${DATA}/member.foreign
    rm /etc/kubernetes/pki/etcd/server.pem /usr/local/bin/etcdctl /etc/sudoers.d/log`,
  );
  await on(lab, "etcd02", `mount -o remount,size=2g ${DATA}`);
  await on(lab, "etcd03", `rm ${DATA}; mkdir ${DATA}; sed -i '/BEGIN etcd/d' /etc/hosts`);
  for (const host of hosts) {
    await on(
      lab,
      host,
      `cd ${DATA}; for path in ${THEIRS.join(" ")}; do mkdir -p "$(dirname $path)"; echo theirs >$path; done`,
    );
  }
  stack.configure({});
  await succeed(stack.up());
  await succeed(stack.previewNothing());
  for (const host of hosts) {
    expect(await theirs(host)).toContain("all there");
  }
});

test("the packet filter is there whatever Debian's own unit does, and after a boot with it", async () => {
  await on(lab, "etcd03", "systemctl --quiet enable nftables.service");
  for (const verb of ["start", "restart", "reload", "stop", "start"]) {
    await on(lab, "etcd03", `systemctl ${verb} nftables.service`);
    expect(await table("etcd03"), verb).toBe("yes");
  }
  for (let boot = 0; boot < 2; boot++) {
    await lab.kill("etcd03");
    await lab.boot("etcd03");
    await on(lab, "etcd03", "systemctl is-active nftables.service");
    await eventually("etcd runs", async () =>
      (await lab.exec("etcd03", "systemctl is-active etcd.service")).stdout.startsWith("active"),
    );
    expect(await table("etcd03")).toBe("yes");
    expect(await connect(lab, "etcd03", 2380)).toBe(1);
  }
  // What no unit does is seen.
  await on(lab, "etcd03", "nft flush ruleset");
  expect((await succeed(stack.preview())).stdout).toContain(
    "etcd03: firewall table inet etcd removed: will be repaired",
  );
  await succeed(stack.up());
  expect(await table("etcd03")).toBe("yes");
  await succeed(stack.previewNothing());
});

test("a drop-in and the data of a member that was taken out are kept, and where is said", async () => {
  const dropIn = "/etc/systemd/system/etcd.service.d/override.conf";
  await on(lab, "etcd02", `printf '[Service]\\nNice=1\\n' >${dropIn}; systemctl daemon-reload`);
  const list = await succeed(stack.etcdctl(["member", "list"]));
  const [, id = ""] = /^(\w+), started, etcd01,/m.exec(list.stdout) ?? [];
  await on(lab, "etcd01", "systemctl stop etcd.service");
  await succeed(stack.etcdctl(["member", "remove", id], ["etcd02"]));
  const up = printed(await succeed(stack.up()));

  const [, copy = ""] =
    /override\.conf, which overrides the unit, was moved to (\S+override\.conf)/.exec(up) ?? [];
  expect(await on(lab, "etcd02", `cat ${copy}; [ -e ${dropIn} ] || echo gone`)).toBe(
    "[Service]\nNice=1\ngone",
  );
  const [, aside = ""] = /the previous data was moved to (\S+);/.exec(up) ?? [];
  expect(aside.startsWith(`${DATA}/aside.removed-${id}-`)).toBe(true);
  expect(await on(lab, "etcd01", `ls ${aside}/member; findmnt -n -o TARGET -T ${aside}`)).toBe(
    `snap\nwal\n${DATA}`,
  );
  expect(await theirs("etcd01")).toContain("all there");
  await succeed(stack.previewNothing());
});

test("a node that is taken out and a destroy end well on mount points, and leave what is not ours", async () => {
  stack.configure({ nodes: nodes("etcd01", "etcd03") });
  await succeed(stack.up());
  const clean = `find ${DATA} -maxdepth 1 -mindepth 1 -printf '%f\\n' | sort; mountpoint ${DATA} || true
    ls -d /var/lib/etcd-on-pulumi /opt/etcd-on-pulumi /etc/etcd.env 2>/dev/null || true
    systemctl cat nftables.service | grep -c etcd || true`;
  expect(await on(lab, "etcd02", clean)).toBe(
    `backup\ndefault\nlost+found\n${DATA} is a mountpoint\n0`,
  );
  await succeed(stack.destroy());
  expect(await on(lab, "etcd01", clean)).toMatch(
    /^aside\.removed-\S+\nbackup\ndefault\nlost\+found\nmember\.foreign\n\S+ is a mountpoint\n0$/,
  );
  expect(await on(lab, "etcd03", clean)).toBe(
    `backup\ndefault\nlost+found\n${DATA} is not a mountpoint\n0`,
  );
  for (const host of hosts) {
    expect(await theirs(host)).toContain("all there");
  }
  expect(await on(lab, "etcd01", `cat ${DATA}/member.foreign/wal/x`)).toBe("theirs");
});
