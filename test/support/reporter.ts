import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from "vitest/node";

/** The part of vitest's test module that is counted. */
export interface Counted {
  errors(): readonly unknown[];
  readonly children: {
    allTests(): Iterable<Pick<TestCase, "result">>;
    allSuites(): Iterable<Pick<TestSuite, "errors">>;
  };
}

/**
 * One line for a whole run. A file that does not load, a failing hook and an error outside of all
 * tests are failures like a failing test: none of them may end in a line that reads well.
 */
export function summary(modules: Iterable<Counted>, unhandled: number): string {
  const counts = { passed: 0, failed: unhandled, skipped: 0 };
  for (const module of modules) {
    counts.failed += module.errors().length > 0 ? 1 : 0;
    for (const suite of module.children.allSuites()) {
      counts.failed += suite.errors().length > 0 ? 1 : 0;
    }
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      // A test that is still pending when the run ends was cut short.
      counts[state === "pending" ? "failed" : state] += 1;
    }
  }
  const skipped = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`;
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}

/** What has failed where, as long as somebody reads it at once: the whole comes at the end of the run. */
export function failure(where: string, errors: readonly { readonly message: string }[]): string {
  return errors
    .map(({ message }) => {
      const lines = message.split("\n");
      // Of what a long command printed the end says why.
      const said = lines.length <= 40 ? lines : [...lines.slice(0, 5), "...", ...lines.slice(-34)];
      return `FAILED ${where}: ${said.join("\n")}\n`;
    })
    .join("");
}

/** How far a run of many minutes is. */
export function progress(file: string, seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return `after ${minutes} min ${Math.floor(seconds - 60 * minutes)} s: ${file}\n`;
}

/** When `npm test` began: what it sets up comes first. */
const began = Number(process.env.TEST_BEGAN ?? Date.now() / 1000);

/** Tells failures when they happen, for the end of a run is far, and prints the summary as its last line. */
export default class implements Reporter {
  onTestCaseResult(test: TestCase): void {
    process.stdout.write(
      failure(`${test.module.relativeModuleId} > ${test.fullName}`, test.result().errors ?? []),
    );
  }

  onTestSuiteResult(suite: TestSuite): void {
    process.stdout.write(
      failure(`${suite.module.relativeModuleId} > ${suite.fullName}`, suite.errors()),
    );
  }

  onTestModuleEnd(module: TestModule): void {
    process.stdout.write(failure(module.relativeModuleId, module.errors()));
    if (module.relativeModuleId.startsWith("test/lab/")) {
      process.stdout.write(progress(module.relativeModuleId, Date.now() / 1000 - began));
    }
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    process.stdout.write(`${summary(modules, unhandledErrors.length)}\n`);
  }
}
