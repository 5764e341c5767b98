import { execFile } from "node:child_process";
import { z } from "zod";
import { printable } from "../components/hosts/printable";

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

/** Of those, what the members can be asked with; the rest may be missing. */
const askable = outputsSchema.extend({
  endpoints: z.array(z.url({ protocol: /^https$/ })).min(1),
  members: outputsSchema.shape.members.catch([]),
  clusterId: z.string().catch(""),
  version: z.string().catch(""),
});

/** After so many seconds the CLI, which may wait for its backend, is ended. */
const PULUMI_SECONDS = 30;
const MOST_BYTES = 64 * 1024 * 1024;

/** Runs the Pulumi CLI on the selected stack and reads its JSON. */
export function pulumiJson(args: readonly string[]): Promise<unknown> {
  const command = `pulumi ${args.join(" ")}`;
  const options = { maxBuffer: MOST_BYTES, timeout: PULUMI_SECONDS * 1000 };
  return new Promise((resolve, reject) => {
    const child = execFile("pulumi", args, options, (error, stdout, stderr) => {
      if (error === null) {
        try {
          resolve(JSON.parse(stdout));
        } catch {
          reject(new Error(`${command} printed no JSON`));
        }
        return;
      }
      if (error.code === "ENOENT") {
        reject(new Error("cannot run pulumi: it is not on PATH; install the Pulumi CLI"));
        return;
      }
      const said = stderr.trim().replace(/^error: /, "");
      const words = error.killed ? `no answer in ${PULUMI_SECONDS} s` : said || error.message;
      reject(new Error(`${command} failed: ${printable(words.split("\n").join("; "))}`));
    });
    // It asks for a passphrase where it can.
    child.stdin?.end();
  });
}

/**
 * Outputs of the selected stack, secrets included.
 *
 * @throws Error when there is no cluster in the stack yet.
 */
export function stackOutputs(): Promise<StackOutputs> {
  return readOutputs(outputsSchema);
}

/** The same, whatever an `up` that failed has left of them, as long as somebody can be asked. */
export function askableOutputs(): Promise<StackOutputs> {
  return readOutputs(askable);
}

async function readOutputs(schema: z.ZodType<StackOutputs>): Promise<StackOutputs> {
  const parsed = schema.safeParse(
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
 * @param failed the exit code then, unless the error is a mistake of the caller's.
 * @param json whether the line is a JSON object, on the standard output.
 */
export async function main(run: () => Promise<number>, failed = 1, json = false): Promise<void> {
  try {
    process.exitCode = await run();
  } catch (error) {
    const words = messageOf(error);
    if (json) {
      console.log(JSON.stringify({ error: words }, null, 2));
    } else {
      console.error(`error: ${words}`);
    }
    process.exitCode = error instanceof UsageError ? MISTAKEN : failed;
  }
}

/** A mistake on the command line. */
export class UsageError extends Error {}

const MISTAKEN = 2;

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
