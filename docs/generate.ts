import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderConfiguration } from "./configuration";
import { renderDrift } from "./drift";
import { renderVersions } from "./versions";

const versions = join(__dirname, "versions.md");
writeFileSync(join(__dirname, "configuration.md"), renderConfiguration());
writeFileSync(versions, renderVersions(readFileSync(versions, "utf8")));
writeFileSync(join(__dirname, "drift.md"), renderDrift());
