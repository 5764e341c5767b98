/** A host joins over a slow line: a real etcd is sent the database of another one, on loopback. */
import { homedir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { ARCH } from "../../support/artifacts";
import { Lab } from "../../support/lab";
import { PKI, STATE } from "../../support/paper-cluster";
import { hostForEach, whyNot } from "../../support/paper-host";
import { RUNNING } from "../../support/paper-member";

const reason = whyNot();
const VERSION = "3.6.14";
const CACHE =
  process.env.LAB_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "etcd-on-pulumi");

describe.skipIf(reason !== undefined)(`a slow line${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();

  beforeAll(async () => {
    await new Lab("test").release(VERSION);
  }, 30 * 60_000);

  test("is no reason to give a join up, and the up says how far it is", () => {
    const maker = join(__dirname, "..", "..", "support", "real-etcd.sh");
    host.sh(`bash ${maker} ${join(CACHE, `releases-${ARCH}`)} ${VERSION} 'slow line' - >&2
      mkdir -p ${STATE}; printf 'etcd01 127.0.0.1\\netcd02 127.0.0.2\\n' >${STATE}/nodes
      echo 0 >/var/paper/property-NRestarts`);
    const start = Date.now();
    const { status, stderr } = host.run(
      "member",
      // Nothing may stand still for as long as the whole takes.
      [
        "eval",
        "READY_SECONDS=9 SAY_SECONDS=3; read_revision 'join 2026-11-22T10:20:30Z'; first_start",
      ],
      { ...RUNNING, ADDRESS: "127.0.0.1", PKI },
    );
    expect(stderr).toMatch(/^etcd01: receiving the database: \d+ of \d\d MB$/m);
    expect(stderr).toMatch(/^etcd01: member [0-9a-f]+ joined as a learner and was promoted$/m);
    expect(status).toBe(0);
    expect(Date.now() - start).toBeGreaterThan(12_000);
  }, 120_000);
});
