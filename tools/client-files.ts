/**
 * `npm run client -- DIR`: the three files that a client of the selected stack's cluster needs, for
 * their owner alone, and nothing of the CA's key.
 */
import { prepareDirectory, writeFiles } from "./pki-files";
import { main, stackOutputs } from "./stack";

const MODE = 0o600;

void main(async () => {
  const [directory, ...rest] = process.argv.slice(2);
  if (directory === undefined || rest.length > 0) {
    throw new Error("usage: npm run client -- DIR");
  }
  prepareDirectory(directory);
  const { caCertificate, clientCertificate, clientKey } = await stackOutputs();
  writeFiles(directory, [
    { path: "ca.pem", content: caCertificate, mode: MODE },
    { path: "client.pem", content: clientCertificate, mode: MODE },
    { path: "client-key.pem", content: clientKey, mode: MODE },
  ]);
  console.log(`ca.pem, client.pem and client-key.pem in ${directory}`);
  return 0;
});
