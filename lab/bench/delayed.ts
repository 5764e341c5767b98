/**
 * `tsx delayed.ts MILLISECONDS PORT=ADDRESS... -- COMMAND...`: runs the command while each of these ports of the loopback leads to
 * port 22 of that address, as over a line that takes so many milliseconds each way.
 */
import { spawn } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";

const separator = process.argv.indexOf("--");
const [milliseconds = "0", ...routes] = process.argv.slice(2, separator);
const [program = "", ...args] = process.argv.slice(separator + 1);
const delay = Number(milliseconds);
/** TCP's handshake, which the loopback has done in no time. */
const HANDSHAKE = 2 * delay;

/** All of it in its order, also the end. */
function pass(from: Socket, to: Socket): void {
  from.on("data", (chunk) => setTimeout(() => to.write(chunk), delay));
  from.on("end", () => setTimeout(() => to.end(), delay));
  from.on("close", () => setTimeout(() => to.destroy(), delay));
  from.on("error", () => undefined);
}

for (const route of routes) {
  const [port = "", address = ""] = route.split("=");
  createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    client.pause();
    setTimeout(() => {
      const server = connect({ host: address, port: 22, allowHalfOpen: true, noDelay: true });
      pass(client, server);
      pass(server, client);
      client.resume();
    }, HANDSHAKE);
  }).listen(Number(port), "127.0.0.1");
}

spawn(program, args, { stdio: "inherit" }).on("exit", (code) => process.exit(code ?? 1));
