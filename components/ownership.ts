import type * as pulumi from "@pulumi/pulumi";
import { contentOf } from "./content";
import { Refusal } from "./refusal";

/**
 * Every host bears the token of the cluster that its member was made for (scripts/member.sh). One
 * with another token is another stack's: this stack has neither that cluster's CA nor its state,
 * and its certificates would cut the members off from each other and from their clients.
 *
 * @param token this stack's; not known in a preview before the first up.
 * @param found by node name, what the look at the hosts saw.
 * @throws Refusal when one of the hosts is another stack's; nothing was touched then.
 */
export async function refuseOthers(
  token: pulumi.Output<string>,
  found: ReadonlyMap<string, string>,
): Promise<void> {
  // Waits for nothing when there is nothing to compare with.
  const own = found.size === 0 ? undefined : await contentOf(token);
  const others = [...found].filter(([, other]) => other !== own);
  if (others.length > 0) {
    throw new Refusal(
      [
        "the hosts are another stack's, nothing was changed on them:",
        ...others.map(
          ([name, other]) =>
            `  - ${name} has a member of the cluster with the token ${other}; this stack's is ${own ?? "not made yet"}`,
        ),
        "work with the stack that made that cluster; if its state is lost, import a copy of it (pulumi stack import), and see docs/troubleshooting.md if there is none",
      ].join("\n"),
    );
  }
}
