// What Pulumi runs: index.ts, compiled file by file without a look at its types (npm run lint has that), and kept as it came out.
// The compiler alone takes longer to load than the program takes to run.
const { createHash } = require("node:crypto");
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require("node:fs");
const Module = require("node:module");
const { join } = require("node:path");

const kept = join(__dirname, "../node_modules/.cache/etcd");
const { version } = require("typescript/package.json");

Module._extensions[".ts"] = (module, file) => module._compile(javaScript(file), file);

function javaScript(file) {
  const source = readFileSync(file, "utf8");
  const digest = createHash("sha256").update(version).update(source).digest("hex");
  const copy = join(kept, `${digest}.js`);
  try {
    return readFileSync(copy, "utf8");
  } catch {
    const text = compile(source, file);
    keep(text, copy);
    return text;
  }
}

function compile(source, fileName) {
  const { flattenDiagnosticMessageText, ModuleKind, ScriptTarget, transpileModule } =
    require("typescript");
  const { outputText, diagnostics } = transpileModule(source, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: {
      esModuleInterop: true,
      module: ModuleKind.CommonJS,
      target: ScriptTarget.ES2022,
    },
  });
  const [wrong] = diagnostics;
  if (wrong !== undefined) {
    throw new SyntaxError(`${fileName}: ${flattenDiagnosticMessageText(wrong.messageText, "\n")}`);
  }
  return outputText;
}

/** By rename, because several runs may start at once. Where nothing can be written, nothing is kept. */
function keep(text, file) {
  try {
    mkdirSync(kept, { recursive: true });
    writeFileSync(`${file}.${process.pid}`, text);
    renameSync(`${file}.${process.pid}`, file);
  } catch {}
}

module.exports = require("../index.ts");
