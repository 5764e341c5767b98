import { type Path, pathText } from "./wording";

/** Stands for a value that only the `up` knows, among values that are known. */
export class Unknown {}

/** The one of them. */
export const UNKNOWN = new Unknown();

/**
 * Makes what stands for an unknown value in a preview. It is a right value that nobody has, and another one for
 * each place, so the rules hold for it; a run that works on hosts never has one.
 *
 * @param index counted from 0 over all of a configuration.
 */
export type StandIn = (index: number) => string;

/** Addresses of TEST-NET-1 (RFC 5737), names that never resolve (RFC 2606), and keys of nobody. */
export const standIns = {
  address: (index) => `192.0.2.${254 - index}`,
  host: (index) => `unknown-${index + 1}.invalid`,
  hostKey: () =>
    `${ED25519} ${Buffer.concat([sized(ED25519), sized(Buffer.alloc(32))]).toString("base64")}`,
  privateKey: () => ["BEGIN", "END"].map((word) => `-----${word} PRIVATE KEY-----\n`).join(""),
  secret: () => "unknown",
  repository: () => "/unknown",
  certificate: () => ["BEGIN", "END"].map((word) => `-----${word} CERTIFICATE-----\n`).join(""),
} as const satisfies Readonly<Record<string, StandIn>>;

const ED25519 = "ssh-ed25519";

/** In SSH's wire format: behind its length in four bytes. */
function sized(content: string | Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, Buffer.from(content)]);
}

/** The places of what is not known. */
export class UnknownPaths {
  readonly #paths: readonly Path[];
  readonly #texts: ReadonlySet<string>;

  constructor(paths: readonly Path[]) {
    this.#paths = paths;
    this.#texts = new Set(paths.map(pathText));
  }

  has(path: Path): boolean {
    return this.#texts.has(pathText(path));
  }

  /** The first one that `matters`. */
  first(matters: (path: Path) => boolean): Path | undefined {
    return this.#paths.find(matters);
  }
}
