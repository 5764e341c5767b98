import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { isProps, type Props, plainProps, type Value } from "../../../lab/plugins/shared/values";
import { call } from "./calls";
import { buildPlugins, PluginProcess } from "./plugin-process";
import { recordings } from "./recordings";

export const types = {
  key: "tls:index/privateKey:PrivateKey",
  authority: "tls:index/selfSignedCert:SelfSignedCert",
  request: "tls:index/certRequest:CertRequest",
  certificate: "tls:index/locallySignedCert:LocallySignedCert",
} as const;
export type Kind = keyof typeof types;

export type State = Readonly<Record<string, string>>;

export function urn(kind: Kind): string {
  return `urn:pulumi:dev::etcd::${types[kind]}::it`;
}

export function props(value: Value | undefined): Props {
  return isProps(value) ? value : {};
}

export function pem(state: State, key: string): string {
  return state[key] ?? "";
}

export function run(command: string, ...parameters: string[]): string {
  return execFileSync(command, parameters, { encoding: "utf8", stdio: "pipe" });
}

/** Inputs and state of the first certificate that the official plugin was recorded to sign. */
export function recordedCertificate(): { inputs: Props; state: Props } {
  const found = recordings().find(
    ({ method, request }) => method === "Create" && request.type === types.certificate,
  );
  return { inputs: props(found?.request.properties), state: props(found?.response?.properties) };
}

class TlsFixture {
  directory = "";
  folder = "";
  private started: PluginProcess | undefined;

  get plugin(): PluginProcess {
    if (!this.started) throw new Error("the plugin runs only during the tests");
    return this.started;
  }

  async start(directory: string, folder: string): Promise<void> {
    this.directory = directory;
    this.folder = folder;
    this.started = await PluginProcess.start(directory, "tls");
  }

  /** Creates a resource and answers its state as texts. */
  async create(kind: Kind, properties: Props): Promise<State> {
    const answer = await call(this.plugin, "Create", { urn: urn(kind), properties });
    const state = plainProps(props(answer.properties));
    return Object.fromEntries(Object.entries(state).map(([key, value]) => [key, String(value)]));
  }

  /** Writes a file for openssl or ssh-keygen to read. */
  file(name: string, content: string | undefined): string {
    const path = join(this.folder, name);
    writeFileSync(path, content ?? "", { mode: 0o600 });
    return path;
  }

  async authority(algorithm: Props, more: Props = {}) {
    const key = await this.create("key", algorithm);
    const certificate = await this.create("authority", {
      privateKeyPem: pem(key, "privateKeyPem"),
      subject: { commonName: "ca" },
      isCaCertificate: true,
      allowedUses: ["cert_signing", "crl_signing"],
      validityPeriodHours: 1000,
      ...more,
    });
    return { key, certificate };
  }

  async leaf(ca: { key: State; certificate: State }, requested: Props, more: Props = {}) {
    const key = await this.create("key", { algorithm: "ECDSA", ecdsaCurve: "P256" });
    const privateKeyPem = pem(key, "privateKeyPem");
    const request = await this.create("request", { privateKeyPem, ...requested });
    const inputs: Props = {
      certRequestPem: pem(request, "certRequestPem"),
      caCertPem: pem(ca.certificate, "certPem"),
      caPrivateKeyPem: pem(ca.key, "privateKeyPem"),
      allowedUses: ["server_auth"],
      validityPeriodHours: 10,
      ...more,
    };
    return { request, inputs, certificate: await this.create("certificate", inputs) };
  }
}

/** Registers what starts and stops the tls plugin around the tests of a file. */
export function useTlsPlugin(): TlsFixture {
  const fixture = new TlsFixture();
  let remove = () => {};
  beforeAll(async () => {
    const built = buildPlugins();
    const folder = mkdtempSync(join(tmpdir(), "tls-"));
    remove = () => {
      rmSync(folder, { recursive: true });
      built.remove();
    };
    await fixture.start(built.directory, folder);
  });
  afterAll(async () => {
    await fixture.plugin.stop();
    remove();
  });
  return fixture;
}
