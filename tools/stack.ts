import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { z } from "zod";

/** What an `up` leaves for people and tools. */
export const outputsSchema = z.object({
  endpoints: z.array(z.string()),
  members: z.array(z.object({ name: z.string(), peerUrls: z.string(), id: z.string() })),
  clusterId: z.string(),
  version: z.string(),
  caCertificate: z.string(),
  clientCertificate: z.string(),
  clientKey: z.string(),
});

export type StackOutputs = z.output<typeof outputsSchema>;

/** Runs the Pulumi CLI on the selected stack and reads its JSON. */
export async function pulumiJson(args: readonly string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)("pulumi", args, { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout);
}

/**
 * Outputs of the selected stack, secrets included.
 *
 * @throws Error when there is no cluster in the stack yet.
 */
export async function stackOutputs(): Promise<StackOutputs> {
  const parsed = outputsSchema.safeParse(
    await pulumiJson(["stack", "output", "--json", "--show-secrets"]),
  );
  if (!parsed.success) {
    throw new Error(
      "the selected stack has no cluster outputs, because no `pulumi up` of it has completed; run `pulumi up`, or select another stack",
    );
  }
  return parsed.data;
}

/**
 * Runs a command-line tool's main function: an error becomes one line.
 *
 * @param failed the exit code then.
 */
export async function main(run: () => Promise<number>, failed = 1): Promise<void> {
  try {
    process.exitCode = await run();
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = failed;
  }
}
