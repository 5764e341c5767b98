/** What a mirror may serve in place of a release, and what becomes of it on a host. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DEFAULT_VERSION } from "../../../components/etcd/versions";
import { directoryOf, rightEntries, sha256, tarball } from "../../support/artifacts";
import { assembleAny } from "../../support/install-parts";
import { hostForEach, whyNot } from "../../support/paper-host";
import { PaperMirror } from "../../support/paper-mirror";
import { generator } from "../../support/random";
import { tamperings, UNPACKED_KIB } from "../../support/tamperings";

const reason = whyNot();
const VERSION = DEFAULT_VERSION;
const RELEASES = "/opt/etcd-on-pulumi";
const TARBALL = `${directoryOf(VERSION)}.tar.gz`;
/** What a refused release could leave on a host, and the mode of a file that links point to. */
const LEFT =
  "ls -A /opt/etcd-on-pulumi /var/lib/etcd-on-pulumi 2>/dev/null | grep -v : || true; ls /usr/local/bin; stat -c %a /etc/shadow";
/** Time for a hundred installations on a busy machine. */
const MANY_MS = 300_000;
const NEVER = { status: "", said: "", left: "" };
const RIGHT = tarball(rightEntries(VERSION));

describe.skipIf(reason !== undefined)(`a release${reason ? ` (${reason})` : ""}`, () => {
  const host = hostForEach();
  let mirror: PaperMirror;
  beforeEach(() => {
    mirror = new PaperMirror();
  });
  afterEach(() => mirror.remove());

  const values = (change: Readonly<Record<string, string>>) => ({
    VERSION,
    SHA256_AMD64: "",
    SHA256_ARM64: "",
    LISTED_SUMS: "yes",
    UNPACKED_KIB: String(UNPACKED_KIB),
    RUN_SECONDS: "1",
    ...change,
  });
  const apply = (change?: Readonly<Record<string, string>>) =>
    host.run(
      "binaries",
      ["apply", "create 2026-11-22T10:20:30Z"],
      values({ DOWNLOAD_URL: mirror.url, ...change }),
    );
  const pin = (content: Buffer) => ({
    LISTED_SUMS: "no",
    SHA256_AMD64: sha256(content),
    SHA256_ARM64: sha256(content),
  });
  const left = () => host.sh(LEFT);

  interface Ended {
    readonly status: string;
    readonly said: string;
    readonly left: string;
  }

  /** Installs every one of these tarballs by itself, all in one go on the host. */
  function installEach(
    tarballs: readonly Buffer[],
    change: Readonly<Record<string, string>> = {},
  ): readonly Ended[] {
    const directory = mkdtempSync(join(tmpdir(), "tampered-"));
    const mirrors = tarballs.map((content) => {
      const each = new PaperMirror();
      each.publish(VERSION, { tarball: content });
      return each;
    });
    try {
      mirrors.forEach(({ url }, index) => {
        const all = { NODE: "etcd01", ...values({ DOWNLOAD_URL: url, ...change }) };
        writeFileSync(join(directory, String(index)), assembleAny("binaries", all));
      });
      const told = host.sh(
        `cd ${directory}; for n in $(seq 0 ${tarballs.length - 1}); do
           status=0; said=$(flock /run/etcd-on-pulumi.lock bash -s -- apply 'create 2026-11-22T10:20:30Z' <$n 2>&1) || status=$?
           printf '%s\\0%s\\0%s\\0' "$status" "$said" "$(${LEFT})"
           # One that was taken after all must not hide the others.
           if [ "$status" = 0 ]; then rm -rf ${RELEASES} /usr/local/bin/etcd*; fi
         done`,
      );
      const words = told.split("\0");
      return tarballs.map((_, index) => {
        const [status = "", said = "", after = ""] = words.slice(3 * index);
        return { status, said, left: after };
      });
    } finally {
      rmSync(directory, { recursive: true });
      for (const each of mirrors) {
        each.remove();
      }
    }
  }

  describe("that is not what was asked for", () => {
    const all = tamperings(VERSION, "3.5.35");

    let before: string;
    let ended: readonly Ended[];
    let pinned: readonly Ended[];
    beforeAll(() => {
      before = left();
      const tarballs = all.map((each) => each.tarball);
      ended = installEach(tarballs);
      pinned = installEach(tarballs, pin(RIGHT));
    }, MANY_MS);

    test.each(all.map((each, index) => ({ ...each, index })))(
      "is refused, with sums that fit: $kind",
      ({ index, words }) => {
        const { status, said, left: after } = ended[index] ?? NEVER;
        expect(said).toMatch(words);
        expect(said).toMatch(
          new RegExp(
            `^etcd01: ${TARBALL} .*; nothing was installed; check what etcd:downloadUrl serves$`,
          ),
        );
        expect(status).toBe("1");
        expect(after).toBe(before);
      },
    );

    test("is refused for its digest alone where that is pinned", () => {
      expect(pinned).toHaveLength(all.length);
      for (const { status, said, left: after } of pinned) {
        expect(said).toContain(`${TARBALL} has sha256 `);
        expect([status, after]).toEqual(["1", before]);
      }
    });

    test(
      "is refused whichever bit of it is changed or wherever it ends, also with sums that fit",
      () => {
        const random = generator(20261127);
        const below = (limit: number) => Math.floor(random() * limit);
        const tampered = Array.from({ length: 44 }, (_, index) => {
          const content = Buffer.from(RIGHT);
          if (index % 2 === 0) {
            return content.subarray(0, below(content.length - 1));
          }
          // gzip's own head has a time, a system and flags that no check sum covers.
          const place = 10 + below(content.length - 10);
          content.writeUInt8(content.readUInt8(place) ^ (1 << below(8)), place);
          return content;
        });
        for (const change of [{}, pin(RIGHT)]) {
          for (const { status, said, left: after } of installEach(tampered, change)) {
            expect(said).toMatch(/; nothing was installed; check (what )?etcd:downloadUrl/);
            expect([status, after]).toEqual(["1", before]);
          }
        }
      },
      MANY_MS,
    );

    test("is tried in more than 200 ways", () => {
      expect(2 * all.length + 2 * 44).toBeGreaterThanOrEqual(200);
    });
  });

  describe("whose list of sums is not one", () => {
    const name = TARBALL;
    const digest = sha256(RIGHT);
    const wrong = "1".repeat(64);

    test.each([
      [
        "another digest",
        `${wrong}  ${name}\n`,
        `${name} has sha256 ${digest}, expected ${wrong}; nothing was installed`,
      ],
      [
        "another name",
        `${digest}  other-${name}\n`,
        `does not list one SHA-256 digest of ${name}; check etcd:downloadUrl, or put`,
      ],
      [
        "the name in the middle of a line",
        `${digest}  x ${name}\n`,
        "does not list one SHA-256 digest",
      ],
      ["nothing", "", "does not list one SHA-256 digest"],
      ["a web page", "<html><body>Not found</body></html>\n", "does not list one SHA-256 digest"],
      ["a short digest", `${digest.slice(1)}  ${name}\n`, "does not list one SHA-256 digest"],
      ["words for a digest", `$(id)  ${name}\n`, "does not list one SHA-256 digest"],
      [
        "two digests",
        `${digest}  ${name}\n${wrong}  ${name}\n`,
        "does not list one SHA-256 digest",
      ],
      ["NUL bytes", `\0\0${digest}  ${name}\n`, "does not list one SHA-256 digest"],
      ["a line of 60 KB", `${"x".repeat(60_000)}  ${name}\n`, "does not list one SHA-256 digest"],
      [
        "a line of 64 KB",
        `${"x".repeat(65_536)}\n${digest}  ${name}\n`,
        "SHA256SUMS is larger than 64 KiB, so it is not what etcd publishes; check etcd:downloadUrl",
      ],
      ["a megabyte", `${digest}  ${name}\n`.repeat(10_000), "SHA256SUMS is larger than 64 KiB"],
    ])("is refused: %s", (_, sums, words) => {
      const before = left();
      mirror.publish(VERSION, { sums });
      const { status, stderr } = apply();
      expect(stderr).toContain(words);
      expect(status).toBe(1);
      expect(left()).toBe(before);
    });

    test.each([
      ["upper case", `${digest.toUpperCase()}  ${name}\n`],
      ["the mark of binary mode", `${digest} *${name}\n`],
      ["no newline at its end", `${digest}  ${name}`],
      ["many other files", `${`${wrong}  other.tar.gz\n`.repeat(500)}${digest}  ${name}\n`],
    ])("is taken all the same with %s", (_, sums) => {
      mirror.publish(VERSION, { sums });
      expect(apply()).toEqual({ status: 0, stdout: "", stderr: "" });
    });
  });

  describe("that does not end", () => {
    const directory = mkdtempSync(join(tmpdir(), "endless-"));
    afterAll(() => rmSync(directory, { recursive: true }));
    beforeEach(() => {
      mirror.publish(VERSION);
      const served = JSON.stringify(mirror.directory);
      writeFileSync(
        join(directory, "serve.mjs"),
        `import { createServer } from "node:http";
         import { readFileSync } from "node:fs";
         const zeros = Buffer.alloc(65536);
         createServer((request, response) => {
           const [, mode, path] = /^\\/(\\w+)(\\/.*)$/.exec(request.url);
           const tarball = path.endsWith(".gz");
           const flood = () => { while (response.write(zeros)); response.once("drain", flood); };
           if (mode === "flood" && tarball || mode === "sums" && !tarball) { flood(); }
           else if (mode === "drip" && tarball) { setInterval(() => response.write("x"), 100).unref(); }
           else { response.end(readFileSync(${served} + path)); }
           response.on("error", () => {});
         }).listen(8080, "127.0.0.1", () => console.log("ready"));`,
      );
      host.sh(`ip link set lo up
        rm -f ${directory}/ready
        setsid ${process.execPath} ${directory}/serve.mjs >${directory}/ready 2>&1 </dev/null & echo $! >${directory}/pid
        until grep -q ready ${directory}/ready; do sleep 0.05; done`);
    });
    afterEach(() => host.sh(`kill $(cat ${directory}/pid)`));

    const limits = { TARBALL_KIB: "2048", DOWNLOAD_SECONDS: "20" };
    const url = (mode: string) => `http://127.0.0.1:8080/${mode}`;
    const TARBALL_URL = (mode: string) => `${url(mode)}/v${VERSION}/${TARBALL}`;

    test.each(["curl", "wget"])("is cut off, in size and in time, by %s", (client) => {
      if (client === "wget") {
        host.sh("rm -f /usr/bin/curl /usr/local/bin/curl");
      }
      const before = left();
      const end = (mode: string, change = {}) => {
        const { status, stderr } = apply({ DOWNLOAD_URL: url(mode), ...limits, ...change });
        expect(status).toBe(1);
        expect(left()).toBe(before);
        return stderr.trimEnd().split("\n").at(-1);
      };
      expect(end("flood")).toBe(
        `etcd01: ${TARBALL_URL("flood")} is larger than 2 MiB, so it is not what etcd publishes; check etcd:downloadUrl`,
      );
      expect(end("sums")).toBe(
        `etcd01: ${url("sums")}/v${VERSION}/SHA256SUMS is larger than 64 KiB, so it is not what etcd publishes; check etcd:downloadUrl`,
      );
      expect(end("drip", { DOWNLOAD_SECONDS: "2" })).toBe(
        `etcd01: cannot download ${TARBALL_URL("drip")} within 2 s; check etcd:downloadUrl and etcd:version`,
      );
      expect(apply({ DOWNLOAD_URL: url("fine"), ...limits })).toMatchObject({ status: 0 });
    });
  });

  describe("that is right", () => {
    test("has its content alone taken out of the archive: no mode, owner or further file", () => {
      const entries = rightEntries(VERSION).map((entry) =>
        entry.type === "5" ? entry : { ...entry, mode: 0o666 },
      );
      mirror.publish(VERSION, { tarball: tarball(entries) });
      expect(apply({ LISTED_SUMS: "yes" })).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(host.sh(`cd ${RELEASES}/v${VERSION}; stat -c '%a %U:%G %n' *`)).toBe(
        "755 root:root etcd\n755 root:root etcdctl\n755 root:root etcdutl\n644 root:root manifest",
      );
    });

    test("is the one for arm64 on such a machine", () => {
      // The machine's name, and something that runs programs of the other kind.
      host.sh(`printf '#!/bin/sh\\necho aarch64\\n' >/usr/local/sbin/uname; chmod +x /usr/local/sbin/uname
        rm /usr/bin/setpriv
        cat >/usr/bin/setpriv <<'END'
#!/bin/bash
program=\${*: -2:1} name=\${program##*/}
case $name in etcd) echo "etcd Version: ${VERSION}" ;; *) echo "$name version: ${VERSION}" ;; esac
END
        chmod 0755 /usr/bin/setpriv`);
      mirror.publish(VERSION, { architecture: "arm64" });
      expect(apply()).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(host.sh(`od -An -tx1 -j18 -N2 ${RELEASES}/v${VERSION}/etcd`)).toBe(" b7 00");
      host.reset();
      host.sh(
        "printf '#!/bin/sh\\necho x86_64\\n' >/usr/local/sbin/uname; chmod +x /usr/local/sbin/uname",
      );
      expect(apply().stderr).toContain(
        `cannot download ${mirror.url}/v${VERSION}/etcd-v${VERSION}-linux-amd64.tar.gz;`,
      );
    });

    test("is asked for its version by nobody, without rights, groups, environment or input", () => {
      // In place of a program a shell is started here, which says what it was given.
      host.sh(`mv /usr/bin/setpriv /usr/bin/setpriv.real
        cat >/usr/bin/setpriv <<'END'
#!/bin/bash
/usr/bin/setpriv.real "\${@:1:$#-2}" /bin/bash -c '
  echo "$(id -u) $(id -G)"; sed -n "s/^\\(CapPrm\\|CapEff\\|NoNewPrivs\\):\t//p" /proc/self/status
  tr "\\0" "\\n" </proc/$$/environ | grep -vE "^(PWD|SHLVL|_)="; ulimit -f; readlink /proc/$$/fd/0' >/var/paper/started
exec /usr/bin/setpriv.real "$@"
END
        chmod 0755 /usr/bin/setpriv`);
      mirror.publish(VERSION);
      expect(apply()).toMatchObject({ status: 0 });
      const environment = host.sh("cat /var/paper/started").split("\n");
      const nothing = "0000000000000000";
      expect(environment).toEqual(["65534 65534", nothing, nothing, "1", "64", "/dev/null"]);
    });
  });

  test("of which a killed run left a part is installed whole by the next", () => {
    mirror.publish(VERSION);
    for (const [stage, words] of [
      ["the download", "sha256sum"],
      ["unpacking", "tar"],
      ["looking at it", "od"],
      ["moving it", "mv"],
    ] as const) {
      host.reset();
      host.sh(
        `printf '#!/bin/sh\\nkill -KILL $PPID\\nsleep 1\\n' >/usr/local/sbin/${words}; chmod 0755 /usr/local/sbin/${words}`,
      );
      expect([stage, apply().status === 0]).toEqual([stage, false]);
      host.sh(`rm /usr/local/sbin/${words}`);
      expect(apply()).toMatchObject({ status: 0 });
      expect(host.sh(`ls -A ${RELEASES}`)).toBe(`v${VERSION}`);
      expect(host.sh("etcd --version | head -n 1")).toBe(`etcd Version: ${VERSION}`);
    }
  });
});
