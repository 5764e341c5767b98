import { describe, expect, test } from "vitest";
import { PaperCluster, type PaperMember, PKI, THREE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const LOCAL = "https://127.0.0.1:2379";
const LIST = [
  "a1 etcd01 https://192.168.1.83:2380 false yes",
  "a2 etcd02 https://192.168.1.84:2380 false yes",
  "a3 etcd03 https://[2001:db8::85]:2380 false yes",
];
const FIVE: readonly PaperMember[] = [
  ...THREE,
  { id: "a4", name: "etcd04", address: "192.168.1.86" },
  { id: "a5", name: "etcd05", address: "192.168.1.87" },
];

describe.skipIf(reason !== undefined)(`membership.sh${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  const cluster = new PaperCluster(host);
  const good = { status: 0, stdout: "", stderr: "" };

  /** Runs a function on a list, with the addresses on standard input. */
  const pick = (call: string, addresses: readonly string[]) =>
    cluster
      .run("lost", `${call} '${LIST.join("\n")}' < <(printf '%s\\n' ${addresses.join(" ")})`)
      .stdout.split("\n")
      .slice(0, -1);

  describe("a list is divided by address", () => {
    test.each([
      [["192.168.1.84"], [1]],
      [
        ["192.168.1.84", "2001:db8::85", "192.168.1.99"],
        [1, 2],
      ],
      // The beginning of an address is not the address.
      [["192.168.1.8", "2001:db8::8"], []],
      [["''"], []],
    ])("%j", (addresses, at) => {
      expect(pick("members_at", addresses)).toEqual(LIST.filter((_, index) => at.includes(index)));
    });

    test("and an empty list has nobody", () => {
      const call = "members_at '' <<<192.168.1.84";
      expect(cluster.run("lost", call)).toEqual(good);
    });
  });

  describe("members that the configuration has no longer", () => {
    const surplus = (list: readonly string[], nodes: readonly string[]) =>
      cluster
        .run("health", `surplus_members '${list.join("\n")}'`, { NODES: nodes.join("\n") })
        .stdout.split("\n")
        .slice(0, -1);
    const NODES = ["etcd01 192.168.1.83", "etcd02 192.168.1.84", "etcd03 2001:db8::85"];
    const line = (id: string, name: string, address: string) =>
      `${id} ${name} https://${address}:2380 false yes`;

    test("are none when the list is as configured, and all others", () => {
      expect(surplus(LIST, NODES)).toEqual([]);
      expect(surplus(LIST, NODES.slice(2))).toEqual(LIST.slice(0, 2));
    });

    test("are not those that are on their way to another address", () => {
      expect(surplus(LIST, [...NODES.slice(0, 2), "etcd03 192.168.1.99"])).toEqual([]);
    });

    test("are those whose configured address another member has taken", () => {
      const there = line("a9", "etcd03", "192.168.1.99");
      const nodes = [...NODES.slice(0, 2), "etcd03 192.168.1.99"];
      expect(surplus([...LIST, there], nodes)).toEqual(LIST.slice(2));
    });

    test("are those that never started at an address that nobody has", () => {
      const half = "a9 - https://192.168.1.99:2380 true no";
      expect(surplus([...LIST, half], NODES)).toEqual([half]);
    });

    test("are those that never started in the place of one that runs, never the latter", () => {
      const away = line("a1", "etcd01", "192.168.1.99");
      const squats = "a9 - https://192.168.1.83:2380 true no";
      expect(surplus([away, ...LIST.slice(1), squats], NODES)).toEqual([squats]);
      // Where nobody of the name runs it is the node's own, half added.
      expect(surplus([...LIST.slice(1), squats], NODES)).toEqual([]);
    });

    test("and an empty list has none", () => {
      expect(surplus([""], NODES)).toEqual([]);
    });
  });

  describe("this host's own member", () => {
    const own = (address: string, node: string, active = false) => {
      host.sh(`echo ${active ? "active" : "inactive"} >/var/paper/property-ActiveState`);
      return cluster
        .run("member", `own_member '${LIST.join("\n")}'`, { ADDRESS: address, NODE: node })
        .stdout.trim();
    };

    test.each([
      ["the process says so", "192.168.1.85", "etcd02", true, LIST[0]],
      ["it has its address", "192.168.1.84", "etcd03", false, LIST[1]],
      ["it has its address, in IPv6", "2001:db8::85", "x", false, LIST[2]],
      ["it has its name", "192.168.1.99", "etcd02", false, LIST[1]],
      ["nothing fits", "192.168.1.99", "etcd04", false, ""],
    ])("is the one of the list that %s", (_, address, node, active, line) => {
      cluster.is({ members: THREE, self: "a1" });
      expect(own(address, node, active)).toBe(line);
    });
  });

  describe("a leader that is to leave", () => {
    const yieldLead = (nodes: string) =>
      cluster.run("host", 'transfer_from_leaving_leader "$(members "$LOCAL")"', { NODES: nodes });
    const STAY = "etcd02 192.168.1.84\netcd03 192.168.1.85\netcd04 192.168.1.86";

    test("gives the lead to the first one that stays, before anybody joins", () => {
      cluster.is({ members: THREE, leader: "a1" });
      expect(yieldLead(STAY)).toEqual({
        ...good,
        stderr: "etcd01: leadership transferred to etcd02\n",
      });
      expect(cluster.changes()).toEqual(["https://192.168.1.83:2379: move-leader a2"]);
    });

    test.each([
      ["leads no more", "a2", STAY],
      ["stays after all", "a1", `etcd01 192.168.1.83\n${STAY}`],
      ["only moves", "a1", `etcd01 192.168.1.99\n${STAY}`],
    ])("is left alone when it %s", (_, leader, nodes) => {
      cluster.is({ members: THREE, leader });
      expect(yieldLead(nodes)).toEqual(good);
      expect(cluster.changes()).toEqual([]);
    });
  });

  describe("the guard", () => {
    /** Whether these may go, of a cluster with these sick. */
    const guard = (
      all: readonly PaperMember[],
      gone: readonly string[],
      sick: readonly string[],
    ) => {
      cluster.is({ members: all, sick });
      return cluster.run(
        "lost",
        `list=$(members "$LOCAL"); guard "$list" "$(members_at "$list" < <(printf '%s\\n' ${gone.join(" ")}))"`,
      );
    };

    test.each([
      ["one of three", THREE, ["192.168.1.85"], []],
      ["the sick one of three", THREE, ["192.168.1.85"], ["192.168.1.85"]],
      ["two of three", THREE, ["192.168.1.84", "192.168.1.85"], []],
      ["two of five with one more sick", FIVE, ["192.168.1.86", "192.168.1.87"], ["192.168.1.85"]],
    ])("lets %s go", (_, all, gone, sick) => {
      expect(guard(all, gone, sick)).toEqual(good);
    });

    test("refuses when half of what stays is sick, and says what it counted", () => {
      expect(guard(THREE, ["192.168.1.83"], ["192.168.1.85"])).toEqual({
        status: 1,
        stdout: "",
        stderr:
          "etcd01: removing etcd01 would leave 1 healthy of 2 voters, which is no quorum; refused. Start first: etcd03\n",
      });
    });

    test("names all that go and all that are missed", () => {
      const gone = ["192.168.1.83", "192.168.1.84"];
      expect(guard(FIVE, gone, ["192.168.1.86", "192.168.1.87"]).stderr).toBe(
        "etcd01: removing etcd01 etcd02 would leave 1 healthy of 3 voters, which is no quorum; refused. Start first: etcd04 etcd05\n",
      );
    });

    test("does not count learners, and counts a voter that never started as sick", () => {
      const learner = {
        ...FIVE[3],
        id: "a4",
        name: "etcd04",
        address: "192.168.1.86",
        learner: true,
      };
      expect(guard([...THREE, learner], ["192.168.1.85"], ["192.168.1.86"])).toEqual(good);
      const [one, two] = THREE.map((member, index) => ({ ...member, unstarted: index === 1 }));
      const half = [one, two].flatMap((member) => member ?? []);
      expect(guard([...half, ...THREE.slice(2)], ["192.168.1.85"], []).stderr).toContain(
        "would leave 1 healthy of 2 voters",
      );
    });

    test("never lets all go", () => {
      expect(guard(THREE.slice(0, 1), ["192.168.1.83"], []).stderr).toContain(
        "would leave 0 healthy of 0 voters",
      );
    });
  });

  describe("of those that go", () => {
    const [one, two, three] = LIST;
    const order = (...lines: readonly (string | undefined)[]) =>
      cluster
        .run("lost", `removal_order '${lines.join("\n")}'`)
        .stdout.replace(/\n$/, "")
        .split("\n");

    test("the leader is the last", () => {
      cluster.is({ members: THREE, leader: "a2" });
      expect(order(one, two, three)).toEqual([one, three, two]);
      expect(order(one, three)).toEqual([one, three]);
      expect(order(two)).toEqual([two]);
    });

    test("who does not answer is the first, for the quorum does without it", () => {
      cluster.is({ members: THREE, leader: "a1", sick: ["192.168.1.84"] });
      expect(order(one, two)).toEqual([two, one]);
    });

    test("nobody is left out when the leader cannot be told", () => {
      cluster.is({ members: THREE, sick: ["192.168.1.83"] });
      expect(order(...LIST)).toEqual([one, two, three]);
    });
  });

  describe("take_out", () => {
    const takeOut = (...addresses: string[]) =>
      cluster.run(
        "lost",
        `list=$(members "$LOCAL"); take_out "$list" "$(members_at "$list" < <(printf '%s\\n' ${addresses.join(" ")}))"`,
      );

    test("removes a follower by its ID and moves nothing", () => {
      cluster.is({ members: THREE });
      expect(takeOut("192.168.1.85")).toEqual({
        ...good,
        stderr: "etcd01: etcd03, member a3, was removed from the cluster\n",
      });
      expect(cluster.changes()).toEqual([`${LOCAL}: member remove a3`]);
    });

    test("has the leader give up its place to one that stays, and removes it last", () => {
      cluster.is({ members: FIVE, self: "a3", leader: "a1" });
      const { status, stderr } = takeOut("192.168.1.83", "192.168.1.84");
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr:
          "etcd01: etcd02, member a2, was removed from the cluster\n" +
          "etcd01: leadership transferred to etcd03\n" +
          "etcd01: etcd01, member a1, was removed from the cluster\n",
      });
      expect(cluster.changes()).toEqual([
        `${LOCAL}: member remove a2`,
        // etcd takes this from the leader alone.
        "https://192.168.1.83:2379: move-leader a3",
        `${LOCAL}: member remove a1`,
      ]);
      expect(host.sh("cat /var/paper/leader")).toBe("a3");
    });

    test("asks the next one when the first does not take the leadership", () => {
      cluster.is({ members: FIVE, self: "a3", leader: "a5", sick: ["192.168.1.83"] });
      expect(takeOut("192.168.1.87").status).toBe(0);
      expect(cluster.changes()).toEqual([
        "https://192.168.1.87:2379: move-leader a1",
        "https://192.168.1.87:2379: move-leader a2",
        `${LOCAL}: member remove a5`,
      ]);
    });

    test("touches nothing when the guard refuses", () => {
      cluster.is({ members: THREE, sick: ["192.168.1.84"] });
      expect(takeOut("192.168.1.85").status).toBe(1);
      expect(cluster.changes()).toEqual([]);
    });

    test("takes one that another run has removed meanwhile for removed", () => {
      cluster.is({ members: THREE });
      const call = `list=$(members "$LOCAL"); sed -i '/^a3,/d' /var/paper/members; take_out "$list" "$(members_at "$list" <<<192.168.1.85)"`;
      expect(cluster.run("lost", call).status).toBe(0);
      expect(cluster.changes()).toEqual([`${LOCAL}: member remove a3`]);
    });

    test("says so when etcd refuses, with etcd's words, and goes no further", () => {
      cluster.is({ members: FIVE });
      host.sh("echo member remove a4 >/var/paper/refuses");
      const { status, stderr } = takeOut("192.168.1.86", "192.168.1.87");
      expect(status).toBe(1);
      expect(stderr).toBe(
        "Error: etcdserver: refused member remove a4\netcd01: etcd refuses to remove etcd04, member a4; its reason is above: resolve that, and run pulumi up again\n",
      );
      expect(cluster.changes()).toEqual([`${LOCAL}: member remove a4`]);
    });
  });

  describe("step lost", () => {
    const values = (...addresses: string[]) => ({
      LOST_ADDRESSES: addresses.join("\n"),
      CA_PEM: "certificate ca",
    });
    const apply = (...addresses: string[]) =>
      cluster.run("lost", "apply lost", values(...addresses));

    test("takes the members at the lost addresses out, and only them", () => {
      cluster.is({ members: FIVE, sick: ["192.168.1.86", "192.168.1.87"] });
      expect(apply("192.168.1.87", "192.168.1.86").status).toBe(0);
      expect(cluster.changes()).toEqual([
        `${LOCAL}: member remove a4`,
        `${LOCAL}: member remove a5`,
      ]);
    });

    test("has nothing to do the second time, and says nothing", () => {
      cluster.is({ members: THREE });
      expect(apply("192.168.1.86")).toEqual(good);
      expect(cluster.changes()).toEqual([]);
    });

    test("asks another member when this host has none, or one that is cut off", () => {
      host.sh("mkdir -p /var/lib/etcd-on-pulumi");
      host.sh(
        "printf 'etcd01 192.168.1.83\\netcd02 192.168.1.84\\netcd03 192.168.1.85\\n' >/var/lib/etcd-on-pulumi/nodes",
      );
      cluster.is({ members: FIVE, leader: "a3", sick: ["192.168.1.83", "192.168.1.84"] });
      expect(apply("192.168.1.84").status).toBe(0);
      expect(cluster.changes()).toEqual(["https://192.168.1.85:2379: member remove a2"]);
    });

    test("brings the CA bundle along, for a new host has none yet, and takes it away again", () => {
      cluster.is({ members: FIVE });
      const call =
        'etcdctl_as_client() { cat "$PKI/ca.pem" >&2; echo "$PKI" >/var/paper/used; false; }; (apply lost) || true; [ ! -e "$(cat /var/paper/used)" ]';
      const { status, stderr } = cluster.run("lost", call, values("192.168.1.87"));
      expect(status).toBe(0);
      expect(stderr).toContain("the cluster has no quorum");
      expect(host.sh("cat /var/paper/used")).not.toBe(PKI);
      host.sh(`mkdir -p ${PKI}; echo theirs >${PKI}/ca.pem`);
      cluster.run("lost", call, values("192.168.1.87"));
      expect(host.sh("cat /var/paper/used")).toBe(PKI);
    });

    test("says where help is when there is no quorum", () => {
      cluster.is({});
      expect(apply("192.168.1.85").stderr).toContain(
        "etcd01: the cluster has no quorum, so the lost members cannot be removed; see docs/troubleshooting.md\n",
      );
    });
  });
});
