import { goReason } from "./go-text";
import type { HostKey } from "./host-key";

/** What is known about a handshake when it fails. */
export interface HandshakeFacts {
  /** Names of the login methods tried so far. */
  readonly tried: readonly string[];
  readonly hostKey: HostKey | undefined;
  /** Host key types the host has, as far as it said so, with commas between. */
  readonly offered: string;
}

export class NoMethodLeft extends Error {}

function detail(error: unknown, facts: HandshakeFacts): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof NoMethodLeft) {
    const tried = facts.tried.join(" ");
    return `ssh: unable to authenticate, attempted methods [${tried}], no supported methods remain`;
  }
  if (/verification failed/.test(message)) return "ssh: host key mismatch";
  if (/no matching host key format/.test(message)) {
    const peer = facts.offered.split(",").map((type) => JSON.stringify(type));
    return (
      `ssh: no common algorithm for host key; we offered: ["${facts.hostKey?.type}"], ` +
      `peer offered: [${peer.join(" ")}]`
    );
  }
  if (/^(Connection lost before handshake|EOF)/.test(message)) return "EOF";
  return goReason(error);
}

/** A failed handshake in the words of the official plugin. */
export function handshakeError(error: unknown, facts: HandshakeFacts): Error {
  return new Error(`ssh: handshake failed: ${detail(error, facts)}`, { cause: error });
}

const reasons: Readonly<Record<number, string>> = {
  1: "administratively prohibited",
  2: "connect failed",
  3: "unknown channel type",
  4: "resource shortage",
};

/** A channel that the host did not open, in the words of the official plugin. */
export function rejectedError(error: Error): Error {
  const said = error.message.replace(/^\(SSH\) Channel open failure: /, "");
  const reason = "reason" in error && typeof error.reason === "number" ? error.reason : 0;
  return new Error(`ssh: rejected: ${reasons[reason] ?? `unknown reason ${reason}`} (${said})`, {
    cause: error,
  });
}
