import { describe, expect, test } from "vitest";
import { authorityOf, judgeSubject } from "../../components/authority";
import type { Authority } from "../../components/look";
import { FIRST } from "../../components/rotation";
import { graphOf, settled as settledHosts, theGraph } from "../support/cluster-graph";
import { cluster } from "../support/fixtures";
import { bare, judged, settled, silent } from "../support/looks";

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
  judgeSubject(new Map(Object.entries(looks)), target, subject);

describe("a certificate's subject tells the CA", () => {
  test("by its serial number, and its names by the configuration's keys", () => {
    expect(authorityOf({ CN: "etcd", C: "ES", O: "P", OU: "Tech", ST: "S", L: "M" })).toEqual({
      name: FIRST,
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

describe("the subject of the CA in use", () => {
  test("is to be the configured one", () => {
    expect(refused({ a: host([FIRST, MADRID]), b: silent() }, FIRST)).toEqual([]);
  });

  test("is refused when it differs, with both and the two ways out", () => {
    const [finding] = refused({ a: host([FIRST, { country: "ES" }]) }, FIRST);
    expect(finding).toBe(
      "etcd:pki.subject is C=ES, L=Madrid, but the CA in use has C=ES, and members would refuse certificates of a CA whose name they do not know; set etcd:pki.rotate to a name that was not used before in the same edit, which makes a new CA with the new subject, or put the subject back",
    );
    expect(refused({ a: host(["2028", {}]) }, "2028").join()).toContain("CA in use has empty");
    expect(refused({ a: host([FIRST, MADRID]) }, FIRST, { ...MADRID, locality: "Toledo" })).toEqual(
      [expect.stringContaining("L=Toledo, but the CA in use has C=ES, L=Madrid")],
    );
  });

  test("may change with a rotation: the CA of the new name is not in use yet", () => {
    expect(refused({ a: host([FIRST, {}]) }, "2027-03")).toEqual([]);
  });

  test("may not change in the middle of one", () => {
    const both = host([FIRST, {}], ["2027-03", { country: "PT" }]);
    expect(refused({ a: both, b: host([FIRST, {}]) }, "2027-03")).toHaveLength(1);
  });

  test.each([
    ["hosts that never had a member", { a: bare() }],
    ["hosts that do not answer", { a: silent() }],
    [
      "a host that another one shows to be out of date",
      { a: host([FIRST, {}]), b: host([FIRST, MADRID]) },
    ],
    [
      "a file that somebody put in its place",
      {
        a: settled(
          { member: ["/etc/kubernetes/pki/etcd/ca.pem changed"] },
          { certificates: [certificate({ name: FIRST, subject: {} })] },
        ),
      },
    ],
  ])("is not judged by %s", (_, looks) => {
    expect(refused(looks, FIRST)).toEqual([]);
  });

  test("comes with the findings of the survey", () => {
    const looks = { a: host([FIRST, {}]) };
    expect(judged(looks, { subject: MADRID }).findings).toEqual(refused(looks, FIRST));
  });

  test("never changes on a CA that exists, whatever is configured", async () => {
    expect((await theGraph()).get("ca-certificate").ignoreChanges).toEqual(["subject"]);
    const rotation = { signer: FIRST, beside: ["2027-03"] };
    const config = cluster();
    const both = await graphOf(config, settledHosts(config), false, rotation);
    expect(both.get("ca-2027-03-certificate").ignoreChanges).toEqual(["subject"]);
  });
});
