import { defineConfig } from "vitest/config";

const MINUTE = 60_000;

const LAB = { testTimeout: 10 * MINUTE, hookTimeout: 20 * MINUTE };

/** Figures that need a quiet machine or much time, and a consumer that needs many packages: npm run campaign -- NAME. */
const CAMPAIGNS = [
  ...[
    "backup-kills",
    "backup-load",
    "backup-slots",
    "membership-speed",
    "patroni",
    "restores",
    "roll-latency",
  ],
].map((name) => `test/lab/${name}.test.ts`);

/** Tests about time, under the load that judges: nothing runs beside them. */
const ALONE = [
  ...["certificates", "load", "maintenance", "membership", "tls", "versions"].map(
    (name) => `test/lab/${name}.test.ts`,
  ),
  ...CAMPAIGNS,
];

export default defineConfig({
  test: {
    // Much of the time goes into waiting for shells and hosts; vitest leaves one processor idle else. Three labs on two processors save a tenth, and crowd them.
    maxWorkers: "100%",
    reporters: ["default", "./test/support/reporter.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          testTimeout: MINUTE,
          hookTimeout: MINUTE,
        },
      },
      {
        extends: true,
        test: {
          name: "plugins",
          include: ["test/plugins/**/*.test.ts"],
          testTimeout: MINUTE,
          hookTimeout: 10 * MINUTE,
        },
      },
      {
        extends: true,
        test: {
          name: "lab",
          include: ["test/lab/**/*.test.ts"],
          exclude: ALONE,
          ...LAB,
          // Of those tests that are written to run at once: each has a lab of its own (test/lab/faults.test.ts).
          maxConcurrency: Number(process.env.LABS ?? 1),
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "lab-alone",
          include: ALONE,
          exclude: process.env.CAMPAIGN === undefined ? CAMPAIGNS : [],
          ...LAB,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
