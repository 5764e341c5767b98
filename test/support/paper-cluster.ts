import type { ScriptName } from "../../components/scripts/bundle";
import { assembleAny, type Part } from "./install-parts";
import type { Outcome, PaperHost } from "./paper-host";

export const PKI = "/etc/kubernetes/pki/etcd";
/** The values that the host step and the look take, on a cluster of one that asks little of its host. */
export const HOST = {
  ADDRESS: "127.0.0.1",
  VERSION: "3.6.14",
  NODES: "etcd01 127.0.0.1",
  UPGRADE: "no",
  MANAGE_HOSTS: "yes",
  FIREWALL: "yes",
  CLIENT_NETWORKS: "",
  MINIMUM_MEMORY: "0",
  MINIMUM_DISK: "0",
  ARCHITECTURES: "amd64 arm64",
  PKI,
};
export const STATE = "/var/lib/etcd-on-pulumi";

/** A member as `etcdctl member list` prints it. */
export interface PaperMember {
  /** Hexadecimal. */
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly learner?: boolean;
  /** Never started: no name and no client URLs in the list. */
  readonly unstarted?: boolean;
}

export interface PaperClusterState {
  /** Undefined: no quorum answers. */
  readonly members?: readonly PaperMember[];
  /** ID of the member on the paper host. */
  readonly self?: string;
  readonly leader?: string;
  /** Addresses of members that do not answer. */
  readonly sick?: readonly string[];
}

/** Three members; the paper host has the first. */
export const THREE: readonly PaperMember[] = [1, 2, 3].map((number) => ({
  id: `a${number}`,
  name: `etcd0${number}`,
  address: `192.168.1.${82 + number}`,
}));

/** What bash reads before the call: nothing waits, and whoever is not sick accepts connections; `dials` is the real thing. */
const PRELUDE = `
READY_SECONDS=0
SETTLE_SECONDS=0
sleep() { :; }
eval "$(declare -f retry | sed '1s/retry/patiently/')"
retry() { shift; patiently 0 "$@"; }
eval "$(declare -f answers | sed '1s/answers/dials/')"
answers() { ! grep -qxF "$1" /var/paper/sick 2>/dev/null; }
`;

/** The cluster that a paper host's etcdctl pretends to talk to. */
export class PaperCluster {
  readonly #host: PaperHost;

  constructor(host: PaperHost) {
    this.#host = host;
  }

  is({ members, self = "a1", leader = "a1", sick = [] }: PaperClusterState): void {
    const url = (address: string, port: number) =>
      `https://${address.includes(":") ? `[${address}]` : address}:${port}`;
    const lines = (members ?? []).map(({ id, name, address, learner = false, unstarted }) =>
      unstarted
        ? `${id}, unstarted, , ${url(address, 2380)}, , ${learner}`
        : `${id}, started, ${name}, ${url(address, 2380)}, ${url(address, 2379)}, ${learner}`,
    );
    const file = (name: string, content: readonly string[]) =>
      `printf '%s\\n' ${content.map((line) => `'${line}'`).join(" ")} >/var/paper/${name}`;
    this.#host.sh(
      [
        "rm -f /var/paper/members /var/paper/sick; : >/var/paper/etcdctl",
        "mkdir -p /usr/local/bin; ln -sfn /var/paper/etcdctl-stub /usr/local/bin/etcdctl",
        "install -m 0755 /var/paper/curl-stub /usr/local/sbin/curl",
        "echo 3.6 | tee /var/paper/cluster-version >/var/paper/storage-version",
        ...(members === undefined ? [] : [file("members", lines)]),
        file("self", [self]),
        file("leader", [leader]),
        ...(sick.length === 0
          ? []
          : [
              file(
                "sick",
                sick.map((address) => url(address, 2379)),
              ),
            ]),
      ].join("; "),
    );
  }

  /** Runs a line of bash with everything that the script has at hand. */
  run(
    script: ScriptName | Part,
    call: string,
    values: Readonly<Record<string, string>> = {},
  ): Outcome {
    return this.#host.run(script, ["eval", `${PRELUDE}${call}`], { PKI, ...values });
  }

  /**
   * Runs the same line once for each of the situations, in one go, which takes a third of the time.
   *
   * @param situations bash that makes each of them.
   */
  each(
    script: ScriptName | Part,
    call: string,
    values: Readonly<Record<string, string>>,
    situations: readonly string[],
  ): Outcome[] {
    this.#host.write("/var/paper/step", assembleAny(script, { NODE: "etcd01", PKI, ...values }));
    this.#host.write("/var/paper/call", `${PRELUDE}${call}`);
    const runs = situations.map(
      (situation) => `( ${situation} )
status=0; bash -s -- eval "$(cat /var/paper/call)" </var/paper/step >/var/paper/out 2>/var/paper/errors || status=$?
printf '%s %s %s\\n' "$status" "$(base64 -w0 /var/paper/out)." "$(base64 -w0 /var/paper/errors)."`,
    );
    this.#host.write("/var/paper/runs", runs.join("\n"));
    return this.#host
      .sh("bash /var/paper/runs")
      .split("\n")
      .map((line) => {
        const [status, stdout = "", stderr = ""] = line.split(" ");
        const text = (base64: string) => Buffer.from(base64, "base64").toString("latin1");
        return { status: Number(status), stdout: text(stdout), stderr: text(stderr) };
      });
  }

  /** What etcdctl was asked to change so far, in order, without what only looks or leaves nothing. */
  changes(): string[] {
    return this.calls().filter(
      (call) => !/: (member list|endpoint|alarm list|downgrade validate|lease|get )/.test(call),
    );
  }

  calls(): string[] {
    return this.#host
      .sh("cat /var/paper/etcdctl")
      .split("\n")
      .filter((line) => line !== "");
  }
}
