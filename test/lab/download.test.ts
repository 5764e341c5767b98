/** A release that is not what it should be is never installed. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../components/etcd/versions";
import { freshStack } from "./support/fresh";
import { hosts, onAll, refuse, succeed } from "./support/stack";

const stack = freshStack("download");
const { lab } = stack;
const architecture = process.arch === "arm64" ? "arm64" : "amd64";
/** One whose digest the program does not know. */
const UNKNOWN = "3.6.13";
const nameOf = (version: string) => `etcd-v${version}-linux-${architecture}.tar.gz`;
const name = nameOf(DEFAULT_VERSION);
const tarball = join(lab.directory, `mirror/v${DEFAULT_VERSION}`, name);
let right: string;

beforeAll(async () => {
  mkdirSync(join(lab.directory, `mirror/v${DEFAULT_VERSION}`), { recursive: true });
  await succeed(
    lab.run(["curl", "-fsS", "-o", tarball, `http://192.168.1.1:8080/v${DEFAULT_VERSION}/${name}`]),
  );
  const content = readFileSync(tarball);
  right = sha256(content);
  // The mirror prefers the lab's own copy to the release; the release's SHA256SUMS stay as they are.
  const middle = Math.floor(content.length / 2);
  content.writeUInt8(content.readUInt8(middle) ^ 1, middle);
  writeFileSync(tarball, content);
});

function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

async function expectNothingInstalled(): Promise<void> {
  const found = await onAll(
    lab,
    "find /opt/etcd-on-pulumi -mindepth 1 2>/dev/null; ls /usr/local/bin; systemctl is-active etcd.service || true",
  );
  expect(found).toEqual(hosts.map(() => "inactive"));
}

test("a tarball with one bit changed: both digests are named and nothing is installed", async () => {
  const message = await refuse(stack.up());
  const actual = sha256(readFileSync(tarball));
  for (const host of hosts) {
    expect(message).toContain(
      `${host}: ${name} has sha256 ${actual}, expected ${right}; nothing was installed`,
    );
  }
  await expectNothingInstalled();
});

test("a digest in the configuration decides, not the mirror's list", async () => {
  rmSync(tarball);
  const wrong = "0".repeat(64);
  stack.configure({ sha256: { [architecture]: wrong } });
  const message = await refuse(stack.up());
  expect(message).toContain(
    `etcd01: ${name} has sha256 ${right}, expected ${wrong}; nothing was installed`,
  );
  await expectNothingInstalled();
});

test("a release without a known digest is refused from a mirror before a host is asked", async () => {
  stack.configure({ version: UNKNOWN });
  const message = await refuse(stack.preview());
  expect(message).toContain(
    `etcd:sha256: missing: this program knows no digest for etcd:version "${UNKNOWN}", and what etcd:downloadUrl "http://192.168.1.1:8080" says of its own tarballs is no check of them`,
  );
  await expectNothingInstalled();
});

test("a version that the mirror has not: its address is named", async () => {
  stack.configure({ version: UNKNOWN, sha256: { [architecture]: "0".repeat(64) } });
  const message = await refuse(stack.up());
  // Whichever host was the first.
  expect(message.replace(/etcd0[23]: cannot/g, "etcd01: cannot")).toContain(
    `etcd01: cannot download http://192.168.1.1:8080/v${UNKNOWN}/${nameOf(UNKNOWN)}; ` +
      "check etcd:downloadUrl and etcd:version",
  );
  await expectNothingInstalled();
});

test("another release under its name, on a mirror whose sums are trusted: nothing of it is installed", async () => {
  const directory = join(lab.directory, `mirror/v${UNKNOWN}`);
  const top = nameOf(UNKNOWN).replace(".tar.gz", "");
  const programs = join(lab.directory, `releases/v${DEFAULT_VERSION}/bin`);
  const pack = `mkdir -p ${directory} && cd ${directory} && ln -s ${programs} ${top} &&
    tar -czhf ${top}.tar.gz ${top} && rm ${top} && sha256sum ${top}.tar.gz >SHA256SUMS`;
  await succeed(lab.run(["sh", "-c", pack]));
  stack.configure({ version: UNKNOWN, trustMirrorChecksums: true });
  const message = await refuse(stack.up());
  expect(message).toContain(
    `etcd:trustMirrorChecksums: plain http, and the digest of etcd ${UNKNOWN} comes from the same place`,
  );
  expect(message).toMatch(
    new RegExp(
      `etcd0[123]: ${top}.tar.gz has etcd, which, run as nobody, exits with status 0 and says "etcd Version: ${DEFAULT_VERSION}", not version ${UNKNOWN}; nothing was installed`,
    ),
  );
  await expectNothingInstalled();
});

test("the next up with the right one makes the cluster", async () => {
  stack.configure({ sha256: { [architecture]: right } });
  await succeed(stack.up());
  expect((await stack.outputs()).members).toHaveLength(3);
  await succeed(stack.previewNothing());
});
