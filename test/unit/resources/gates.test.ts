import { describe, expect, test } from "vitest";
import { type Gate, gateRevisions } from "../../../components/gates";
import { GATE } from "../../support/graph";

const MARK = "etcd-cluster-0badcafe";
const STAMP = "2026-11-22T10:20:30Z";
const NODES = new Set(["etcd01", "etcd02"]);

const gate = (node: string, stdout = GATE, revision = "gate"): Gate => ({ node, revision, stdout });
const revisions = (...recorded: readonly Gate[]) => {
  const of = gateRevisions(recorded, NODES, MARK, STAMP);
  return [...NODES].map(of);
};

const AGAIN = `gate ${STAMP} # what the gates said before is not understood or does not agree`;

describe("a gate", () => {
  test("that never ran has the revision of a first run", () => {
    expect(revisions()).toEqual(["gate", "gate"]);
  });

  test("that was understood keeps its revision, whatever that is", () => {
    expect(revisions(gate("etcd01", GATE, AGAIN), gate("etcd02"))).toEqual([AGAIN, "gate"]);
  });

  test.each([
    ["noise between its lines", GATE.replace("version", "Welcome!\nversion")],
    ["no marks", GATE.replaceAll(MARK, "nobody")],
    ["nothing", ""],
    ["another cluster", GATE.replace("cluster cafe", "cluster beef")],
  ])("runs again with all others when it has said %s", (_, stdout) => {
    expect(revisions(gate("etcd01", stdout), gate("etcd02"))).toEqual([AGAIN, AGAIN]);
  });

  test("of a node that has left is not asked", () => {
    expect(revisions(gate("etcd01"), gate("etcd02"), gate("etcd09", ""))).toEqual(["gate", "gate"]);
  });
});
