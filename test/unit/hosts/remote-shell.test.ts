/** What a login is given to run, in shells and environments that are not ours. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Connection } from "../../../components/config/types";
import { plainWords, remoteInput, remoteShell } from "../../../components/hosts/remote-shell";
import { assemble, quote } from "../../../components/scripts/bundle";
import { connection } from "../../support/fixtures";

const CANARY = "canary $(id) 'of' \"sudo\"";
const bin = mkdtempSync(join(tmpdir(), "etcd-shell-"));
afterAll(() => rmSync(bin, { recursive: true }));

/** A sudo that reads one line as the password, and one that asks for none. */
const SUDO = {
  asks: `#!/bin/sh
[ "$1 $2 $3" = "-S -p " ] || { echo "sudo: a password is required" >&2; exit 1; }
shift 3
IFS= read -r word
[ "$word" = "$PASSWORD" ] || { echo "sudo: 1 incorrect password attempt" >&2; exit 1; }
exec "$@"
`,
  free: '#!/bin/sh\nif [ "$1" = -S ]; then shift 3; else shift; fi\nexec "$@"\n',
};

/** Runs a function of a step as a login does that has this shell and environment. */
function logIn(
  target: Connection,
  words: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  shell = "sh",
) {
  const { status, stdout, stderr } = spawnSync(
    shell,
    ["-c", `${remoteShell(target)} ${words.map((word) => quote(plainWords(word))).join(" ")}`],
    {
      encoding: "utf8",
      input: remoteInput(target, assemble("install", { NODE: "etcd01" })),
      env: { PATH: `${bin}:${process.env.PATH}`, ...environment },
    },
  );
  return { status, stdout, stderr };
}

const root = connection("h");

describe("a step's environment", () => {
  const brought = {
    http_proxy: "http://192.0.2.1:9",
    NO_PROXY: "192.168.1.1",
    ETCDCTL_ENDPOINTS: "https://192.0.2.1:1",
    TAR_OPTIONS: "--nowhere",
    LANG: "de_DE.UTF-8",
    LC_ALL: "POSIX",
    POSIXLY_CORRECT: "1",
    SHELLOPTS: "xtrace",
    SUDO_USER: "admin",
  };
  const variables = (text: string) =>
    text
      .split("\n")
      .map((line) => line.split("=")[0] ?? "")
      .filter((name) => name in brought)
      .sort();

  test("has nothing that the login brought along, but readable for the step itself", () => {
    const { stdout, stderr, status } = logIn(
      root,
      ["eval", 'env; echo "user $SUDO_USER"'],
      brought,
    );
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(variables(stdout)).toEqual(["LC_ALL"]);
    expect(stdout).toContain("LC_ALL=C\n");
    expect(stdout).toContain("user admin\n");
    expect(stdout).toContain("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
  });

  test("has the way to a proxy for a download", () => {
    const { stdout } = logIn(root, ["with_proxy", "env"], brought);
    expect(variables(stdout)).toEqual(["LC_ALL", "NO_PROXY", "http_proxy"]);
  });

  test("has no mask and no file of the login's own", () => {
    const file = join(bin, "bash-env");
    writeFileSync(file, `: >"${bin}/read"\n`);
    const { stdout } = logIn(root, ["umask"], { BASH_ENV: file, ENV: file }, "dash");
    expect(stdout).toBe("0022\n");
    expect(existsSync(join(bin, "read"))).toBe(false);
  });
});

describe.each(["asks", "free"] as const)("a sudo that %s", (kind) => {
  const admin = { ...root, user: "admin", sudo: true, sudoPassword: CANARY };
  beforeAll(() => writeFileSync(join(bin, "sudo"), SUDO[kind], { mode: 0o755 }));

  test("runs the step, and the password goes nowhere else", () => {
    const words = ["eval", 'printf "<%s>" "$NODE"; cat; env'];
    const { stdout, stderr, status } = logIn(admin, words, { PASSWORD: CANARY });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(stdout).toMatch(/^<etcd01>/);
    expect(stdout.replace(`PASSWORD=${CANARY}`, "")).not.toContain("canary");
    expect(logIn(admin, ["printf", "<%s>", "it's $HOME"], { PASSWORD: CANARY }).stdout).toBe(
      "<it's $HOME>",
    );
  });

  test("without a password of ours runs it when it needs none", () => {
    const { sudoPassword: _, ...without } = admin;
    const { stdout, stderr } = logIn(without, ["echo", "in"], { PASSWORD: CANARY });
    expect(kind === "free" ? stdout : stderr).toBe(
      kind === "free" ? "in\n" : "sudo: a password is required\n",
    );
  });

  test("that does not take the password runs nothing", () => {
    const { stdout, stderr, status } = logIn(admin, ["echo", "in"], { PASSWORD: "other" });
    expect(kind === "free" ? stdout : `${status} ${stderr}`).toBe(
      kind === "free" ? "in\n" : "1 sudo: 1 incorrect password attempt\n",
    );
    expect(stderr).not.toContain("canary");
  });
});

test("words are as they are in every shell that a login may have", () => {
  expect(plainWords('it\'s 5 > 3 & $HOME "x" `id` * ? [a] {b} ~')).toBe(
    'it\'s 5 > 3 & $HOME "x" `id` * ? [a] {b} ~',
  );
  expect(plainWords("a! b\\ c\nd\u202e")).toBe("a? b? c?d?");
});
