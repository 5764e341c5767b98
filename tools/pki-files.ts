import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";

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

/** A file under the directory that the keys and certificates go to. */
export interface PkiFile {
  /** Relative, with one directory for each node. */
  readonly path: string;
  readonly content: string;
  /** Permission bits: private keys are for their owner alone. */
  readonly mode: number;
}

const KEY = "-key.pem";

/** Which output of a resource goes into which kind of file. */
const FILES: Readonly<Record<string, { readonly output: string; readonly ending: string }>> = {
  "tls:index/privateKey:PrivateKey": { output: "privateKeyPem", ending: KEY },
  "tls:index/certRequest:CertRequest": { output: "certRequestPem", ending: ".csr" },
  "tls:index/selfSignedCert:SelfSignedCert": { output: "certPem", ending: ".pem" },
  "tls:index/locallySignedCert:LocallySignedCert": { output: "certPem", ending: ".pem" },
};

/**
 * Every key, request and certificate of a stack, in the order of its resources. The CA that signed
 * the client's certificate is `ca.pem`, whatever rotation made it.
 *
 * @param exported what `pulumi stack export --show-secrets` prints.
 * @throws z.ZodError when it is no exported stack.
 */
export function pkiFiles(exported: unknown): readonly PkiFile[] {
  const resources = state.parse(exported).deployment.resources ?? [];
  const inUse = authorityInUse(resources);
  return resources.flatMap(({ urn, type, outputs }) => {
    const kind = FILES[type];
    const content = kind === undefined ? undefined : reveal(outputs?.[kind.output]);
    return kind === undefined || content === undefined
      ? []
      : [
          {
            path: fileOf(nameOf(urn), kind.ending, inUse),
            content,
            mode: kind.ending === KEY ? 0o600 : 0o644,
          },
        ];
  });
}

/**
 * Makes a directory that only its owner can read, or takes an empty one that is like that.
 *
 * @throws Error when others can read it or something is in it.
 */
export function prepareDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if ((statSync(directory).mode & 0o077) !== 0) {
    throw new Error(
      `${directory} can be read by others; give it mode 0700 or name a new directory`,
    );
  }
  if (readdirSync(directory).length > 0) {
    throw new Error(`${directory} is not empty; name a new directory`);
  }
}

export function writeFiles(directory: string, files: readonly PkiFile[]): void {
  for (const { path, content, mode } of files) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, content, { mode });
  }
}

/** A resource's name without that of the cluster, which index.ts gives. */
const nameOf = (urn: string) => (urn.split("::").at(-1) ?? "").replace(/^etcd-/, "");

type Resources = NonNullable<z.output<typeof state>["deployment"]["resources"]>;

/** Name of the CA that signs, without the kind of resource: `ca`, or `ca-NAME` after a rotation. */
function authorityInUse(resources: Resources): string {
  const client = resources.find(({ urn }) => nameOf(urn) === "client-certificate");
  const signer = resources.find(
    ({ type, outputs }) =>
      type === "tls:index/selfSignedCert:SelfSignedCert" &&
      outputs?.certPem !== undefined &&
      outputs.certPem === client?.outputs?.caCertPem,
  );
  return signer === undefined ? "ca" : nameOf(signer.urn).replace(/-certificate$/, "");
}

/**
 * The file of a resource: `etcd01-server-key` is `etcd01/server-key.pem`, `ca-key` is `ca-key.pem`.
 *
 * @param inUse the CA that signs; the first CA beside it is `ca-first.pem`.
 */
export function fileOf(name: string, ending: string, inUse = "ca"): string {
  const stem = name.replace(/-(key|request|certificate)$/, "");
  if (stem === inUse || stem === "ca") {
    return `${stem === inUse ? "ca" : "ca-first"}${ending}`;
  }
  return `${stem.replace(/-(server|peer|gateway)$/, "/$1")}${ending}`;
}

/** Secrets of an exported state are objects that hold the value's JSON. */
export function reveal(value: unknown): string | undefined {
  if (typeof value === "string") {
    return value;
  }
  const secret = z.object({ plaintext: z.string() }).safeParse(value);
  return secret.success ? z.string().parse(JSON.parse(secret.data.plaintext)) : undefined;
}
