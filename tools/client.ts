import { type StdioOptions, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StackOutputs } from "./stack";

export interface Etcdctl {
  readonly code: number;
  /** What it printed when `stdio` piped it. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Nobody has more to say. */
const MOST_BYTES = 1024 * 1024;

/**
 * Runs etcdctl as the stack's client. Certificates and key reach it as open descriptors of files
 * that have no name any more, so nothing stays on disk, not even after a crash.
 *
 * @param seconds after which it is ended. @default never
 */
export function etcdctl(
  outputs: StackOutputs,
  args: readonly string[],
  stdio: "inherit" | "pipe",
  seconds = 0,
): Promise<Etcdctl> {
  const descriptors = [outputs.caCertificate, outputs.clientCertificate, outputs.clientKey].map(
    nameless,
  );
  const streams: StdioOptions = ["inherit", stdio, stdio, ...descriptors];
  return new Promise((resolve, reject) => {
    const child = spawn("etcdctl", args, {
      stdio: streams,
      timeout: seconds * 1000,
      killSignal: "SIGKILL",
      env: {
        ...process.env,
        // etcdctl refuses to choose between the variable and the flag.
        ETCDCTL_ENDPOINTS: args.some((arg) => /^--endpoints(=|$)/.test(arg))
          ? undefined
          : (process.env.ETCDCTL_ENDPOINTS ?? outputs.endpoints.join(",")),
        ETCDCTL_CACERT: "/dev/fd/3",
        ETCDCTL_CERT: "/dev/fd/4",
        ETCDCTL_KEY: "/dev/fd/5",
      },
    });
    const text = { stdout: "", stderr: "" };
    const take = (stream: keyof typeof text) => (chunk: Buffer) => {
      text[stream] += chunk.toString();
      if (text[stream].length > MOST_BYTES) {
        child.kill("SIGKILL");
      }
    };
    child.stdout?.on("data", take("stdout"));
    child.stderr?.on("data", take("stderr"));
    child.on("error", (error) => {
      reject(
        new Error(
          `cannot run etcdctl (${error.message}); install the etcd ${outputs.version} release on this machine`,
        ),
      );
    });
    child.on("close", (code) => {
      descriptors.forEach((descriptor) => {
        closeSync(descriptor);
      });
      resolve({ code: code ?? 1, ...text });
    });
  });
}

/** Descriptor of a file with this content, readable by nobody else and without a name. */
function nameless(content: string): number {
  const directory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const path = join(directory, `etcd-on-pulumi-${process.pid}-${Math.random()}`);
  const descriptor = openSync(path, "wx+", 0o600);
  rmSync(path);
  writeSync(descriptor, content);
  return descriptor;
}
