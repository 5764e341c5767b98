import type * as pulumi from "@pulumi/pulumi";

/** Undefined while it is not known: functions given to `apply` are not called then. */
export async function knownValue(output: pulumi.Output<string>): Promise<string | undefined> {
  const known: unknown = await Reflect.get(output, "isKnown");
  return known === false ? undefined : new Promise((resolve) => output.apply(resolve));
}
