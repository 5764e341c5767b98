import { connect, type Socket } from "node:net";
import { errorCode, goReason } from "./go-text";

function tcpError(error: unknown, host: string, address: string): Error {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const cause = first ?? error;
  if (errorCode(cause) === "ENOTFOUND") {
    return new Error(`dial tcp: lookup ${host}: no such host`, { cause });
  }
  return new Error(`dial tcp ${address}: connect: ${goReason(cause)}`, { cause });
}

/** host:port, with brackets around an IPv6 address. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Opens a TCP connection within so many seconds (0: no limit). */
export function tcp(
  host: string,
  port: number,
  seconds: number,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const address = hostPort(host, port);
    const socket = connect({ host, port, noDelay: true });
    const settle = (result: Error | undefined) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      if (result) {
        socket.destroy();
        reject(result);
      } else {
        socket.removeListener("error", failed);
        resolve(socket);
      }
    };
    const abort = () => settle(new Error(`dial tcp ${address}: operation was canceled`));
    const failed = (error: unknown) => settle(tcpError(error, host, address));
    const timer =
      seconds > 0
        ? setTimeout(() => settle(new Error(`dial tcp ${address}: i/o timeout`)), seconds * 1000)
        : undefined;
    signal.addEventListener("abort", abort);
    socket.on("error", failed);
    socket.on("connect", () => settle(undefined));
  });
}
