/** etcd's clients as they are run on a host, with the certificates that lie there. */
import type { Lab } from "../../support/lab";
import { hosts, on, onAll } from "./stack";

export const PKI = "/etc/kubernetes/pki/etcd";

/** Options of etcdctl and of curl alike. */
export function credentials(directory = PKI): string {
  return `--cacert ${directory}/ca.pem --cert ${directory}/client.pem --key ${directory}/client-key.pem`;
}

export const ETCDCTL = `etcdctl --endpoints https://127.0.0.1:2379 ${credentials()}`;

/** etcdctl on a host, through its own member. */
export function ask(lab: Lab, host: string, args: string): Promise<string> {
  return on(lab, host, `${ETCDCTL} ${args}`);
}

/** The host whose member leads. */
export async function leaderOf(lab: Lab, names = hosts): Promise<string> {
  const texts = await onAll(lab, `${ETCDCTL} endpoint status --write-out fields`, names);
  const leads = (text: string) => {
    const field = (name: string) => new RegExp(`^"${name}" : (.*)$`, "m").exec(text)?.[1];
    return field("Leader") === field("MemberID");
  };
  return names[texts.findIndex(leads)] ?? "";
}
