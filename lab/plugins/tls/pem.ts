export interface PemBlock {
  readonly type: string;
  readonly bytes: Buffer;
}

/** The first PEM block of a text. */
export function decodePem(text: string): PemBlock | undefined {
  const found = /-----BEGIN ([^-]+)-----\r?\n([\s\S]*?)\r?\n?-----END \1-----/.exec(text);
  const [, type, body] = found ?? [];
  if (type === undefined || body === undefined) return undefined;
  return { type, bytes: Buffer.from(body, "base64") };
}

/** PEM with 64 characters a line and a line feed at the end. */
export function encodePem(type: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${type}-----`, ...lines, `-----END ${type}-----`, ""].join("\n");
}
