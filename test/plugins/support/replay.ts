import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isProps, isSecret, type Props, type Value } from "../../../lab/plugins/shared/values";
import { call, withoutZeros } from "./calls";
import { byContent, commandId, type Describe, exactly, randomBytes } from "./compare";
import { buildPlugins, type PluginName, PluginProcess } from "./plugin-process";
import type { Recording } from "./recordings";
import { SshServer } from "./ssh-server";

/** The host of the recordings and a moment of the day on which they were made. */
const recordedHost = "192.168.1.83";
const recordedKey =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICZAUZpRNuwfFEEW1c7bXSakhUupX0LypIbIoikkrWu3 root@vm";
const recordedMoment = "2026-11-22T18:09:30Z";

/** How the answer to a recorded call is compared: what is new with every call by its kind. */
export function describeFor({ method, plugin }: Recording): Describe {
  if (method !== "Create") return exactly;
  return { command: commandId, tls: byContent, random: randomBytes }[plugin];
}

/** The built plugins and a host for their commands, to which recorded calls are redirected. */
export class Replay {
  private constructor(
    private readonly plugins: Readonly<Record<PluginName, PluginProcess>>,
    private readonly host: SshServer,
    private readonly folder: string,
    private readonly removePlugins: () => void,
  ) {}

  static async start(): Promise<Replay> {
    const built = buildPlugins();
    const folder = mkdtempSync(join(tmpdir(), "replay-"));
    const hostname = join(folder, "hostname");
    writeFileSync(hostname, "#!/bin/sh\necho etcd01\n");
    chmodSync(hostname, 0o755);
    const host = await SshServer.start({
      environment: { PATH: `${folder}:${process.env.PATH}` },
    });
    const [command, tls, random] = await Promise.all([
      PluginProcess.start(built.directory, "command"),
      PluginProcess.start(built.directory, "tls", { LAB_NOW: recordedMoment }),
      PluginProcess.start(built.directory, "random"),
    ]);
    return new Replay({ command, tls, random }, host, folder, built.remove);
  }

  async stop(): Promise<void> {
    await Promise.all(Object.values(this.plugins).map((plugin) => plugin.stop()));
    await this.host.stop();
    rmSync(this.folder, { recursive: true });
    this.removePlugins();
  }

  /** A recorded text or connection, with our host in place of the recorded one. */
  redirect(value: Value): Value {
    if (typeof value === "string") return value.replaceAll("/tmp/x", join(this.folder, "x"));
    if (Array.isArray(value)) return value.map((item) => this.redirect(item));
    if (!isProps(value)) return value;
    const changed = Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, this.redirect(item)]),
    );
    if (changed.host !== recordedHost) return changed;
    const { privateKey = null, hostKey = null } = changed;
    return {
      ...changed,
      host: "127.0.0.1",
      port: this.host.port,
      hostKey: hostKey === recordedKey ? this.host.hostKey : hostKey,
      privateKey:
        isSecret(privateKey) && isProps(privateKey)
          ? { ...privateKey, value: this.host.privateKey }
          : this.host.privateKey,
    };
  }

  redirectProps(props: Props): Props {
    const changed = this.redirect(props);
    return isProps(changed) ? changed : {};
  }

  /** The answer to a recorded call: a response, or the errors in its place. */
  async answer(recording: Recording): Promise<Props> {
    const { plugin, method, request } = recording;
    try {
      const response = await call(this.plugins[plugin], method, this.redirectProps(request));
      return { response: withoutZeros(response) };
    } catch (error) {
      return { errors: [error instanceof Error ? error.message : String(error)] };
    }
  }

  expected({ response, errors }: Recording): Props {
    if (errors) return { errors: [...errors] };
    return { response: this.redirectProps(response ?? {}) };
  }
}
