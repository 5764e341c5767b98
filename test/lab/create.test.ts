/** A first `pulumi up` on bare hosts, and everything the article wants to be there after it. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { STEPS } from "../../components/scripts/steps";
import { PEER_HOSTNAME } from "../../components/scripts/unit";
import type { StackOutputs } from "../../tools/stack";
import { hostAddress, type Result } from "../support/lab";
import { PKI } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import {
  CLUSTER,
  connect,
  hosts,
  MAIN_PID,
  on,
  onAll,
  resources,
  succeed,
  tool,
} from "./support/stack";

const stack = freshStack("create");
const { lab } = stack;
let made: Result;
let outputs: StackOutputs;

beforeAll(async () => {
  made = await succeed(stack.up({ skipPreview: false }));
  outputs = await stack.outputs();
});

function mainPids(): Promise<string[]> {
  return onAll(lab, MAIN_PID);
}

describe("the run", () => {
  test("previews every step of every node, and then makes what it previewed", () => {
    const [preview = "", update = ""] = made.stdout.split("Updating (create):");
    for (const host of hosts) {
      for (const step of STEPS) {
        expect(preview).toContain(`command:remote:Command ${CLUSTER}-${host}-${step} create`);
        expect(update).toContain(`command:remote:Command ${CLUSTER}-${host}-${step} created`);
      }
    }
    const planned = /\+ (\d+) to create/.exec(preview)?.[1];
    expect(planned).toMatch(/^\d+$/);
    expect(resources(made)).toEqual({ created: Number(planned), updated: 0, unchanged: 0 });
  });

  test("leaves nothing to do: no change in a preview, none in a second up, no restart", async () => {
    const before = await mainPids();
    await succeed(stack.previewNothing());
    const again = await succeed(stack.up());
    expect(resources(again)).toEqual({
      created: 0,
      updated: 0,
      unchanged: resources(made).created,
    });
    expect(await mainPids()).toEqual(before);
  });
});

describe("the outputs", () => {
  test("say what the cluster says of itself", async () => {
    expect(outputs).toMatchObject({
      endpoints: hosts.map((host) => `https://${hostAddress(host)}:2379`),
      version: "3.6.14",
    });
    const list = await succeed(stack.etcdctl(["member", "list"]));
    expect(list.stdout.trimEnd().split("\n").sort()).toEqual(
      outputs.members
        .map(
          ({ id, name, peerUrls }) =>
            `${id}, started, ${name}, ${peerUrls}, ${peerUrls.replace("2380", "2379")}, false`,
        )
        .sort(),
    );
    expect(outputs.members.map(({ name, peerUrls }) => [name, peerUrls])).toEqual(
      hosts.map((host) => [host, `https://${hostAddress(host)}:2380`]),
    );
    const status = await succeed(stack.etcdctl(["endpoint", "status", "--write-out", "fields"]));
    const seen = [...status.stdout.matchAll(/"ClusterID" : (\d+)/g)].map(([, id]) =>
      BigInt(id ?? 0).toString(16),
    );
    expect(seen).toEqual([outputs.clusterId, outputs.clusterId, outputs.clusterId]);
  });

  test("carry a client pair of the CA, and never print its key", async () => {
    const client = new X509Certificate(outputs.clientCertificate);
    expect(client.verify(new X509Certificate(outputs.caCertificate).publicKey)).toBe(true);
    expect(client.checkPrivateKey(createPrivateKey(outputs.clientKey))).toBe(true);
    // PKCS#8: clients on the JVM read nothing else.
    expect(outputs.clientKey).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(made.stdout).toMatch(/^ {4}clientKey +: \[secret\]$/m);
    const shown = await succeed(stack.pulumi(["stack", "output", "--json"]));
    expect(JSON.parse(shown.stdout)).toMatchObject({ clientKey: "[secret]" });
    for (const text of [made.stdout, made.stderr, shown.stdout]) {
      expect(text).not.toContain("PRIVATE KEY");
    }
  });
});

describe("every host", () => {
  test("runs etcd as a unit that starts at boot, as its own user, without rights", async () => {
    const facts = await onAll(
      lab,
      `systemctl is-active etcd.service; systemctl is-enabled etcd.service
      pid=$(${MAIN_PID})
      stat -c %U:%G "/proc/$pid"
      awk '/^(CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):/ { print $1, $2 }' "/proc/$pid/status"
      readlink "/proc/$pid/exe"`,
    );
    for (const fact of facts) {
      expect(fact.split("\n")).toEqual([
        ...["active", "enabled", "etcd:etcd"],
        ...["CapEff: 0000000000000000", "CapBnd: 0000000000000000", "CapAmb: 0000000000000000"],
        ...["NoNewPrivs: 1", "Seccomp: 2"],
        "/opt/etcd-on-pulumi/v3.6.14/etcd",
      ]);
    }
  });

  test("is exposed to its etcd at 1.0 of 10 at most, by systemd's own measure", async () => {
    const [report = ""] = await onAll(lab, "systemd-analyze security --no-pager etcd.service");
    const exposure = /Overall exposure level for etcd\.service: ([0-9.]+)/.exec(report)?.[1];
    expect(Number(exposure)).toBeLessThanOrEqual(1.0);
  });

  test("has the article's seven files with these modes and owners, and no other", async () => {
    const facts = await onAll(lab, `stat -c '%a %U:%G %n' ${PKI} ${PKI}/* /var/lib/etcd`);
    for (const fact of facts) {
      expect(fact.split("\n")).toEqual([
        `750 root:etcd ${PKI}`,
        `644 root:root ${PKI}/ca.pem`,
        `600 root:root ${PKI}/client-key.pem`,
        `644 root:root ${PKI}/client.pem`,
        `600 etcd:etcd ${PKI}/peer-key.pem`,
        `644 root:root ${PKI}/peer.pem`,
        `600 etcd:etcd ${PKI}/server-key.pem`,
        `644 root:root ${PKI}/server.pem`,
        "700 etcd:etcd /var/lib/etcd",
      ]);
    }
  });

  test("has no copy of the CA's key anywhere", async () => {
    const state = await stack.exportState(true);
    const pem = /-----BEGIN RSA PRIVATE KEY-----(?:\\+n)+([A-Za-z0-9+/]{64})/.exec(state)?.[1];
    expect(pem).toMatch(/^MII/);
    const search = (host: string, line: string) =>
      lab
        .exec(
          host,
          "grep -rlF --devices=skip -f - /etc /home /opt /root /run /tmp /usr/local /var",
          {
            input: `${line}\n`,
          },
        )
        .then(({ stdout }) => stdout.trim());
    for (const host of hosts) {
      const own = await on(lab, host, `sed -n 2p ${PKI}/server-key.pem`);
      // The same search finds a key that is there.
      expect(await search(host, own)).toBe(`${PKI}/server-key.pem`);
      expect(await search(host, pem ?? "")).toBe("");
    }
  });

  test("knows the names of all nodes", async () => {
    const blocks = await onAll(lab, "sed -n '/^# BEGIN etcd/,/^# END etcd/p' /etc/hosts");
    for (const block of blocks) {
      expect(block.split("\n").slice(1, -1)).toEqual([
        "192.168.1.83\tetcd01",
        "192.168.1.84\tetcd02",
        "192.168.1.85\tetcd03",
      ]);
    }
    expect(await on(lab, "etcd01", "getent hosts etcd03")).toMatch(/^192\.168\.1\.85 +etcd03$/);
  });
});

describe("the certificates", () => {
  const openssl = (host: string, file: string) =>
    on(
      lab,
      host,
      `openssl verify -CAfile ${PKI}/ca.pem ${PKI}/${file} >/dev/null &&
      openssl x509 -in ${PKI}/${file} -noout -subject -nameopt RFC2253 -pubkey \\
        -ext basicConstraints,keyUsage,extendedKeyUsage,subjectAltName >/tmp/x509 2>/dev/null
      grep -E '^subject=' /tmp/x509
      openssl pkey -pubin -in /tmp/x509 -noout -text | grep -E 'Public-Key|NIST'
      awk '/^X509v3/ { name = $0 } /^    / && name { print name $0 }' /tmp/x509; rm /tmp/x509`,
    ).then((text) =>
      text
        .split("\n")
        .map((line) => line.replace(/ +/g, " ").trim())
        .sort(),
    );

  test("CA: RSA-2048, the configured subject, for signing alone", async () => {
    expect(await openssl("etcd01", "ca.pem")).toEqual(
      [
        "Public-Key: (2048 bit)",
        "X509v3 Basic Constraints: critical CA:TRUE",
        "X509v3 Key Usage: critical Certificate Sign, CRL Sign",
        "subject=CN=etcd,OU=Infrastructure,O=Example Corp,L=Springfield,ST=Illinois,C=US",
      ].sort(),
    );
  });

  test("client: P-256, client authentication only, no names", async () => {
    expect(await openssl("etcd02", "client.pem")).toEqual(
      [
        "NIST CURVE: P-256",
        "Public-Key: (256 bit)",
        "X509v3 Basic Constraints: critical CA:FALSE",
        "X509v3 Extended Key Usage: TLS Web Client Authentication",
        "X509v3 Key Usage: critical Digital Signature, Key Encipherment",
        "subject=CN=client",
      ].sort(),
    );
  });

  test.each(hosts.flatMap((host) => [`${host} server`, `${host} peer`]))(
    "%s: P-256, the node's names, both directions",
    async (which) => {
      const [host = "", kind = ""] = which.split(" ");
      expect(await openssl(host, `${kind}.pem`)).toEqual(
        [
          "NIST CURVE: P-256",
          "Public-Key: (256 bit)",
          "X509v3 Basic Constraints: critical CA:FALSE",
          "X509v3 Extended Key Usage: TLS Web Server Authentication, TLS Web Client Authentication",
          "X509v3 Key Usage: critical Digital Signature, Key Encipherment",
          `X509v3 Subject Alternative Name: DNS:${host}, DNS:${host}.local, DNS:localhost, ` +
            // What keeps a server's certificate from passing as a peer's.
            `${kind === "peer" ? `DNS:${PEER_HOSTNAME}, ` : ""}IP Address:${hostAddress(host)}, IP Address:127.0.0.1`,
          `subject=CN=${host},L=Springfield,ST=Illinois,C=US`,
        ].sort(),
      );
    },
  );
});

describe("the ports", () => {
  const files = (certificate: string) =>
    `${PKI}/${certificate}.pem --key ${PKI}/${certificate}-key.pem`;

  /** What etcd01 answers to etcd02; its listener for peers does not speak HTTP/2. */
  const get = (url: string, certificate: string) =>
    on(
      lab,
      "etcd02",
      `curl --http1.1 --silent --show-error --max-time 5 --cacert ${PKI}/ca.pem \
        --cert ${files(certificate)} https://192.168.1.83:${url}`,
    );

  /** The TLS alert that etcd01 sends to etcd02 within a second. */
  const alert = async (port: number, certificate?: string) => {
    const pair = certificate === undefined ? "" : `-cert ${files(certificate).replace("--", "-")}`;
    const { stderr } = await lab.exec(
      "etcd02",
      `sleep 1 | timeout 2 openssl s_client -quiet -verify_quiet -CAfile ${PKI}/ca.pem \
        -connect 192.168.1.83:${port} ${pair}`,
    );
    return /alert ([a-z ]+):.*SSL alert number \d+/.exec(stderr)?.[1] ?? "none";
  };

  test("2379 takes the client certificate, and nobody without one", async () => {
    expect(JSON.parse(await get("2379/health", "client"))).toMatchObject({ health: "true" });
    expect(await alert(2379, "client")).toBe("none");
    expect(await alert(2379)).toBe("certificate required");
  });

  test("2380 takes a peer certificate, and neither the client's nor a server's", async () => {
    expect(JSON.parse(await get("2380/members", "peer"))).toHaveLength(3);
    expect(await alert(2380, "peer")).toBe("none");
    expect(await alert(2380, "client")).toBe("bad certificate");
    await expect(get("2380/members", "client")).rejects.toThrow("exit code");
    // The etcd user of a host can read it, and it has a name and the address of that host.
    await on(lab, "etcd02", `openssl verify -CAfile ${PKI}/ca.pem ${PKI}/server.pem`);
    expect(await alert(2380, "server")).toBe("bad certificate");
    await expect(get("2380/members", "server")).rejects.toThrow("exit code");
  });

  test("2380 is closed to everyone but members, 2379 is not", async () => {
    for (const host of hosts) {
      expect(await connect(lab, host, 2379)).toBe(0);
      // Refused at once; `timeout` would end it with 124.
      expect(await connect(lab, host, 2380)).toBe(1);
      const other = host === "etcd01" ? "etcd02" : "etcd01";
      expect(await on(lab, other, `nc -z -w 2 ${hostAddress(host)} 2380 && echo open`)).toBe(
        "open",
      );
    }
  });
});

describe("the tools", () => {
  test("pki writes the article's files for their owner alone", async () => {
    const parent = mkdtempSync(join(tmpdir(), "pki-test-"));
    const directory = join(parent, "etcd-certs");
    try {
      await succeed(stack.run(tool("pki", directory)));
      const names = readdirSync(directory, { recursive: true }).map(String).sort();
      const triple = (stem: string) => [`${stem}-key.pem`, `${stem}.csr`, `${stem}.pem`];
      // The CA signs itself: there is no request.
      expect(names).toEqual(
        [
          ...["ca-key.pem", "ca.pem", ...triple("client")],
          ...hosts.flatMap((host) => [
            ...[host, ...triple(`${host}/server`), ...triple(`${host}/peer`)],
          ]),
        ].sort(),
      );
      const mode = (name: string) => statSync(join(directory, name)).mode & 0o777;
      expect(["", ...hosts].map(mode)).toEqual([0o700, 0o700, 0o700, 0o700]);
      const keys = names.filter((name) => name.endsWith("-key.pem"));
      expect(keys.map(mode)).toEqual(keys.map(() => 0o600));
      const leaves = names.filter((name) => /(client|server|peer)\.pem$/.test(name));
      expect(leaves).toHaveLength(7);
      await succeed(
        stack.run([
          "openssl",
          "verify",
          "-CAfile",
          ...["ca.pem", ...leaves].map((name) => join(directory, name)),
        ]),
      );
      for (const leaf of leaves) {
        const match = `[ "$(openssl x509 -in "$1.pem" -noout -pubkey)" = "$(openssl pkey -in "$1-key.pem" -pubout)" ]`;
        await succeed(
          stack.run(["sh", "-c", match, "sh", join(directory, leaf.replace(".pem", ""))]),
        );
      }
      const again = await stack.run(tool("pki", directory));
      expect(again).toMatchObject({
        code: 1,
        stderr: `error: ${directory} is not empty; name a new directory\n`,
      });
    } finally {
      rmSync(parent, { recursive: true });
    }
  });

  test("etcdctl leaves no key behind", async () => {
    await succeed(stack.etcdctl(["get", "nothing"]));
    expect(readdirSync("/dev/shm").filter((name) => name.startsWith("etcd-on-pulumi"))).toEqual([]);
  });
});
