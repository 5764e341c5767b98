/** Writes the results of a fault campaign as a table into docs/testing.md, and prints it: tsx test/faults-table.ts FILE. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FAULT_OPERATIONS } from "./lab/support/fault-operations";
import { FAULTS } from "./lab/support/faults";
import { readResults, renderMatrix, withMatrix } from "./support/fault-results";

const [file] = process.argv.slice(2);
if (file === undefined) {
  throw new Error("name the file with the results: .lab/faults-SEED.jsonl");
}
const page = join(__dirname, "..", "docs", "testing.md");
const matrix = renderMatrix(
  readResults(readFileSync(file, "utf8")),
  FAULT_OPERATIONS.map(({ name }) => name),
  FAULTS.map(({ name }) => name),
);
writeFileSync(page, withMatrix(readFileSync(page, "utf8"), matrix));
process.stdout.write(`${matrix}\n`);
