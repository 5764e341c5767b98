import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Props } from "../../../lab/plugins/shared/values";

export type Method = "Check" | "Diff" | "Create" | "Read" | "Update" | "Delete";

/** One call to an official plugin and what it answered. */
export interface Recording {
  readonly method: Method;
  readonly phase: string;
  readonly plugin: "command" | "random" | "tls";
  readonly request: Props;
  readonly response?: Props;
  /** Instead of a response: the error as gRPC prints it. */
  readonly errors?: readonly string[];
}

/** The recorded calls to the official plugins that concern the stand-ins' resources. */
export function recordings(): Recording[] {
  const file = join(__dirname, "..", "..", "data", "recorded-calls.jsonl");
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line): Recording => JSON.parse(line));
}

export function title({ plugin, method, phase, request }: Recording): string {
  const kind = String(request.type).split(":").pop();
  const preview = request.preview === true ? " (preview)" : "";
  return `${plugin} ${method} ${kind} ${request.name}, ${phase}${preview}`;
}
