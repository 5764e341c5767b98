/** The three hosts of a stack, on this machine, for tools that log in to them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Operator } from "./operator";
import { type Answer, keyPair, type Sshd, startSshd } from "./sshd";

/** As a configuration has them. */
export const NODES = [1, 2, 3].map((host) => ({
  name: `etcd0${host}`,
  address: `192.0.2.${host}`,
}));

/**
 * Starts an sshd for each answer; nobody can log in to the hosts for which there is none.
 *
 * @param config of the stack, beside what reaches the hosts.
 */
export async function threeHosts(
  operator: Operator,
  config: Readonly<Record<string, unknown>>,
  ...answers: readonly Answer[]
): Promise<readonly Sshd[]> {
  const servers = await Promise.all(answers.map((answer) => startSshd(answer)));
  onTestFinished(() => {
    for (const server of servers) {
      server.close();
    }
  });
  const key = join(operator.directory, "key");
  writeFileSync(key, keyPair().private, { mode: 0o600 });
  const nodes = NODES.map((node, index) => ({
    ...node,
    ssh: {
      ...{ host: "127.0.0.1", port: servers[index]?.port ?? index + 1 },
      hostKey: servers[index]?.hostKey ?? keyPair().public,
    },
  }));
  operator.config({ nodes, ssh: { privateKeyFile: key }, ...config }, ["backup"]);
  return servers;
}

/** These lines between the marks; no clock. */
export const said =
  (...lines: readonly string[]) =>
  (mark: string): string =>
    ["", `begin ${mark}`, ...lines, `end ${mark}`, ""].join("\n");
