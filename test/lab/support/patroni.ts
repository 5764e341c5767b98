/** PostgreSQL under Patroni on two lab hosts, a client that writes to it, and what both notice of a change of the etcd cluster. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { checkout, hostAddress } from "../../support/lab";
import { eventually, on, onAll, type Stack, succeed, tool } from "./stack";

/** Packages of Debian that the hosts need. */
export const PACKAGES = "patroni,postgresql";

/** What Patroni says when a node gives up or takes the primary's role, cannot renew its lock, or finds no etcd to ask. */
const EVENT =
  /demot(?:ed|ing) (?:self|myself)|promoted self|acquired session lock|released leader key|failed to update leader lock|DCS is not accessible/;
const DEMOTION = /demoted self because|demoting self because (?!DCS)/;
const LEADS = /no action\. I am \(\S+\), the leader with the lock/;

/** How long the primary's lock lives without being renewed. */
export const LOCK_SECONDS = 30;

/** More often than Patroni's default of 10 s, so more of its loops meet a change; ttl and retry_timeout are the defaults. */
const LOOP_SECONDS = 3;
const DYNAMIC = { ttl: LOCK_SECONDS, loop_wait: LOOP_SECONDS, retry_timeout: 10 };

const FILES = "/etc/patroni/etcd";
const ACKNOWLEDGED = "/var/lib/postgresql/acknowledged";
/** Where the writer runs, and psql for the tests. */
const SQL = "psql -qAtX -h 192.168.1.87,192.168.1.88 -U postgres 'target_session_attrs=read-write'";

const status = z.object({
  role: z.string(),
  state: z.string(),
  timeline: z.number().optional(),
  postmaster_start_time: z.string().optional(),
  replication_state: z.string().optional(),
});

/** What must stay the same on a node. */
export interface Node {
  readonly name: string;
  readonly role: string;
  readonly timeline: number | undefined;
  /** When PostgreSQL was started. */
  readonly started: string | undefined;
  /** Patroni's process. */
  readonly process: string;
}

export interface Noticed {
  /** Of Patroni's log, see EVENT. */
  readonly events: readonly string[];
  readonly before: readonly Node[];
  readonly after: readonly Node[];
  /** Seconds between two loops of the primary's. */
  readonly longestLoop: number;
  /** Requests to etcd that failed on one member, after which Patroni asks another one. */
  readonly failedRequests: number;
  /** Acknowledged meanwhile. */
  readonly rows: number;
  /** Seconds without an acknowledged row. */
  readonly longestWriteGap: number;
  /** Rows that were acknowledged, ever, and are not in the table. */
  readonly lost: readonly string[];
}

/** Those events in which a primary demoted itself. */
export function demotions({ events }: Noticed): string[] {
  return events.filter((line) => DEMOTION.test(line));
}

/** Everything that an operator of PostgreSQL should not have to see. */
export function complaints(noticed: Noticed): string[] {
  const { events, before, after, longestLoop, rows, lost } = noticed;
  const changed = after.filter(
    (node, index) => JSON.stringify(node) !== JSON.stringify(before[index]),
  );
  return [
    ...events,
    ...changed.map((node) => `changed: ${JSON.stringify(node)}`),
    ...lost.map((row) => `lost: row ${row}`),
    ...(longestLoop > LOOP_SECONDS + DYNAMIC.retry_timeout ? [`a loop of ${longestLoop} s`] : []),
    ...(rows === 0 ? ["nothing was written"] : []),
  ];
}

export class Patroni {
  constructor(
    private readonly stack: Stack,
    readonly names: readonly [string, string],
  ) {}

  /** Starts both nodes, as docs/clients.md says, and the writer when one of them leads and the other one streams from it. */
  async start(): Promise<void> {
    const { lab } = this.stack;
    await this.renewFiles();
    for (const name of this.names) {
      const cluster = "$(pg_lsclusters --no-header | awk '{ print $1, $2 }')";
      await on(lab, name, `set -- ${cluster}; pg_dropcluster --stop "$@"`);
      const [bin] = (await on(lab, name, "ls -d /usr/lib/postgresql/*/bin")).split("\n");
      await this.#write(name, "/etc/patroni/config.yml", configuration(name, bin ?? ""));
      await on(lab, name, "systemctl start patroni.service");
    }
    await this.settled();
    await this.sql("CREATE TABLE writes (number integer PRIMARY KEY)");
    const writer = readFileSync(join(checkout, "test/support/writer.sh"), "utf8");
    const host = this.names[1];
    await this.#write(host, "/usr/local/bin/writer", writer, 755);
    const hosts = this.names.map(hostAddress).join(",");
    await on(
      lab,
      host,
      `systemd-run --quiet --unit writer --property User=postgres --setenv LANG=C.UTF-8 --setenv PGHOST=${hosts} \
        --setenv PGCONNECT_TIMEOUT=2 --setenv PGTARGETSESSIONATTRS=read-write /usr/local/bin/writer ${ACKNOWLEDGED}`,
    );
  }

  /** The client's files as the stack has them now, each put in place by a rename. */
  async renewFiles(): Promise<void> {
    const directory = join(this.stack.lab.directory, "client");
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(this.stack.lab.directory, { recursive: true });
    await succeed(this.stack.run(tool("client-files", directory)));
    for (const name of this.names) {
      for (const file of ["ca.pem", "client.pem", "client-key.pem"]) {
        await this.#write(name, `${FILES}/${file}`, readFileSync(join(directory, file), "utf8"));
      }
    }
    rmSync(directory, { recursive: true });
  }

  /** One of the nodes is the primary and the other one streams from it. */
  settled(): Promise<void> {
    return eventually(
      "Patroni has a primary and a replica that streams",
      async () => {
        const found = await Promise.all(this.names.map((name) => this.#status(name)));
        const words = found.map(
          (node) => `${node?.role} ${node?.replication_state ?? node?.state}`,
        );
        return words.sort().join() === "primary running,replica streaming";
      },
      120,
    );
  }

  /** The name of the node that leads. */
  async primary(): Promise<string> {
    const nodes = await this.nodes();
    return nodes.find(({ role }) => role === "primary")?.name ?? "";
  }

  sql(command: string): Promise<string> {
    return on(this.stack.lab, this.names[1], `${SQL} -c '${command}'`);
  }

  /** What Patroni has logged on both nodes since then. */
  async log(sinceMs: number): Promise<string[]> {
    const script = `journalctl --unit patroni --output short-unix --no-pager --quiet --since @${sinceMs / 1000}`;
    const logs = await onAll(this.stack.lab, script, this.names);
    return logs.flatMap((log) => log.split("\n")).filter((line) => line !== "");
  }

  /** Each node as it is now. */
  async nodes(): Promise<Node[]> {
    return Promise.all(
      this.names.map(async (name) => {
        const found = await this.#status(name);
        const process = await on(this.stack.lab, name, "systemctl show -P MainPID patroni.service");
        return {
          name,
          role: found?.role ?? "unknown",
          timeline: found?.timeline,
          started: found?.postmaster_start_time,
          process,
        };
      }),
    );
  }

  /** What is noticed of a piece of work, and of the two loops after it. */
  async during(work: () => Promise<unknown>): Promise<Noticed> {
    const before = await this.nodes();
    const begin = Date.now();
    await work();
    await new Promise((resolve) => setTimeout(resolve, 2 * LOOP_SECONDS * 1000));
    const end = Date.now();
    const log = await this.log(begin);
    const loops = log.filter((line) => LEADS.test(line)).map((line) => Number(line.split(" ")[0]));
    const acknowledged = await on(this.stack.lab, this.names[1], `cat ${ACKNOWLEDGED}`);
    const rows = acknowledged.split("\n").map((line) => line.split(" "));
    const times = rows.map(([time]) => Number(time)).filter((time) => time * 1000 >= begin);
    const kept = new Set((await this.sql("SELECT number FROM writes")).split("\n"));
    return {
      events: log.filter((line) => EVENT.test(line)),
      before,
      after: await this.nodes(),
      failedRequests: log.filter((line) => /Request to server \S+ failed/.test(line)).length,
      longestLoop: longestGap([begin / 1000, ...loops, end / 1000]),
      rows: times.length,
      longestWriteGap: longestGap([
        begin / 1000,
        ...times.filter((t) => t * 1000 < end),
        end / 1000,
      ]),
      lost: rows.map(([, number = ""]) => number).filter((number) => !kept.has(number)),
    };
  }

  async #status(name: string): Promise<z.output<typeof status> | undefined> {
    const url = `http://${hostAddress(name)}:8008/patroni`;
    const { stdout } = await this.stack.lab.exec(name, `curl --silent --max-time 5 ${url}`);
    return stdout === "" ? undefined : status.parse(JSON.parse(stdout));
  }

  /** A file of the user postgres. */
  async #write(host: string, path: string, content: string, mode = 600): Promise<void> {
    const script = `install -d -o postgres -g postgres -m 700 ${FILES}
      install -o postgres -g postgres -m ${mode} /dev/null ${path}.new && cat >${path}.new && mv ${path}.new ${path}`;
    await succeed(this.stack.lab.exec(host, script, { input: content }));
  }
}

function longestGap(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return Math.max(...sorted.slice(1).map((time, index) => time - (sorted[index] ?? time)));
}

/** Of one node: what docs/clients.md says about etcd, and a PostgreSQL that trusts the lab. */
function configuration(name: string, binDirectory: string): string {
  const page = readFileSync(join(checkout, "docs/clients.md"), "utf8");
  const etcd: unknown = parse(/^```yaml\n(etcd3:\n[\s\S]*?)^```$/m.exec(page)?.[1] ?? "");
  const address = hostAddress(name);
  return stringify({
    ...z.object({ etcd3: z.unknown() }).parse(etcd),
    scope: "lab",
    name,
    restapi: { listen: `${address}:8008`, connect_address: `${address}:8008` },
    // What it gets to know of etcd's members.
    log: { loggers: { "patroni.dcs.etcd": "DEBUG" } },
    bootstrap: { dcs: DYNAMIC, initdb: [{ encoding: "UTF8" }, "data-checksums"] },
    postgresql: {
      listen: `${address}:5432`,
      connect_address: `${address}:5432`,
      data_dir: "/var/lib/postgresql/patroni",
      bin_dir: binDirectory,
      authentication: {
        superuser: { username: "postgres" },
        replication: { username: "replicator" },
      },
      pg_hba: [
        "local all all trust",
        "host all all 192.168.1.0/24 trust",
        "host replication replicator 192.168.1.0/24 trust",
      ],
    },
  });
}
