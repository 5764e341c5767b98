import * as pulumi from "@pulumi/pulumi";

/**
 * An error for the operator: the CLI prints its message and nothing else.
 *
 * It has no stack frames. The SDK passes every uncaught error through `util.inspect` with colours,
 * which takes the better part of a minute and gigabytes on Node 20 when a frame lies in a
 * source-mapped file of node_modules.
 */
export class OperatorError extends pulumi.RunError {
  constructor(message: string) {
    super(message);
    this.stack = message;
  }
}
