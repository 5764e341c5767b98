import * as pulumi from "@pulumi/pulumi";

/** Undefined while it is not known: functions given to `apply` are not called then. */
export async function knownValue(output: pulumi.Output<string>): Promise<string | undefined> {
  const known: unknown = await Reflect.get(output, "isKnown");
  return known === false ? undefined : new Promise((resolve) => output.apply(resolve));
}

/** As an output of a resource that is yet to be made has it in a preview. */
export function unknownOutput<Value>(): pulumi.Output<Value> {
  const mark: unknown = pulumi.unknown;
  // The SDK's mark has no type of its own.
  return pulumi.output(mark) as pulumi.Output<Value>;
}
