/** What is changed by hand on a host is seen in a preview, and one up takes it back. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "../support/lab";
import { freshLab, hosts, on, resources, Stack, succeed } from "./support/stack";

const lab = new Lab("test");
const stack = new Stack(lab, "drift");
const PKI = "/etc/kubernetes/pki/etcd";

interface Case {
  readonly change: string;
  /** In the diff of the preview, before anything that follows from it. */
  readonly words: string;
  /** Prints what the change was about, the same before and after. */
  readonly look: string;
  /** etcd has to be started again. */
  readonly restarts?: true;
}

const CASES: readonly Case[] = [
  {
    change: "echo EXTRA=1 >>/etc/etcd.env",
    words: "/etc/etcd.env changed",
    look: "cat /etc/etcd.env",
  },
  {
    change: "chmod 0600 /etc/systemd/system/etcd.service",
    words: "/etc/systemd/system/etcd.service has mode 600, not 644",
    look: "stat -c %a /etc/systemd/system/etcd.service",
  },
  {
    change: `rm ${PKI}/ca.pem`,
    words: `${PKI}/ca.pem removed`,
    look: `sha256sum ${PKI}/ca.pem`,
  },
  {
    change: `chown root:root ${PKI}/server-key.pem`,
    words: `${PKI}/server-key.pem is owned by root:root, not etcd:etcd`,
    look: `stat -c %U:%G ${PKI}/server-key.pem`,
  },
  {
    change: "systemctl stop etcd.service",
    words: "etcd.service is inactive",
    look: "systemctl is-active etcd.service",
    restarts: true,
  },
  {
    change: "systemctl --quiet disable etcd.service",
    words: "etcd.service is disabled",
    look: "systemctl is-enabled etcd.service",
  },
  {
    change: "sed -i '/drop/d' /etc/etcd-firewall.nft",
    words: "/etc/etcd-firewall.nft changed",
    look: "cat /etc/etcd-firewall.nft",
  },
  {
    change: "nft delete table inet etcd",
    words: "firewall table inet etcd removed",
    look: "nft list ruleset",
  },
  {
    change: "nft flush chain inet etcd input",
    words: "firewall table inet etcd changed",
    look: "nft list ruleset",
  },
  {
    change: "ln -sfn /bin/true /usr/local/bin/etcdctl",
    words: "/usr/local/bin/etcdctl points to /bin/true, not /opt/etcd-on-pulumi/v3.6.16/etcdctl",
    look: "readlink /usr/local/bin/etcdctl",
  },
  {
    change: "sed -i '/^192.168.1.85/d' /etc/hosts",
    words: "block in /etc/hosts changed",
    look: "cat /etc/hosts",
  },
  {
    change: "cd /opt/etcd-on-pulumi/v3.6.16 && cp /bin/true new && mv new etcdutl",
    words: "/opt/etcd-on-pulumi/v3.6.16/etcdutl changed",
    look: "sha256sum /opt/etcd-on-pulumi/v3.6.16/etcdutl",
  },
];

const PID = "systemctl show --property MainPID --value etcd.service";

beforeAll(async () => {
  await freshLab(lab);
  await stack.create();
  await succeed(stack.up());
});

afterAll(async () => {
  await lab.down(true);
});

// One case on each host at a time, so that none can be repaired in another's shadow.
const rounds = Array.from({ length: Math.ceil(CASES.length / hosts.length) }, (_, round) =>
  hosts.flatMap((host, index): (Case & { readonly host: string })[] => {
    const found = CASES[round * hosts.length + index];
    return found === undefined ? [] : [{ host, ...found }];
  }),
);

test.each(rounds.map((round) => ({ round, name: round.map(({ words }) => words).join(" | ") })))(
  "$name",
  async ({ round }) => {
    const before = await Promise.all(
      round.map(async ({ host, look, change }) => {
        const [right, pid] = [await on(lab, host, look), await on(lab, host, PID)];
        await on(lab, host, change);
        // Some commands fail to print at all when the thing they look at is gone.
        expect((await lab.exec(host, look)).stdout.trimEnd()).not.toBe(right);
        return { right, pid };
      }),
    );

    const preview = await succeed(stack.preview({ args: ["--diff"] }));
    expect(preview.stdout).toMatch(/^ {4}~ \d+ to update$/m);
    const repairs = [...preview.stdout.matchAll(/=> "bash -s -- apply 'repair: (.*), \S+'"/g)];
    for (const { host, words } of round) {
      expect(repairs.map(([, text = ""]) => text.split("; ")[0])).toContain(words);
      expect(preview.stdout).toContain(`${host}: ${words}: to be repaired`);
    }

    expect(resources(await succeed(stack.up())).updated).toBeGreaterThan(0);
    for (const [index, { host, look, restarts }] of round.entries()) {
      expect(await on(lab, host, look)).toBe(before[index]?.right);
      const unchanged = (await on(lab, host, PID)) === before[index]?.pid;
      expect(unchanged, `${host} was not restarted`).toBe(restarts !== true);
    }
    await succeed(stack.previewNothing());
  },
);
