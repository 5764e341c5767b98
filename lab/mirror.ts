/**
 * A read-only HTTP mirror of etcd releases for the lab's hosts, laid out like the official
 * download folder: `/v3.6.14/SHA256SUMS`, `/v3.6.14/etcd-v3.6.14-linux-amd64.tar.gz`.
 *
 * `tsx lab/mirror.ts ADDRESS PORT DIRECTORY...`: a file is taken from the first directory that has
 * it, so a test can put a damaged release in front of the good one.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

const maximumConnections = 64;
const requestTimeoutMs = 60_000;
const servedPath = /^\/v[0-9][0-9a-z.-]*\/(SHA256SUMS|etcd-[0-9a-z.-]+\.tar\.gz)$/;

interface ServedFile {
  readonly path: string;
  readonly size: number;
}

async function findFile(
  directories: readonly string[],
  url: string,
): Promise<ServedFile | undefined> {
  if (!servedPath.test(url) || url.includes("..")) {
    return undefined;
  }

  for (const directory of directories) {
    const path = join(directory, url);
    const found = await stat(path).catch(() => undefined);

    if (found?.isFile()) {
      return { path, size: found.size };
    }
  }

  return undefined;
}

async function answer(
  response: ServerResponse,
  method: string,
  file: ServedFile | undefined,
): Promise<number> {
  if (method !== "GET" && method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
    return 405;
  }

  if (file === undefined) {
    response.writeHead(404, { "content-type": "text/plain" }).end("no such file\n");
    return 404;
  }

  response.writeHead(200, {
    "content-length": file.size,
    "content-type": "application/octet-stream",
  });

  if (method === "HEAD") {
    response.end();
  } else {
    await pipeline(createReadStream(file.path), response);
  }

  return 200;
}

function main(): void {
  const [address, port, ...directories] = process.argv.slice(2);

  if (address === undefined || port === undefined || directories.length === 0) {
    console.error("usage: mirror.ts ADDRESS PORT DIRECTORY...");
    process.exit(2);
  }

  const server = createServer((request, response) => {
    const { method = "", url = "" } = request;
    const client = request.socket.remoteAddress ?? "unknown";

    findFile(directories, url)
      .then((file) => answer(response, method, file))
      .then((status) => console.log(`${client} ${method} ${url} ${status}`))
      .catch((error: unknown) => {
        console.log(`${client} ${method} ${url} failed: ${String(error)}`);
        response.destroy();
      });
  });

  server.maxConnections = maximumConnections;
  server.requestTimeout = requestTimeoutMs;
  server.timeout = requestTimeoutMs;
  server.on("error", (error) => {
    console.error(`cannot serve on ${address}:${port}: ${error.message}`);
    process.exit(1);
  });
  server.listen(Number(port), address);
}

main();
