/**
 * `npm run bench -- [RUNS]`: the program beside an empty program with the same plugins and beside a
 * script by hand, all in one run on one machine, because timings of different runs do not compare.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { DEFAULT_VERSION } from "../../components/etcd/versions";
import { checkout, hostAddress, Lab, type Result } from "../../test/support/lab";
import {
  type Cost,
  cost,
  counted,
  logins,
  median,
  peakMemory,
  show,
  type Times,
  timed,
} from "./measure";

const RUNS = Number(process.argv[2] ?? 3);
const lab = new Lab("bench");
const names = (count: number) => Array.from({ length: count }, (_, index) => `etcd0${index + 1}`);

const empty = {
  BENCH_HOST: hostAddress("etcd01"),
  BENCH_KEY_FILE: join(lab.directory, "ssh/id_ed25519"),
};

function pulumi(
  args: readonly string[],
  configuration = "bench",
  before: readonly string[] = [],
): Promise<Result> {
  const file = join(lab.directory, `Pulumi.${configuration}.yaml`);
  const stack = ["--stack", "bench", "--config-file", file];
  const command = [...counted(lab), ...before, "pulumi", ...args, ...stack, "--non-interactive"];
  return lab.run(command, { timeoutMs: 600_000 });
}

function pulumiEmpty(args: readonly string[]): Promise<Result> {
  const project = ["--cwd", join(checkout, "lab/bench/empty")];
  const stack = ["--stack", "empty", "--config-file", join(lab.directory, "Pulumi.empty.yaml")];
  const command = [...counted(lab), "pulumi", ...args, ...project, ...stack, "--non-interactive"];
  return lab.run(command, { env: empty });
}

function configure(nodes: number): void {
  const config = {
    "etcd:nodes": names(nodes).map((name) => ({ name, address: hostAddress(name) })),
    "etcd:ssh": {
      privateKeyFile: `${lab.directory}/ssh/id_ed25519`,
      knownHostsFile: `${lab.directory}/ssh/known_hosts`,
    },
    "etcd:downloadUrl": "http://192.168.1.1:8080",
    "etcd:sha256": lab.digests(DEFAULT_VERSION),
  };
  writeFileSync(join(lab.directory, "Pulumi.bench.yaml"), stringify({ config }));
  const blind = { config: { ...config, "etcd:drift": false } };
  writeFileSync(join(lab.directory, "Pulumi.blind.yaml"), stringify(blind));
  const far = names(nodes).map((name, index) => ({
    ...{ name, address: hostAddress(name) },
    ssh: { host: "127.0.0.1", port: FIRST_PORT + index, hostKey: hostKey(name) },
  }));
  const through = { config: { ...config, "etcd:nodes": far } };
  writeFileSync(join(lab.directory, "Pulumi.far.yaml"), stringify(through));
}

/** Of the loopback, for hosts that are far away. */
const FIRST_PORT = 20_022;
/** Each way. */
const FAR_MILLISECONDS = 50;

/** As the lab made it. */
function hostKey(name: string): string {
  const known = readFileSync(join(lab.directory, "ssh/known_hosts"), "utf8");
  const line = known.split("\n").find((one) => one.split(/[ ,]/).includes(hostAddress(name)));
  return line?.replace(/^\S+ /, "") ?? "";
}

/** The CLI writes a new stack's salt beside the Pulumi.yaml it finds: not into the checkout. */
async function initialise(stack: string, project: string): Promise<void> {
  const cwd = join(lab.directory, "project", project);
  mkdirSync(cwd, { recursive: true });
  writeFileSync(join(cwd, "Pulumi.yaml"), `name: ${project}\nruntime: nodejs\n`);
  await lab.run(["pulumi", "stack", "init", stack, "--no-select"], { cwd });
}

/** Bare hosts and a stack without resources. */
async function bare(nodes: number): Promise<void> {
  await lab.reset();
  await lab.run(["pulumi", "stack", "rm", "bench", "--force", "--yes", "--preserve-config"]);
  await initialise("bench", "etcd");
  configure(nodes);
}

const up = () => pulumi(["up", "--yes", "--skip-preview"]);
const preview = () => pulumi(["preview", "--expect-no-changes"]);
/** Without a look at the hosts. Their gates would run again, which is planned in no time. */
const blindPreview = () => pulumi(["preview"], "blind");

async function repeat<Measured>(run: () => Promise<Measured>): Promise<readonly Measured[]> {
  const measured: Measured[] = [];
  for (let index = 0; index < RUNS; index += 1) {
    measured.push(await run());
  }
  return measured;
}

async function create(nodes: number): Promise<Cost> {
  await bare(nodes);
  return cost(lab, up);
}

/** The same over a slow line, which counts what comes one after the other. */
async function createFar(nodes: number): Promise<number> {
  await bare(nodes);
  const routes = names(nodes).map((name, index) => `${FIRST_PORT + index}=${hostAddress(name)}`);
  const line = ["node_modules/.bin/tsx", "lab/bench/delayed.ts", String(FAR_MILLISECONDS)];
  const before = [...line, ...routes, "--"];
  return timed(() => pulumi(["up", "--yes", "--skip-preview"], "far", before));
}

async function byHand(count: number): Promise<number> {
  await lab.reset();
  const nodes = names(count).map((name) => `${name}=${hostAddress(name)}`);
  const ssh = join(lab.directory, "ssh");
  return timed(() =>
    lab.run([
      "bash",
      "lab/bench/by-hand.sh",
      join(ssh, "id_ed25519"),
      join(ssh, "known_hosts"),
      "http://192.168.1.1:8080",
      DEFAULT_VERSION,
      ...nodes,
    ]),
  );
}

const seconds = (costs: readonly Cost[]): Times => costs.map((one) => one.seconds);
const ofOperator = (costs: readonly Cost[]): Times => costs.map(({ operator }) => operator);
const ofHost = (costs: readonly Cost[]): Times => costs.map(({ host }) => host);

const rows: string[][] = [["what", "ours", "beside it", "ratio", "goal"]];

function compare(what: string, ours: Times, other: string, theirs: Times, goal = ""): void {
  const ratio = (median(ours) / median(theirs)).toFixed(2);
  rows.push([what, show(ours), `${other} ${show(theirs)}`, ratio, goal]);
}

function single(what: string, value: string, goal = ""): void {
  rows.push([what, value, "", "", goal]);
}

async function creations(): Promise<void> {
  const script = await repeat(() => byHand(3));
  const scriptSeven = await repeat(() => byHand(7));
  const seven = await repeat(() => create(7));
  const three = await repeat(() => create(3));
  const sevenFar = await repeat(() => createFar(7));
  const threeFar = await repeat(() => createFar(3));
  compare("create, 3 nodes", seconds(three), "script by hand", script, "1.6");
  compare("create, 7 nodes", seconds(seven), "3 nodes", seconds(three));
  compare("create, 7 nodes, 50 ms away", sevenFar, "3 nodes", threeFar, "1.3");
  // How much more seven hosts on one machine cost in any case.
  compare("by hand, 7 nodes", scriptSeven, "3 nodes", script);
  single("processor time of the operator, create, 3 nodes", show(ofOperator(three)));
  single("processor time of one host, create, 3 nodes", show(ofHost(three)));
}

/** Of a cluster of three that is there. */
async function unchangedRuns(): Promise<void> {
  const unchanged: Cost[] = [];
  const previews: Cost[] = [];
  const blind: number[] = [];
  const emptyUps: Cost[] = [];
  const emptyPreviews: Cost[] = [];
  // In turn, so that a slow spell of the machine hits all alike.
  for (let index = 0; index < RUNS; index += 1) {
    emptyUps.push(await cost(lab, () => pulumiEmpty(["up", "--yes", "--skip-preview"])));
    unchanged.push(await cost(lab, up));
    emptyPreviews.push(await cost(lab, () => pulumiEmpty(["preview"])));
    previews.push(await cost(lab, preview));
    blind.push(await timed(blindPreview));
  }
  for (const [what, ours, empties] of [
    ["unchanged up", unchanged, emptyUps],
    ["preview", previews, emptyPreviews],
  ] as const) {
    const other = "empty program";
    compare(what, seconds(ours), other, seconds(empties), "1.15");
    const operator = `processor time of the operator, ${what}`;
    compare(operator, ofOperator(ours), other, ofOperator(empties));
    single(`processor time of one host, ${what}`, show(ofHost(ours)));
  }
  compare("preview", seconds(previews), "drift: false", blind, "1.3, plus 0.7 s");
}

/** How many logins of a run the first host sees. */
async function dials(run: () => Promise<unknown>): Promise<string> {
  const before = await logins(lab, "etcd01");
  await run();
  return String((await logins(lab, "etcd01")) - before);
}

async function singleRuns(): Promise<void> {
  await bare(3);
  let memory = Number.NaN;
  const created = await dials(async () => {
    memory = await peakMemory(up);
  });
  const exported = await lab.run(["pulumi", "stack", "export", "--stack", "bench"]);
  single("ssh logins a host, create", created, "4");
  single("ssh logins a host, preview", await dials(() => timed(preview)), "1");
  single("peak memory of the program", `${memory.toFixed(0)} MiB`, "300 MB");
  single("state, 3 nodes", `${(exported.stdout.length / 1024).toFixed(1)} KiB`, "432 KiB");
}

async function main(): Promise<void> {
  await lab.up(7);
  // The first run of a program compiles it; that is not what is measured.
  await bare(3);
  await timed(up);
  await initialise("empty", "empty");
  await pulumiEmpty(["up", "--yes", "--skip-preview"]);

  await creations();
  await create(3);
  await unchangedRuns();
  await singleRuns();

  console.log(`${RUNS} runs each, median (fastest-slowest), ${cpus().length} cores\n`);
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of rows) {
    console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  }
}

main()
  .finally(() => lab.down(true))
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
