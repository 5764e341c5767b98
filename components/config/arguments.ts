import { readValues } from "./read";
import type { ResolvedArgs } from "./resolve-args";
import { currentSurroundings, type Surroundings } from "./surroundings";
import type { ClusterConfig } from "./types";
import { argumentWording } from "./wording";

/**
 * Checks the arguments of an `EtcdCluster` by the rules of the stack's configuration.
 *
 * @param name of the component: mistakes are reported as being in its arguments.
 * @throws ConfigError with all mistakes, before any resource exists.
 */
export function readArgs(
  name: string,
  { raw, secrets }: Pick<ResolvedArgs, "raw" | "secrets">,
  surroundings: Surroundings = currentSurroundings(),
): ClusterConfig {
  return readValues(raw, secrets, argumentWording(name), surroundings);
}
