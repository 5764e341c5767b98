/** Which release of this program runs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";

const manifest = z.object({ version: z.string() });

/** As package.json has it. An `up` leaves it on every host, for the next one to compare. */
export const PROGRAM_VERSION = manifest.parse(
  JSON.parse(readFileSync(join(__dirname, "../../package.json"), "utf8")),
).version;
