import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { type PluginAttach, PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import type { EngineLog } from "./engine";
import type { Context, DiffAnswer, Plugin, Resource } from "./plugin";
import { fromStruct, toStruct } from "./struct";
import { unary } from "./unary";

interface Operation {
  getUrn(): string;
  getTimeout(): number;
}

/** The resource type in `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`. */
function typeOf(urn: string): string {
  return urn.split("::")[2]?.split("$").pop() ?? "";
}

function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

function missing(plugin: Plugin, what: string): Error {
  return new Error(
    `the lab's stand-in for the ${plugin.name} plugin does not have ${what}: it has only ` +
      `${Object.keys(plugin.resources).join(", ")}; use the official plugins instead ` +
      "(LAB_PLUGINS=DIR with pulumi-resource-command, -tls and -random)",
  );
}

function diffResponse(answer: DiffAnswer): rpc.DiffResponse {
  const changed = answer.diffs.length > 0;
  const response = new rpc.DiffResponse()
    .setChanges(
      changed ? rpc.DiffResponse.DiffChanges.DIFF_SOME : rpc.DiffResponse.DiffChanges.DIFF_NONE,
    )
    .setDiffsList([...answer.diffs])
    .setReplacesList([...answer.replaces]);
  if (answer.detailed) {
    response.setHasdetaileddiff(true);
    for (const [path, kind] of Object.entries(answer.detailed)) {
      const detail = new rpc.PropertyDiff().setKind(rpc.PropertyDiff.Kind[kind]);
      response.getDetaileddiffMap().set(path, detail);
    }
  }
  return response;
}

/** Properties in a schema: their names, which Pulumi YAML looks up, and no types. */
function anyOf(names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, { $ref: "pulumi.json#/Any" }]));
}

interface Handlers {
  readonly implementation: UntypedServiceImplementation;
  /** Whether a resource is being made, changed or deleted. */
  readonly atWork: () => boolean;
}

/** The plugin's answers to the engine's calls. */
export function handlers(plugin: Plugin, engine: EngineLog): Handlers {
  const cancelled = new AbortController();
  let running = 0;

  function resource(urn: string): Resource {
    const found = plugin.resources[typeOf(urn)];
    if (!found) throw missing(plugin, typeOf(urn));
    return found;
  }

  async function operate<T>(call: Operation, work: (context: Context) => Promise<T>): Promise<T> {
    const late = new AbortController();
    const expire = () => late.abort(new Error("context deadline exceeded"));
    const seconds = call.getTimeout();
    const timer = seconds > 0 ? setTimeout(expire, seconds * 1000) : undefined;
    const context: Context = {
      signal: AbortSignal.any([cancelled.signal, late.signal]),
      log: (severity, message, status = false) =>
        engine.log(call.getUrn(), severity, message, status),
    };
    running += 1;
    try {
      return await work(context);
    } finally {
      running -= 1;
      clearTimeout(timer);
      await engine.flushed();
    }
  }

  const implementation: UntypedServiceImplementation = {
    handshake: unary((call: rpc.ProviderHandshakeRequest) => {
      engine.attach(call.getEngineAddress());
      return new rpc.ProviderHandshakeResponse()
        .setAcceptSecrets(plugin.acceptSecrets)
        .setAcceptResources(plugin.acceptSecrets)
        .setAcceptOutputs(plugin.acceptSecrets);
    }),
    attach: unary((call: PluginAttach) => {
      engine.attach(call.getAddress());
      return new Empty();
    }),
    getPluginInfo: unary((_: Empty) => new PluginInfo().setVersion(plugin.version)),
    getSchema: unary((_: rpc.GetSchemaRequest) => {
      const resources = Object.fromEntries(
        Object.entries(plugin.resources).map(([token, { names }]) => [
          token,
          {
            properties: anyOf([...names.inputs, ...names.outputs]),
            inputProperties: anyOf(names.inputs),
          },
        ]),
      );
      return new rpc.GetSchemaResponse().setSchema(
        JSON.stringify({ name: plugin.name, version: plugin.version, resources }),
      );
    }),
    getMapping: unary((_: rpc.GetMappingRequest) => new rpc.GetMappingResponse()),
    getMappings: unary((_: rpc.GetMappingsRequest) => new rpc.GetMappingsResponse()),
    parameterize: unary((_: rpc.ParameterizeRequest): rpc.ParameterizeResponse => {
      throw missing(plugin, "parameters");
    }),
    checkConfig: unary((call: rpc.CheckRequest) =>
      new rpc.CheckResponse().setInputs(toStruct(fromStruct(call.getNews()))),
    ),
    diffConfig: unary((_: rpc.DiffRequest) => diffResponse({ diffs: [], replaces: [] })),
    configure: unary((_: rpc.ConfigureRequest) =>
      new rpc.ConfigureResponse()
        .setSupportspreview(true)
        .setAcceptsecrets(plugin.acceptSecrets)
        .setAcceptresources(plugin.acceptSecrets)
        .setAcceptoutputs(plugin.acceptSecrets),
    ),
    invoke: unary((call: rpc.InvokeRequest): rpc.InvokeResponse => {
      throw missing(plugin, `the function ${call.getTok()}`);
    }),
    call: unary((call: rpc.CallRequest): rpc.CallResponse => {
      throw missing(plugin, `the method ${call.getTok()}`);
    }),
    construct: unary((call: rpc.ConstructRequest): rpc.ConstructResponse => {
      throw missing(plugin, `the component ${call.getType()}`);
    }),
    check: unary((call: rpc.CheckRequest) => {
      const { inputs, failures } = resource(call.getUrn()).check(fromStruct(call.getNews()));
      const listed = failures.map(({ property, reason }) =>
        new rpc.CheckFailure().setProperty(property).setReason(reason),
      );
      return new rpc.CheckResponse().setInputs(toStruct(inputs)).setFailuresList(listed);
    }),
    diff: unary((call: rpc.DiffRequest) =>
      diffResponse(
        resource(call.getUrn()).diff({
          olds: fromStruct(call.getOlds()),
          oldInputs: call.hasOldInputs() ? fromStruct(call.getOldInputs()) : undefined,
          news: fromStruct(call.getNews()),
          ignoreChanges: call.getIgnorechangesList(),
        }),
      ),
    ),
    create: unary((call: rpc.CreateRequest) =>
      operate(call, async (context) => {
        const { id, state } = await resource(call.getUrn()).create(
          {
            name: nameOf(call.getUrn()),
            inputs: fromStruct(call.getProperties()),
            preview: call.getPreview(),
          },
          context,
        );
        return new rpc.CreateResponse().setId(id).setProperties(toStruct(state));
      }),
    ),
    read: unary((call: rpc.ReadRequest) => {
      const id = call.getId();
      const answer = resource(call.getUrn()).read({
        id,
        inputs: fromStruct(call.getInputs()),
        state: fromStruct(call.getProperties()),
      });
      return new rpc.ReadResponse()
        .setId(id)
        .setInputs(toStruct(answer.inputs))
        .setProperties(toStruct(answer.state));
    }),
    update: unary((call: rpc.UpdateRequest) =>
      operate(call, async (context) => {
        const state = await resource(call.getUrn()).update(
          {
            olds: fromStruct(call.getOlds()),
            news: fromStruct(call.getNews()),
            preview: call.getPreview(),
            ignoreChanges: call.getIgnorechangesList(),
          },
          context,
        );
        return new rpc.UpdateResponse().setProperties(toStruct(state));
      }),
    ),
    delete: unary((call: rpc.DeleteRequest) =>
      operate(call, async (context) => {
        await resource(call.getUrn()).delete(fromStruct(call.getProperties()), context);
        return new Empty();
      }),
    ),
    cancel: unary((_: Empty) => {
      cancelled.abort(new Error("context canceled"));
      return new Empty();
    }),
  };
  return { implementation, atWork: () => running > 0 };
}
