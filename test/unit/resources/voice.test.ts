import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { expect, test, vi } from "vitest";
import { schema } from "../../../components/config/schema";
import { argumentWording, stackWording } from "../../../components/config/wording";
import { OperatorError } from "../../../components/errors";
import { voiceOf } from "../../../components/voice";

const own = voiceOf({ naming: stackWording("etcd") });
const others = voiceOf({ naming: stackWording("db") });
const main = voiceOf({ naming: argumentWording("main") });

test.each([
  [
    "etcd02: set etcd:nodes[1].rebuild, or etcd:recover",
    "etcd02: set db:nodes[1].rebuild, or db:recover",
    "main: etcd02: set args.nodes[1].rebuild, or args.recover",
  ],
  [
    "a: /x belongs to root:root, not etcd:etcd; see https://etcd:2379",
    "a: /x belongs to root:root, not etcd:etcd; see https://etcd:2379",
    "main: a: /x belongs to root:root, not etcd:etcd; see https://etcd:2379",
  ],
])("keys have the names that they have in the configuration: %s", async (said, there, inCode) => {
  const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
  for (const [voice, heard] of [
    [own, said],
    [others, there],
    [main, inCode],
  ] as const) {
    await voice.warn(said);
    expect(warn).toHaveBeenLastCalledWith(heard);
    expect(voice.inWords(new OperatorError(said))).toEqual(new OperatorError(heard));
  }
  warn.mockRestore();
});

test("an error that is no message is left as it is", () => {
  const error = new TypeError("etcd:recover");
  expect(main.inWords(error)).toBe(error);
});

test("what is called a key in a message is one", () => {
  const files = readdirSync("components", { recursive: true, encoding: "utf8" });
  const named = files
    .filter((file) => /\.(ts|sh)$/.test(file) && file !== "config/args.ts")
    .flatMap((file) => [
      ...readFileSync(join("components", file), "utf8").matchAll(/(?<![\w-])etcd:([a-z]\w*)/g),
    ])
    .map(([, key = ""]) => key);
  // Owners of files, and the type of a resource of 0.1.0.
  const keys = new Set(named.filter((key) => key !== "etcd" && key !== "index"));
  expect(keys.size).toBeGreaterThan(10);
  expect([...keys].filter((key) => !Object.keys(schema.shape).includes(key))).toEqual([]);
});
