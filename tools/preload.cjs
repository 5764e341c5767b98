// Loaded before Pulumi's SDK (nodeargs in Pulumi.yaml). What the SDK does at every start for uses that are not made of it here takes
// as long as the program itself.
const Module = require("node:module");
const { join } = require("node:path");

// From Node 22 on, what V8 makes of all modules is kept.
Module.enableCompileCache?.(join(__dirname, "../node_modules/.cache/etcd/v8"));

// The CLI asks for spans also where nobody collects them.
if (!process.env.PULUMI_OTEL_EXPORTER_OTLP_ENDPOINT) {
  Reflect.deleteProperty(process.env, "TRACEPARENT");
}

const load = Module._load;

/** The module when something of it is used. */
const later = (...request) =>
  new Proxy({}, { get: (_, name) => name === "__esModule" || load(...request)[name] });

const INSTEAD = [
  // 300 modules and the compiler, for functions that are serialized.
  [/^@npmcli\/arborist$|\/typescript-shim$/, later],
  // V8's debugger, for the same.
  [/\/closure\/v8Hooks$/, () => ({ isInitializedAsync: () => Promise.resolve() })],
  // The SDK keeps a stack trace for every promise and resource. To map each of them back to TypeScript takes a third of the
  // program's time, and nothing prints them but a crash.
  [/^source-map-support\/register$/, () => ({})],
];

Module._load = (request, ...from) => {
  const [, instead = load] = INSTEAD.find(([pattern]) => pattern.test(request)) ?? [];
  return instead(request, ...from);
};
