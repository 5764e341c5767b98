import type { CheckFailure, Context, DiffAnswer, DiffRequest, Resource } from "./plugin";
import {
  equal,
  isProps,
  type Props,
  plainProps,
  present,
  secret,
  unknown,
  type Value,
  withSecrets,
} from "./values";

/** How one property of a resource of the Terraform-based plugins (tls, random) behaves. */
export interface Attribute {
  /** `input`: only from the program; `default`: from the program or the value in `default`;
   * `derived`: from the program or made by the plugin; `output`: made by the plugin. */
  readonly from: "input" | "default" | "derived" | "output";
  readonly required?: boolean;
  readonly default?: Value;
  /** A change replaces the resource: always, or only if the state holds a PEM text. */
  readonly replace?: "always" | "pem";
  readonly secret?: boolean;
  /** How the value is laid out in the raw state, where that differs from the property. */
  readonly raw?: "list" | "map" | "subject";
  /** The reason why a known, present value is refused. */
  readonly refuse?: (value: Value) => string | undefined;
}

export type Attributes = Readonly<Record<string, Attribute>>;

export interface Bridged {
  readonly attributes: Attributes;
  readonly schemaVersion?: number;
  /** Whether any change makes the outputs unknown (else they keep their values). */
  readonly volatile?: boolean;
  /** Makes the outputs from the inputs with their defaults. */
  make(inputs: Props, context: Context): Promise<{ id: string; outputs: Props }>;
  /** Changes a planned state, and may ask for a replacement by naming properties. */
  plan?(planned: Props, exists: boolean): { planned: Props; replaces: readonly string[] };
  refresh?(state: Props): Props;
}

const pem = /^-----BEGIN [A-Za-z ]+-----\n[\s\S]+\n-----END [A-Za-z ]+-----\n?$/;

/** A null of the raw state that has no property: the official plugins mark it secret. */
const absent = secret({ replace: { raw: null } });

function subjectDelta(subject: Value | undefined): Value {
  if (!isProps(subject)) return secret({ replace: { raw: [] } });
  const ps: Props = {};
  for (const key of [
    ...["commonName", "country", "emailAddress", "locality", "organization", "organizationalUnit"],
    ...["postalCode", "province", "serialNumber", "streetAddresses"],
  ]) {
    if (subject[key] === undefined) ps[key] = absent;
    else if (key === "streetAddresses") ps[key] = { arr: {} };
  }
  return { plu: { i: { obj: { ps, renamed: { streetAddresses: "street_address" } } } } };
}

/** The bookkeeping of the official plugins on how the state differs from the raw state. */
function rawStateDelta(attributes: Attributes, state: Props): Value {
  const ps: Props = {};
  for (const [key, { raw }] of Object.entries(attributes)) {
    if (raw === "subject") ps[key] = subjectDelta(state[key]);
    else if (state[key] === undefined) ps[key] = absent;
    else if (raw === "list") ps[key] = { arr: {} };
    else if (raw === "map") ps[key] = { map: {} };
  }
  return { obj: Object.keys(ps).length > 0 ? { ps } : {} };
}

function secretKeys(attributes: Attributes): string[] {
  return Object.keys(attributes).filter((key) => attributes[key]?.secret);
}

/** What the state would become: the program's values, defaults, kept or unknown outputs. */
function plan(definition: Bridged, olds: Props | undefined, news: Props) {
  const planned: Props = {};
  const outputs: string[] = ["id"];
  for (const [key, attribute] of Object.entries(definition.attributes)) {
    const value = news[key] ?? attribute.default ?? null;
    if (attribute.from === "derived" && value === null) {
      planned[key] = olds ? (olds[key] ?? null) : unknown;
    } else if (attribute.from === "output" && attribute.default === undefined) {
      outputs.push(key);
    } else {
      planned[key] = value;
    }
  }
  const after = definition.plan?.(planned, false).planned ?? planned;
  const changed = Object.keys(after).some((key) => !equal(after[key], olds?.[key]));
  for (const key of outputs) {
    planned[key] = olds && !(changed && definition.volatile) ? (olds[key] ?? null) : unknown;
  }
  const result = definition.plan?.(planned, olds !== undefined) ?? { planned, replaces: [] };
  return { planned: present(result.planned), replaces: result.replaces };
}

function diff(definition: Bridged, request: DiffRequest): DiffAnswer {
  const olds = present(plainProps(request.olds));
  const news = present(plainProps(request.news));
  for (const key of request.ignoreChanges) {
    if (olds[key] === undefined) delete news[key];
    else news[key] = olds[key];
  }
  const { planned, replaces } = plan(definition, olds, news);
  const diffs = ["id", ...Object.keys(definition.attributes)]
    .filter((key) => !equal(planned[key], olds[key]))
    .sort();
  const replaced = diffs.filter((key) => {
    const rule = definition.attributes[key]?.replace;
    const old = olds[key];
    if (rule === "pem") return typeof old === "string" && pem.test(old);
    return rule === "always" || replaces.includes(key);
  });
  return { diffs, replaces: replaced };
}

function check(attributes: Attributes, news: Props): CheckFailure[] {
  const inputs = plainProps(news);
  return Object.entries(attributes).flatMap(([property, attribute]) => {
    const value = inputs[property] ?? null;
    if (value === null) {
      const reason = `Missing required property '${property}'`;
      return attribute.required ? [{ property, reason }] : [];
    }
    if (value === unknown) return [];
    const reason = attribute.refuse?.(value);
    return reason === undefined ? [] : [{ property, reason }];
  });
}

/** A resource that behaves as the Terraform bridge makes the official ones behave. */
export function bridged(definition: Bridged): Resource {
  const { attributes, schemaVersion } = definition;
  const secrets = secretKeys(attributes);

  function stored(state: Props): Props {
    const meta: Props = {};
    if (schemaVersion !== undefined) {
      meta.__meta = JSON.stringify({ schema_version: String(schemaVersion) });
    }
    return {
      ...meta,
      __pulumi_raw_state_delta: rawStateDelta(attributes, state),
      ...withSecrets(state, secrets),
    };
  }

  function known(state: Props): Props {
    return present(
      Object.fromEntries(
        Object.entries(plainProps(state)).filter(([key]) => key === "id" || key in attributes),
      ),
    );
  }

  const isOutput = (key: string) => attributes[key]?.from === "output";
  const keys = Object.keys(attributes);
  return {
    names: { inputs: keys.filter((key) => !isOutput(key)), outputs: keys.filter(isOutput) },
    check: (news) => ({
      inputs: withSecrets(news, secrets),
      failures: check(attributes, news),
    }),
    diff: (request) => diff(definition, request),
    async create({ inputs, preview }, context) {
      const { planned } = plan(definition, undefined, present(plainProps(inputs)));
      if (preview) return { id: "", state: withSecrets(planned, secrets) };
      const settled = Object.entries(planned).filter(([, value]) => value !== unknown);
      const { id, outputs } = await definition.make(Object.fromEntries(settled), context);
      return { id, state: stored({ ...Object.fromEntries(settled), ...outputs, id }) };
    },
    read({ id, inputs, state }) {
      if (Object.keys(state).length === 0) {
        throw new Error(`the lab's stand-in cannot import ${id}; use the official plugins instead`);
      }
      const current = known(state);
      return {
        inputs: withSecrets(inputs, secrets),
        state: stored(definition.refresh?.(current) ?? current),
      };
    },
    async update({ olds, news, preview, ignoreChanges }) {
      const before = known(olds);
      const wanted = present(plainProps(news));
      for (const key of ignoreChanges) wanted[key] = before[key] ?? null;
      const { planned } = plan(definition, before, present(wanted));
      if (preview) return withSecrets(planned, secrets);
      return stored(planned);
    },
    async delete() {},
  };
}
