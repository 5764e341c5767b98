import type { z } from "zod";
import type { StandIn } from "./unknown";

/**
 * @param edit what a change of it does on a running cluster; each key says so.
 */
export const described = <T extends z.ZodType>(schema: T, description: string, edit: string): T =>
  schema.meta({ ...schema.meta(), description, edit });

/**
 * A value that need not be known before the resources are: in code it is a `pulumi.Input`.
 *
 * @param standIn what stands for it in a preview that does not know it; the rules take each of them.
 */
export const input = <T extends z.ZodType>(schema: T, standIn: StandIn): T =>
  schema.meta({ ...schema.meta(), standIn });

/** What changes of several keys do. */
export const EDIT = {
  parts: "See its keys.",
  roll: "Restarts the members, one at a time.",
  login: "Used from the next run on. The steps run again and find nothing to do; no restart.",
  hostKeys: "Checked from the next run on. Steps of a host with another key run again; no restart.",
  subject: "Refused, unless `pki.rotate` gets a new name in the same edit.",
  asked: "Checked on new hosts only. The steps `install` run again; no restart.",
  look: "Affects only what previews and runs check or report.",
  recover: "Refused, or without effect, while the cluster has a quorum; see docs/recovery.md.",
  jobs: "The steps `install` run again; no restart.",
} as const;
