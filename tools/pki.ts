/**
 * `npm run pki -- DIR`: every key, request and certificate of the selected stack, under names
 * by node and kind.
 */
import { pkiFiles, prepareDirectory, writeFiles } from "./pki-files";
import { main, pulumiJson } from "./stack";

void main(async () => {
  const [directory, ...rest] = process.argv.slice(2);
  if (directory === undefined || rest.length > 0) {
    throw new Error("usage: npm run pki -- DIR");
  }
  prepareDirectory(directory);
  const files = pkiFiles(await pulumiJson(["stack", "export", "--show-secrets"]));
  if (files.length === 0) {
    throw new Error("the selected stack has no cluster; run `pulumi up` first");
  }
  writeFiles(directory, files);
  console.log(`${files.length} files in ${directory}`);
  return 0;
});
