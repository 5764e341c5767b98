/**
 * Clusters with 30 MB that lose all their hosts and come back from a repository: ROUNDS (20) from each kind of server.
 * `npm run campaign -- restores`.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { BackedUp } from "./support/backed-up";
import { ETCDCTL } from "./support/etcdctl";
import { freshStack } from "./support/fresh";
import { REPOSITORIES } from "./support/repository";
import { on, succeed } from "./support/stack";

const rounds = Array.from({ length: Number(process.env.ROUNDS ?? 1) }, (_, index) => index + 1);
const SECONDS = 60;

const stack = freshStack("restores");
const { lab } = stack;
/** The highest revision that anybody was ever given. */
let given = 0;

const ANSWER = z.object({ header: z.object({ revision: z.number() }) });

/** @returns its revision. */
async function put(key: string, value: string): Promise<number> {
  const { stdout } = await succeed(stack.etcdctl(["put", key, value, "--write-out", "json"]));
  return ANSWER.parse(JSON.parse(stdout)).header.revision;
}

const fact = (tags: readonly string[], name: string) =>
  tags.find((tag) => tag.startsWith(`${name}=`))?.slice(name.length + 1);

describe.each(REPOSITORIES)("from %s", (kind) => {
  let cluster: BackedUp;

  beforeAll(async () => {
    cluster = await BackedUp.begin(stack, kind);
    if (given > 0) {
      return;
    }
    await on(
      lab,
      "etcd01",
      `for number in $(seq 30); do head -c 1000000 /dev/urandom | ${ETCDCTL} put "ballast$number" >/dev/null; done`,
    );
  });

  test.each(rounds)(
    `all hosts are lost, and serve again within ${SECONDS} s, round %i`,
    async () => {
      const kept = await put("kept", `at ${Date.now()}`);
      const value = await cluster.get("kept");
      const ballast = `${ETCDCTL} get ballast --prefix --rev ${kept} | sha256sum`;
      const digest = await on(lab, "etcd01", ballast);
      await cluster.backUp();
      const last = (await cluster.snapshots()).at(-1);
      expect(fact(last?.tags ?? [], "revision")).toBe(String(kept));
      given = Math.max(given, await put("lost", "after the backup"));
      const seconds = await cluster.recoverFrom("latest");
      console.log(`${kind}: serving again after ${seconds.toFixed(1)} s`);
      expect(await cluster.get("kept")).toBe(value);
      expect(await cluster.get("lost")).toBe("");
      expect(await on(lab, "etcd02", `${ETCDCTL} get ballast --prefix | sha256sum`)).toBe(digest);
      expect(await put("after", "the restore")).toBeGreaterThan(given);
      expect(seconds).toBeLessThanOrEqual(SECONDS);
    },
  );
});
