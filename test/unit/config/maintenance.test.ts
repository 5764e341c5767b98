import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { mistakes, NODES, type Raw, read, usual } from "../support/config";

const where = usual();
afterAll(() => rmSync(where.home, { recursive: true }));

const DEFRAG = { schedule: "*:0/10", minimumBytes: 104857600, fragmentation: 45 };

test.each<[raw: unknown, expected: unknown]>([
  [undefined, undefined],
  [null, undefined],
  [{}, { noSpace: true }],
  [{ defrag: null }, { noSpace: true }],
  [{ noSpace: "false" }, { noSpace: false }],
  [{ defrag: {} }, { defrag: DEFRAG, noSpace: true }],
  [
    { defrag: { schedule: "Sun 03:00", minimumBytes: "0", fragmentation: "99" } },
    { defrag: { schedule: "Sun 03:00", minimumBytes: 0, fragmentation: 99 }, noSpace: true },
  ],
])("%j is read with its defaults", (maintenance, expected) => {
  expect(read({ nodes: NODES, maintenance }, where).maintenance).toEqual(expected);
});

test.each<[raw: Raw, expected: string[]]>([
  [{ defrags: {} }, ["etcd:maintenance.defrags: unknown key; did you mean defrag?"]],
  [
    { defrag: true },
    [
      'etcd:maintenance.defrag: true is not a map; write lines of the form "key: value" below the key',
    ],
  ],
  [
    { noSpace: "sometimes" },
    ['etcd:maintenance.noSpace: "sometimes" is not true or false; write true or false'],
  ],
  [
    { defrag: { schedule: "%n", minimumBytes: "100MiB", fragmentation: 0, quorum: 1 } },
    [
      'etcd:maintenance.defrag.schedule: "%n" is not a calendar expression of systemd; write one such as hourly, *:0/10 or "Mon..Fri 02:30" (systemd-analyze calendar shows when it elapses)',
      'etcd:maintenance.defrag.minimumBytes: "100MiB" is not a whole number of bytes; write a number from 0 to 9007199254740991',
      "etcd:maintenance.defrag.fragmentation: 0 is out of range; write a number from 1 to 99",
      "etcd:maintenance.defrag.quorum: unknown key; known are schedule, minimumBytes, fragmentation",
    ],
  ],
  [
    { defrag: { fragmentation: 100 } },
    ["etcd:maintenance.defrag.fragmentation: 100 is out of range; write a number from 1 to 99"],
  ],
])("%j is refused", (maintenance, expected) => {
  expect(mistakes({ nodes: NODES, maintenance }, where)).toEqual(expected);
});
