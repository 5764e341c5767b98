/** `npm run status`: one line per member, as the cluster itself and its certificates say it now. */
import { connect } from "node:tls";
import { z } from "zod";
import { printable } from "../components/hosts/printable";
import { etcdctl } from "./client";
import { main, type StackOutputs, stackOutputs } from "./stack";

// IDs are 64-bit numbers: they are only compared with each other inside one answer's text. A field that is zero, such as the leader's
// ID where there is none, is left out.
const statuses = z.array(
  z.object({
    Status: z.object({
      header: z.object({ member_id: z.string().optional() }).default({}),
      version: z.string().optional(),
      dbSize: z.number().default(0),
      // 3.5 does not say.
      dbSizeQuota: z.number().optional(),
      leader: z.string().optional(),
      isLearner: z.boolean().default(false),
    }),
  }),
);

type Status = z.output<typeof statuses>[number]["Status"];

/** From this much of the quota on a database is warned of, in percent. */
const NEARLY_FULL = 80;
/** Exit codes. */
const [HEALTHY, DEGRADED, UNKNOWN] = [0, 1, 2];

void main(async () => {
  const outputs = await stackOutputs();
  const rows = await Promise.all(outputs.endpoints.map((endpoint) => row(outputs, endpoint)));
  const header = ["MEMBER", "ID", "ENDPOINT", "HEALTH", "ROLE", "VERSION", "DB", "CERTIFICATE"];
  print([header, ...rows.map((entry) => entry.cells)]);
  const healthy = rows.filter((entry) => entry.healthy).length;
  const leaders = rows.filter((entry) => entry.leads).length;
  const quorum = rows.some((entry) => entry.serves);
  const lead =
    leaders === 1 ? "one leader" : leaders === 0 ? "no leader seen" : `${leaders} leaders`;
  console.log(
    `\ncluster ${outputs.clusterId}: ${healthy} of ${rows.length} members healthy, ${lead}${quorum ? "" : ", no quorum"}`,
  );
  for (const warning of rows.flatMap(({ warnings }) => warnings)) {
    console.log(`warning: ${printable(warning)}`);
  }
  return !quorum ? UNKNOWN : healthy === rows.length && leaders === 1 ? HEALTHY : DEGRADED;
}, UNKNOWN);

async function row(outputs: StackOutputs, endpoint: string) {
  const [health, status, expires] = await Promise.all([
    etcdctl(outputs, ["--endpoints", endpoint, "endpoint", "health"], "pipe"),
    etcdctl(outputs, ["--endpoints", endpoint, "endpoint", "status", "-w", "json"], "pipe"),
    certificateEnd(outputs, endpoint),
  ]);
  const host = new URL(endpoint).host.replace(/:2379$/, "");
  const member = outputs.members.find(({ peerUrls }) => peerUrls.includes(`//${host}:`));
  const seen = status.code === 0 ? parse(status.stdout) : undefined;
  const healthy = health.code === 0;
  const alarm = healthy ? undefined : alarmOf(health.stderr);
  const name = member?.name ?? "?";
  const database = seen === undefined ? undefined : fill(seen.dbSize, seen.dbSizeQuota);
  const reason = healthy || alarm !== undefined ? undefined : reasonOf(health.stderr);
  return {
    healthy,
    // A linearizable read through it came back: a quorum stands behind that.
    serves: healthy || alarm !== undefined,
    leads: leads(seen),
    warnings: [
      ...(reason === undefined ? [] : [`${name}: ${reason}`]),
      ...(database?.nearly ? [`${name}: its database uses ${database.text}`] : []),
    ],
    cells: [
      name,
      member?.id ?? "?",
      endpoint,
      healthy ? "healthy" : (alarm ?? "UNHEALTHY"),
      roleOf(seen),
      seen?.version ?? "?",
      database?.text ?? "?",
      expires,
    ],
  };
}

function leads(seen: Status | undefined): boolean {
  return seen?.leader !== undefined && seen.leader === seen.header.member_id;
}

function roleOf(seen: Status | undefined): string {
  if (seen === undefined) {
    return "?";
  }
  const role = seen.isLearner ? "learner" : leads(seen) ? "leader" : "follower";
  return (seen.leader ?? "0") === "0" ? "no leader" : role;
}

/** Why a member is not healthy, in etcdctl's last words. */
function reasonOf(words: string): string {
  const said = /is unhealthy: (.+)/.exec(words)?.[1] ?? words.trim().split("\n").at(-1) ?? "";
  return said === "" ? "no answer" : said;
}

/** A member answers while an alarm is raised, and etcdctl calls it unhealthy. */
function alarmOf(words: string): string | undefined {
  const alarms = /Active Alarm\(s\): *([A-Z ]+)/.exec(words)?.[1]?.trim().split(/ +/) ?? [];
  return alarms.length === 0 ? undefined : `ALARM ${[...new Set(alarms)].join(", ")}`;
}

/** Bytes, in words. */
function fill(size: number, quota = 0): { text: string; nearly: boolean } {
  const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(1);
  return quota === 0
    ? { text: `${mib(size)} MiB`, nearly: false }
    : {
        text: `${mib(size)} of ${mib(quota)} MiB`,
        nearly: size * 100 >= quota * NEARLY_FULL,
      };
}

function parse(json: string): Status | undefined {
  const exact = json.replace(/"(member_id|leader)":\s*(\d+)/g, '"$1":"$2"');
  try {
    return statuses.parse(JSON.parse(exact))[0]?.Status;
  } catch {
    // What is no status is shown as none.
    return undefined;
  }
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
      end(Number.isNaN(until.getTime()) ? "?" : `until ${until.toISOString().slice(0, 10)}`);
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
        .map((cell, column) => printable(cell).padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
  }
}
