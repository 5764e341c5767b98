import { rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import { ARCH, directoryOf, rightEntries, sha256, tarball } from "../../support/artifacts";
import { hostForEach, TREE, whyNot } from "../../support/paper-host";
import { PaperMirror } from "../../support/paper-mirror";

const reason = whyNot();
const RELEASES = "/opt/etcd-on-pulumi";
const VERSION = DEFAULT_VERSION;
const OTHER = "3.5.35";
const TARBALL = `${directoryOf(VERSION)}.tar.gz`;
const OTHERS_DIGEST = "0".repeat(64);

describe.skipIf(reason !== undefined)(`step binaries${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  let mirror: PaperMirror;
  beforeEach(() => {
    mirror = new PaperMirror();
    mirror.publish(VERSION);
    mirror.publish(OTHER);
  });
  afterEach(() => mirror.remove());

  const good = { status: 0, stdout: "", stderr: "" };
  const values = (change: Readonly<Record<string, string>> = {}) => ({
    VERSION,
    DOWNLOAD_URL: mirror.url,
    SHA256_AMD64: "",
    SHA256_ARM64: "",
    LISTED_SUMS: "yes",
    ...change,
  });
  const apply = (change?: Readonly<Record<string, string>>) =>
    host.run("binaries", ["apply", "create 2026-11-22T10:20:30Z"], values(change));
  const remove = () => host.run("leave", ["remove_binaries"], values());
  const links = () =>
    host.sh("cd /usr/local/bin; for t in etcd etcdctl etcdutl; do readlink $t || echo none; done");
  const linksTo = (version: string) =>
    ["etcd", "etcdctl", "etcdutl"].map((tool) => `${RELEASES}/v${version}/${tool}`).join("\n");
  const versions = () =>
    host.sh(
      "for tool in 'etcd --version' 'etcdctl version' 'etcdutl version'; do $tool | head -n 1; done",
    );
  const told = `etcd Version: ${VERSION}\netcdctl version: ${VERSION}\netcdutl version: ${VERSION}`;

  test("installs the release and leaves a receipt that the probe finds to be true", () => {
    expect(apply()).toEqual(good);
    expect(versions()).toBe(told);
    expect(links()).toBe(linksTo(VERSION));
    expect(host.sh(`stat -c '%a %U:%G' ${RELEASES}/v${VERSION} ${RELEASES}/v${VERSION}/etcd`)).toBe(
      "755 root:root\n755 root:root",
    );
    const receipt = "/var/lib/etcd-on-pulumi/receipts/binaries";
    expect(host.run("probe", ["differences", receipt]).stdout).toBe("");
  });

  test("run again downloads nothing", () => {
    apply();
    const before = host.sh(`stat -c '%n %i %y' ${RELEASES}/v${VERSION}/*; `);
    rmSync(mirror.path(VERSION), { recursive: true });
    expect(apply()).toEqual(good);
    expect(host.sh(`stat -c '%n %i %y' ${RELEASES}/v${VERSION}/*`)).toBe(before);
  });

  test("waits for the disk where a member must come up again after a power cut", () => {
    host.sh(`printf '#!/bin/sh\\necho "$@" >>/var/paper/sync\\n' >/usr/local/sbin/sync
      chmod 0755 /usr/local/sbin/sync; : >/var/paper/sync`);
    apply({ VERSION: OTHER });
    expect(host.sh("cat /var/paper/sync")).toBe("");
    host.sh("touch /var/lib/etcd-on-pulumi/formed");
    apply();
    const tools = ["etcd", "etcdctl", "etcdutl"].map((tool) => `${RELEASES}/v${VERSION}/${tool}`);
    expect(host.sh("cat /var/paper/sync")).toBe([`${RELEASES}/v${VERSION}`, ...tools].join(" "));
  });

  test("puts another version beside it and leaves the switch to the member's step", () => {
    apply({ VERSION: OTHER });
    expect(apply()).toEqual(good);
    expect(links()).toBe(linksTo(OTHER));
    expect(host.sh(`ls ${RELEASES}`)).toBe(`v${OTHER}\nv${VERSION}`);
  });

  test.each([
    ["swapped", `echo evil >${RELEASES}/v${VERSION}/etcd`],
    ["removed", `rm ${RELEASES}/v${VERSION}/etcdctl`],
    ["cut short by a power cut", `truncate -s 3 ${RELEASES}/v${VERSION}/etcdctl`],
    ["not finished", `rm ${RELEASES}/v${VERSION}/manifest`],
    ["made writable", `chmod 777 ${RELEASES}/v${VERSION}/etcdutl`],
  ])("installs anew what was %s", (_, damage) => {
    apply();
    host.sh(damage);
    expect(apply()).toEqual(good);
    expect(versions()).toBe(told);
    expect(host.sh(`stat -c %a ${RELEASES}/v${VERSION}/etcdutl`)).toBe("755");
  });

  test("takes a pinned digest before the mirror's list", () => {
    const digest = sha256(tarball(rightEntries(VERSION)));
    writeFileSync(mirror.path(VERSION, "SHA256SUMS"), "nonsense\n");
    const pinned = { SHA256_AMD64: digest, SHA256_ARM64: digest };
    expect(apply(pinned)).toEqual(good);
  });

  test.each([
    [
      "a tarball that is not the pinned one",
      () => undefined,
      { SHA256_AMD64: OTHERS_DIGEST, SHA256_ARM64: OTHERS_DIGEST },
      `${TARBALL} has sha256 [0-9a-f]{64}, expected 0{64}; nothing was installed; check etcd:downloadUrl and etcd:sha256`,
    ],
    [
      "a machine without a digest where no list is believed",
      () => undefined,
      { LISTED_SUMS: "no", [ARCH === "amd64" ? "SHA256_ARM64" : "SHA256_AMD64"]: OTHERS_DIGEST },
      `is an ${ARCH} machine, and etcd:sha256 has no digest for ${ARCH}; add that of ${TARBALL}`,
    ],
    [
      "no list",
      () => rmSync(mirror.path(VERSION, "SHA256SUMS")),
      {},
      `cannot download file:\\S+/SHA256SUMS; put the digest of ${TARBALL} into etcd:sha256 instead`,
    ],
    [
      "no tarball",
      () => rmSync(mirror.path(VERSION, TARBALL)),
      {},
      `cannot download file:\\S+/${TARBALL}; check etcd:downloadUrl and etcd:version`,
    ],
  ])("refuses %s and installs nothing", (_, damage, change, message) => {
    damage();
    const { status, stderr } = apply(change);
    expect(status).toBe(1);
    expect(stderr).toMatch(new RegExp(`(^|\n)etcd01: ${message}\n$`));
    expect(links()).toBe("none\nnone\nnone");
    expect(host.sh(`ls -A ${RELEASES} 2>/dev/null || true`)).toBe("");
    expect(host.sh("ls /var/lib/etcd-on-pulumi/receipts 2>/dev/null || true")).toBe("");
  });

  test("clears away what an interrupted download left, also when there is nothing to download", () => {
    const leftover = () =>
      host.sh(`mkdir -p ${RELEASES}/.new.abcdef; echo half >${RELEASES}/.new.abcdef/x`);
    leftover();
    expect(apply()).toEqual(good);
    expect(host.sh(`ls -A ${RELEASES}`)).toBe(`v${VERSION}`);
    leftover();
    expect(apply()).toEqual(good);
    expect(host.sh(`ls -A ${RELEASES}`)).toBe(`v${VERSION}`);
  });

  test("removed leaves the host as it was, also twice", () => {
    const before = host.sh(TREE);
    apply();
    expect(remove()).toEqual(good);
    host.sh("rmdir /var/lib/etcd-on-pulumi/receipts /var/lib/etcd-on-pulumi");
    expect(host.sh(TREE)).toBe(before);
    expect(remove()).toEqual(good);
  });

  test("removed leaves an etcdctl that is not ours", () => {
    host.sh(
      "printf '#!/bin/sh\\necho theirs\\n' >/usr/local/bin/etcdctl; chmod +x /usr/local/bin/etcdctl",
    );
    apply();
    remove();
    expect(host.sh("etcdctl")).toBe("theirs");
  });
});
