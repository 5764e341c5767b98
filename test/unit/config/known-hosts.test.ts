import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findHostKey, parseKnownHosts } from "../../../components/config/known-hosts";
import { hostKey } from "../support/config";

const ED = hostKey(1);
const EC = hostKey(2, "ecdsa-sha2-nistp256");
const RSA = hostKey(3, "ssh-rsa");

const find = (lines: readonly string[], names = ["10.0.0.1", "etcd01"], port = 22) =>
  findHostKey(parseKnownHosts(lines.join("\n")), names, port);

test.each<[string, readonly string[], ReturnType<typeof findHostKey>]>([
  ["a plain line", [`10.0.0.1 ${ED}`], { key: ED }],
  ["a line with a comment", [`10.0.0.1 ${ED} root@vm`], { key: ED }],
  ["several names", [`other,10.0.0.1,x ${ED}`], { key: ED }],
  ["the name", [`etcd01 ${ED}`], { key: ED }],
  ["the address before the name", [`etcd01 ${hostKey(9)}`, `10.0.0.1 ${ED}`], { key: ED }],
  ["upper case", [`ETCD01 ${ED}`], { key: ED }],
  ["a pattern", [`10.0.0.* ${ED}`], { key: ED }],
  ["a pattern with one free place", [`etcd0? ${ED}`], { key: ED }],
  ["a pattern that excludes the address", [`10.0.0.*,!10.0.0.1 ${ED}`], undefined],
  ["a dot that is no pattern", [`10a0.0.1 ${ED}`], undefined],
  ["another host", [`10.0.0.10 ${ED}`], undefined],
  ["a comment", [`# 10.0.0.1 ${ED}`], undefined],
  ["a broken key", ["10.0.0.1 ssh-ed25519 AAAA"], undefined],
  [
    "a key of another type than it says",
    [`10.0.0.1 ${EC.replace(/^\S+/, "ssh-ed25519")}`],
    undefined,
  ],
  ["ed25519 before all", [`10.0.0.1 ${RSA}`, `10.0.0.1 ${EC}`, `10.0.0.1 ${ED}`], { key: ED }],
  ["ecdsa before rsa", [`10.0.0.1 ${RSA}`, `10.0.0.1 ${EC}`], { key: EC }],
  ["rsa alone", [`10.0.0.1 ${RSA}`], { unusable: "rsa" }],
  ["a revoked key", [`10.0.0.1 ${ED}`, `@revoked * ${ED}`], { unusable: "revoked" }],
  [
    "another than the revoked key",
    [`10.0.0.1 ${ED}`, `10.0.0.1 ${EC}`, `@revoked x ${ED}`],
    { key: EC },
  ],
  ["the key of an authority", [`@cert-authority 10.0.0.1 ${ED}`], undefined],
  ["a key for another port", [`[10.0.0.1]:2222 ${ED}`], undefined],
])("%s", (_, lines, expected) => {
  expect(find(lines)).toEqual(expected);
});

test("another port has its own line, or that of the bare host", () => {
  const lines = [`10.0.0.1 ${ED}`, `[10.0.0.1]:2222 ${hostKey(5)}`, `[fd00::1]:2222 ${hostKey(6)}`];
  expect(find(lines, ["10.0.0.1"], 2222)).toEqual({ key: hostKey(5) });
  expect(find(lines, ["10.0.0.1"], 2022)).toEqual({ key: ED });
  expect(find(lines, ["fd00::1"], 2222)).toEqual({ key: hostKey(6) });
});

test("a file hashed by ssh-keygen is read as well as a plain one", () => {
  const directory = mkdtempSync(join(tmpdir(), "etcd-known-hosts-"));
  const file = join(directory, "known_hosts");
  writeFileSync(file, `10.0.0.1 ${ED}\n[10.0.0.2]:2222 ${EC}\n`);
  execFileSync("ssh-keygen", ["-H", "-f", file], { stdio: "ignore" });
  const hashed = readFileSync(file, "utf8");
  rmSync(directory, { recursive: true });
  expect(hashed).not.toContain("10.0.0");
  expect(find([hashed], ["10.0.0.1"])).toEqual({ key: ED });
  expect(find([hashed], ["10.0.0.2"], 2222)).toEqual({ key: EC });
  expect(find([hashed], ["10.0.0.3"])).toBeUndefined();
});
