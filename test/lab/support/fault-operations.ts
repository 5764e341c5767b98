/** What the program does while a fault strikes: a running cluster, the edit, and who may be struck. */
import { hostAddress, type Result } from "../../support/lab";
import { NEWER } from "./operations";
import { onAll, type Stack, type Values } from "./stack";

export interface FaultOperation {
  readonly name: string;
  /** Members before; none when the operation makes them. */
  readonly before: readonly string[];
  /** Members afterwards. */
  readonly after: readonly string[];
  /** What the edit says beside the nodes. */
  readonly edit?: Values;
  /** Hosts that a fault may strike so that a quorum keeps its data. */
  readonly victims: readonly string[];
  /** A member that stays as it is, through which a client writes all the while. */
  readonly witness?: string;
  /** Wipes the victims before the run; more of the edit. */
  prepare?(stack: Stack): Promise<Values>;
  /** @default an up */
  run?(stack: Stack): Promise<Result>;
  /** What the edit says once the run has succeeded. @default the same */
  readonly settled?: Values;
}

const THREE = ["etcd01", "etcd02", "etcd03"];
const FOUR = [...THREE, "etcd04"];
/** A silent host is given up after fifty seconds, not after two and a half minutes. */
const ENV = { LAB_KEEPALIVE: "5" };
/** Longer than any run needs. */
const TIMEOUT_MS = 240_000;

export function configure(stack: Stack, names: readonly string[], edit: Values = {}): void {
  stack.configure({
    nodes: names.map((name) => ({ name, address: hostAddress(name) })),
    host: { minimumDisk: 100 },
    ...edit,
  });
}

export const up = (stack: Stack) => stack.up({ env: ENV, timeoutMs: TIMEOUT_MS });
const destroy = (stack: Stack) => stack.destroy({ env: ENV, timeoutMs: TIMEOUT_MS });

export const FAULT_OPERATIONS: readonly FaultOperation[] = [
  { name: "create", before: [], after: THREE, victims: THREE },
  {
    name: "add",
    before: THREE,
    after: FOUR,
    victims: ["etcd02", "etcd03", "etcd04"],
    witness: "etcd01",
  },
  {
    name: "remove",
    before: FOUR,
    after: THREE,
    victims: ["etcd02", "etcd03", "etcd04"],
    witness: "etcd01",
  },
  {
    name: "rebuild",
    before: THREE,
    after: THREE,
    // Of three, one is gone already.
    victims: ["etcd03"],
    witness: "etcd01",
    async prepare({ lab }) {
      await lab.wipe("etcd03");
      return {};
    },
  },
  {
    name: "upgrade",
    before: THREE,
    after: THREE,
    edit: { version: NEWER },
    victims: ["etcd02", "etcd03"],
    witness: "etcd01",
  },
  {
    name: "rotate",
    before: THREE,
    after: THREE,
    edit: { pki: { rotate: "2027-03" } },
    victims: ["etcd02", "etcd03"],
    witness: "etcd01",
  },
  {
    name: "recover",
    before: THREE,
    after: THREE,
    // The only copy is on the first.
    victims: ["etcd02", "etcd03"],
    async prepare(stack) {
      const { clusterId } = await stack.outputs();
      await Promise.all(["etcd02", "etcd03"].map((host) => stack.lab.wipe(host)));
      return { recover: { node: "etcd01", confirm: clusterId } };
    },
    settled: {},
  },
  { name: "destroy", before: THREE, after: [], victims: THREE, run: destroy },
];

/** Nothing of the program runs on any host, and the state is empty. */
export async function expectDestroyed(stack: Stack): Promise<void> {
  const running = await onAll(stack.lab, "pgrep -x etcd || true", THREE);
  const state = await stack.exportState();
  if (running.join("") !== "" || state.includes("remote:Command")) {
    throw new Error(`something is left: etcd runs as ${running.join(" ")}; ${state}`);
  }
}
