import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, type PaperMember, STATE, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";

const reason = whyNot();
const OTHERS = "https://192.168.1.83:2379,https://192.168.1.84:2379,https://192.168.1.85:2379";
const own: PaperMember = { id: "a4", name: "etcd04", address: "192.168.1.86", learner: true };
const strange: PaperMember = { id: "b9", name: "", address: "192.168.1.99", learner: true };

describe.skipIf(reason !== undefined)(`learners.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const good = { status: 0, stdout: "", stderr: "" };
  const values = { ...RUNNING, NODE: "etcd04", ADDRESS: "192.168.1.86" };
  const nodes = [...THREE, own].map(({ name, address }) => `${name} ${address}`).join("\\n");
  beforeEach(() => {
    host.sh(`mkdir -p ${STATE}; printf '${nodes}\\n' >${STATE}/nodes`);
    host.sh("echo active >/var/paper/property-ActiveState");
  });

  describe("this host's own", () => {
    const promote = () => cluster.run("member", "promote_own", values);

    test("that runs and was never promoted is promoted by the next run", () => {
      cluster.is({ members: [...THREE, own], self: "a4" });
      expect(promote()).toEqual({
        ...good,
        stderr: "etcd04: member a4 joined as a learner and was promoted\n",
      });
      expect(cluster.changes()).toEqual([`${OTHERS}: member promote a4`]);
      expect(promote()).toEqual(good);
    });

    test("is left alone while etcd does not run, and so is a voter", () => {
      cluster.is({ members: [...THREE, { ...own, learner: false }], self: "a4" });
      expect(promote()).toEqual(good);
      cluster.is({ members: [...THREE, own], self: "a4" });
      host.sh("echo activating >/var/paper/property-ActiveState");
      expect(promote()).toEqual(good);
      expect(cluster.changes()).toEqual([]);
    });

    test("that nobody can promote is named", () => {
      const sick = THREE.map(({ address }) => address);
      cluster.is({ members: [...THREE, own], self: "a4", sick });
      expect(promote()).toMatchObject({
        status: 1,
        stderr:
          "etcd04: its member a4 is a learner, and no other member is reachable to promote it; start the others first, and run pulumi up again\n",
      });
    });
  });

  describe("what an earlier run left behind", () => {
    const away = () =>
      cluster.run("member", "read_revision 'join 2026-11-22T10:20:30Z'; remove_blockers x", values);

    test("is removed by its ID before another one is added, whoever's it was to be", () => {
      cluster.is({ members: [...THREE, { ...strange, unstarted: true }] });
      expect(away()).toEqual({
        ...good,
        stderr:
          "etcd04: the learner b9 at https://192.168.1.99:2380, left behind by an interrupted run, is removed\n",
      });
      expect(cluster.changes()).toEqual(["x: member remove b9"]);
    });

    test("is promoted where it runs on a configured node; voters are left alone", () => {
      cluster.is({ members: [...THREE, { ...strange, learner: false }, own] });
      expect(away().status).toBe(0);
      expect(cluster.changes()).toEqual(["x: member promote a4"]);
    });

    test("is named when etcd keeps it", () => {
      cluster.is({ members: [...THREE, strange] });
      host.sh("echo member remove >/var/paper/refuses");
      expect(away().stderr).toContain(
        "etcd04: etcd refuses to remove member b9 at https://192.168.1.99:2380, which keeps this host from joining; its reason is above: resolve that, and run pulumi up again\n",
      );
    });
  });
});
