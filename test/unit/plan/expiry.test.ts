import { describe, expect, test } from "vitest";
import { BEFORE, type Certificates, judged, NOW, STAMP, settled } from "../../support/looks";

const ending = (file: string, hours: number) => ({
  file,
  end: new Date(NOW.getTime() + hours * 3_600_000),
});

/** A host in order whose certificates end like this; 720 hours of warning, 48 of renewal. */
const host = (certificates: Certificates, drift = {}) => settled(drift, { certificates });

describe("certificates", () => {
  test("that end soon are warned of, with the day, and nothing is planned", () => {
    const certificates = [ending("ca.pem", 721), ending("client.pem", 719), ending("peer.pem", 49)];
    const { warnings, renewals, nodePlans } = judged({ a: host(certificates) });
    expect(warnings).toEqual([
      "a: client.pem expires on 2026-12-22 09:20 UTC, in 29 days",
      "a: peer.pem expires on 2026-11-24 11:20 UTC, in 2 days",
    ]);
    expect(renewals).toEqual([]);
    expect(nodePlans).toEqual(judged({ a: settled() }).nodePlans);
  });

  test("that end very soon are warned of in hours", () => {
    const expected = { renewalHours: 0, warnHours: 24 };
    expect(judged({ a: host([ending("peer.pem", 23.5)]) }, expected).warnings).toEqual([
      "a: peer.pem expires on 2026-11-23 09:50 UTC, in 23 hours",
    ]);
  });

  test("inside the window make the step of the files run, which says which ones", () => {
    const certificates = [ending("peer.pem", 47), ending("server.pem", -1), ending("ca.pem", 49)];
    const { warnings, renewals, nodePlans } = judged({ a: host(certificates), b: settled() });
    expect(renewals).toEqual([
      "a: peer.pem expires on 2026-11-24 09:20 UTC",
      "a: server.pem expired on 2026-11-22 09:20 UTC",
    ]);
    expect(warnings).toEqual(["a: ca.pem expires on 2026-11-24 11:20 UTC, in 2 days"]);
    expect(nodePlans.get("a")?.revisions).toMatchObject({
      install: `renew ${STAMP} # peer.pem expires on 2026-11-24 09:20 UTC; server.pem expired on 2026-11-22 09:20 UTC`,
      member: BEFORE.member,
    });
    expect(nodePlans.get("b")?.revisions.install).toBe(BEFORE.install);
  });

  test("of the CA are the member's, which has to start again with it", () => {
    const { renewals, nodePlans } = judged({ a: host([ending("ca.pem", 0)]) });
    expect(renewals).toEqual(["a: ca.pem expired on 2026-11-22 10:20 UTC"]);
    expect(nodePlans.get("a")?.revisions).toMatchObject({
      install: BEFORE.install,
      member: `renew ${STAMP} # ca.pem expired on 2026-11-22 10:20 UTC`,
    });
  });

  test("that end together are spoken of together, the CA apart", () => {
    const certificates = ["ca.pem", "client.pem", "peer.pem"].map((file) => ending(file, 1));
    expect(judged({ a: host(certificates) }).renewals).toEqual([
      "a: client.pem, peer.pem expire on 2026-11-22 11:20 UTC",
      "a: ca.pem expires on 2026-11-22 11:20 UTC",
    ]);
  });

  test("that are due on a host with drift are renewed by the same run", () => {
    const looks = { a: host([ending("peer.pem", 1)], { files: ["/etc/x removed"] }) };
    expect(judged(looks).nodePlans.get("a")?.revisions.install).toBe(
      `repair ${STAMP} # /etc/x removed; peer.pem expires on 2026-11-22 11:20 UTC`,
    );
  });

  test("without a window are renewed when they have ended", () => {
    const looks = { a: host([ending("peer.pem", 1), ending("server.pem", 0)]) };
    expect(judged(looks, { renewalHours: 0, warnHours: 0 })).toMatchObject({
      warnings: [],
      renewals: ["a: server.pem expired on 2026-11-22 10:20 UTC"],
    });
  });
});
