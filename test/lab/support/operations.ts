/** Changes of a running cluster that a test can make, kill and make again. */
import type { Moment } from "./interrupt";
import type { Values } from "./stack";

export interface Operation {
  readonly name: string;
  /** The configuration that it starts from. */
  readonly before: Values;
  readonly after: Values;
  /** Which of the engine's words counts its progress, and how many of them come before its last part. */
  readonly progress: Pick<Moment, "word" | "events">;
  /** Seconds that its longest part takes at least. */
  readonly part: number;
}

/** The newest releases of two series; the lab has both. */
export const OLDER = "3.6.16";
export const NEWER = "3.7.2";

/** In an order in which each starts from where the one before it ends. */
export const OPERATIONS: readonly Operation[] = [
  {
    name: "a settings roll",
    before: { version: OLDER },
    after: { version: OLDER, settings: { "quota-backend-bytes": 4_294_967_296 } },
    progress: { word: "updated", events: 2 },
    part: 1.5,
  },
  {
    name: "an upgrade",
    before: { version: OLDER },
    after: { version: NEWER },
    // Three times the binaries, two members of three.
    progress: { word: "updated", events: 5 },
    part: 1.5,
  },
  {
    name: "a downgrade",
    before: { version: NEWER },
    after: { version: OLDER },
    progress: { word: "updated", events: 5 },
    part: 2.5,
  },
];
