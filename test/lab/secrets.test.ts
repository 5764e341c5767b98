/** No private key, password or passphrase in clear in anything that is printed, logged or stored. */
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { type Result, runCommand } from "../support/lab";
import { freshStack } from "./support/fresh";
import { hosts, nameIn, on, onAll, printed, subject, succeed, type Values } from "./support/stack";

const stack = freshStack("secrets");
const { lab } = stack;
const WINDOW = 24;
/** Of the login: what nobody may find anywhere. */
const WORDS = {
  password: "canaryOfThePasswordOfTheLogin012",
  privateKeyPassphrase: "canaryOfThePassphraseOfTheKey345",
  sudoPassword: "canaryOfThePasswordOfTheLogin012",
};
const KEYS = [
  ...["ca-key", "client-key", "ssh", "password", "privateKeyPassphrase"],
  ...hosts.flatMap((host) => [`${host}-peer-key`, `${host}-server-key`]),
].sort();

/** Names of keys by each piece of 24 characters of their text. */
const pieces = new Map<string, string>();
let firstPreview: Result;
let firstUp: Result;

const state = z.object({
  deployment: z.object({
    resources: z.array(
      z.object({
        urn: z.string(),
        outputs: z.record(z.string(), z.unknown()).optional(),
      }),
    ),
  }),
});

/** The operator's user, with a password and a sudo that asks for it, and a key that has a passphrase. */
const locked = () => join(lab.directory, "ssh/locked");
const byKey = () => ({ privateKeyFile: locked() });

async function configure(values: Values = {}, login: Values = byKey()): Promise<void> {
  const knownHostsFile = join(lab.directory, "ssh/known_hosts");
  stack.configure({ ...values, ssh: { user: "operator", knownHostsFile, ...login } });
  for (const [name, word] of Object.entries(WORDS)) {
    await stack.secret(`ssh.${name}`, word);
  }
}

beforeAll(async () => {
  await onAll(
    lab,
    `echo 'operator:${WORDS.password}' | chpasswd
    printf 'operator ALL=(ALL) ALL\\n' >/etc/sudoers.d/operator
    printf 'UseDNS no\\nPasswordAuthentication yes\\n' >/etc/ssh/sshd_config.d/lab.conf
    systemctl reload ssh.service`,
  );
  copyFileSync(join(lab.directory, "ssh/id_ed25519"), locked());
  const change = ["-q", "-p", "-P", "", "-N", WORDS.privateKeyPassphrase, "-f", locked()];
  await succeed(runCommand(["ssh-keygen", ...change]));
  await configure();
  firstPreview = await succeed(stack.preview({ args: ["--diff", "--json"] }));
  // From -v=3 on, and with --debug, Pulumi's SDK logs every resource with its secrets in clear, in
  // whatever program: that is the SDK's own, and no subject here.
  firstUp = await succeed(stack.up({ args: ["--diff", "-v=2", "--logtostderr"] }));
  learn(await stack.exportState(true));
});

/** The base64 text of PEM blocks, without their lines' ends. */
function bodies(pem: string): string[] {
  return [...pem.matchAll(/-----BEGIN [A-Z ]+-----([^-]+)-----END/g)].map(([, body = ""]) =>
    body.replace(/\s/g, ""),
  );
}

function windows(text: string): string[] {
  return Array.from({ length: Math.max(0, text.length - WINDOW + 1) }, (_, index) =>
    text.slice(index, index + WINDOW),
  );
}

/** Fills `pieces` from a state with its secrets in clear. */
function learn(exported: string): void {
  const published: string[] = [readFileSync(join(lab.directory, "ssh/id_ed25519.pub"), "utf8")];
  const keys: (readonly [name: string, pem: string])[] = [["ssh", readFileSync(locked(), "utf8")]];
  for (const { urn, outputs = {} } of state.parse(JSON.parse(exported)).deployment.resources) {
    for (const [property, value] of Object.entries(outputs)) {
      const secret = z.object({ plaintext: z.string() }).safeParse(value);
      // Each in three formats. Requests carry their key as well, under a name of their own.
      if (secret.success && property.startsWith("privateKey") && urn.includes("PrivateKey::")) {
        const pem = z.string().parse(JSON.parse(secret.data.plaintext));
        keys.push([nameIn(urn), pem]);
      } else if (typeof value === "string") {
        published.push(value);
      }
    }
  }
  for (const name of ["password", "privateKeyPassphrase"] as const) {
    for (const piece of windows(WORDS[name])) {
      pieces.set(piece, name);
    }
  }
  const shared = new Set<string>();
  for (const [name, pem] of keys) {
    for (const piece of bodies(pem).flatMap(windows)) {
      if ((pieces.get(piece) ?? name) !== name) {
        shared.add(piece);
      }
      pieces.set(piece, name);
    }
  }
  // What several keys have in common is the frame of their format and no secret.
  for (const piece of shared) {
    pieces.delete(piece);
  }
  // A private key holds its public half, which certificates show to everyone.
  for (const text of published) {
    const open = [...bodies(text), ...text.split(/\s/)].flatMap(windows);
    for (const piece of open) {
      pieces.delete(piece);
    }
  }
}

/** Names of the keys that a text holds a piece of, also when it is in base64 once more. */
function leaks(text: string): string[] {
  const found = new Set<string>();
  // Inside JSON a line's end is a backslash and an n, with more backslashes at each further level.
  const flat = text.replace(/\\+n|\r?\n/g, "");
  for (const [run] of flat.matchAll(/[A-Za-z0-9+/=]{24,}/g)) {
    for (const piece of windows(run)) {
      const name = pieces.get(piece);
      if (name !== undefined) {
        found.add(name);
      }
    }
    const inner = Buffer.from(run, "base64").toString("latin1");
    if (inner.includes("PRIVATE KEY")) {
      leaks(inner).forEach((name) => {
        found.add(name);
      });
    }
  }
  return [...found].sort();
}

test("the search finds every key where they are in clear, and in base64 of that", async () => {
  const clear = await stack.exportState(true);
  expect(leaks(clear)).toEqual(KEYS);
  const client = (await stack.outputs()).clientKey;
  expect(leaks(Buffer.from(`stdin: ${client}`).toString("base64"))).toEqual(["client-key"]);
  expect(leaks(`error: ${client.split("\n")[1]?.slice(24, 64)}`)).toEqual(["client-key"]);
});

test("the first preview shows none", () => {
  expect(firstPreview.stdout).toContain("etcd01-install");
  expect(leaks(printed(firstPreview))).toEqual([]);
});

test("the first up prints and logs none", () => {
  expect(firstUp.stdout).toContain("etcd01-install");
  expect(firstUp.stderr).toMatch(/^(?:I\d{4} .*\.go:\d+\]|\{"(?:time|level)":)/m);
  expect(leaks(printed(firstUp))).toEqual([]);
});

test("no host has one in its journal or in a command of sudo's", async () => {
  const journals = await onAll(
    lab,
    "journalctl --output cat; cat /var/log/auth.log 2>/dev/null || true",
  );
  expect(journals).toEqual(hosts.map(() => expect.stringMatching(/COMMAND=\S*bash --norc -p -c/)));
  expect(journals.flatMap(leaks)).toEqual([]);
});

test("the state holds none", async () => {
  const exported = await stack.exportState();
  expect(exported).toContain("etcd01-install");
  expect(leaks(exported)).toEqual([]);
});

test("a preview of new certificates shows none", async () => {
  // By password, which the look has to be asked for.
  await configure({ pki: { subject, validityHours: 20_000 } }, {});
  const preview = await succeed(stack.preview({ args: ["--diff", "--json"] }));
  expect(preview.stdout).toContain("etcd01-install");
  expect(leaks(printed(preview))).toEqual([]);
});

test("a step that fails shows none", async () => {
  // The look would have found it; the step's own preflight does not.
  await configure({ drift: false }, {});
  await on(lab, "etcd02", "cd /etc/kubernetes/pki/etcd && rm peer.pem && mkdir peer.pem");
  const failed = await stack.up({ args: ["--target", stack.stepUrn("etcd02-install")] });
  expect(failed.code).not.toBe(0);
  expect(printed(failed)).toContain("etcd02-install");
  expect(printed(failed)).toContain("peer.pem");
  expect(leaks(printed(failed))).toEqual([]);
});
