/** Waiting for etcd as long as something moves, on a paper host. */
import { beforeEach, describe, expect, test } from "vitest";
import { plain } from "../../../components/scripts/bundle";
import { MINUTES } from "../../../components/scripts/steps";
import { PaperCluster, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";

const reason = whyNot();
const SNAP = "/var/lib/etcd/member/snap";

describe.skipIf(reason !== undefined)(`wait.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);

  beforeEach(() => {
    cluster.is({ members: THREE, leader: "a2", sick: ["192.168.1.83"] });
    host.sh(`mkdir -p ${STATE} ${SNAP}; getent passwd etcd >/dev/null || useradd --system --user-group etcd
      chown -R etcd:etcd /var/lib/etcd
      printf 'etcd01 192.168.1.83\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >${STATE}/nodes
      cd /var/paper; echo 76000000 >field-a2-DBSize; echo activating >property-ActiveState; echo 0 >property-NRestarts`);
  });

  /**
   * Waits for a member; nine seconds pass at each look.
   *
   * @param turn bash, of which $turn counts the looks.
   */
  const wait = (turn: string, limit = 3000) =>
    cluster.run(
      "member",
      `READY_SECONDS=30 WAIT_LIMIT=${limit} SECONDS=0 turn=0
      sleep() { turn=$((turn + 1)); SECONDS=$((SECONDS + 9)); ${turn}; }
      wait_until_ready`,
      RUNNING,
    );
  const grows = (until: number) =>
    `[ $turn -gt ${until} ] || truncate -s $((turn * 4000000)) ${SNAP}/tmp123`;

  test("goes on as long as the leader's database comes in, and says how far it is", () => {
    const done = "[ $turn -lt 13 ] || echo active >/var/paper/property-ActiveState";
    const { status, stderr } = wait(`${grows(13)}; ${done}`);
    expect(status).toBe(0);
    const said = stderr.trim().split("\n");
    expect(said.length).toBeGreaterThan(5);
    expect(said.every((line) => /^etcd01: receiving the database: \d+ of 76 MB$/.test(line))).toBe(
      true,
    );
  });

  test("ends when nothing has moved for a while, with what stood still and etcd's reason", () => {
    host.journal([
      '{"level":"warn","msg":"slow fdatasync"}',
      '{"level":"warn","msg":"x","error":"dial tcp 192.168.1.84:2380: i/o timeout"}',
    ]);
    const { status, stderr } = wait(grows(5));
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^etcd01: etcd is not ready, and there has been no progress for 3\d s \(last: receiving the database: 20 of 76 MB\); its unit is activating:\n.*dial tcp 192\.168\.1\.84:2380: i\/o timeout"\}\nPackets to another member do not arrive\. .*\n$/m,
    );
  });

  test("ends when the step has waited as long as it may, whatever moves", () => {
    const { status, stderr } = wait(grows(10_000), 130);
    expect(status).toBe(1);
    expect(stderr).toContain(
      "etcd is not ready, and this step waits at most 130 s (last: receiving",
    );
  });

  test("ends when the leader begins again and again: the line is too slow for etcd", () => {
    const { status, stderr } = wait(`truncate -s $((turn % 5 * 4000000)) ${SNAP}/tmp123`);
    expect(status).toBe(1);
    expect(stderr).toContain(
      "etcd01: the leader has started 3 times to send its database of 76 MB, and it did not arrive: etcd allows 300 s, then starts over. The network between the hosts must be faster: at least 3 Mbit/s\n",
    );
  });

  test("takes what came in whole for no broken transfer", () => {
    const { stderr } = wait(
      `if [ $((turn % 5)) -ne 4 ]; then truncate -s $((turn % 5 * 4000000)) ${SNAP}/tmp123
      else rm ${SNAP}/tmp123; fi
      # It is there before etcd takes the database over.
      if [ $((turn % 5)) -eq 3 ]; then printf -v name %016x $turn; : >${SNAP}/0000000000000001-$name.snap; fi
      [ $turn -lt 13 ] || echo active >/var/paper/property-ActiveState`,
    );
    expect(stderr).not.toContain("the leader has started");
  });

  test("counts what the process reads and writes, and says so", () => {
    const work = `eval "$(declare -f work_of | sed '1s/work_of/none/')"; work_of() { bytes=$((turn * 5000000)); }`;
    const { status, stderr } = wait(
      `${work}; [ $turn -lt 12 ] || echo active >/var/paper/property-ActiveState`,
    );
    expect(status).toBe(0);
    expect(stderr).toMatch(/^etcd01: etcd is reading its data, \d+ MB read and written so far$/m);
  });

  test("knows how much a process has worked, and takes a small amount for none", () => {
    host.sh(`yes >/dev/null 2>&1 & echo $! >/var/paper/property-MainPID; sleep 2.2; kill -STOP $!`);
    const call = `begin_wait; bytes=0 seconds=0; work_of etcd.service; echo "$seconds"
      process_moves etcd.service; echo "$SEEN"; kill -KILL "$(cat /var/paper/property-MainPID)"`;
    const [seconds, seen] = cluster.run("member", call, RUNNING).stdout.split("\n");
    expect(["0", "1", "2"]).toContain(seconds);
    expect(seen).toBe("0 0 0 0");
  });

  test("is the same for a learner that catches up", () => {
    const learner = THREE.map((one) => ({ ...one, learner: one.id === "a1" }));
    const promote = (turns: number, end: number) => {
      cluster.is({ members: learner, leader: "a2" });
      host.sh("cd /var/paper; echo 90000 >field-a2-RaftIndex; touch behind");
      return cluster.run(
        "member",
        `WAIT_LIMIT=3000 SECONDS=0 turn=0
        sleep() {
          turn=$((turn + 1)) SECONDS=$((SECONDS + 28))
          [ $turn -gt ${turns} ] || echo $((turn * 1000)) >/var/paper/field-a1-RaftAppliedIndex
          [ $turn -lt ${end} ] || rm -f /var/paper/behind
        }
        promote https://192.168.1.84:2379 a1`,
        RUNNING,
      );
    };
    expect(promote(8, 8)).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("catching up with the cluster: entry 6000 of 90000 applied"),
    });
    expect(promote(6, 99).stderr).toMatch(
      /learner a1 could not be promoted, and there has been no progress for \d+ s \(last: catching up with the cluster: entry 6000 of 90000 applied\): Error: etcdserver: can only promote/,
    );
  });

  test.each(["member", "health"] as const)(
    "in step %s ends minutes before the engine gives the step up",
    (script) => {
      const limit = Number(/WAIT_LIMIT=(\d+)/.exec(plain(script))?.[1]);
      expect(limit).toBeGreaterThan(0);
      expect(limit).toBeLessThanOrEqual(MINUTES[script] * 60 - 120);
    },
  );
});
