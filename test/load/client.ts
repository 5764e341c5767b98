/** The operations of the load, each recorded with all its attempts. */
import type { IKeyValue, IResponseHeader, ITxnRequest } from "etcd3";
import type { Endpoints } from "./endpoints";
import { type Outcome, throughAny } from "./failover";
import type { Answer, Entry, Operation, State } from "./history";

type Asked = Pick<Operation, "kind" | "key" | "value" | "expected">;

export class Client {
  constructor(
    private readonly endpoints: Endpoints,
    private readonly worker: number,
    private readonly record: (entry: Entry) => void,
  ) {}

  put(key: string, value: string): Promise<Operation> {
    const request = { key: Buffer.from(key), value: Buffer.from(value) };
    return this.#run({ kind: "put", key, value }, (home) =>
      throughAny(this.endpoints, home, async (endpoint, options) =>
        head((await endpoint.services.kv.put(request, options)).header),
      ),
    );
  }

  /** @param serializable as the member has it, which may be outdated. @default linearizable */
  get(key: string, serializable = false): Promise<Operation> {
    const request = { key: Buffer.from(key), serializable };
    return this.#run({ kind: "get", key }, (home) =>
      throughAny(this.endpoints, home, async (endpoint, options) => {
        const { header, kvs } = await endpoint.services.kv.range(request, options);
        return { ...head(header), state: stateOf(kvs[0]) };
      }),
    );
  }

  /** Writes only if the last change of the key is the expected one, and reads the key otherwise. */
  cas(key: string, value: string, expected: number): Promise<Operation> {
    const name = Buffer.from(key);
    const request: ITxnRequest = {
      compare: [{ key: name, target: "Mod", result: "Equal", mod_revision: expected }],
      success: [{ request_put: { key: name, value: Buffer.from(value) } }],
      failure: [{ request_range: { key: name } }],
    };
    return this.#run({ kind: "cas", key, value, expected }, (home) =>
      throughAny(this.endpoints, home, async (endpoint, options) => {
        const { header, succeeded, responses } = await endpoint.services.kv.txn(request, options);
        const read = responses[0]?.response_range?.kvs[0];
        return succeeded
          ? { ...head(header), swapped: true }
          : { ...head(header), swapped: false, state: stateOf(read) };
      }),
    );
  }

  async #run(asked: Asked, call: (home: number) => Promise<Outcome<Answer>>): Promise<Operation> {
    const { attempts, answer } = await call(this.worker);
    const operation: Operation = {
      record: "operation",
      worker: this.worker,
      ...asked,
      attempts: [...attempts],
      answer,
    };
    this.record(operation);
    return operation;
  }
}

function head(header: IResponseHeader): Answer {
  return { cluster: header.cluster_id, revision: Number(header.revision) };
}

export function stateOf(pair: IKeyValue): State;
export function stateOf(pair: IKeyValue | undefined): State | null;
export function stateOf(pair: IKeyValue | undefined): State | null {
  return pair === undefined
    ? null
    : {
        value: pair.value.toString(),
        revision: Number(pair.mod_revision),
        version: Number(pair.version),
      };
}
