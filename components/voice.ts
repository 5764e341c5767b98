import * as pulumi from "@pulumi/pulumi";
import type { ClusterConfig } from "./config";
import { schema } from "./config/schema";
import { OperatorError } from "./errors";

/** What a run says of one cluster: to those who wrote its configuration, in the names that its keys have there. */
export interface Voice {
  readonly info: (message: string) => Promise<void>;
  readonly warn: (message: string) => Promise<void>;
  readonly error: (message: string) => Promise<void>;
  /** The same error in these words. */
  readonly inWords: (error: unknown) => unknown;
}

/** In front of a key, as all messages have it: that of a stack's configuration. */
const BEFORE_KEY = new RegExp(`\\betcd:(?=(?:${Object.keys(schema.shape).join("|")})\\b)`, "g");

export function voiceOf({ naming }: Pick<ClusterConfig, "naming">): Voice {
  const say = (message: string) =>
    naming.cluster + message.replaceAll(BEFORE_KEY, () => naming.keys);
  return {
    info: (message) => pulumi.log.info(say(message)),
    warn: (message) => pulumi.log.warn(say(message)),
    error: (message) => pulumi.log.error(say(message)),
    inWords: (error) =>
      error instanceof OperatorError ? new OperatorError(say(error.message)) : error,
  };
}
