/** Which release is installed, and what is known of its tarballs. */
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  compareVersions,
  DEFAULT_VERSION,
  knownDigests,
  PINNED,
  parseVersion,
  type Version,
  versionProblem,
} from "../../../components/etcd/versions";

const version = (text: string): Version => {
  const parsed = parseVersion(text);
  if (parsed === undefined) {
    throw new Error(text);
  }
  return parsed;
};

test("the default is the newest release whose digests are known", () => {
  const oldestFirst = [...PINNED].sort((a, b) => compareVersions(version(a), version(b)));
  expect(oldestFirst.at(-1)).toBe(DEFAULT_VERSION);
});

test("every pinned release is accepted, and has a digest of its own for both architectures", () => {
  const digests = PINNED.flatMap((each) => {
    expect(versionProblem(version(each))).toBeUndefined();
    const { amd64, arm64 } = knownDigests(each);
    return [amd64, arm64];
  });
  expect(digests).toHaveLength(2 * PINNED.length);
  for (const digest of digests) {
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
  }
  expect(new Set(digests).size).toBe(digests.length);
});

test("the lab builds the default from pinned modules", () => {
  expect(readFileSync("lab/releases.sh", "utf8")).toContain(
    `DEFAULT_RELEASE=\${LAB_ETCD_VERSION:-${DEFAULT_VERSION}}`,
  );
  const modules = `lab/toolchain/etcd/${DEFAULT_VERSION}/go.mod`;
  expect(existsSync(modules)).toBe(true);
  expect(readFileSync(modules, "utf8")).toContain(`go.etcd.io/etcd/server/v3 v${DEFAULT_VERSION} `);
});
