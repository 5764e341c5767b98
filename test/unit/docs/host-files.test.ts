/** The table "Files on a host" in docs/design.md names every script that has to do with a file, and no other. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";

const SCRIPTS = "components/scripts";
/** They hold more than this program's files, or belong to etcd: the table "What was there before us" has them. */
const DIRECTORIES = ["STATE", "DATA", "RELEASES", "BACKUPS"];

type Texts = ReadonlyMap<string, string>;
/** Names of scripts by the path of a file. */
type Uses = Readonly<Record<string, readonly string[]>>;

function readScripts(): Texts {
  const files = readdirSync(SCRIPTS, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".sh") || file === "unit.ts",
  );
  return new Map(files.map((file) => [basename(file), readFileSync(join(SCRIPTS, file), "utf8")]));
}

/** A path of ours in the text of a script, not as the beginning of another one. */
function spelledOut(path: string): RegExp {
  return new RegExp(`${path.replace(/[$.]/g, "\\$&")}(?![\\w.-])`);
}

/** Which scripts use a file of ours, under $STATE or with a constant of its own. The line that defines a constant is no use. */
function usesIn(texts: Texts): Uses {
  const definition = /^(?:export )?([A-Z_]+)=((?:\$STATE)?\/[\w./-]+)$/gm;
  const constants = [...texts.values()]
    .flatMap((text) => [...text.matchAll(definition)])
    .map(([, name = "", path = ""]): [string, string] => [name, path])
    .filter(([name]) => !DIRECTORIES.includes(name));
  const uses = new Map<string, Set<string>>();
  const add = (path: string, script: string) => {
    // Of what lies in a directory of ours, the directory.
    const name = path.replace(/^(\$STATE\/[\w.-]+).*$/, "$1");
    uses.set(name, (uses.get(name) ?? new Set()).add(script.replace(/\.sh$/, "")));
  };
  for (const [script, text] of texts) {
    const used = text
      .replace(definition, "")
      .replace(/^\s*#.*$/gm, "")
      .replaceAll("/var/lib/etcd-on-pulumi/", "$STATE/");
    for (const [path] of used.matchAll(/\$STATE"?\/[\w.-]+/g)) {
      add(path.replace('"', ""), script);
    }
    for (const [name, path] of constants) {
      if (new RegExp(`\\$\\{?${name}\\b`).test(used) || spelledOut(path).test(used)) {
        add(path, script);
      }
    }
  }
  return sorted([...uses].map(([path, scripts]) => [path, [...scripts]]));
}

/** The rows of the table: a path, and the scripts that its last three cells name. */
function usesInDocs(page: string): Uses {
  const [, section = ""] = /^## Files on a host\n([\s\S]*?)(?=^## )/m.exec(page) ?? [];
  const rows = [...section.matchAll(/^\| `([^`]+)` +\|[^|]*\|(.*)\|$/gm)];
  return sorted(
    rows.map(([, path = "", cells = ""]) => [
      path,
      [...new Set([...cells.matchAll(/`([\w.-]+)`/g)].map(([, script = ""]) => script))],
    ]),
  );
}

function sorted(uses: readonly [string, readonly string[]][]): Uses {
  return Object.fromEntries(
    uses
      .map(([path, scripts]): [string, string[]] => [path, [...scripts].sort()])
      .sort(([one], [other]) => one.localeCompare(other)),
  );
}

const page = readFileSync("docs/design.md", "utf8");

test("the table names every file and every script that uses it", () => {
  expect(usesInDocs(page)).toEqual(usesIn(readScripts()));
});

describe("what the table lacks is found", () => {
  const planted = (line: string) =>
    usesIn(new Map([...readScripts(), ["planted.sh", `apply() {\n  ${line}\n}\n`]]));

  test.each([
    ['put 0644 root:root "$STATE/new-mark" </dev/null', "$STATE/new-mark"],
    ['touch "$STATE"/new-mark', "$STATE/new-mark"],
    ["touch /var/lib/etcd-on-pulumi/new-mark", "$STATE/new-mark"],
    ['mkdir -p "$STATE/cellar/backup"', "$STATE/cellar"],
  ])("a new file: %s", (line, path) => {
    expect(planted(line)[path]).toEqual(["planted"]);
    expect(usesInDocs(page)).not.toEqual(planted(line));
  });

  test("another script that uses a file by its constant", () => {
    expect(planted('rm -f "$FORMED"')["$STATE/formed"]).toContain("planted");
    expect(usesInDocs(page)).not.toEqual(planted('rm -f "$FORMED"'));
  });

  test("a new constant", () => {
    const texts = new Map([
      ...readScripts(),
      ["planted.sh", 'MARK_OF_IT=$STATE/it\n: >"$MARK_OF_IT"\n'],
    ]);
    expect(usesIn(texts)["$STATE/it"]).toEqual(["planted"]);
  });
});
