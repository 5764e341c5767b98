/** A host key as the `hostKey` input gives it: a line of an authorized_keys file. */
export interface HostKey {
  /** Key type, for example ssh-ed25519; also the only algorithm offered to the host. */
  readonly type: string;
  readonly blob: Buffer;
}

/** Errors: `failed to parse host key: ssh: no key found`. */
export function parseHostKey(line: string): HostKey {
  const words = line.trim().split(/\s+/);
  for (const [index, word] of words.entries()) {
    const blob = Buffer.from(words[index + 1] ?? "", "base64");
    if (blob.length < 4) continue;
    const type = blob.subarray(4, 4 + blob.readUInt32BE(0)).toString();
    if (type === word) return { type, blob };
  }
  throw new Error("failed to parse host key: ssh: no key found");
}
