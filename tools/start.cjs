// What Pulumi runs: index.ts, compiled file by file without checking its types (npm run lint does), and kept as it came out. A tool
// instead with `node tools/start.cjs FILE ARGUMENT...`.
// The compiler alone takes longer to load than the program takes to run.
const { createHash } = require("node:crypto");
const {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} = require("node:fs");
const Module = require("node:module");
const { basename, dirname, join, resolve } = require("node:path");
const preload = require("./preload.cjs");

/** Of a tool; Pulumi's own program is the main module where it runs this one. */
const tool = require.main === module ? resolve(process.argv[2] ?? "") : undefined;
const cache = join(__dirname, "../node_modules/.cache/etcd", tool ? basename(tool, ".ts") : "");
const compilerOptions = {
  esModuleInterop: true,
  inlineSourceMap: true,
  module: "commonjs",
  target: "es2022",
};
const { version } = compilerPackage();
const compiler = JSON.stringify({ version, compilerOptions });

/** JavaScript of each file of the program, by its path. */
const compiled = new Map();
/** Names of the cache's files that this run needs, and whether it has made one of them. */
const used = new Set();
let added = false;

Module._extensions[".ts"] = (module, file) => {
  const text = javaScript(file);
  compiled.set(file, text);
  module._compile(text, file);
};

function compilerPackage() {
  try {
    return require("typescript/package.json");
  } catch (cause) {
    // The CLI takes a module that is not found for one that npm run build makes.
    throw new Error("the package typescript is missing; run npm ci, without --omit=dev", { cause });
  }
}

function javaScript(file) {
  const source = readFileSync(file, "utf8");
  if (process.env.PLAIN_START) {
    return compile(source, file);
  }
  // The source map has the file's name.
  const key = [compiler, basename(file), source].join("\0");
  const name = `${createHash("sha256").update(key).digest("hex")}.js`;
  used.add(name);
  try {
    return readFileSync(join(cache, name), "utf8");
  } catch {
    const text = compile(source, file);
    keep(text, name);
    return text;
  }
}

function compile(source, fileName) {
  const { convertCompilerOptionsFromJson, flattenDiagnosticMessageText, transpileModule } =
    require("typescript");
  const { outputText, diagnostics } = transpileModule(source, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: convertCompilerOptionsFromJson(compilerOptions, dirname(fileName)).options,
  });
  const [wrong] = diagnostics;
  if (wrong !== undefined) {
    throw new SyntaxError(`${fileName}: ${flattenDiagnosticMessageText(wrong.messageText, "\n")}`);
  }
  return outputText;
}

/** By rename, because several runs may start at once. Where nothing can be written, nothing is kept. */
function keep(text, name) {
  added = true;
  const file = join(cache, name);
  try {
    mkdirSync(cache, { recursive: true });
    writeFileSync(`${file}.${process.pid}`, text);
    renameSync(`${file}.${process.pid}`, file);
  } catch {}
}

/** What the program no longer consists of, and what killed runs were writing. */
function prune() {
  try {
    for (const entry of readdirSync(cache, { withFileTypes: true })) {
      if (entry.isFile() && !used.has(entry.name)) {
        rmSync(join(cache, entry.name), { force: true });
      }
    }
  } catch {}
}

/** Errors whose stacks are of TypeScript already: one that several promises pass on is reported for each. */
const mapped = new WeakSet();

/** Has the stack of an error that ends the program name lines of TypeScript. Nothing else reads stacks. */
function mapStack(error) {
  preload.mapStacks();
  for (let each = error; each instanceof Error && !mapped.has(each); each = each.cause) {
    mapped.add(each);
    if (typeof each.stack === "string") {
      each.stack = each.stack.replace(/([^\s()]+\.ts):(\d+):(\d+)/g, position);
    }
  }
}

/** @returns the place in the source of a place in what was compiled from it. */
function position(place, file, line, column) {
  const text = compiled.get(file);
  const [, encoded] = /^\/\/# sourceMappingURL=data:[^,]+;base64,(.+)$/m.exec(text ?? "") ?? [];
  if (encoded === undefined) {
    return place;
  }
  const map = new Module.SourceMap(JSON.parse(Buffer.from(encoded, "base64").toString()));
  const { originalLine, originalColumn } = map.findEntry(line - 1, column - 1);
  return originalLine === undefined ? place : `${file}:${originalLine + 1}:${originalColumn + 1}`;
}

process.on("uncaughtExceptionMonitor", mapStack);
if (process.listenerCount("unhandledRejection") > 0) {
  // The SDK's own listener ends the program; without one the rejection becomes an uncaught exception.
  process.prependListener("unhandledRejection", mapStack);
}

if (preload.plain !== undefined) {
  require("@pulumi/pulumi").log.debug(preload.plain);
}
if (tool !== undefined) {
  process.argv.splice(1, 1);
}
module.exports = require(tool ?? "../index.ts");
if (added) {
  prune();
}
