/** The folders of components/, and that imports between them run one way: etcd < config < scripts < hosts < plan < resources. */
import { readdirSync, readFileSync } from "node:fs";
import { join, normalize, sep } from "node:path";
import { preProcessFile } from "typescript";
import { describe, expect, test } from "vitest";

const COMPONENTS = join(__dirname, "../../../components");

/** Each may import those before it; `errors.ts` belongs to none of them and everybody may. */
const ORDER = ["etcd", "config", "scripts", "hosts", "plan", "resources"];
/** Of Pulumi, what a folder may import. Only resources make resources. */
const PULUMI: Readonly<Record<string, RegExp>> = {
  config: /^@pulumi\/pulumi$/,
  resources: /^@pulumi\/(pulumi|pulumi\/provider|command|random|tls)$/,
};

function folderOf(path: string): string {
  return path.includes(sep) ? (path.split(sep)[0] ?? "") : "resources";
}

/** @returns one line for each import of this file that it must not have. */
function wrongImports(path: string, text: string): readonly string[] {
  const folder = folderOf(path);
  return preProcessFile(text).importedFiles.flatMap(({ fileName }) => {
    if (fileName.startsWith("@pulumi/")) {
      return PULUMI[folder]?.test(fileName) ? [] : [`${path} imports ${fileName}`];
    }
    const target = fileName.startsWith(".") ? normalize(join(path, "..", fileName)) : undefined;
    if (target === undefined || target === "errors") {
      return [];
    }
    const other = ORDER.includes(target) ? target : folderOf(target);
    return ORDER.indexOf(other) > ORDER.indexOf(folder) ? [`${path} imports ${target}`] : [];
  });
}

const files = readdirSync(COMPONENTS, { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts"),
);

test("every file lies in a folder that has a place in the order", () => {
  expect([...new Set(files.map(folderOf))].sort()).toEqual([...ORDER].sort());
});

test("no import runs against the direction", () => {
  const wrong = files.flatMap((file) =>
    wrongImports(file, readFileSync(join(COMPONENTS, file), "utf8")),
  );
  expect(wrong).toEqual([]);
});

describe("a planted import is found", () => {
  const pairs = ORDER.flatMap((folder, index) =>
    ORDER.slice(index + 1).map((other) => [folder, other] as const),
  );
  test.each(pairs)("of %s in %s", (folder, other) => {
    const target = other === "resources" ? "../cluster" : `../${other}/x`;
    const text = `import { x } from "${target}";\n`;
    expect(wrongImports(join(folder, "planted.ts"), text)).toHaveLength(1);
    expect(wrongImports(join(other, "planted.ts"), `import { x } from "../${folder}/x";`)).toEqual(
      [],
    );
  });

  test.each(["etcd", "scripts", "hosts", "plan"])("of Pulumi in %s", (folder) => {
    expect(
      wrongImports(join(folder, "planted.ts"), 'import * as pulumi from "@pulumi/pulumi";'),
    ).toHaveLength(1);
  });

  test("of a folder by its name alone, as a type, and of a provider in config", () => {
    expect(wrongImports("etcd/planted.ts", 'import type { A } from "../config";')).toHaveLength(1);
    expect(
      wrongImports("config/planted.ts", 'import { remote } from "@pulumi/command";'),
    ).toHaveLength(1);
  });
});
