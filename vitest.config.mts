import { defineConfig } from "vitest/config";

const MINUTE = 60_000;

export default defineConfig({
  test: {
    // Much of the time goes into waiting for shells and hosts; vitest leaves one processor idle else.
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
          // Its figures need a quiet machine: npm run campaign -- membership-speed.
          exclude: process.env.CAMPAIGN === undefined ? ["test/lab/membership-speed.test.ts"] : [],
          testTimeout: 10 * MINUTE,
          hookTimeout: 20 * MINUTE,
          // There is one lab on a machine: its tests follow each other, and nothing runs beside them.
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
