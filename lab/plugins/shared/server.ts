import { Server, ServerCredentials } from "@grpc/grpc-js";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { EngineLog } from "./engine";
import { handlers } from "./handlers";
import type { Plugin } from "./plugin";

/**
 * The engine kills its plugins. When it was killed itself nobody ends this process, and like the official plugins it goes on with what
 * it is at: a command on a host comes to its end. An official plugin stays after that; this one has nothing left to do and ends.
 */
function outliveParent(atWork: () => boolean): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent && !atWork()) process.exit(0);
  }, 500).unref();
}

/** Serves the plugin on a free port of 127.0.0.1 and prints the port, as the engine expects. */
export function serve(plugin: Plugin): void {
  const engineAddress = process.argv.slice(2).find((argument) => !argument.startsWith("-"));
  const server = new Server({
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
  const { implementation, atWork } = handlers(plugin, new EngineLog(engineAddress));
  server.addService(ResourceProviderService, implementation);
  outliveParent(atWork);
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
    if (error) {
      process.stderr.write(`cannot listen on 127.0.0.1: ${error.message}\n`);
      process.exit(1);
    }
    process.stdout.write(`${port}\n`);
  });
}
