import * as rpc from "@pulumi/pulumi/proto/provider_pb";
import type { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { fromStruct, toStruct } from "../../../lab/plugins/shared/struct";
import { isProps, type Props, texts } from "../../../lab/plugins/shared/values";
import type { PluginProcess } from "./plugin-process";
import type { Method } from "./recordings";

function part(request: Props, key: string): Props {
  const value = request[key];
  return isProps(value) ? value : {};
}

function diffJson(response: rpc.DiffResponse): Props {
  const details = response.getDetaileddiffMap().toArray();
  const kinds = Object.entries(rpc.PropertyDiff.Kind);
  const answer: Props = {
    changes:
      response.getChanges() === rpc.DiffResponse.DiffChanges.DIFF_SOME ? "DIFF_SOME" : "DIFF_NONE",
    diffs: response.getDiffsList().sort(),
    replaces: response.getReplacesList().sort(),
    detailedDiff: Object.fromEntries(
      response
        .getDetaileddiffMap()
        .toArray()
        .map(([path]) => {
          const kind = response.getDetaileddiffMap().get(path)?.getKind();
          return [path, { kind: kinds.find(([, value]) => value === kind)?.[0] ?? "?" }];
        }),
    ),
    hasDetailedDiff: response.getHasdetaileddiff(),
    deleteBeforeReplace: response.getDeletebeforereplace(),
  };
  if (details.length === 0) delete answer.detailedDiff;
  return answer;
}

function checkJson(response: rpc.CheckResponse): Props {
  const failures = response
    .getFailuresList()
    .map((failure) => ({ property: failure.getProperty(), reason: failure.getReason() }));
  return {
    inputs: fromStruct(response.getInputs()),
    ...(failures.length > 0 && { failures }),
  };
}

/** Makes a call given as JSON in the form of the recordings and answers in that form. */
export async function call(plugin: PluginProcess, method: Method, request: Props): Promise<Props> {
  const { client } = plugin;
  const urn = String(request.urn);
  const id = String(request.id ?? "");
  const ignored = texts(request, "ignoreChanges");
  const preview = request.preview === true;
  switch (method) {
    case "Check": {
      const message = new rpc.CheckRequest()
        .setUrn(urn)
        .setOlds(toStruct(part(request, "olds")))
        .setNews(toStruct(part(request, "news")));
      return checkJson(
        await plugin.call<rpc.CheckRequest, rpc.CheckResponse>(client.check, message),
      );
    }
    case "Diff": {
      const message = new rpc.DiffRequest()
        .setId(id)
        .setUrn(urn)
        .setOlds(toStruct(part(request, "olds")))
        .setOldInputs(toStruct(part(request, "oldInputs")))
        .setNews(toStruct(part(request, "news")))
        .setIgnorechangesList(ignored);
      return diffJson(await plugin.call<rpc.DiffRequest, rpc.DiffResponse>(client.diff, message));
    }
    case "Create": {
      const message = new rpc.CreateRequest()
        .setUrn(urn)
        .setProperties(toStruct(part(request, "properties")))
        .setPreview(preview);
      const response = await plugin.call<rpc.CreateRequest, rpc.CreateResponse>(
        client.create,
        message,
      );
      return { id: response.getId(), properties: fromStruct(response.getProperties()) };
    }
    case "Read": {
      const message = new rpc.ReadRequest()
        .setId(id)
        .setUrn(urn)
        .setInputs(toStruct(part(request, "inputs")))
        .setProperties(toStruct(part(request, "properties")));
      const response = await plugin.call<rpc.ReadRequest, rpc.ReadResponse>(client.read, message);
      return {
        id: response.getId(),
        inputs: fromStruct(response.getInputs()),
        properties: fromStruct(response.getProperties()),
      };
    }
    case "Update": {
      const message = new rpc.UpdateRequest()
        .setId(id)
        .setUrn(urn)
        .setOlds(toStruct(part(request, "olds")))
        .setOldInputs(toStruct(part(request, "oldInputs")))
        .setNews(toStruct(part(request, "news")))
        .setPreview(preview)
        .setIgnorechangesList(ignored);
      const response = await plugin.call<rpc.UpdateRequest, rpc.UpdateResponse>(
        client.update,
        message,
      );
      return { properties: fromStruct(response.getProperties()) };
    }
    case "Delete": {
      const message = new rpc.DeleteRequest()
        .setId(id)
        .setUrn(urn)
        .setProperties(toStruct(part(request, "properties")));
      await plugin.call<rpc.DeleteRequest, Empty>(client.delete, message);
      return {};
    }
  }
}

/** An answer with the fields left out that have their zero value, as the recordings leave them. */
export function withoutZeros(answer: Props): Props {
  return Object.fromEntries(
    Object.entries(answer).filter(
      ([, value]) => value !== "" && value !== false && !(Array.isArray(value) && !value.length),
    ),
  );
}
