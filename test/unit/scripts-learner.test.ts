import { beforeEach, describe, expect, test } from "vitest";
import { PaperCluster, type PaperMember, STATE, THREE } from "../support/paper-cluster";
import { hostForEach, whyNot } from "../support/paper-host";
import { RUNNING } from "../support/paper-member";

const reason = whyNot();
const OTHERS = "https://192.168.1.83:2379,https://192.168.1.84:2379,https://192.168.1.85:2379";
const own: PaperMember = { id: "a4", name: "etcd04", address: "192.168.1.86", learner: true };
const strange: PaperMember = { id: "b9", name: "", address: "192.168.1.99", learner: true };

describe.skipIf(reason !== undefined)(`learner.sh${reason ? ` (${reason})` : ""}`, () => {
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
          "etcd04: its member a4 is a learner, and no other member can be reached to promote it\n",
      });
    });
  });

  describe("those of nobody", () => {
    const drop = () => cluster.run("member", `drop_strange_learners x "$(members x)"`, values);

    test("are removed by their ID before another one is added", () => {
      cluster.is({ members: [...THREE, { ...strange, unstarted: true }] });
      expect(drop()).toEqual({
        ...good,
        stderr:
          "etcd04: learner b9 at https://192.168.1.99:2380 belonged to no configured node and was removed\n",
      });
      expect(cluster.changes()).toEqual(["x: member remove b9"]);
    });

    test("are not voters, and not the half-added members of configured nodes", () => {
      cluster.is({ members: [...THREE, { ...strange, learner: false }, own] });
      expect(drop()).toEqual(good);
      expect(cluster.changes()).toEqual([]);
    });

    test("that etcd keeps are named", () => {
      cluster.is({ members: [...THREE, strange] });
      host.sh("echo member remove >/var/paper/refuses");
      expect(drop().stderr).toContain(
        "etcd04: etcd refuses to remove the learner b9 at https://192.168.1.99:2380, which belongs to no configured node\n",
      );
    });
  });
});
