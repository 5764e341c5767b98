import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderConfiguration } from "./configuration";

writeFileSync(join(__dirname, "configuration.md"), renderConfiguration());
