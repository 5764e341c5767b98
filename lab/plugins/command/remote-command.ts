import { randomBytes } from "node:crypto";
import type { Context, Resource } from "../shared/plugin";
import { flag, isProps, type Props, plain, plainProps, text, unknown } from "../shared/values";
import { checkInputs, inputKinds } from "./check";
import { readConnection } from "./connection";
import { diffInputs } from "./diff";
import { type Output, run } from "./run";

const inputKeys = Object.keys(inputKinds);

function inputsOf(props: Props): Props {
  return Object.fromEntries(Object.entries(props).filter(([key]) => inputKeys.includes(key)));
}

function previousOutput(inputs: Props, previous: Output): Record<string, string> {
  if (flag(inputs, "addPreviousOutputInEnv") === false) return {};
  const values: Record<string, string> = {};
  if (previous.stdout !== "") values.PULUMI_COMMAND_STDOUT = previous.stdout;
  if (previous.stderr !== "") values.PULUMI_COMMAND_STDERR = previous.stderr;
  return values;
}

function outputOf(state: Props): Output {
  const known = plainProps(state);
  return { stdout: text(known, "stdout") ?? "", stderr: text(known, "stderr") ?? "" };
}

/** Runs one of the commands in the inputs; without one the previous output stays. */
async function perform(
  key: "create" | "update" | "delete",
  wrapped: Props,
  previous: Output,
  context: Context,
): Promise<Output> {
  const inputs = plainProps(wrapped);
  const command = text(inputs, key);
  if (command === undefined) return previous;
  const environment = isProps(inputs.environment) ? inputs.environment : {};
  const logging = text(inputs, "logging") ?? "stdoutAndStderr";
  return run(
    {
      connection: readConnection(isProps(inputs.connection) ? inputs.connection : {}),
      command,
      stdin: text(inputs, "stdin") ?? "",
      environment: Object.fromEntries(
        Object.entries(environment).map(([name, value]) => [name, String(plain(value))]),
      ),
      previousOutput: previousOutput(inputs, previous),
      logStdout: logging === "stdout" || logging === "stdoutAndStderr",
      logStderr: logging === "stderr" || logging === "stdoutAndStderr",
    },
    context,
  );
}

const unknownOutput: Output = { stdout: unknown, stderr: unknown };
const noOutput: Output = { stdout: "", stderr: "" };

/** `command:remote:Command`: a command over SSH at creation, update and deletion. */
export const remoteCommand: Resource = {
  names: { inputs: inputKeys, outputs: ["stdout", "stderr"] },
  check: checkInputs,
  diff: (request) => diffInputs(request, inputKeys),
  async create({ name, inputs, preview }, context) {
    const id = name + randomBytes(4).toString("hex");
    const output = preview ? unknownOutput : await perform("create", inputs, noOutput, context);
    return { id, state: { ...inputs, ...output } };
  },
  // The official plugin has no Read: a refresh finds what the state says.
  read: ({ inputs, state }) => ({ inputs, state }),
  async update({ olds, news, preview, ignoreChanges }, context) {
    const inputs = inputsOf(news);
    for (const key of ignoreChanges) {
      const kept = olds[key];
      if (kept !== undefined && inputKeys.includes(key)) inputs[key] = kept;
    }
    if (preview) return { ...inputs, ...unknownOutput };
    const key = text(plainProps(inputs), "update") === undefined ? "create" : "update";
    return { ...inputs, ...(await perform(key, inputs, outputOf(olds), context)) };
  },
  async delete(state, context) {
    await perform("delete", state, outputOf(state), context);
  },
};
