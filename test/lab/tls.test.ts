/** What TLS lets in, and changes of it that no client notices. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PKI } from "./support/etcdctl";
import { freshCluster } from "./support/fresh";
import { handshakes, IN } from "./support/handshakes";
import { unnoticed } from "./support/load";
import { hosts, onAll, subject, succeed, tool } from "./support/stack";

const stack = freshCluster("tls");
const { lab } = stack;

/** The hostile handshakes that got in, in the order of the table. */
async function gotIn(): Promise<string[]> {
  const all = await handshakes(stack, "etcd02", "etcd01", subject);
  expect(all.length).toBeGreaterThanOrEqual(60);
  expect(all.filter(({ control }) => control !== IN)).toEqual([]);
  return all.filter(({ hostile }) => hostile === IN).map(({ port, name }) => `${port} ${name}`);
}

/** Whether each host's server certificate passes as a client's. */
const serversAreClients = () =>
  onAll(
    lab,
    `etcdctl --cacert ${PKI}/ca.pem --cert ${PKI}/server.pem --key ${PKI}/server-key.pem endpoint health >/dev/null 2>&1 && echo yes || echo no`,
  );

/** Asks the JSON gateways all the while, the next one where one does not answer. */
async function gatewaysServe(work: () => Promise<unknown>): Promise<void> {
  const files = mkdtempSync(join(tmpdir(), "etcd-client-"));
  const urls = (await stack.outputs()).endpoints.map((url) => `${url}/v3/kv/range`);
  await succeed(stack.run(tool("client-files", files)));
  const asking = lab.run(["bash", "-c", ASK, files, ...urls], { timeoutMs: 300_000 });
  try {
    await work();
  } finally {
    writeFileSync(join(files, "stop"), "");
    const { stdout } = await asking;
    rmSync(files, { recursive: true });
    expect(stdout).toMatch(/^[0-9]{2,} answered, 0 not\n$/);
  }
}

const ASK = `
  cd "$0"; answered=0 not=0
  ask() {
    curl --silent --http1.1 --max-time 3 --cacert ca.pem --cert client.pem --key client-key.pem \
      --data '{"key":"AA=="}' --output /dev/null --write-out '%{http_code}' "$1"
  }
  until [ -e stop ]; do
    code=
    for url in "$@"; do code=$(ask "$url") || true; [ "$code" != 200 ] || break; done
    if [ "$code" = 200 ]; then answered=$((answered + 1)); else not=$((not + 1)); fi
    sleep 0.1
  done
  echo "$answered answered, $not not"`;

test("TLS 1.2 comes in when set so, without CBC", async () => {
  stack.configure({ settings: { "tls-min-version": "TLS1.2" } });
  await succeed(stack.up());
  const suites = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"];
  expect(await gotIn()).toEqual(
    [2379, 2380].flatMap((port) => [
      ...suites.map((suite) => `${port} TLS 1.2 with ECDHE-ECDSA-${suite}`),
      `${port} TLS 1.2 named as the only version of TLS 1.3's kind of hello`,
    ]),
  );
});

test("TLS is 1.3 alone, and server certificates are no clients', by one up that nobody notices", async () => {
  expect(await serversAreClients()).toEqual(["yes", "yes", "yes"]);
  stack.configure({ pki: { subject, serverClientAuth: false } });
  await unnoticed("TLS 1.3 alone", lab, stack, () => gatewaysServe(() => succeed(stack.up())));
  expect(await serversAreClients()).toEqual(["no", "no", "no"]);
  expect(await onAll(lab, `cd ${PKI} && echo g*.pem server.pem*`)).toEqual(
    hosts.map(() => "gateway-key.pem gateway.pem server.pem"),
  );
  expect(await gotIn()).toEqual([]);
  await succeed(stack.previewNothing());
});

test("and server certificates that are clients' come back in the same way", async () => {
  stack.configure({});
  await unnoticed("clients' again", lab, stack, () => gatewaysServe(() => succeed(stack.up())));
  expect(await serversAreClients()).toEqual(["yes", "yes", "yes"]);
  expect(await onAll(lab, `cd ${PKI} && echo g*.pem server.pem*`)).toEqual(
    hosts.map(() => "g*.pem server.pem"),
  );
  await succeed(stack.previewNothing());
});
