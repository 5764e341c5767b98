import { homedir } from "node:os";
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { DEFAULT_VERSION, knownDigests, OFFICIAL_DOWNLOADS, parseVersion } from "../etcd/versions";
import { type Checked, check, isMap, unknownKey, unwrap } from "./check";
import { resolveConnections } from "./connections";
import type { Surroundings } from "./private-key";
import { ConfigError, Problems } from "./problems";
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
import type { ClusterConfig, NodeConfig, ReleaseConfig } from "./types";
import { digestOfAmd64 } from "./values";

export { ConfigError } from "./problems";
export * from "./types";

const KEYS = Object.keys(schema.shape);

/**
 * Reads the whole configuration of the program, with the files it names.
 *
 * @param source decides the namespace of the keys; its values come from the running program.
 * @throws ConfigError with all mistakes, before any resource exists.
 */
export function loadConfig(source: pulumi.Config): ClusterConfig {
  const prefix = `${source.name}:`;
  const raw: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(pulumi.runtime.allConfig())) {
    if (key.startsWith(prefix)) {
      raw[key.slice(prefix.length)] = decode(key.slice(prefix.length), value);
    }
  }
  const socket = process.env.SSH_AUTH_SOCK;
  return readConfig(raw, source.name, secretKeys(prefix), {
    directory: process.cwd(),
    home: homedir(),
    ...(socket ? { agentSocket: socket } : {}),
  });
}

/** As `loadConfig`, from plain values: `raw` has one entry for each key of the namespace. */
export function readConfig(
  raw: Readonly<Record<string, unknown>>,
  namespace: string,
  secrets: ReadonlySet<string>,
  surroundings: Surroundings,
): ClusterConfig {
  const problems = new Problems(namespace, secrets);
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
  const drift = read("drift", shape.drift);
  const destroy = read("destroy", shape.destroy);
  const recover = read("recover", shape.recover);
  const inspects = drift.data !== false;
  if (pki.data !== undefined) {
    checkPki(pki.data, pki.wrong, problems);
    checkRotation(pki.data, inspects, problems);
  }
  const flags = checkSettings(settings.data ?? {}, parseVersion(release.version), problems);
  const reached = resolveConnections(nodes, ssh, surroundings, problems);
  const plain = nodes.flatMap(({ data }) => (data === undefined ? [] : [plainNode(data)]));
  checkLost(plain, problems);
  checkRebuild(plain, inspects, problems);
  const recovery = checkRecover(recover.data ?? {}, recover.wrong, plain, inspects, problems);

  if (
    !problems.isEmpty ||
    pki.data === undefined ||
    host.data === undefined ||
    drift.data === undefined ||
    destroy.data === undefined
  ) {
    throw new ConfigError(problems.lines(KEYS));
  }
  return {
    nodes: plain,
    release,
    settings: flags.settings,
    pki: pki.data,
    host: host.data,
    drift: drift.data,
    destroy: destroy.data,
    ...(recovery === undefined ? {} : { recover: recovery }),
    connections: reached.connections,
    others: reached.others,
    warnings: [
      ...sizeWarnings(plain.filter((node) => !node.lost).length),
      ...releaseWarnings(release),
      ...flags.warnings,
      ...reached.warnings,
    ],
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

/** Lists and maps arrive as JSON; a key that was left empty counts as not given. */
function decode(key: string, value: string): unknown {
  if (value === "" || value === "null") {
    return undefined;
  }
  const known = Object.entries(schema.shape).find(([name]) => name === key)?.[1];
  const holds = known === undefined ? "" : unwrap(known)._zod.def.type;
  if (!["object", "array", "record"].includes(holds)) {
    return value;
  }
  try {
    const parsed: unknown = JSON.parse(value);
    // A digest of digits alone is a text, not a number.
    return typeof parsed === "object" ? parsed : value;
  } catch {
    return value;
  }
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

/** The engine tells a program which keys are secret only through its environment. */
function secretKeys(prefix: string): ReadonlySet<string> {
  const listed: unknown = JSON.parse(process.env.PULUMI_CONFIG_SECRET_KEYS || "[]");
  const keys = Array.isArray(listed) ? listed.map(String) : [];
  return new Set(
    keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
  );
}
