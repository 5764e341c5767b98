import { describe, expect, test } from "vitest";
import { FIRST_CA } from "../../../components/config/types";
import type { Authority } from "../../../components/hosts/host-state";
import { authorityOf } from "../../../components/hosts/probe-fields";
import { authorityKeys, checkCaSubject } from "../../../components/plan/ca-subject";
import { graphOf, settled as settledHosts, theGraph } from "../../support/cluster-graph";
import { cluster } from "../../support/fixtures";
import { bare, judged, type Seen, settled, silent } from "../../support/looks";

const MADRID = { country: "ES", locality: "Madrid" };
const certificate = (authority: Authority) => ({
  file: "ca.pem",
  end: new Date("2031-11-21T00:00:00Z"),
  authority,
});
/** A host whose members have loaded CAs of these names with these subjects. */
const host = (...authorities: readonly (readonly [string, Authority["subject"]])[]) =>
  settled(
    {},
    { certificates: authorities.map(([name, subject]) => certificate({ name, subject })) },
  );
const refused = (looks: Parameters<typeof judged>[0], target: string, subject = MADRID) =>
  checkCaSubject(new Map(Object.entries(looks)), target, subject);

describe("a certificate's subject tells the CA", () => {
  test("by its serial number, and its names by the configuration's keys", () => {
    expect(authorityOf({ CN: "etcd", C: "ES", O: "P", OU: "Tech", ST: "S", L: "M" })).toEqual({
      name: FIRST_CA,
      subject: {
        country: "ES",
        organization: "P",
        organizationalUnit: "Tech",
        province: "S",
        locality: "M",
      },
    });
    expect(authorityOf({ CN: "etcd", serialNumber: "2027-03" })).toEqual({
      name: "2027-03",
      subject: {},
    });
  });

  test("and none when it is somebody else's", () => {
    expect(authorityOf({ CN: "Example Root" })).toBeUndefined();
  });
});

describe("the key of a CA", () => {
  const knows = (drift: readonly string[], change: Partial<Seen> = {}) =>
    settled(
      { member: drift },
      {
        certificates: [
          { ...certificate({ name: FIRST_CA, subject: {} }), publicKey: "key -" },
          { ...certificate({ name: "2028", subject: {} }), publicKey: "key 2028" },
        ],
        ...change,
      },
    );

  test("is told by the hosts with a member, each for itself, and never by a foreign ca.pem", () => {
    const looks = new Map([
      ["a", knows([])],
      ["b", knows(["/etc/etcd.env changed"])],
      ["c", knows(["/etc/kubernetes/pki/etcd/ca.pem changed"])],
      ["d", knows([], { bootstrapped: false })],
      ["e", silent()],
    ]);
    expect([...authorityKeys(looks, "2028")]).toEqual([
      ["a", "key 2028"],
      ["b", "key 2028"],
    ]);
    expect([...authorityKeys(looks, "2029")]).toEqual([]);
  });
});

describe("the subject of the CA in use", () => {
  test("is to be the configured one", () => {
    expect(refused({ a: host([FIRST_CA, MADRID]), b: silent() }, FIRST_CA)).toEqual([]);
  });

  test("is refused when it differs, with both and the two ways out", () => {
    const [finding] = refused({ a: host([FIRST_CA, { country: "ES" }]) }, FIRST_CA);
    expect(finding).toBe(
      "etcd:pki.subject is C=ES, L=Madrid, but the CA in use has C=ES, and members would reject certificates issued under another subject; set etcd:pki.rotate to an unused name in the same edit, which creates a new CA with the new subject, or restore the old subject",
    );
    expect(refused({ a: host(["2028", {}]) }, "2028").join()).toContain("CA in use has empty");
    expect(
      refused({ a: host([FIRST_CA, MADRID]) }, FIRST_CA, { ...MADRID, locality: "Toledo" }),
    ).toEqual([expect.stringContaining("L=Toledo, but the CA in use has C=ES, L=Madrid")]);
  });

  test("may change with a rotation: the CA of the new name is not in use yet", () => {
    expect(refused({ a: host([FIRST_CA, {}]) }, "2027-03")).toEqual([]);
  });

  test("may not change in the middle of one", () => {
    const both = host([FIRST_CA, {}], ["2027-03", { country: "PT" }]);
    expect(refused({ a: both, b: host([FIRST_CA, {}]) }, "2027-03")).toHaveLength(1);
  });

  test.each([
    ["hosts that never had a member", { a: bare() }],
    ["hosts that do not answer", { a: silent() }],
    [
      "a host that another one shows to be out of date",
      { a: host([FIRST_CA, {}]), b: host([FIRST_CA, MADRID]) },
    ],
    [
      "a file that somebody put in its place",
      {
        a: settled(
          { member: ["/etc/kubernetes/pki/etcd/ca.pem changed"] },
          { certificates: [certificate({ name: FIRST_CA, subject: {} })] },
        ),
      },
    ],
  ])("is not judged by %s", (_, looks) => {
    expect(refused(looks, FIRST_CA)).toEqual([]);
  });

  test("comes with the findings of the survey", () => {
    const looks = { a: host([FIRST_CA, {}]) };
    expect(judged(looks, { subject: MADRID }).findings).toEqual(refused(looks, FIRST_CA));
  });

  test("never changes on a CA that exists, whatever is configured", async () => {
    expect((await theGraph()).get("ca-certificate").ignoreChanges).toEqual(["subject"]);
    const rotation = { signer: FIRST_CA, beside: ["2027-03"] };
    const config = cluster();
    const both = await graphOf(config, settledHosts(config), false, rotation);
    expect(both.get("ca-2027-03-certificate").ignoreChanges).toEqual(["subject"]);
  });
});
