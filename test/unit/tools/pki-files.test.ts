import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import { fileOf, pkiFiles, prepareDirectory, reveal, writeFiles } from "../../../tools/pki-files";
import { theGraph } from "../../support/cluster-graph";

const SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";
const sealed = (value: unknown) => ({
  "4dabf18193072939515e22adb298388d": SIGNATURE,
  plaintext: JSON.stringify(value),
});
const resource = (type: string, name: string, outputs?: Record<string, unknown>) => ({
  urn: `urn:pulumi:dev::etcd::etcd-on-pulumi:index:EtcdCluster$${type}::etcd-${name}`,
  type,
  ...(outputs === undefined ? {} : { outputs }),
});
const key = (name: string) =>
  resource("tls:index/privateKey:PrivateKey", name, {
    privateKeyPem: sealed(`key ${name}\n`),
    publicKeyPem: "not asked for",
  });
const request = (name: string) =>
  resource("tls:index/certRequest:CertRequest", name, { certRequestPem: `request ${name}\n` });
const certificate = (name: string) =>
  resource("tls:index/locallySignedCert:LocallySignedCert", name, {
    certPem: `certificate ${name}\n`,
    caPrivateKeyPem: sealed("not asked for"),
  });
const authority = resource("tls:index/selfSignedCert:SelfSignedCert", "ca-certificate", {
  certPem: "certificate ca\n",
});
const exported = (...resources: unknown[]) => ({ version: 3, deployment: { resources } });

describe("the article's names", () => {
  test.each([
    ["ca-key", "-key.pem", "ca-key.pem"],
    ["ca-certificate", ".pem", "ca.pem"],
    ["client-request", ".csr", "client.csr"],
    ["etcd01-server-key", "-key.pem", "etcd01/server-key.pem"],
    ["etcd01-peer-certificate", ".pem", "etcd01/peer.pem"],
    ["etcd01-gateway-key", "-key.pem", "etcd01/gateway-key.pem"],
    // A host may be called like one of the files.
    ["peer-server-key", "-key.pem", "peer/server-key.pem"],
    ["my-key-peer-key", "-key.pem", "my-key/peer-key.pem"],
  ])("of %s%s is %s", (name, ending, file) => {
    expect(fileOf(name, ending)).toBe(file);
  });

  test("are different ones for all keys, requests and certificates of a cluster", async () => {
    const kinds: Readonly<Record<string, string>> = {
      "tls:index/privateKey:PrivateKey": "privateKeyPem",
      "tls:index/certRequest:CertRequest": "certRequestPem",
      "tls:index/selfSignedCert:SelfSignedCert": "certPem",
      "tls:index/locallySignedCert:LocallySignedCert": "certPem",
    };
    const resources = (await theGraph()).resources.map(({ type, name }) =>
      resource(type, name, { [kinds[type] ?? "none"]: name }),
    );
    const paths = pkiFiles(exported(...resources)).map(({ path }) => path);
    const of = (stem: string) => [`${stem}-key.pem`, `${stem}.csr`, `${stem}.pem`];
    expect(paths).toEqual([
      "ca-key.pem",
      "ca.pem",
      ...of("client"),
      ...["etcd01", "etcd02", "etcd03"].flatMap((name) => [
        ...of(`${name}/server`),
        ...of(`${name}/peer`),
      ]),
    ]);
  });
});

describe("a value of the state", () => {
  test("is itself, or what a secret holds; anything else is none", () => {
    expect(reveal("plain")).toBe("plain");
    expect(reveal(sealed('a "quoted"\nkey'))).toBe('a "quoted"\nkey');
    expect(reveal({ ciphertext: "AAAA" })).toBeUndefined();
    expect(reveal(undefined)).toBeUndefined();
    expect(reveal(7)).toBeUndefined();
  });

  test("that is a secret but no text is a mistake, not a file", () => {
    expect(() => reveal(sealed({ a: 1 }))).toThrow();
  });
});

describe("the files", () => {
  test("are keys for their owner alone, and requests and certificates", () => {
    const files = pkiFiles(
      exported(authority, key("ca-key"), request("client-request"), certificate("etcd01-peer")),
    );
    expect(files).toEqual([
      { path: "ca.pem", content: "certificate ca\n", mode: 0o644 },
      { path: "ca-key.pem", content: "key ca-key\n", mode: 0o600 },
      { path: "client.csr", content: "request client-request\n", mode: 0o644 },
      { path: "etcd01/peer.pem", content: "certificate etcd01-peer\n", mode: 0o644 },
    ]);
  });

  test("leave out other resources and those that were never made", () => {
    const other = resource("command:remote:Command", "etcd01-files", { stdout: "key" });
    const unmade = resource("tls:index/privateKey:PrivateKey", "client-key");
    expect(pkiFiles(exported(other, unmade))).toEqual([]);
    expect(pkiFiles({ deployment: {} })).toEqual([]);
  });

  test("are not made from what is no exported stack", () => {
    expect(() => pkiFiles({ resources: [] })).toThrow(/deployment/);
  });
});

describe("the directory", () => {
  let work: string;
  beforeEach(() => {
    work = mkdtempSync(join(tmpdir(), "etcd-pki-"));
  });
  afterEach(() => rmSync(work, { recursive: true }));
  const mode = (path: string) => (statSync(join(work, path)).mode & 0o777).toString(8);

  test("is made for its owner alone, and so is everything in it that must be", () => {
    const target = join(work, "deep", "out");
    prepareDirectory(target);
    writeFiles(target, pkiFiles(exported(authority, key("etcd01-peer-key"))));
    expect(readFileSync(join(target, "etcd01/peer-key.pem"), "utf8")).toBe("key etcd01-peer-key\n");
    expect(
      ["", "etcd01", "etcd01/peer-key.pem", "ca.pem"].map((path) => mode(`deep/out/${path}`)),
    ).toEqual(["700", "700", "600", "644"]);
  });

  test("may be there already when it is empty and others cannot read it", () => {
    prepareDirectory(work);
    for (const open of [0o750, 0o701, 0o744]) {
      chmodSync(work, open);
      expect(() => prepareDirectory(work)).toThrow(
        `${work} can be read by others; give it mode 0700 or name a new directory`,
      );
    }
    chmodSync(work, 0o700);
    writeFileSync(join(work, "mine"), "");
    expect(() => prepareDirectory(work)).toThrow(`${work} is not empty; name a new directory`);
    expect(readdirSync(work)).toEqual(["mine"]);
  });
});

describe("the CA in use is ca.pem", () => {
  const ca = (name: string) =>
    resource("tls:index/selfSignedCert:SelfSignedCert", name, { certPem: `certificate ${name}\n` });
  const signedBy = (name: string) =>
    resource("tls:index/locallySignedCert:LocallySignedCert", "client-certificate", {
      certPem: "client\n",
      caCertPem: `certificate ${name}\n`,
    });
  const both = [ca("ca-certificate"), key("ca-key"), ca("ca-2027-certificate"), key("ca-2027-key")];
  const named = (...resources: unknown[]) =>
    pkiFiles(exported(...resources)).map(({ path, content }) => `${path}: ${content.trim()}`);

  test.each([
    [
      "after a rotation",
      [...both.slice(2), signedBy("ca-2027-certificate")],
      ["ca.pem: certificate ca-2027-certificate", "ca-key.pem: key ca-2027-key"],
    ],
    [
      "while the old one signs",
      [...both, signedBy("ca-certificate")],
      [
        "ca.pem: certificate ca-certificate",
        "ca-key.pem: key ca-key",
        "ca-2027.pem: certificate ca-2027-certificate",
        "ca-2027-key.pem: key ca-2027-key",
      ],
    ],
    [
      "when the new one signs",
      [...both, signedBy("ca-2027-certificate")],
      [
        "ca-first.pem: certificate ca-certificate",
        "ca-first-key.pem: key ca-key",
        "ca.pem: certificate ca-2027-certificate",
        "ca-key.pem: key ca-2027-key",
      ],
    ],
  ])("%s", (_, resources, files) => {
    expect(named(...resources)).toEqual([...files, "client.pem: client"]);
  });
});

/** Runs a tool beside a pulumi that only answers this. */
function run(tool: string, asked: string, answer: unknown, out = "out") {
  const work = mkdtempSync(join(tmpdir(), "etcd-pki-"));
  onTestFinished(() => rmSync(work, { recursive: true }));
  const root = join(__dirname, "../../..");
  writeFileSync(join(work, "answer.json"), JSON.stringify(answer));
  const script = `#!/bin/sh\n[ "$*" = "${asked}" ] && cat ${work}/answer.json\n`;
  writeFileSync(join(work, "pulumi"), script, { mode: 0o755 });
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "tools/start.cjs"), join(root, `tools/${tool}.ts`), join(work, out)],
    {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, PATH: `${work}${delimiter}${process.env.PATH}` },
    },
  );
  return { ended: { status, stdout, stderr }, directory: join(work, out) };
}

test("npm run pki writes what the stack exports", () => {
  const { ended, directory } = run("pki", "stack export --show-secrets", exported(authority));
  expect(ended).toEqual({ status: 0, stdout: `1 files in ${directory}\n`, stderr: "" });
  expect(readdirSync(directory)).toEqual(["ca.pem"]);
});

test("npm run client writes the three files of a client, for their owner alone", () => {
  const outputs = {
    endpoints: ["https://192.168.1.83:2379"],
    members: [{ name: "etcd01", peerUrls: "https://192.168.1.83:2380", id: "a1" }],
    clusterId: "c1",
    version: DEFAULT_VERSION,
    caCertificate: "bundle\n",
    clientCertificate: "certificate\n",
    clientKey: "key\n",
  };
  const asked = "stack output --json --show-secrets";
  const { ended, directory } = run("client-files", asked, outputs);
  expect(ended).toEqual({
    status: 0,
    stdout: `ca.pem, client.pem and client-key.pem in ${directory}\n`,
    stderr: "",
  });
  const files = readdirSync(directory).map((name) => {
    const path = join(directory, name);
    return [name, (statSync(path).mode & 0o777).toString(8), readFileSync(path, "utf8")];
  });
  expect(files).toEqual([
    ["ca.pem", "600", "bundle\n"],
    ["client-key.pem", "600", "key\n"],
    ["client.pem", "600", "certificate\n"],
  ]);
  expect((statSync(directory).mode & 0o777).toString(8)).toBe("700");
  // A directory with something in it is left alone.
  expect(run("client-files", asked, outputs, ".").ended).toMatchObject({ status: 1, stdout: "" });
});
