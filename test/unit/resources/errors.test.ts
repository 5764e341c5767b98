/** Errors for the operator reach the SDK without stack frames, which it cannot print in reasonable time. */
import { inspect } from "node:util";
import * as pulumi from "@pulumi/pulumi";
import { expect, test } from "vitest";
import { ConfigError } from "../../../components/config/index";
import { OperatorError } from "../../../components/errors";

test.each([
  ["a refusal", new OperatorError("not like this")],
  ["a configuration error", new ConfigError(["etcd:nodes: none"], "the configuration")],
])("%s is a RunError that has a message and no frames", (_, error) => {
  expect(pulumi.RunError.isInstance(error)).toBe(true);
  expect(error.message).not.toBe("");
  expect(error.stack).not.toMatch(/^\s+at /m);
  expect(inspect(error, { colors: true })).not.toContain("node_modules");
});

test("an ordinary error has frames, so that the check can fail", () => {
  expect(new pulumi.RunError("frames").stack).toMatch(/^\s+at /m);
});
