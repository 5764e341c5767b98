import { remote } from "@pulumi/command";
import { RandomId } from "@pulumi/random";
import { PrivateKey } from "@pulumi/tls";

/** One resource of each plugin, so that each of them is started; the command is given by the benchmark. */
const [host, privateKey] = [process.env.BENCH_HOST, process.env.BENCH_KEY];
if (host === undefined || privateKey === undefined) {
  throw new Error("set BENCH_HOST and BENCH_KEY");
}
new RandomId("token", { byteLength: 4 });
new PrivateKey("key", { algorithm: "ECDSA", ecdsaCurve: "P256" });
new remote.Command("nothing", { connection: { host, privateKey }, create: "true" });
