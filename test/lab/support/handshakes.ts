/** What must not get in at a member's two ports, from a host that the packet filter lets through. */
import { z } from "zod";
import { PEER_HOSTNAME } from "../../../components/scripts/unit";
import { reveal } from "../../../tools/pki-files";
import { answerOf, clientHello, type Hello, MODERN, ssl2Hello } from "../../support/client-hello";
import { hostAddress } from "../../support/lab";
import { corrupted, forge, type Pair, through, type Wish } from "./forged";
import { nameIn, type Stack } from "./stack";

/** How one attempt ended, and the same one without what is wrong with it: IN, or how it was refused. */
export interface Ended {
  readonly name: string;
  readonly port: Port;
  readonly hostile: string;
  readonly control: string;
}

const PORTS = [2379, 2380] as const;
type Port = (typeof PORTS)[number];

/** How an attempt ends that gets in: the server says hello, or answers the request. */
export const IN = "in";

interface Attempt {
  readonly name: string;
  readonly port: Port;
  /** Bash that prints the server's first bytes, or the answer to a request and openssl's words. */
  readonly hostile: string;
  readonly control: string;
}

const CBC = 0xc009;
const GCM = 0xc02b;
const old = (version: number, suites: readonly number[]): Partial<Hello> => ({
  record: Math.min(version, 0x0301),
  version,
  suites,
  versions: [],
});

/** Hellos by what is wrong with them. */
const HELLOS: Readonly<Record<string, Partial<Hello>>> = {
  "SSL 3.0": old(0x0300, [CBC, 0x0035, 0x002f]),
  "TLS 1.0": old(0x0301, [CBC]),
  "TLS 1.1": old(0x0302, [CBC]),
  "TLS 1.1 after a fallback": old(0x0302, [CBC, 0x5600]),
  "TLS 1.2 with ECDHE-ECDSA-AES128-SHA": old(0x0303, [CBC]),
  "TLS 1.2 with ECDHE-ECDSA-AES256-SHA": old(0x0303, [0xc00a]),
  "TLS 1.2 with ECDHE-ECDSA-AES128-SHA256": old(0x0303, [0xc023]),
  "TLS 1.2 with ECDHE-ECDSA-AES128-GCM-SHA256": old(0x0303, [GCM]),
  "TLS 1.2 with ECDHE-ECDSA-AES256-GCM-SHA384": old(0x0303, [0xc02c]),
  "TLS 1.2 with ECDHE-ECDSA-CHACHA20-POLY1305": old(0x0303, [0xcca9]),
  "TLS 1.2 with RC4": old(0x0303, [0xc007, 0x0005]),
  "TLS 1.2 with 3DES": old(0x0303, [0xc008, 0x000a]),
  "TLS 1.2 without encryption": old(0x0303, [0xc006, 0x003b]),
  "TLS 1.2 without a server certificate": old(0x0303, [0xc018, 0x0034, 0x00a6]),
  "TLS 1.2 with RSA key exchange": old(0x0303, [0x009c, 0x002f]),
  "TLS 1.2 named as the only version of TLS 1.3's kind of hello": {
    suites: [MODERN.suites[0] ?? 0, GCM],
    versions: [0x0303],
  },
  "TLS 1.3 with a suite that does not exist": { suites: [0x13ff] },
  "TLS 1.3 with compression": { compressions: [1, 0] },
  "TLS 1.3 with finite fields alone": { groups: [0x0100] },
  "TLS 1.3 with SHA-1 signatures alone": { signatures: [0x0203, 0x0201] },
  "TLS 1.3 for a server name twice": { names: ["etcd01"], repeated: 2 },
  "TLS 1.3 for a server name that ends in a dot": { names: ["etcd01."] },
};

/** First bytes that are no hello at all. */
const BYTES: Readonly<Record<string, Buffer>> = {
  "a hello of SSL 2.0": ssl2Hello(),
  "a record of 65535 bytes": Buffer.concat([
    Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff]),
    Buffer.alloc(20_000, 1),
  ]),
  "plain HTTP/1.1": Buffer.from("GET /version HTTP/1.1\r\nHost: etcd01\r\n\r\n"),
  "plain HTTP/2": Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1"),
  "data before a handshake": Buffer.from("1703030005hello", "latin1"),
};

function byteAttempts(address: string): readonly Attempt[] {
  const send = (bytes: Buffer, port: Port) => `say ${address} ${port} ${bytes.toString("base64")}`;
  const all: [string, Buffer][] = [
    ...Object.entries(HELLOS).map(([name, change]): [string, Buffer] => [
      name,
      clientHello(change),
    ]),
    ...Object.entries(BYTES),
  ];
  return PORTS.flatMap((port) =>
    all.map(([name, bytes]) => ({
      name,
      port,
      hostile: send(bytes, port),
      control: send(clientHello(), port),
    })),
  );
}

/** What a certificate must be to get in at a port from a host. */
function rightWish(port: Port, host: string): Wish {
  return port === 2379
    ? { commonName: "client", uses: ["digital_signature", "client_auth"] }
    : {
        commonName: host,
        uses: ["digital_signature", "server_auth", "client_auth"],
        dnsNames: [host, `${host}.local`, "localhost", PEER_HOSTNAME],
        ipAddresses: [hostAddress(host), "127.0.0.1"],
      };
}

/** Pairs by what is wrong with them; without a pair none is shown. */
function wrongPairs(port: Port, host: string, ca: Pair, caSubject: Record<string, string>) {
  const wish = rightWish(port, host);
  const right = forge(wish, ca);
  const stranger = forge({
    commonName: "etcd",
    subject: caSubject,
    uses: ["cert_signing"],
    isCa: true,
  });
  const common: Record<string, Pair | undefined> = {
    "no certificate": undefined,
    "a CA of the same name": forge(wish, stranger),
    "a CA of the same name, shown with it": through(forge(wish, stranger), stranger),
    "its own signature": forge(wish),
    "a certificate that has expired": forge({ ...wish, begins: -48 }, ca),
    "a certificate that is not valid yet": forge({ ...wish, begins: 24 }, ca),
    "a signature that was changed": corrupted(right),
    "a certificate signed by one that is no CA": through(forge(wish, right), right),
    "a certificate for servers alone": forge({ ...wish, uses: ["server_auth"] }, ca),
    "a certificate for signed code": forge({ ...wish, uses: ["code_signing"] }, ca),
  };
  if (port === 2379) {
    return common;
  }
  const names = (...dnsNames: string[]) => forge({ ...wish, dnsNames }, ca);
  return {
    ...common,
    "a client's certificate": forge(rightWish(2379, host), ca),
    "a server's certificate": names(host, `${host}.local`, "localhost"),
    "the name for peers as common name alone": forge(
      { ...wish, commonName: PEER_HOSTNAME, dnsNames: [host] },
      ca,
    ),
    "the name for peers with more behind it": names(host, `${PEER_HOSTNAME}.example.org`),
    "the certificate of another peer": forge(
      { ...wish, dnsNames: ["other", PEER_HOSTNAME], ipAddresses: ["192.168.1.99"] },
      ca,
    ),
  };
}

/** Runs on the host: attempts side by side, a line "NUMBER BASE64" for each. */
const RUNNER = `
cd "$(mktemp -d)"; trap 'rm -rf "$PWD"' EXIT
say() {
  exec 3<>"/dev/tcp/$1/$2"
  base64 -d <<<"$3" >&3 2>/dev/null || true
  timeout 2 head -c 16 <&3 || true
}
ask() {
  printf 'GET %s HTTP/1.1\\r\\nHost: etcd\\r\\nConnection: close\\r\\n\\r\\n' "$3" |
    timeout 5 openssl s_client -connect "$1:$2" -quiet -verify_return_error -CAfile ca.pem "\${@:4}" 2>&1 || true
}
attempt() { printf '%s %s\\n' "$1" "$("\${@:2}" 2>/dev/null | base64 -w 0)" >"answer-$1"; }
turn() { while [ "$(jobs -rp | wc -l)" -ge 6 ]; do wait -n || true; done; }
`;

const state = z.object({
  deployment: z.object({
    resources: z.array(
      z.object({ urn: z.string(), outputs: z.record(z.string(), z.unknown()).optional() }),
    ),
  }),
});

/** The cluster's first CA with its key, from the state. */
async function authority(stack: Stack): Promise<Pair> {
  const { resources } = state.parse(JSON.parse(await stack.exportState(true))).deployment;
  const output = (name: string, property: string) =>
    reveal(resources.find(({ urn }) => nameIn(urn) === name)?.outputs?.[property]) ?? "";
  return {
    certificate: output("ca-certificate", "certPem"),
    key: output("ca-key", "privateKeyPem"),
  };
}

/**
 * Every attempt from the host of one member on another member, each with its control.
 *
 * @param caSubject names beside the common name in the CA's subject, for its double.
 */
export async function handshakes(
  stack: Stack,
  from: string,
  to: string,
  caSubject: Record<string, string>,
): Promise<readonly Ended[]> {
  const { lab } = stack;
  const ca = await authority(stack);
  const files: string[] = [`cat >ca.pem <<'END'\n${ca.certificate}END`];
  const address = hostAddress(to);
  const ask = (port: Port, pair: Pair | undefined, name: string) => {
    const path = port === 2379 ? "/health" : "/version";
    if (pair === undefined) {
      return `ask ${address} ${port} ${path}`;
    }
    files.push(
      `cat >${name}.pem <<'END'\n${pair.certificate}END`,
      `cat >${name}.key <<'END'\n${pair.key}END`,
    );
    return `ask ${address} ${port} ${path} -cert ${name}.pem -cert_chain ${name}.pem -key ${name}.key`;
  };
  const pairAttempts = PORTS.flatMap((port) => {
    const control = ask(port, forge(rightWish(port, from), ca), `right-${port}`);
    return Object.entries(wrongPairs(port, from, ca, caSubject)).map(
      ([name, pair], index): Attempt => ({
        name,
        port,
        hostile: ask(port, pair, `wrong-${port}-${index}`),
        control,
      }),
    );
  });
  const attempts = [...byteAttempts(address), ...pairAttempts];
  const calls = attempts.flatMap(({ hostile, control }, index) => [
    `turn; attempt ${2 * index} ${hostile} &`,
    `turn; attempt ${2 * index + 1} ${control} &`,
  ]);
  const script = [RUNNER, ...files, ...calls, "wait", "cat answer-*"].join("\n");
  const { stdout } = await lab.verb(["exec", from, "--", "bash", "-s"], { input: script });
  const answers = new Map(
    stdout
      .split("\n")
      .map((line) => line.split(" "))
      .map(([number = "", text = ""]) => [Number(number), Buffer.from(text, "base64")]),
  );
  return attempts.map(({ name, port }, index) => ({
    name,
    port,
    hostile: endOf(answers.get(2 * index)),
    control: endOf(answers.get(2 * index + 1)),
  }));
}

function endOf(answer: Buffer | undefined): string {
  if (answer === undefined) {
    return "nothing came of it";
  }
  const text = answer.toString("latin1");
  const alert = /SSL alert number (\d+)/.exec(text);
  if (alert !== null) {
    return `alert ${alert[1]}`;
  }
  if (/^HTTP\/1\.1 200/m.test(text) || answerOf(answer) === "hello") {
    return IN;
  }
  return text.length > 16 ? "closed" : answerOf(answer);
}
