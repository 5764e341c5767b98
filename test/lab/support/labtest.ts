/** The lab that the tests of the lab use, and ways to look at its hosts. */
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { hostAddress, type Result, testLab } from "../../support/lab";

export const lab = testLab();
export const { identity } = lab;
export const scratch = mkdtempSync(join(tmpdir(), "lab-test-"));

/** Logs in to a host over SSH as the program does, its key checked. */
export function ssh(user: string, host: string, ...command: string[]): Promise<Result> {
  const { directory } = lab;

  return lab.run([
    ...["ssh", "-F", "none", "-i", `${directory}/ssh/id_ed25519`, "-o", "BatchMode=yes"],
    ...["-o", `UserKnownHostsFile=${directory}/ssh/known_hosts`, "-o", "StrictHostKeyChecking=yes"],
    ...[`${user}@${hostAddress(host)}`, ...command],
  ]);
}

/** Whether one host reaches another's sshd. */
export async function reaches(from: string, to: string): Promise<boolean> {
  const result = await lab.exec(from, `nc -z -w 1 ${hostAddress(to)} 22`);
  return result.code === 0;
}

/** What a script prints on a host; the test fails unless it succeeds. */
export async function output(host: string, script: string): Promise<string> {
  const result = await lab.exec(host, script);
  expect(result).toMatchObject({ code: 0 });
  return result.stdout.trim();
}

/** A directory to put before PATH, with one executable in it. */
export function fakeProgram(name: string, script: string): string {
  const directory = mkdtempSync(join(scratch, "bin-"));
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, name), 0o755);
  return `${directory}:${process.env.PATH}`;
}
