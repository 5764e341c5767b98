/** `npm run status`: one line per member, as the cluster itself and its certificates say it now, and what the hosts' jobs have done. */
import { readCommandLine } from "./command-line";
import { look } from "./look";
import { EXIT, renderReport, UNKNOWN } from "./report";
import { main } from "./stack";

const words = process.argv.slice(2);
/** Also for the error about words that nobody understands. */
const json = words.includes("--json");

void main(
  async () => {
    const { configFile } = readCommandLine(
      words,
      "npm run status [-- [--json] [--config-file FILE]]",
    );
    const { report, seen } = await look(configFile);
    console.log(json ? JSON.stringify(report, null, 2) : renderReport(report, seen));
    return EXIT[report.status];
  },
  UNKNOWN,
  json,
);
