// Loaded before Pulumi's SDK (nodeargs in Pulumi.yaml). What the SDK loads at every start for uses that this program does not make of it
// takes as long as the program itself. It is loaded when it is used instead. Nothing is replaced.
const Module = require("node:module");
const { join } = require("node:path");

/** What test/unit/tools/start.test.ts was run with. */
const KNOWN_SDKS = ["3.270.0"];

// The engine was killed, and nobody reads any more. The SDK would report for ever that it cannot report, and the hosts stay locked.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", () => process.exit(1));
}

const load = Module._load;

/** A module that is loaded when something of it is used; until then it is what an ES module looks like. */
function later(...request) {
  const real = () => load(...request);
  const property = (name) => {
    if (name === "__esModule") {
      return true;
    }
    return name === "default" && !real().__esModule ? real() : real()[name];
  };
  return new Proxy(
    {},
    {
      get: (_, name) => property(name),
      set: (_, name, value) => Reflect.set(real(), name, value),
      has: (_, name) => Reflect.has(real(), name),
      ownKeys: () => Reflect.ownKeys(real()),
      getOwnPropertyDescriptor: (_, name) => {
        const own = Reflect.getOwnPropertyDescriptor(real(), name);
        // A property that cannot be configured would have to be one of the proxy's own target.
        return own && { ...own, configurable: true };
      },
    },
  );
}

/**
 * A module of which the SDK's tracing takes out its classes and functions at once: each is loaded when it is called. Nobody else gets
 * them so, because classes are also made from classes.
 */
function partsLater(request, parent, ...rest) {
  const real = () => load(request, parent, ...rest);
  if (!parent?.filename?.endsWith(TRACING)) {
    return real();
  }
  const part = (name) =>
    new Proxy(callable, {
      apply: (_, self, words) => Reflect.apply(real()[name], self, words),
      construct: (_, words) => Reflect.construct(real()[name], words),
      get: (_, property) => real()[name][property],
    });
  return new Proxy({}, { get: (_, name) => part(name) });
}

/** What a function and a class have in common. */
function callable() {}

const TRACING = join("cmd", "run", "tracing.js");

/** Of V8's debugger, once it is on. */
let session;

/**
 * V8's debugger, which the SDK switches on at the start and waits for, to know where a function that is serialized came from. Switched
 * on again, it reports the scripts that were loaded meanwhile.
 */
function debuggerLater(...request) {
  const real = () => load(...request);
  const open = async () => {
    const opened = await real().getSessionAsync();
    const post = (method) =>
      new Promise((resolve, reject) => {
        opened.post(method, (error) => (error ? reject(error) : resolve()));
      });
    await post("Debugger.disable");
    await post("Debugger.enable");
    return opened;
  };
  return {
    isInitializedAsync: async () => {},
    getSessionAsync: () => {
      session ??= open();
      return session;
    },
    getScriptUrl: (id) => real().getScriptUrl(id),
  };
}

/**
 * The SDK keeps a stack trace for every promise and resource. To map each of them back to TypeScript takes a third of the program's
 * time, and only those of a crash are read: tools/start.cjs calls `mapStacks` then.
 */
function sourceMapsLater(...request) {
  exports.mapStacks = () => load(...request);
  return {};
}

const LATER = [
  // 300 modules and the compiler, for functions that are serialized.
  [/^@npmcli\/arborist$|\/typescript-shim$/, later],
  // The API for programs that run Pulumi, and what reads the manifests of packages for functions that are serialized.
  [/^\.\/automation$|^normalize-package-data$|^js-yaml$/, later],
  // 200 modules for --tracing.
  [/^@opentelemetry\/(?!api$)/, partsLater],
  // zod's messages in 50 languages; the one that it speaks is loaded by itself.
  [/^\.\.\/locales\/index\.cjs$/, later],
  [/^\.\/v8Hooks$|\/closure\/v8Hooks$/, debuggerLater],
  [/^source-map-support\/register$/, sourceMapsLater],
];

exports.mapStacks = () => {};

/** Why everything is loaded as the SDK does by itself; undefined where it is not. */
exports.plain = reasonForPlain();

function reasonForPlain() {
  if (process.env.PLAIN_START) {
    return "PLAIN_START is set: Pulumi's SDK is loaded as it is, and nothing compiled is kept";
  }
  const { version } = require("@pulumi/pulumi/package.json");
  return KNOWN_SDKS.includes(version)
    ? undefined
    : `tools/preload.cjs was not tested with version ${version} of Pulumi's SDK, which is loaded as it is`;
}

if (exports.plain === undefined) {
  // From Node 22 on, what V8 makes of all modules is kept.
  Module.enableCompileCache?.(join(__dirname, "../node_modules/.cache/etcd/v8"));

  // The CLI asks for spans also where nobody collects them.
  if (!process.env.PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT) {
    Reflect.deleteProperty(process.env, "TRACEPARENT");
  }

  Module._load = (request, ...from) => {
    const [, how = load] = LATER.find(([pattern]) => pattern.test(request)) ?? [];
    return how(request, ...from);
  };
}
