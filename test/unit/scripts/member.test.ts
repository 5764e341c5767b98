import { beforeEach, describe, expect, test } from "vitest";
import { PKI, STATE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";

const reason = whyNot();
const VALUES = { ...RUNNING, PKI };
const NODES = "etcd01 192.168.1.83\netcd02 2001:db8::2";
const ALL = "etcd01=https://192.168.1.83:2380,etcd02=https://[2001:db8::2]:2380";

describe.skipIf(reason !== undefined)(`step member${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  beforeEach(() => {
    host.sh(`mkdir -p ${STATE}; printf '%s\\n' '${NODES}' >${STATE}/nodes`);
  });

  const run = (...call: string[]) => host.run("member", call, VALUES);
  const told = (revision: string, call: string) =>
    run("eval", `read_revision "${revision}"; ${call}`);
  const now = (secondsAgo: number) =>
    new Date(Date.now() - secondsAgo * 1000).toISOString().replace(/\.\d+Z$/, "Z");

  test("reads the first cluster from the host's list of nodes", () => {
    expect(run("configured_cluster").stdout).toBe(`${ALL}\n`);
  });

  test("writes a first start that etcd reads once, and its state, cluster and token", () => {
    expect(run("write_first_start", "new", ALL).status).toBe(0);
    expect(host.sh(`cat ${STATE}/first-start.env`).split("\n")).toEqual([
      "ETCD_INITIAL_CLUSTER_STATE=new",
      `ETCD_INITIAL_CLUSTER=${ALL}`,
      "ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster-0badcafe",
    ]);
  });

  test.each([
    ["there was none", ":", false],
    ["it was for these nodes", `write_first_start new '${ALL}'`, false],
    ["it was for other nodes", "write_first_start new etcd01=https://192.168.1.83:2380", true],
    ["it was to join", "write_first_start existing etcd01=https://192.168.1.83:2380", false],
    [
      "the member was ready since",
      "write_first_start new etcd01=https://192.168.1.83:2380; touch $FORMED",
      false,
    ],
  ])("a first start is stale, when %s: judged right", (_, before, stale) => {
    expect(run("eval", before).status).toBe(0);
    expect(run("first_start_is_stale").status === 0).toBe(stale);
  });

  test.each([
    ["a run of this minute that saw no cluster", "bootstrap", 30, true],
    ["one of an hour and more ago", "bootstrap", 3700, false],
    ["a run that saw a cluster", "join", 30, false],
    ["a run that did not look", "uninspected", 30, false],
    ["a repair", "repair", 30, false],
  ])("%s decides about a new cluster", (_, words, age, may) => {
    expect(told(`${words} ${now(age)}`, "may_bootstrap").status === 0).toBe(may);
  });

  test("a new cluster is not guessed from a time that is none", () => {
    expect(told("bootstrap 2026-99-99T10:20:30Z", "may_bootstrap").status).not.toBe(0);
  });

  test("a host that lost its data forms no second cluster when nobody answers", () => {
    const answer = told(`join ${now(1)}`, "first_start");
    expect(answer.status).toBe(1);
    expect(answer.stderr).toMatch(/^etcd01: has no data, and the cluster has no quorum/);
    expect(host.sh(`ls ${STATE}`)).toBe("nodes");
    expect(host.sh("cat /var/paper/systemctl")).not.toMatch(/^start/m);
  });

  test("neither does one that was a member, whatever the program saw", () => {
    host.sh(`touch ${STATE}/formed`);
    expect(told(`bootstrap ${now(1)}`, "first_start").status).toBe(1);
    expect(host.sh(`ls ${STATE}`)).toBe("formed\nnodes");
  });

  test("a new cluster starts without waiting for the others, on an empty directory", () => {
    host.sh("mkdir -p /var/lib/etcd/member/snap");
    expect(told(`bootstrap ${now(1)}`, "first_start")).toMatchObject({ status: 0, stderr: "" });
    expect(host.sh("ls -A /var/lib/etcd")).toBe("");
    expect(host.sh("tail -n 1 /var/paper/systemctl")).toBe("start --no-block etcd.service");
    expect(host.sh(`sed -n 2p ${STATE}/first-start.env`)).toBe(`ETCD_INITIAL_CLUSTER=${ALL}`);
  });
});
