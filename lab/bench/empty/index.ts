import { readFileSync } from "node:fs";
import { remote } from "@pulumi/command";
import { RandomId } from "@pulumi/random";
import { PrivateKey } from "@pulumi/tls";

/** One resource of each plugin, so that each of them is started. */
const [host, keyFile] = [process.env.BENCH_HOST, process.env.BENCH_KEY_FILE];
if (host === undefined || keyFile === undefined) {
  throw new Error("set BENCH_HOST and BENCH_KEY_FILE");
}
new RandomId("token", { byteLength: 4 });
new PrivateKey("key", { algorithm: "ECDSA", ecdsaCurve: "P256" });
new remote.Command("nothing", {
  connection: { host, privateKey: readFileSync(keyFile, "utf8") },
  create: "true",
});
