import { SITUATIONS } from "../test/lab/support/situations/library";
import { table } from "./table";

const BEGIN = "<!-- situations: npm run docs -->";
const END = "<!-- end of situations -->";

/** docs/testing.md with its table of situations made anew from the library. */
export function renderSituations(page: string): string {
  const rows = SITUATIONS.map(({ name, refused, hides, passing }) => [
    name,
    refused === undefined
      ? `works${passing === undefined ? "" : ", and waits for its end"}`
      : `refused${hides === undefined ? "" : "; nothing else of the host is seen"}`,
  ]);
  return page.replace(
    new RegExp(`${BEGIN}\n[\\s\\S]*?${END}`),
    () => `${BEGIN}\n\n${table(["A host that ...", "the program"], rows)}\n\n${END}`,
  );
}
