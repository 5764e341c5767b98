/** Makes the hosts of a lab what a world of the plan model says, puts them right again, and asks the members how they are. */
import type { Lab } from "../../support/lab";
import { type Condition, quorumOf, type World } from "../../support/plan-model";
import { ask, ETCDCTL } from "./etcdctl";
import { eventually, on, onAll } from "./stack";

/** Between two writes of the sampler. */
const PAUSE_SECONDS = 0.3;

/** Strikes the hosts, and waits until those members that have a quorum have a leader, and the others none. */
export async function strike(lab: Lab, world: World): Promise<void> {
  const being = (wanted: Condition) =>
    [...world.conditions].flatMap(([name, condition]) => (condition === wanted ? [name] : []));
  const member = (name: string) => world.voters.includes(name);
  if (being("cut").length > 0) {
    await lab.cut(...being("cut"));
  }
  await onAll(lab, "systemctl stop etcd.service", being("stopped"));
  for (const name of being("off")) {
    await lab.kill(name);
  }
  for (const name of being("wiped")) {
    await lab.wipe(name);
  }
  const quorum = quorumOf(world);
  const running = [...being("healthy"), ...being("cut")].filter(member);
  const serves = async (name: string) => {
    const { code } = await lab.exec(name, `${ETCDCTL} --command-timeout 2s get any >/dev/null`);
    return code === 0;
  };
  await eventually("a quorum answers, the others know that they have none", async () => {
    const answers = await Promise.all(running.map(serves));
    return running.every((name, index) => answers[index] === quorum.includes(name));
  });
}

/** Ends what `strike` did, except that a wiped disk stays empty. */
export async function relieve(lab: Lab, { conditions, voters }: World): Promise<void> {
  if ([...conditions.values()].includes("cut")) {
    await lab.heal();
  }
  for (const [name, condition] of conditions) {
    if (condition === "off") {
      await lab.boot(name);
    }
  }
  const stopped = voters.filter((name) => conditions.get(name) === "stopped");
  // One that left meanwhile has no unit any more.
  await onAll(lab, "systemctl start --no-block etcd.service || true", stopped);
}

/** A client that writes through one member all the time, and knows the longest time without success. */
export class Sampler {
  private constructor(
    private readonly lab: Lab,
    private readonly host: string,
    private readonly ended: Promise<string>,
  ) {}

  static start(lab: Lab, host: string): Sampler {
    const loop = `
      rm -f /tmp/sampler-stop; last=$(date +%s%3N); longest=0
      until [ -e /tmp/sampler-stop ]; do
        if ${ETCDCTL} --command-timeout 2s put sampler "$last" >/dev/null 2>&1; then
          now=$(date +%s%3N); gap=$((now - last)); last=$now
          if [ "$gap" -gt "$longest" ]; then longest=$gap; fi
        fi
        sleep ${PAUSE_SECONDS}
      done
      now=$(date +%s%3N); gap=$((now - last)); if [ "$gap" -gt "$longest" ]; then longest=$gap; fi
      echo "$longest"`;
    const ended = lab.exec(host, loop, { timeoutMs: 900_000 }).then(({ stdout }) => stdout);
    return new Sampler(lab, host, ended);
  }

  /** The longest time without an acknowledged write, in milliseconds. */
  async stop(): Promise<number> {
    await on(this.lab, this.host, "touch /tmp/sampler-stop");
    return Number(await this.ended);
  }
}

/** Of every etcd that runs on these hosts, whether it has a quorum or not. */
export async function clusterIds(lab: Lab, hosts: readonly string[]): Promise<readonly string[]> {
  const status = `${ETCDCTL} --command-timeout 2s endpoint status --write-out fields 2>/dev/null || true`;
  const told = (await onAll(lab, status, hosts)).join("\n");
  return [...new Set([...told.matchAll(/"ClusterID" : (\d+)/g)].map(([, id]) => hexadecimal(id)))];
}

function hexadecimal(id = "0"): string {
  return BigInt(id).toString(16);
}

export interface Seen {
  readonly names: readonly string[];
  /** Every member is a voter that has started. */
  readonly whole: boolean;
  /** Of all members, without repetition; hexadecimal. */
  readonly clusterIds: readonly string[];
}

/** The cluster as one member sees it, and the cluster IDs of all of them. */
export async function see(lab: Lab, host: string): Promise<Seen> {
  const lines = (await ask(lab, host, "member list")).split("\n").map((line) => line.split(", "));
  const status = await ask(lab, host, "endpoint status --cluster --write-out fields");
  const ids = [...status.matchAll(/"ClusterID" : (\d+)/g)].map(([, id]) => hexadecimal(id));
  return {
    names: lines.map(([, , name = ""]) => name).sort(),
    whole: lines.every(([, state, , , , learner]) => state === "started" && learner === "false"),
    clusterIds: [...new Set(ids)],
  };
}
