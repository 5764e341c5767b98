import type { z } from "zod";
import { DEFAULT_VERSION, knownDigests, OFFICIAL_DOWNLOADS, parseVersion } from "../etcd/versions";
import { checkBackup } from "./backup";
import { type Checked, check, isMap, unknownKey } from "./check";
import { resolveConnections } from "./connections";
import { Problems } from "./problems";
import {
  checkLost,
  checkNodes,
  checkPki,
  checkRebuild,
  checkRecover,
  checkRelease,
  checkRotation,
  releaseWarnings,
  sizeWarnings,
} from "./rules";
import { nodeSchema, schema } from "./schema";
import { checkSettings } from "./settings";
import { unknownNodes, withStandIns } from "./stand-ins";
import type { Surroundings } from "./surroundings";
import type { ClusterConfig, NodeConfig, ReleaseConfig } from "./types";
import { digestOfAmd64 } from "./values";
import type { Wording } from "./wording";

const KEYS = Object.keys(schema.shape);

/**
 * Checks a configuration, wherever it was written, and reads the files that it names.
 *
 * @param given one entry for each key; `UNKNOWN` stands for what is not known.
 * @param secrets paths as `pathText` writes them.
 * @throws ConfigError with all mistakes.
 */
export function readValues(
  given: Readonly<Record<string, unknown>>,
  secrets: ReadonlySet<string>,
  wording: Wording,
  surroundings: Surroundings,
): ClusterConfig {
  const problems = new Problems(wording, secrets);
  const { raw, unknown } = withStandIns(given, problems);
  if (!problems.isEmpty) {
    throw problems.error(KEYS);
  }
  for (const key of Object.keys(raw).filter((name) => !KEYS.includes(name))) {
    problems.add([key], unknownKey(key, KEYS));
  }
  const read: Read = (key, part) => check(part, withoutNulls(raw[key]), [key], problems);
  const { shape } = schema;

  const nodes = readNodes(withoutNulls(raw.nodes) ?? [], problems);
  const release = readRelease(raw, read, problems);
  const settings = read("settings", shape.settings);
  const ssh = read("ssh", shape.ssh);
  const pki = read("pki", shape.pki);
  const host = read("host", shape.host);
  const backup = read("backup", shape.backup);
  const maintenance = read("maintenance", shape.maintenance);
  const drift = read("drift", shape.drift);
  const destroy = read("destroy", shape.destroy);
  const recover = read("recover", shape.recover);
  const inspects = drift.data !== false;
  if (pki.data !== undefined) {
    checkPki(pki.data, pki.wrong, problems);
    checkRotation(pki.data, inspects, problems);
  }
  const flags = checkSettings(settings.data ?? {}, parseVersion(release.version), problems);
  const reached = resolveConnections(nodes, ssh, surroundings, problems, unknown);
  const plain = nodes.flatMap(({ data }) => (data === undefined ? [] : [plainNode(data)]));
  checkLost(plain, problems);
  checkRebuild(plain, inspects, problems);
  const snapshots = checkBackup(backup, problems, unknown);
  const recovery = checkRecover(recover.data ?? {}, recover.wrong, problems, {
    ...{ nodes: plain, drift: inspects, unknown },
    repository: backup.wrong.has("repository") || snapshots?.repository !== undefined,
  });

  if (
    !problems.isEmpty ||
    pki.data === undefined ||
    host.data === undefined ||
    drift.data === undefined ||
    destroy.data === undefined
  ) {
    throw problems.error(KEYS);
  }
  return {
    nodes: plain,
    release,
    settings: flags.settings,
    pki: pki.data,
    host: host.data,
    ...(snapshots === undefined ? {} : { backup: snapshots }),
    ...(maintenance.data === undefined ? {} : { maintenance: maintenance.data }),
    drift: drift.data,
    destroy: destroy.data,
    ...(recovery === undefined ? {} : { recover: recovery }),
    connections: reached.connections,
    others: reached.others,
    unknown: unknownNodes(nodes, unknown, problems),
    warnings: [
      ...sizeWarnings(plain.filter((node) => !node.lost).length, problems),
      ...releaseWarnings(release, problems),
      ...flags.warnings,
      ...reached.warnings,
    ],
    naming: { cluster: wording.cluster, keys: wording.keys },
  };
}

type Read = <S extends z.ZodType>(key: keyof typeof schema.shape, part: S) => Checked<z.output<S>>;

function readNodes(
  raw: unknown,
  problems: Problems,
): readonly Checked<z.output<typeof nodeSchema>>[] {
  if (!Array.isArray(raw)) {
    check(schema.shape.nodes, raw, ["nodes"], problems);
    return [];
  }
  const nodes = raw.map((node, index) => check(nodeSchema, node, ["nodes", index], problems));
  checkNodes(raw, problems);
  return nodes;
}

function plainNode({ name, address, lost, rebuild }: z.output<typeof nodeSchema>): NodeConfig {
  return { name, address, lost, ...(rebuild === undefined ? {} : { rebuild }) };
}

function readRelease(
  raw: Readonly<Record<string, unknown>>,
  read: Read,
  problems: Problems,
): ReleaseConfig {
  const { shape } = schema;
  const version = read("version", shape.version);
  const downloadUrl = read("downloadUrl", shape.downloadUrl);
  const sha256 =
    typeof raw.sha256 === "string" ? read("sha256", digestOfAmd64) : read("sha256", shape.sha256);
  const trustMirrorChecksums = read("trustMirrorChecksums", shape.trustMirrorChecksums);
  const release = resolveRelease(
    {
      version: version.data ?? DEFAULT_VERSION,
      downloadUrl: downloadUrl.data ?? OFFICIAL_DOWNLOADS,
      sha256: sha256.data ?? {},
    },
    trustMirrorChecksums.data === true,
  );
  const parts = [version, downloadUrl, sha256, trustMirrorChecksums];
  if (parts.every(({ data }) => data !== undefined)) {
    checkRelease(release, problems);
  }
  return release;
}

/**
 * Which digests count. What is configured stands alone: a digest for one architecture is no word on another one, whose
 * tarball may be a build of the same hands. The table in the program is for the official tarballs, which are the same on
 * every mirror. The project's own SHA256SUMS, over https, are believed where there is neither.
 */
function resolveRelease(
  given: Omit<ReleaseConfig, "listedSums">,
  trustMirrorChecksums: boolean,
): ReleaseConfig {
  const configured = Object.keys(given.sha256).length > 0;
  const sha256 = configured ? given.sha256 : knownDigests(given.version);
  const unknown = Object.keys(sha256).length === 0;
  const official = given.downloadUrl === OFFICIAL_DOWNLOADS;
  return { ...given, sha256, listedSums: trustMirrorChecksums || (unknown && official) };
}

/** YAML's way to leave a field empty. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutNulls);
  }
  if (!isMap(value)) {
    return value ?? undefined;
  }
  const entries = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(entries.map(([key, field]) => [key, withoutNulls(field)]));
}
