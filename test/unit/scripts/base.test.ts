import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ScriptName } from "../../../components/scripts/bundle";
import { type PaperHost, paperHost, whyNot } from "../../support/paper-host";

const reason = whyNot();

describe.skipIf(reason !== undefined)(`lib/base.sh${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let host: PaperHost;
  beforeAll(async () => {
    host = await paperHost();
  });
  afterAll(() => host.close());

  /** Runs lines of bash with what a step has at hand; links are made by one alone. */
  const lines = (script: string, step: ScriptName = "install") => host.run(step, ["eval", script]);
  const ok = (script: string, step?: ScriptName) => {
    expect(lines(script, step)).toMatchObject({ status: 0, stderr: "" });
  };

  describe("what a step says", () => {
    test("is fit for a terminal and for the engine's log, whoever's words are in it", () => {
      const words = String.raw`$'\e]0;title\a \x9b2J \xe2\x80\xae \t'`;
      const clean = expect.stringMatching(/^etcd01: \?\]0;title\? \?+2J \?+ \t\n$/);
      expect(lines(`info ${words}`)).toEqual({ status: 0, stdout: "", stderr: clean });
      expect(lines(`fail ${words}`)).toEqual({ status: 1, stdout: "", stderr: clean });
    });

    test("has lines that end, and an end", () => {
      const { stderr } = lines("fail \"$(printf '%0100000d' 0)\"");
      expect(stderr).toBe(`etcd01: ${"0".repeat(992)}\n`);
      expect(lines('info "$(yes | head -n 100000)"').stderr.length).toBeLessThanOrEqual(65_536);
      host.journal(["x".repeat(70_000)]);
      expect(lines("journal 9", "member").stdout).toBe(`${"x".repeat(8000)}\n`);
    });

    test("is lost where nobody reads it any more, and the step goes on", () => {
      const said = "info still here; echo 'it goes on' >/var/paper/on";
      const deaf = `mkfifo /var/paper/deaf; exec 9<>/var/paper/deaf 8>/var/paper/deaf; exec 9<&-; (${said}) 2>&8`;
      expect(lines(deaf)).toMatchObject({ status: 0, stdout: "" });
      expect(host.sh("cat /var/paper/on")).toBe("it goes on");
    });

    test("to the program stands between marks, after whatever a shell has printed", () => {
      expect(
        host.run("probe", ["eval", "printf noise; begin_answer; end_answer"], { MARK: "m" }).stdout,
      ).toBe("noise\nbegin m\nend m\n");
    });
  });

  describe("put", () => {
    const look = () => host.sh("stat -c '%a %U:%G %i' /etc/x && cat /etc/x").split("\n");

    test("makes the directories, the file, its mode and owner", () => {
      ok("install_file 0640 root:daemon /etc/new/deep/x <<<hello");
      expect(host.sh("stat -c '%a %U:%G' /etc/new/deep/x; cat /etc/new/deep/x")).toBe(
        "640 root:daemon\nhello",
      );
      expect(host.sh("ls -A /etc/new/deep")).toBe("x");
    });

    test("twice leaves the very same file", () => {
      ok("install_file 0644 root:root /etc/x <<<hello");
      const before = host.sh("stat -c '%i %y' /etc/x");
      ok("install_file 0644 root:root /etc/x <<<hello");
      expect(host.sh("stat -c '%i %y' /etc/x")).toBe(before);
    });

    test("repairs mode and owner without touching the content", () => {
      ok("install_file 0644 root:root /etc/x <<<hello");
      const [, inode] = /(\d+)$/.exec(look()[0] ?? "") ?? [];
      host.sh("chmod 666 /etc/x; chown daemon /etc/x");
      ok("install_file 0644 root:root /etc/x <<<hello");
      expect(look()).toEqual([`644 root:root ${inode}`, "hello"]);
    });

    test("replaces other content by rename: whoever reads the old file reads it whole", () => {
      ok("install_file 0644 root:root /etc/x <<<old");
      ok("exec 3</etc/x; install_file 0644 root:root /etc/x <<<new; cat <&3 >/etc/read");
      expect(host.sh("cat /etc/read /etc/x")).toBe("old\nnew");
    });

    test("replaces a link instead of writing through it", () => {
      host.sh("echo precious >/etc/target; ln -sfn /etc/target /etc/x");
      ok("install_file 0644 root:root /etc/x <<<mine");
      expect(host.sh("stat -c %F /etc/x; cat /etc/target")).toBe("regular file\nprecious");
      host.sh("echo same >/etc/target; ln -sfn /etc/target /etc/x");
      ok("install_file 0644 root:root /etc/x <<<same");
      expect(host.sh("stat -c %F /etc/x")).toBe("regular file");
    });

    test("leaves the old file when it dies half way", () => {
      ok("install_file 0644 root:root /etc/x <<<old");
      const { status } = lines(
        "(printf half; sleep 0.6) | (install_file 0644 root:root /etc/x & writer=$!; sleep 0.3; kill -9 $writer; exit 7)",
      );
      expect(status).toBe(7);
      expect(look()[1]).toBe("old");
    });

    test("sweeps what a killed run left beside the file, and nothing else", () => {
      host.sh(
        "rm -rf /etc/s; mkdir /etc/s; cd /etc/s; touch k.new-012345 k.new-x other.new-012345",
      );
      ok("install_file 0600 root:root /etc/s/k <<<key");
      expect(host.sh("ls /etc/s")).toBe("k\nk.new-x\nother.new-012345");
    });

    test("killed while it writes a key leaves it to root alone, and the next run leaves no trace", () => {
      host.sh("rm -rf /etc/s; mkdir /etc/s");
      lines(
        "(echo half a key; sleep 0.6) | (install_file 0644 root:root /etc/s/k & writer=$!; sleep 0.3; kill -9 $writer; exit 7)",
      );
      expect(host.sh("stat -c %a /etc/s/k.new-??????; ls /etc/s | wc -l")).toBe("600\n1");
      ok("install_file 0600 root:root /etc/s/k <<<key");
      expect(host.sh("ls /etc/s; cat /etc/s/k")).toBe("k\nkey");
    });

    test("is undone with all that was beside it", () => {
      host.sh("rm -rf /etc/s; mkdir /etc/s; cd /etc/s; touch k k.new-012345 l l.new-xx");
      ok("remove_file /etc/s/k /etc/s/none");
      expect(host.sh("ls /etc/s")).toBe("l\nl.new-xx");
    });

    test("never shows a key to others, not even while it is written", () => {
      host.sh("rm -rf /etc/secret; mkdir /etc/secret");
      ok(
        "(echo key; sleep 0.3) | install_file 0600 root:root /etc/secret/key & sleep 0.15; stat -c %a /etc/secret/key.* >/etc/seen; wait",
      );
      expect(host.sh("cat /etc/seen")).toBe("600");
    });
  });

  test("symlink makes and changes a link by rename", () => {
    ok("symlink /etc/hosts /etc/link; symlink /etc/passwd /etc/link", "install");
    expect(host.sh("readlink /etc/link; ls /etc | grep -c '^link'")).toBe("/etc/passwd\n1");
  });

  test("describe has one line for each kind of thing", () => {
    host.sh(
      "rm -rf /etc/d; mkdir -m 0750 /etc/d; echo x >/etc/d/file; chmod 0640 /etc/d/file; ln -s file /etc/d/link",
    );
    expect(lines("describe /etc/d /etc/d/file /etc/d/link /etc/d/none").stdout).toBe(
      [
        "directory 750 root:root /etc/d",
        "file 640 root:root 73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac /etc/d/file",
        "link file /etc/d/link",
        "absent /etc/d/none",
        "",
      ].join("\n"),
    );
  });

  test("a receipt holds the revision and the descriptions, for root alone", () => {
    ok(`receipt files "repair: it's changed; 50%" /etc/hosts /etc/none`);
    const receipt = "/var/lib/etcd-on-pulumi/receipts/files";
    expect(host.sh(`stat -c '%a %U:%G' ${receipt}; sed -n '1p;3p' ${receipt}`)).toBe(
      "600 root:root\nrevision repair: it's changed; 50%\nabsent /etc/none",
    );
  });

  test("a step of a run that was killed does not follow the same step of a later run", () => {
    const [old, later] = ["create 2026-11-22T10:20:30Z", "repair 2026-11-22T10:20:31Z # a reason"];
    const late = expect.stringMatching(
      /^etcd01: not applied: this step's revision is from 2026-11-22T10:20:30Z, and a later run has applied one from 2026-11-22T10:20:31Z\. /,
    );
    const read = (revision: string) => lines(`read_revision "${revision}"; echo read`);
    ok(`read_revision "${later}"; receipt host "${later}" /etc/hosts`);
    expect(read(old)).toEqual({ status: 1, stdout: "", stderr: late });
    for (const revision of [later, "create 2026-11-22T10:20:32Z"]) {
      expect(read(revision)).toEqual({ status: 0, stdout: "read\n", stderr: "" });
    }
    // One that was under way already leaves the later one's receipt.
    const receipt = "/var/lib/etcd-on-pulumi/receipts/host";
    host.sh(`mv ${receipt} /root/later`);
    expect(
      lines(`read_revision "${old}"; mv /root/later ${receipt}; receipt host "${old}" /etc/hosts`),
    ).toEqual({ status: 1, stdout: "", stderr: late });
    expect(host.sh(`head -n 1 ${receipt}`)).toBe(`revision ${later}`);
  });

  test.each([
    ["192.168.1.83", "https://192.168.1.83:2380"],
    ["2001:db8::1", "https://[2001:db8::1]:2380"],
    ["etcd01.local", "https://etcd01.local:2380"],
  ])("the url of %s is %s", (address, url) => {
    expect(lines(`url ${address} 2380`).stdout).toBe(url);
  });

  test("fail says which node it is about and ends the step", () => {
    expect(lines("fail 'no good'; echo not reached")).toEqual({
      status: 1,
      stdout: "",
      stderr: "etcd01: no good\n",
    });
  });

  describe("the probe", () => {
    const drift = (change: string): string[] => {
      ok(
        "rm -rf /etc/d; mkdir -m 0750 /etc/d; install_file 0640 root:root /etc/d/file <<<x; symlink file /etc/d/link; receipt files first /etc/d /etc/d/file /etc/d/link",
        "install",
      );
      host.sh(change);
      return host
        .run("probe", ["differences", "/var/lib/etcd-on-pulumi/receipts/files"])
        .stdout.split("\n")
        .slice(0, -1);
    };

    test.each([
      ["nothing", ":", []],
      ["touched only", "touch /etc/d/file", []],
      ["content", "echo y >/etc/d/file", ["/etc/d/file changed"]],
      ["mode", "chmod 666 /etc/d/file", ["/etc/d/file has mode 666, not 640"]],
      ["owner", "chown daemon /etc/d/file", ["/etc/d/file is owned by daemon:root, not root:root"]],
      [
        "mode and content",
        "echo y >/etc/d/file; chmod 600 /etc/d/file",
        ["/etc/d/file has mode 600, not 640", "/etc/d/file changed"],
      ],
      ["removed", "rm /etc/d/file", ["/etc/d/file removed"]],
      ["a link instead", "ln -sf /x /etc/d/file", ["/etc/d/file is a link now, was a file"]],
      ["a link elsewhere", "ln -sfn /x /etc/d/link", ["/etc/d/link points to /x, not file"]],
      ["directory", "chmod 755 /etc/d", ["/etc/d has mode 755, not 750"]],
      [
        "everything",
        "rm -r /etc/d",
        ["/etc/d removed", "/etc/d/file removed", "/etc/d/link removed"],
      ],
    ])("sees: %s", (_, change, words) => {
      expect(drift(change)).toEqual(words);
    });
  });
});
