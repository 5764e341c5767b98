import type { Props } from "./values";

export type Severity = "debug" | "info" | "warning" | "error";

/** What a running operation gets from the server. */
export interface Context {
  /** Aborted by the engine's Cancel and by the resource's own timeout. */
  readonly signal: AbortSignal;
  /** Sends one message to the engine; `status` shows it only while the operation runs. */
  log(severity: Severity, message: string, status?: boolean): void;
}

export interface CheckFailure {
  readonly property: string;
  readonly reason: string;
}

export type DiffKind =
  | "ADD"
  | "ADD_REPLACE"
  | "DELETE"
  | "DELETE_REPLACE"
  | "UPDATE"
  | "UPDATE_REPLACE";

export interface DiffAnswer {
  readonly diffs: readonly string[];
  readonly replaces: readonly string[];
  /** By property path; absent where the official plugin leaves the details to the engine. */
  readonly detailed?: Readonly<Record<string, DiffKind>>;
}

export interface DiffRequest {
  readonly olds: Props;
  readonly oldInputs: Props | undefined;
  readonly news: Props;
  readonly ignoreChanges: readonly string[];
}

/** One resource type. Properties come and go as the wire has them, secret wrappers included. */
export interface Resource {
  /** The properties that a program may set, and those that only the plugin sets. */
  readonly names: { readonly inputs: readonly string[]; readonly outputs: readonly string[] };
  check(news: Props): { inputs: Props; failures: readonly CheckFailure[] };
  diff(request: DiffRequest): DiffAnswer;
  create(
    request: { name: string; inputs: Props; preview: boolean },
    context: Context,
  ): Promise<{ id: string; state: Props }>;
  read(request: { id: string; inputs: Props; state: Props }): { inputs: Props; state: Props };
  update(
    request: { olds: Props; news: Props; preview: boolean; ignoreChanges: readonly string[] },
    context: Context,
  ): Promise<Props>;
  delete(state: Props, context: Context): Promise<void>;
}

export interface Plugin {
  readonly name: string;
  /** Version of the official plugin this one stands in for. */
  readonly version: string;
  /** Whether the engine may send secrets as secrets (else it sends them in clear and marks them). */
  readonly acceptSecrets: boolean;
  readonly resources: Readonly<Record<string, Resource>>;
}
