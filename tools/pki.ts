/**
 * `npm run pki -- DIR`: every key, request and certificate of the selected stack, under the names
 * that the article gives them («os recomiendo que los guardéis»).
 */
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { main, pulumiJson } from "./stack";

const state = z.object({
  deployment: z.object({
    resources: z
      .array(
        z.object({
          urn: z.string(),
          type: z.string(),
          outputs: z.record(z.string(), z.unknown()).optional(),
        }),
      )
      .optional(),
  }),
});

/** Which output of a resource goes into which kind of file. */
const FILES: Readonly<Record<string, { readonly output: string; readonly ending: string }>> = {
  "tls:index/privateKey:PrivateKey": { output: "privateKeyPem", ending: "-key.pem" },
  "tls:index/certRequest:CertRequest": { output: "certRequestPem", ending: ".csr" },
  "tls:index/selfSignedCert:SelfSignedCert": { output: "certPem", ending: ".pem" },
  "tls:index/locallySignedCert:LocallySignedCert": { output: "certPem", ending: ".pem" },
};

/** The file of a resource: `etcd01-server-key` is `etcd01/server-key.pem`, `ca-key` is `ca-key.pem`. */
export function fileOf(name: string, ending: string): string {
  const stem = name.replace(/-(key|request|certificate)$/, "");
  return `${stem.replace(/-(server|peer)$/, "/$1")}${ending}`;
}

/** Secrets of an exported state are objects that hold the value's JSON. */
function reveal(value: unknown): string | undefined {
  if (typeof value === "string") {
    return value;
  }
  const secret = z.object({ plaintext: z.string() }).safeParse(value);
  return secret.success ? z.string().parse(JSON.parse(secret.data.plaintext)) : undefined;
}

void main(async () => {
  const [directory, ...rest] = process.argv.slice(2);
  if (directory === undefined || rest.length > 0) {
    throw new Error("usage: npm run pki -- DIR");
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if ((statSync(directory).mode & 0o077) !== 0) {
    throw new Error(
      `${directory} can be read by others; give it mode 0700 or name a new directory`,
    );
  }
  if (readdirSync(directory).length > 0) {
    throw new Error(`${directory} is not empty; name a new directory`);
  }
  const exported = state.parse(await pulumiJson(["stack", "export", "--show-secrets"]));
  let written = 0;
  for (const resource of exported.deployment.resources ?? []) {
    const kind = FILES[resource.type];
    const content = kind === undefined ? undefined : reveal(resource.outputs?.[kind.output]);
    if (kind !== undefined && content !== undefined) {
      const path = join(directory, fileOf(resource.urn.split("::").at(-1) ?? "", kind.ending));
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(path, content, { mode: kind.ending === "-key.pem" ? 0o600 : 0o644 });
      written += 1;
    }
  }
  if (written === 0) {
    throw new Error("the selected stack has no cluster; run `pulumi up` first");
  }
  console.log(`${written} files in ${directory}`);
  return 0;
});
