/** Members as etcd lists them, their URLs and their quorum. */

/** A member as the leader lists it. */
export interface LiveMember {
  readonly name: string;
  /** Peer URLs, comma separated. */
  readonly peerUrls: string;
  readonly learner: boolean;
  /** It answers a linearizable read, as asked from a host of the cluster. */
  readonly healthy: boolean;
  /** Hexadecimal. */
  readonly id?: string;
}

/** Voters that must agree, of so many. */
export function quorum(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/** Of the member at this address; the ports are fixed in this program. */
export function peerUrl(address: string): string {
  return `https://${bracketed(address)}:2380`;
}

/** Of the first of its peer URLs. */
export function addressOf(peerUrls: string): string {
  return peerUrls.replace(/,.*/, "").replace(/^https:\/\/\[?|\]?:\d+$/g, "");
}

/** `host:port` part of a URL, with brackets round an IPv6 address. */
export function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
