import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";

type Environment = Readonly<Record<string, string>>;

const PLAIN = { PLAIN_START: "1" };
const PRELOAD = ["--require", "./tools/preload.cjs"];

/** A project with both files, an SDK of a known version that does nothing but to print debug messages, and an index.ts of its own. */
let project: string;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "start-"));
  cpSync("tools/start.cjs", join(project, "tools/start.cjs"));
  cpSync("tools/preload.cjs", join(project, "tools/preload.cjs"));
  mkdirSync(join(project, "node_modules"));
  symlinkSync(
    join(process.cwd(), "node_modules/typescript"),
    join(project, "node_modules/typescript"),
  );
  installSdk(pinnedSdk());
});

afterEach(() => rmSync(project, { recursive: true }));

const SDK = "node_modules/@pulumi/pulumi";

function pinnedSdk(): string {
  return JSON.parse(readFileSync("package-lock.json", "utf8")).packages[SDK].version;
}

function installSdk(version: string): void {
  const directory = join(project, "node_modules/@pulumi/pulumi");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "package.json"), JSON.stringify({ version }));
  writeFileSync(
    join(directory, "index.js"),
    'exports.log = { debug: (text) => console.error("debug: " + text) };',
  );
}

function node(args: readonly string[], script: string, env: Environment = {}, cwd = process.cwd()) {
  return spawnSync(process.execPath, [...args, "-e", script], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

describe("tools/start.cjs", () => {
  const cache = () => join(project, "node_modules/.cache/etcd");
  const kept = () => readdirSync(cache()).filter((name) => name.endsWith(".js"));

  /** Prints what the program exports, and how often the compiler is in memory afterwards. */
  function start(source: string, env: Environment = {}) {
    writeFileSync(join(project, "index.ts"), source);
    const script = `
      const program = require("./tools/start.cjs");
      const compiler = Object.keys(require.cache).filter((file) => file.endsWith("typescript.js"));
      console.log(JSON.stringify({ program, compiler: compiler.length }));`;
    const { stdout, stderr, status } = node([], script, env, project);
    return { status, stderr, answer: stdout === "" ? undefined : JSON.parse(stdout) };
  }

  const FIRST = "const answer: number = 42;\nexport = { answer };\n";
  const COMPILED = { program: { answer: 42 }, compiler: 1 };
  const CACHED = { program: { answer: 42 }, compiler: 0 };

  test("loads the compiler for what has changed only", () => {
    expect(start(FIRST).answer).toEqual(COMPILED);
    expect(start(FIRST).answer).toEqual(CACHED);
    const second = { program: { answer: 43 }, compiler: 1 };
    expect(start(FIRST.replace("42", "43")).answer).toEqual(second);
  });

  test("compiles again for other options of the compiler", () => {
    start(FIRST);
    const file = join(project, "tools/start.cjs");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace('target: "es2022"', 'target: "es2021"'));
    expect(start(FIRST).answer).toEqual(COMPILED);
    expect(start(FIRST).answer).toEqual(CACHED);
  });

  test("keeps what the program consists of, and nothing else", () => {
    start(FIRST);
    const [old] = kept();
    writeFileSync(join(cache(), `${old}.1`), "half of a fi");
    mkdirSync(join(cache(), "v8"), { recursive: true });
    start(FIRST.replace("42", "43"));
    expect(kept()).toHaveLength(1);
    expect(kept()).not.toContain(old);
    expect(readdirSync(cache()).sort()).toEqual([...kept(), "v8"].sort());
  });

  test("runs a tool with its arguments, and keeps it apart from the program", () => {
    start(FIRST);
    const before = kept();
    writeFileSync(join(project, "tools/tool.ts"), "console.log(process.argv.slice(2).join());");
    const tool = ["tools/start.cjs", "tools/tool.ts", "one", "--two"];
    const run = () => spawnSync(process.execPath, tool, { cwd: project, encoding: "utf8" });
    expect(run()).toMatchObject({ status: 0, stdout: "one,--two\n", stderr: "" });
    expect(run().stdout).toBe("one,--two\n");
    expect(kept()).toEqual(before);
    expect(readdirSync(join(cache(), "tool"))).toHaveLength(1);
  });

  test("says what to do without the compiler", () => {
    rmSync(join(project, "node_modules/typescript"));
    expect(start(FIRST).stderr).toContain(
      "Error: the package typescript is missing; run npm ci, without --omit=dev",
    );
  });

  test("names the file and what is wrong in it", () => {
    const { status, stderr } = start("export = {;\n");
    expect(status).not.toBe(0);
    expect(stderr).toContain(
      `SyntaxError: ${join(project, "index.ts")}: Property assignment expected.`,
    );
  });

  test("runs where nothing can be kept", () => {
    writeFileSync(join(project, "node_modules/.cache"), "in the way");
    expect(start(FIRST).answer).toEqual(COMPILED);
  });

  test("keeps nothing and takes nothing kept with PLAIN_START, and says so at debug level", () => {
    const { answer, stderr } = start(FIRST, PLAIN);
    expect(answer).toEqual(COMPILED);
    expect(stderr).toMatch(/^debug: PLAIN_START is set: .*\n$/);
    expect(() => kept()).toThrow("ENOENT");
    expect(start(FIRST).stderr).toBe("");
    expect(start(FIRST, PLAIN).answer).toEqual(COMPILED);
  });

  describe("a crash names the line of the source", () => {
    // The compiler leaves the first two lines out.
    const SOURCE = `interface Nothing {
}
const fail = (words: string): never => { throw new Error(words); };
export = { now: () => fail("now"), later: async () => fail("later") };
`;
    const place = /index\.ts:3:48\)?\n/;

    const crash = (script: string, env: Environment = {}) => {
      writeFileSync(join(project, "index.ts"), SOURCE);
      return node([], script, env, project).stderr;
    };

    test.each([{}, PLAIN])("of an exception, %o", (env) => {
      const stack = crash('require("./tools/start.cjs").now();', env);
      expect(stack).toMatch(/Error: now\n/);
      expect(stack).toMatch(place);
    });

    test("of a rejection", () => {
      expect(crash('require("./tools/start.cjs").later();')).toMatch(place);
    });

    // As Pulumi's SDK does: one error of two promises, and a listener that was there first.
    test("of a rejection that a listener reports", () => {
      const stack = crash(`
        process.on("unhandledRejection", (error) => console.error(error.stack));
        const promise = require("./tools/start.cjs").later();
        promise.then(() => {});
        promise.finally(() => {});`);
      expect(stack.match(new RegExp(place, "g"))).toHaveLength(2);
    });

    test("of its cause", () => {
      const stack = crash(`
        const { now } = require("./tools/start.cjs");
        try { now(); } catch (cause) { throw new Error("outer", { cause }); }`);
      expect(stack).toMatch(place);
    });

    test("of an import that fails", () => {
      writeFileSync(join(project, "index.ts"), `${SOURCE}fail("at once");\n`);
      const { stderr } = node([], 'require("./tools/start.cjs");', {}, project);
      expect(stderr).toMatch(place);
      expect(stderr).toMatch(/index\.ts:5:1\)\n/);
    });
  });
});

describe("tools/preload.cjs", () => {
  test("ends a program whose engine was killed, instead of having the SDK complain of that for ever", async () => {
    const program = `process.on("uncaughtException", (error) => console.error(error));
      setInterval(() => console.error("more words"), 10);`;
    const child = spawn(process.execPath, [...PRELOAD, "-e", program]);
    child.stdout.destroy();
    child.stderr.destroy();
    const patience = setTimeout(() => child.kill("SIGKILL"), 20_000);
    expect(await once(child, "exit")).toEqual([1, null]);
    clearTimeout(patience);
  });

  /** How many modules are in memory once the SDK is. */
  const modules = (args: readonly string[], env: Environment = {}, cwd = process.cwd()) => {
    const script = `
      require(${JSON.stringify(join(process.cwd(), "node_modules/@pulumi/pulumi"))});
      console.log(Object.keys(require.cache).length);`;
    return Number(node(args, script, env, cwd).stdout);
  };

  test("has less than half of the SDK's modules loaded", () => {
    expect(modules(PRELOAD)).toBeLessThan(modules([]) / 2);
  });

  test("leaves the SDK alone with PLAIN_START", () => {
    expect(modules(PRELOAD, PLAIN)).toBeGreaterThan(modules([]));
  });

  test("knows the SDK that package.json pins, and leaves another one alone", () => {
    expect(modules(PRELOAD, {}, project)).toBeLessThan(modules([]) / 2);
    installSdk("3.999.0");
    expect(modules(PRELOAD, {}, project)).toBeGreaterThan(modules([]));
    writeFileSync(join(project, "index.ts"), "export = {};\n");
    const { stderr } = node(PRELOAD, 'require("./tools/start.cjs");', {}, project);
    expect(stderr).toMatch(/^debug: .* not tested with version 3\.999\.0 .*\n$/);
  });

  /** All that is loaded later, used: the compiler, the debugger, arborist. */
  const SERIALIZE = `
    const pulumi = require("@pulumi/pulumi");
    const { computeCodePaths } = require("@pulumi/pulumi/runtime/closure/codePaths");
    const { getFunctionLocationAsync } = require("@pulumi/pulumi/runtime/closure/v8");
    const { isInitializedAsync } = require("@pulumi/pulumi/runtime/closure/v8Hooks");
    (async () => {
      const number = 42;
      const twice = (value) => 2 * value;
      await isInitializedAsync();
      const location = await getFunctionLocationAsync(require(process.env.PROGRAM));
      const { text } = await pulumi.runtime.serializeFunction(() => twice(number));
      const refused = await pulumi.runtime.serializeFunction(Math.max).catch(({ message }) => message);
      const paths = [...(await computeCodePaths()).keys()].sort();
      console.log(JSON.stringify({ location, text, refused, paths }));
    })();`;

  test("has functions serialized as without it", () => {
    const env = { PROGRAM: join(project, "program.cjs") };
    writeFileSync(env.PROGRAM, "module.exports = () => 1;\n");
    const lazy = JSON.parse(node(PRELOAD, SERIALIZE, env).stdout);
    expect(lazy.location.file).toBe(`file://${env.PROGRAM}`);
    expect(lazy.text).toContain("2 * value");
    expect(lazy.refused).toContain("native code");
    expect(lazy.paths).not.toEqual([]);
    expect(lazy).toEqual(JSON.parse(node([], SERIALIZE, env).stdout));
  });

  test("has stacks mapped from the first crash on", () => {
    const script = `
      const own = Error.prepareStackTrace;
      require("source-map-support/register");
      const before = Error.prepareStackTrace !== own;
      require("./tools/preload.cjs").mapStacks();
      console.log(before, Error.prepareStackTrace !== own);`;
    expect(node(PRELOAD, script).stdout).toBe("false true\n");
    expect(node(PRELOAD, script, PLAIN).stdout).toBe("true true\n");
  });

  test("keeps the SDK from tracing where nobody collects the spans, and only there", () => {
    const traced = { TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
    const parent = (env: Environment) =>
      node(PRELOAD, "console.log(process.env.TRACEPARENT);", env).stdout.trim();
    expect(parent(traced)).toBe("undefined");
    const collected = { ...traced, PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT: "127.0.0.1:4317" };
    expect(parent(collected)).toBe(traced.TRACEPARENT);
    expect(parent({ ...traced, ...PLAIN })).toBe(traced.TRACEPARENT);
  });

  test("has spans of --tracing made and sent as without it", () => {
    const script = `
      const { createServer } = require("node:http");
      const server = createServer((request, response) => {
        let body = "";
        request.on("data", (chunk) => (body += chunk));
        request.on("end", () => {
          response.end();
          const [span] = JSON.parse(body);
          console.log(span.name, span.localEndpoint.serviceName, Object.keys(span.tags).sort().join());
          process.exit(0);
        });
      });
      server.listen(0, "127.0.0.1", () => {
        const tracing = require("@pulumi/pulumi/cmd/run/tracing");
        tracing.start("http://127.0.0.1:" + server.address().port + "/api/v2/spans");
        tracing.newSpan("of a test").end();
      });`;
    const lazy = node(PRELOAD, script);
    expect(lazy.stdout).toMatch(/^of a test nodejs-runtime .*service\.name/);
    expect(lazy.stdout).toBe(node([], script).stdout);
  });

  test("has the Automation API loaded when it is used", () => {
    const script = `
      const { automation } = require("@pulumi/pulumi");
      const loaded = () => Object.keys(require.cache).some((file) => file.includes("automation"));
      const before = loaded();
      console.log(before, automation.fullyQualifiedStackName("a", "b", "c"), loaded());`;
    expect(node(PRELOAD, script).stdout).toBe("false a/b/c true\n");
    expect(node([], script).stdout).toBe("true a/b/c true\n");
  });

  test("has zod's languages loaded when one is asked for", () => {
    const script = `
      const { z } = require("zod");
      const before = Object.keys(require.cache).filter((file) => file.endsWith("/locales/de.cjs"));
      z.config(z.locales.de());
      const [{ message }] = z.string().safeParse(1).error.issues;
      console.log(before.length, message);`;
    const [before, message] = node(PRELOAD, script).stdout.split(" ", 2);
    expect(before).toBe("0");
    expect(message).toBe(node([], script).stdout.split(" ", 2)[1]);
    expect(message).not.toBe("Invalid");
  });

  test("is what Pulumi is told to load first, and program.cjs the program", () => {
    const { runtime, main } = parse(readFileSync("Pulumi.yaml", "utf8"));
    expect(runtime.options.nodeargs).toBe(PRELOAD.join(" "));
    cpSync(main, join(project, main));
    writeFileSync(join(project, "index.ts"), "export = { directory: process.cwd() };");
    // The CLI takes a program from package.json only where Pulumi.yaml names none.
    const script = `console.log(JSON.stringify(require("./${main}")));`;
    const { stdout } = node(PRELOAD, script, {}, project);
    expect(JSON.parse(stdout)).toEqual({ directory: project });
  });
});
