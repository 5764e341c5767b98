import { beforeEach, describe, expect, test } from "vitest";
import { hostForEach, TREE, whyNot } from "../support/paper-host";

const reason = whyNot();
const ARCH = process.arch === "arm64" ? "arm64" : "amd64";
const RELEASES = "/opt/etcd-on-pulumi";

describe.skipIf(reason !== undefined)(`step binaries${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  beforeEach(() => {
    // A mirror that needs no network.
    for (const version of ["3.6.15", "3.6.16"]) {
      host.sh(`
        name=etcd-v${version}-linux-${ARCH}
        mkdir -p /var/mirror/v${version} && cd /var/mirror/v${version} && mkdir $name
        for tool in etcd etcdctl etcdutl; do
          printf '#!/bin/sh\\necho %s ${version}\\n' $tool >$name/$tool && chmod 0755 $name/$tool
        done
        tar -czf $name.tar.gz $name && rm -r $name && sha256sum *.tar.gz >SHA256SUMS`);
    }
  });

  const good = { status: 0, stdout: "", stderr: "" };
  const values = (change: Readonly<Record<string, string>> = {}) => ({
    VERSION: "3.6.16",
    DOWNLOAD_URL: "file:///var/mirror",
    SHA256_AMD64: "",
    SHA256_ARM64: "",
    ...change,
  });
  const apply = (change?: Readonly<Record<string, string>>) =>
    host.run("binaries", ["apply", "create"], values(change));
  const remove = () => host.run("binaries", ["remove"], values());
  const links = () =>
    host.sh("cd /usr/local/bin; for t in etcd etcdctl etcdutl; do readlink $t || echo none; done");
  const linksTo = (version: string) =>
    ["etcd", "etcdctl", "etcdutl"].map((tool) => `${RELEASES}/v${version}/${tool}`).join("\n");
  const tarball = `/var/mirror/v3.6.16/etcd-v3.6.16-linux-${ARCH}.tar.gz`;

  test("installs the release and leaves a receipt that the probe finds to be true", () => {
    expect(apply()).toEqual(good);
    expect(host.sh("etcd; etcdctl; etcdutl")).toBe("etcd 3.6.16\netcdctl 3.6.16\netcdutl 3.6.16");
    expect(links()).toBe(linksTo("3.6.16"));
    expect(host.sh(`stat -c '%a %U:%G' ${RELEASES}/v3.6.16 ${RELEASES}/v3.6.16/etcd`)).toBe(
      "755 root:root\n755 root:root",
    );
    const receipt = "/var/lib/etcd-on-pulumi/receipts/binaries";
    expect(host.run("probe", ["differences", receipt]).stdout).toBe("");
  });

  test("run again downloads nothing", () => {
    apply();
    const before = host.sh(`stat -c '%n %i %y' ${RELEASES}/v3.6.16/*; rm -r /var/mirror`);
    expect(apply()).toEqual(good);
    expect(host.sh(`stat -c '%n %i %y' ${RELEASES}/v3.6.16/*`)).toBe(before);
  });

  test("waits for the disk where a member must come up again after a power cut", () => {
    host.sh(`printf '#!/bin/sh\\necho "$@" >>/var/paper/sync\\n' >/usr/local/sbin/sync
      chmod 0755 /usr/local/sbin/sync; : >/var/paper/sync`);
    apply({ VERSION: "3.6.15" });
    expect(host.sh("cat /var/paper/sync")).toBe("");
    host.sh("touch /var/lib/etcd-on-pulumi/formed");
    apply();
    const tools = ["etcd", "etcdctl", "etcdutl"].map((tool) => `${RELEASES}/v3.6.16/${tool}`);
    expect(host.sh("cat /var/paper/sync")).toBe([`${RELEASES}/v3.6.16`, ...tools].join(" "));
  });

  test("puts another version beside it and leaves the switch to the member's step", () => {
    apply({ VERSION: "3.6.15" });
    expect(apply()).toEqual(good);
    expect(links()).toBe(linksTo("3.6.15"));
    expect(host.sh(`ls ${RELEASES}`)).toBe("v3.6.15\nv3.6.16");
  });

  test.each([
    ["swapped", `echo evil >${RELEASES}/v3.6.16/etcd`],
    ["removed", `rm ${RELEASES}/v3.6.16/etcdctl`],
    ["cut short by a power cut", `truncate -s 3 ${RELEASES}/v3.6.16/etcdctl`],
    ["not finished", `rm ${RELEASES}/v3.6.16/manifest`],
    ["made writable", `chmod 777 ${RELEASES}/v3.6.16/etcdutl`],
  ])("installs anew what was %s", (_, damage) => {
    apply();
    host.sh(damage);
    expect(apply()).toEqual(good);
    expect(host.sh("etcd; etcdctl; etcdutl")).toBe("etcd 3.6.16\netcdctl 3.6.16\netcdutl 3.6.16");
    expect(host.sh(`stat -c %a ${RELEASES}/v3.6.16/etcdutl`)).toBe("755");
  });

  test("takes a pinned digest before the mirror's list", () => {
    const digest = host.sh(`sha256sum ${tarball} | cut -d ' ' -f 1; echo wrong >SHA256SUMS`);
    const pinned = { SHA256_AMD64: digest, SHA256_ARM64: digest };
    host.sh("echo nonsense >/var/mirror/v3.6.16/SHA256SUMS");
    expect(apply(pinned)).toEqual(good);
  });

  test.each([
    [
      "a tarball that is not the pinned one",
      ":",
      { SHA256_AMD64: "0".repeat(64), SHA256_ARM64: "0".repeat(64) },
      /^etcd01: etcd-v3\.6\.16-linux-\w+\.tar\.gz has sha256 [0-9a-f]{64}, expected 0{64}; nothing was installed\n$/,
    ],
    [
      "a corrupted tarball",
      `printf x >>${tarball}`,
      {},
      /has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}; nothing was installed\n$/,
    ],
    [
      "a list without the tarball",
      "echo >/var/mirror/v3.6.16/SHA256SUMS",
      {},
      /SHA256SUMS does not list etcd-v3\.6\.16-linux-\w+\.tar\.gz\n$/,
    ],
    [
      "no list",
      "rm /var/mirror/v3.6.16/SHA256SUMS",
      {},
      /cannot download file:\/\/\/var\/mirror\/v3\.6\.16\/SHA256SUMS; put the digest of/,
    ],
    [
      "no tarball",
      `rm ${tarball}`,
      {},
      /cannot download file:\S+\.tar\.gz; check etcd:downloadUrl and etcd:version\n$/,
    ],
  ])("refuses %s and installs nothing", (_, damage, change, message) => {
    host.sh(damage);
    const { status, stderr } = apply(change);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(links()).toBe("none\nnone\nnone");
    expect(host.sh(`ls -A ${RELEASES}`)).toBe("");
    expect(host.sh("ls /var/lib/etcd-on-pulumi/receipts 2>/dev/null || true")).toBe("");
  });

  test("clears away what an interrupted download left", () => {
    host.sh(`mkdir -p ${RELEASES}/.new.abcdef; echo half >${RELEASES}/.new.abcdef/x`);
    expect(apply()).toEqual(good);
    expect(host.sh(`ls -A ${RELEASES}`)).toBe("v3.6.16");
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
