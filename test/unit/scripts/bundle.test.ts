import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  assemble,
  JOB_SCRIPTS,
  plain,
  quote,
  type ScriptName,
} from "../../../components/scripts/bundle";
import { generator } from "../../support/random";

const SCRIPTS: readonly ScriptName[] = [
  "leave",
  "install",
  "drain",
  "member",
  "lost",
  "health",
  "probe",
  "results",
  "backups",
  ...JOB_SCRIPTS,
];
/** Those whose function has their own name. */
const ALONE: readonly ScriptName[] = ["probe", "drain", "results", "backups"];
const isJob = (script: string) => JOB_SCRIPTS.some((name) => name === script);

const SOURCES = join(__dirname, "../../../components/scripts");

function shellScripts(): readonly string[] {
  return readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".sh"),
  );
}

function bash(script: string, args: readonly string[] = [], input = "") {
  return spawnSync("bash", ["-c", script, "bash", ...args], { encoding: "utf8", input });
}

const NASTY = [
  "",
  " ",
  "a b",
  "it's",
  "''",
  "'; touch /nowhere/x; '",
  '"',
  "$HOME",
  "`id`",
  "$(id)",
  "\\",
  "\\'",
  "a\nb",
  "\n",
  "ends in a newline\n",
  "\ttab",
  "!!",
  "*",
  "?[a]",
  "~",
  "~root",
  "-n",
  "--",
  "#x",
  "a;b",
  "a&b",
  "a|b",
  "<x>",
  "{a,b}",
  "(x)",
  "=x",
  "ñandú «€» 🙂",
  "%s%n",
];

describe("quote", () => {
  test("gives every nasty text back through bash as one word", () => {
    const { stdout } = bash(`printf '%s\\0' ${NASTY.map(quote).join(" ")}`);
    expect(stdout.split("\0").slice(0, -1)).toEqual(NASTY);
  });

  test("gives 2000 random texts back", () => {
    const random = generator(20261122);
    const alphabet = [..."ab'\"\\$`!*?[]{}()<>|&;#~=%^ \t\n\r-.,:/@+éß漢🙂"];
    const texts = Array.from({ length: 2000 }, () =>
      Array.from(
        { length: Math.floor(random() * 12) },
        () => alphabet[Math.floor(random() * alphabet.length)] ?? "",
      ).join(""),
    );
    const { stdout } = bash("bash -s", [], `printf '%s\\0' ${texts.map(quote).join(" ")}\n`);
    expect(stdout.split("\0").slice(0, -1)).toEqual(texts);
  });

  test("leaves what needs no quotes readable", () => {
    expect(quote("https://192.168.1.83:2379/a_b-c@1.0+x=%y")).toBe(
      "https://192.168.1.83:2379/a_b-c@1.0+x=%y",
    );
    expect(quote("repair: unit stopped")).toBe("'repair: unit stopped'");
  });
});

describe("assemble", () => {
  test.each(SCRIPTS)("makes a script of %s that bash can read", (script) => {
    const { stderr, status } = spawnSync("bash", ["-n"], {
      input: assemble(script, { NODE: "etcd01" }),
      encoding: "utf8",
    });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  });

  test.each(SCRIPTS)("makes a script of %s that defines what is called", (script) => {
    const step = ALONE.includes(script) ? script : script === "leave" ? "delete" : "apply";
    const jobs = script === "backup" ? ["check", "run", "run_job"] : ["run", "run_job"];
    const wanted = isJob(script) ? jobs : [step];
    // As on a host: the text on standard input, the call in the arguments.
    const { stdout, status } = spawnSync("bash", ["-s", "--", "declare", "-F", ...wanted], {
      input: assemble(script, {}),
      encoding: "utf8",
    });
    expect({ stdout, status }).toEqual({ stdout: `${wanted.join("\n")}\n`, status: 0 });
  });

  test.each(SCRIPTS)("makes a script of %s in which every function is called", (script) => {
    const text = plain(script);
    const named = (name: string) => text.match(new RegExp(`\\b${name}\\b`, "g"))?.length ?? 0;
    const { stdout } = spawnSync("bash", ["-s", "--", "compgen", "-A", "function"], {
      input: assemble(script, {}),
      encoding: "utf8",
    });
    const functions = stdout.trim().split("\n");
    expect(functions).toContain("run_step");
    const idle = functions.filter((name) => named(name) < 2);
    const calledFromOutside = [
      ...["apply", "delete", "keep_lock", "run_step"],
      ...ALONE,
      ...(isJob(script) ? ["run_job", "run", "check"] : []),
    ];
    expect(idle.filter((name) => !calledFromOutside.includes(name))).toEqual([]);
  });

  test("uses every function of every script file", () => {
    // They are no part of a script: a step's standard input ends with one.
    const files = shellScripts().filter((file) => !file.startsWith("lib/load"));
    const sent = (text: string) => [...text.matchAll(/^\w+\(\)/gm)].map(([name]) => name);
    const used = new Set(SCRIPTS.flatMap((script) => sent(plain(script))));
    const unused = files.flatMap((file) => {
      const text = readFileSync(join(SOURCES, file), "utf8");
      // The first comment of each names what it is.
      expect(text.split("\n")[1]).toMatch(/^# ./);
      expect(sent(text).length, file).toBeGreaterThan(0);
      return sent(text).filter((name) => !used.has(name));
    });
    expect(unused).toEqual([]);
    const entries = files.flatMap((file) => /^(?:steps|jobs)\/(.+)\.sh$/.exec(file)?.[1] ?? []);
    expect(entries.sort()).toEqual([...SCRIPTS].sort());
  });

  test("sends no comments, and no script has one where it would be text", () => {
    const commented = (text: string) => text.split("\n").filter((line) => /^\s*#/.test(line));
    for (const script of SCRIPTS) {
      expect(commented(plain(script))).toEqual([]);
    }
    expect(assemble("install", { PEM: "# kept" })).toContain("PEM='# kept'");
    const here = /<<-?'?(\w+)'?\n([\s\S]*?\n)\1\n/g;
    for (const file of shellScripts()) {
      const text = readFileSync(join(SOURCES, file), "utf8");
      for (const [, , document = ""] of text.matchAll(here)) {
        expect(commented(document), file).toEqual([]);
      }
    }
  });

  test("packs the files, and leaves the values and the call as they are", () => {
    const [value, read = "", packed = "", ...rest] = assemble("member", { NODE: "etcd01" }).split(
      "\n",
    );
    expect([value, ...rest]).toEqual(["NODE=etcd01", 'run_step "$@" </dev/null', ""]);
    const unpacked = spawnSync("bash", ["-c", read.replace("eval", "printf '%s\\n'")], {
      input: packed,
    });
    expect(unpacked.stdout.toString()).toBe(plain("member"));
    expect(packed.length).toBeLessThan(plain("member").length / 2);
  });

  test("hands every value over as it is", () => {
    const values = Object.fromEntries(NASTY.map((value, index) => [`VALUE_${index}`, value]));
    const names = Object.keys(values).map((name) => `"$${name}"`);
    const { stdout } = spawnSync(
      "bash",
      ["-s", "--", "eval", `printf '%s\\0' ${names.join(" ")}`],
      {
        input: assemble("install", values),
        encoding: "utf8",
      },
    );
    expect(stdout.split("\0").slice(0, -1)).toEqual(NASTY);
  });

  test("calls with the arguments as they came", () => {
    const words = ["repair: it's; $(id)", "", "a\nb"];
    const { stdout } = spawnSync("bash", ["-s", "--", "printf", "%s\\0", ...words], {
      input: assemble("health", {}),
      encoding: "utf8",
    });
    expect(stdout.split("\0").slice(0, -1)).toEqual(words);
  });

  test("gives the call no standard input: it could read on in the script", () => {
    const { stdout } = spawnSync("bash", ["-s", "--", "wc", "-c"], {
      input: `${assemble("install", {})}echo what follows is not run by mistake\n`,
      encoding: "utf8",
    });
    expect(stdout.split("\n")[0]?.trim()).toBe("0");
  });

  test("ends with the call's exit code, and with the first failure inside it", () => {
    const run = (...call: string[]) =>
      spawnSync("bash", ["-s", "--", ...call], {
        input: assemble("install", { NODE: "etcd01" }),
        encoding: "utf8",
      });
    expect(run("fail", "no good")).toMatchObject({ status: 1, stderr: "etcd01: no good\n" });
    expect(run("eval", "false; echo not reached")).toMatchObject({ status: 1, stdout: "" });
    expect(run("eval", "echo $UNSET_NAME").status).not.toBe(0);
    expect(run("true").status).toBe(0);
  });
});
