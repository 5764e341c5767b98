import type { NodeConfig } from "../config";
import { addressOf, type LiveMember, peerUrl } from "../etcd/members";

/** A node that is to have a member, and the one it has. */
export class DesiredMember {
  readonly name: string;
  readonly address: string;
  readonly member: LiveMember | undefined;
  /** Its member has another address now. */
  readonly isElsewhere: boolean;
  readonly #live: readonly LiveMember[];

  constructor(
    { name, address }: NodeConfig,
    live: readonly LiveMember[],
    running: ReadonlyMap<string, string>,
  ) {
    this.name = name;
    this.address = address;
    this.#live = live;
    const url = peerUrl(address);
    const own = live.find(({ id }) => id !== undefined && id === running.get(name));
    // A host says of itself which member it runs: that of another name it cannot be.
    this.member =
      (own?.name === name ? own : undefined) ??
      live.find(({ peerUrls }) => peerUrls === url) ??
      live.find((one) => one.name === name);
    this.isElsewhere = this.member !== undefined && this.member.peerUrls !== url;
  }

  /** The address that its member has now. */
  get before(): string {
    return addressOf(this.member?.peerUrls ?? "");
  }

  get move(): string {
    return `${this.name} moves from ${this.before} to ${this.address}`;
  }

  /** @param givenUp ID of the member that it has, when the configuration gives it up. */
  rebuilt(givenUp: string | undefined): string {
    const joins = "its old member is removed, it rejoins as a learner and is promoted";
    if (givenUp !== undefined) {
      return `${this.name} is rebuilt: its member ${givenUp} is removed, its data is moved to /var/lib/etcd.rebuilt-${givenUp}-TIME, it rejoins as a learner and is promoted`;
    }
    return this.isElsewhere
      ? `${this.move}, where the host is empty: ${joins}; what still runs at ${this.before} is not removed`
      : `${this.name} is rebuilt: ${joins}`;
  }

  /** Name of the member of another node that has its address now. */
  get occupant(): string | undefined {
    const there = this.#live.filter(({ peerUrls }) => peerUrls === peerUrl(this.address));
    return there.find(({ name }) => name !== "" && name !== this.name)?.name;
  }

  /** A member keeps its name for life, and two cannot have one address, not even for a moment. */
  taken(others: readonly DesiredMember[]): readonly string[] {
    const name = this.occupant;
    if (name === undefined) {
      return [];
    }
    const elsewhere = others.find((other) => other.name === name);
    const remedy =
      elsewhere !== undefined
        ? `move ${name} to ${elsewhere.address} first`
        : this.#live.some((one) => one.name === this.name)
          ? `remove ${name} in an edit of its own first`
          : `name the node ${name}, or remove ${name} in one edit and add ${this.name} in the next`;
    return [`${this.name}: ${this.address} is the address of the member ${name}; ${remedy}`];
  }
}

/** Members keep their addresses until they have moved: whose node is to have that of another one, and what to do about it. */
export function addressConflicts(wanted: readonly DesiredMember[]): readonly string[] {
  const cycles = new Map<DesiredMember, string>();
  for (const node of wanted) {
    const cycle = ring(node, wanted);
    if (!cycles.has(node) && cycle.length > 0) {
      const words = exchange(cycle);
      cycle.forEach((one, index) => {
        cycles.set(one, index === 0 ? words : "");
      });
    }
  }
  return wanted.flatMap((node) => {
    const words = cycles.get(node);
    return words === undefined ? node.taken(wanted) : words === "" ? [] : [words];
  });
}

/** The node, whose address the next one has, and so on until somebody has its own; none when that does not lead back to it. */
function ring(node: DesiredMember, wanted: readonly DesiredMember[]): readonly DesiredMember[] {
  const found = [node];
  for (;;) {
    const next = wanted.find(({ name }) => name === found.at(-1)?.occupant);
    if (next === undefined || next === node || found.includes(next)) {
      return next === node && found.length > 1 ? found : [];
    }
    found.push(next);
  }
}

/** No order of moves does it: one of them has to make room first. */
function exchange(cycle: readonly DesiredMember[]): string {
  const [first] = cycle;
  const rest = [...cycle.slice(1)].reverse();
  const moves = rest.map(({ name, address }) => `${name} to ${address}`).join(", then ");
  return `${namesOf(cycle)}: cannot swap their addresses in one edit, because no two members can ever have the same one; first give ${first?.name} an unused address, then move ${moves}, and finally ${first?.name} to ${first?.address}, each in an edit of its own; or, if the hosts still have their old addresses, restore those in the configuration`;
}

export function namesOf(nodes: readonly DesiredMember[]): string {
  return nodes.map(({ name }) => name).join(", ");
}
