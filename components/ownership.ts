import type * as pulumi from "@pulumi/pulumi";
import { OperatorError } from "./errors";
import { knownValue } from "./outputs";

/**
 * Every host bears the token of the cluster that its member was made for (scripts/steps/member.sh). One
 * with another token is another stack's: this stack has neither that cluster's CA nor its state,
 * and its certificates would cut the members off from each other and from their clients.
 *
 * @param token this stack's; not known in a preview before the first up.
 * @param found by node name, what the inspection of the hosts saw.
 * @throws OperatorError when one of the hosts is another stack's; nothing was touched then.
 */
export async function refuseOthers(
  token: pulumi.Output<string>,
  found: ReadonlyMap<string, string>,
): Promise<void> {
  // Waits for nothing when there is nothing to compare with.
  const own = found.size === 0 ? undefined : await knownValue(token);
  const others = [...found].filter(([, other]) => other !== own);
  if (others.length > 0) {
    throw new OperatorError(
      [
        others.length * 2 > found.size
          ? "these hosts belong to another stack; nothing was changed:"
          : "some hosts belong, or claim to belong, to another stack; nothing was changed:",
        ...others.map(
          ([name, other]) =>
            `  - ${name} has a member of the cluster with the token ${other}; this stack's is ${own ?? "not created yet"}`,
        ),
        "use the stack that created that cluster; if the component was renamed or moved, give it aliases; if the state was lost, import a backup of it (pulumi stack import), or see docs/troubleshooting.md if there is none",
      ].join("\n"),
    );
  }
}

/**
 * A CA keeps its key for life. One that the engine makes anew under the same name is believed by no
 * member, and what the old one signed by no one who has the new one.
 *
 * @param key of the CA that the configuration asks for, PEM; not known in a preview that would
 *   make it.
 * @param found by node name, the key that its host knows that CA by.
 * @throws OperatorError when one of the hosts knows it by another key; no host was touched then.
 */
export async function refuseOtherKeys(
  key: pulumi.Output<string>,
  found: ReadonlyMap<string, string>,
): Promise<void> {
  const own = found.size === 0 ? undefined : await knownValue(key);
  const others = [...found].filter(([, other]) => own === undefined || plain(other) !== plain(own));
  if (others.length > 0) {
    throw new OperatorError(
      [
        `the CA of this stack ${own === undefined ? "would get" : "has"} a different key from the one that the members trust; no host was changed:`,
        ...others.map(([name]) => `  - ${name} would reject certificates signed by it`),
        "replace the CA with etcd:pki.rotate only, never with --replace or pulumi state taint; if its key was replaced already, restore the previous state (docs/troubleshooting.md)",
      ].join("\n"),
    );
  }
}

function plain(pem: string): string {
  return pem.replaceAll(/\s+/g, "");
}
