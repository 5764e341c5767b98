/** `npm run status`: one line per member, as the cluster itself and its certificates say it now. */
import { connect } from "node:tls";
import { z } from "zod";
import { etcdctl } from "./client";
import { main, type StackOutputs, stackOutputs } from "./stack";

// IDs are 64-bit numbers: they are only compared with each other inside one answer's text.
const statuses = z.array(
  z.object({
    Endpoint: z.string(),
    Status: z.object({
      header: z.object({ member_id: z.string() }),
      version: z.string(),
      dbSize: z.number(),
      leader: z.string(),
    }),
  }),
);

void main(async () => {
  const outputs = await stackOutputs();
  const rows = await Promise.all(outputs.endpoints.map((endpoint) => row(outputs, endpoint)));
  const header = ["MEMBER", "ID", "ENDPOINT", "HEALTH", "ROLE", "VERSION", "DB", "CERTIFICATE"];
  print([header, ...rows.map((entry) => entry.cells)]);
  const healthy = rows.filter((entry) => entry.healthy).length;
  const leader = rows.filter((entry) => entry.leader).length;
  console.log(
    `\ncluster ${outputs.clusterId}: ${healthy} of ${rows.length} members healthy, ${leader === 1 ? "one leader" : `${leader} leaders`}`,
  );
  return healthy === rows.length && leader === 1 ? 0 : 1;
});

async function row(outputs: StackOutputs, endpoint: string) {
  const [health, status, expires] = await Promise.all([
    etcdctl(outputs, ["--endpoints", endpoint, "endpoint", "health"], "pipe"),
    etcdctl(outputs, ["--endpoints", endpoint, "endpoint", "status", "-w", "json"], "pipe"),
    certificateEnd(outputs, endpoint),
  ]);
  const host = new URL(endpoint).host.replace(/:2379$/, "");
  const member = outputs.members.find(({ peerUrls }) => peerUrls.includes(`//${host}:`));
  const seen = status.code === 0 ? parse(status.stdout) : undefined;
  const leader = seen !== undefined && seen.leader === seen.header.member_id;
  const healthy = health.code === 0;
  return {
    healthy,
    leader,
    cells: [
      member?.name ?? "?",
      member?.id ?? "?",
      endpoint,
      healthy ? "healthy" : "NOT HEALTHY",
      seen === undefined ? "?" : leader ? "leader" : "follower",
      seen?.version ?? "?",
      seen === undefined ? "?" : `${(seen.dbSize / 1024 / 1024).toFixed(1)} MiB`,
      expires,
    ],
  };
}

function parse(json: string) {
  const exact = json.replace(/"(member_id|leader)":\s*(\d+)/g, '"$1":"$2"');
  return statuses.parse(JSON.parse(exact))[0]?.Status;
}

/** Until when the server certificate that the endpoint really presents is valid. */
function certificateEnd(outputs: StackOutputs, endpoint: string): Promise<string> {
  const url = new URL(endpoint);
  return new Promise((resolve) => {
    const socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port),
      ca: outputs.caCertificate,
      cert: outputs.clientCertificate,
      key: outputs.clientKey,
      timeout: 3000,
    });
    const end = (text: string) => {
      socket.destroy();
      resolve(text);
    };
    socket.on("secureConnect", () => {
      const until = new Date(socket.getPeerCertificate().valid_to);
      end(`until ${until.toISOString().slice(0, 10)}`);
    });
    socket.on("timeout", () => end("no answer"));
    socket.on("error", (error) => end(error.message));
  });
}

function print(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  for (const cells of rows) {
    console.log(
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  }
}
