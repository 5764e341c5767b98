/** Changes of a running cluster that a test can make, kill and make again. */
import type { Moment } from "./interrupt";
import { hoursBack, type RunOptions, subject, type Values } from "./stack";

export interface Operation {
  readonly name: string;
  /** The configuration that it starts from. */
  readonly before: Values;
  /** Of the up that makes the cluster start from there. */
  readonly beforeOptions?: RunOptions;
  readonly after: Values;
  /** Which of the engine's words counts its progress, and how many of them come before its last part. */
  readonly progress: Pick<Moment, "word" | "events">;
  /** Seconds that its longest part takes at least. */
  readonly part: number;
}

/** Releases of three series, and another patch of the last; the lab has one, tests ask for the others. */
export const OLDEST = "3.5.35";
export const OLDER = "3.6.14";
export const NEWER = "3.7.2";
export const NEWEST = "3.7.3";

/** Three hosts' installs, two members of three. */
const ROLL = { progress: { word: "updated", events: 5 }, part: 1.5 } as const;

/** In an order in which each starts from where the one before ends. */
export const OPERATIONS: readonly Operation[] = [
  {
    name: "an upgrade from 3.5",
    before: { version: OLDEST },
    after: { version: OLDER },
    ...ROLL,
  },
  {
    name: "a settings roll",
    before: { version: OLDER },
    after: { version: OLDER, settings: { "quota-backend-bytes": 4_294_967_296 } },
    progress: { word: "updated", events: 2 },
    part: 1.5,
  },
  {
    name: "an upgrade from 3.6",
    before: { version: OLDER },
    after: { version: NEWER },
    ...ROLL,
  },
  {
    name: "a patch roll",
    before: { version: NEWER },
    after: { version: NEWEST },
    ...ROLL,
  },
  {
    name: "a downgrade",
    before: { version: NEWEST },
    after: { version: OLDER },
    ...ROLL,
    part: 2.5,
  },
  {
    name: "a leaf renewal",
    // Another validity has them made anew, by a clock that leaves them 200 hours.
    before: {
      version: OLDER,
      pki: { subject, validityHours: 1000, renewalHours: 100, warnHours: 400 },
    },
    beforeOptions: hoursBack(800),
    after: {
      version: OLDER,
      pki: { subject, validityHours: 1001, renewalHours: 300, warnHours: 400 },
    },
    // Seven certificates, the installs of two hosts.
    progress: { word: "created|updated|replaced", events: 9 },
    part: 0.3,
  },
];
