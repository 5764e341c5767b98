/** The scripts of the steps on a host: what an up sends, what a step runs, and what the disk keeps for a destroy. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { gzipped, hostScript, stepInput } from "../../../components/scripts/bundle";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const STATE = "/var/lib/etcd-on-pulumi";
const KEPT = `${STATE}/scripts`;
const ARRIVED = "/run/etcd-on-pulumi.scripts";

describe.skipIf(reason !== undefined)(
  `scripts.sh and load.sh${reason ? ` (${reason})` : ""}`,
  () => {
    const host = hostForEach();
    const good = { status: 0, stdout: "", stderr: "" };
    const { name, text } = hostScript("lost");
    const message = (title: string, base64: string) =>
      `script ${title} ${base64.length}\n${base64}`;

    const nameOf = (script: string, words: string) =>
      `${script}-${createHash("sha256").update(words).digest("hex").slice(0, 16)}`;

    /** What a session that keeps the lock does with these words. */
    const hears = (words: string) => {
      host.write("/var/paper/words", words);
      return host.run("probe", ["eval", "SILENCE_SECONDS=2; keep_lock </var/paper/words"]);
    };
    const tells = () => host.run("probe", ["eval", "tell_scripts"]).stdout;
    /** As the step does, with the words that its script prints. */
    const step = (call: string) => {
      host.write("/var/paper/step", stepInput("lost", { NODE: "etcd01" }));
      // It waits for 20 s.
      return host.sh(
        `set +e; sed -i 's/sleep 0.1/:/' /var/paper/step
      { bash -p -s -- ${call} </var/paper/step; echo "exit $?"; } 2>&1`,
      );
    };
    const files = (directory: string) =>
      host
        .sh(`ls ${directory} 2>/dev/null || true`)
        .split("\n")
        .filter((file) => file !== "");

    test("that arrive before the first step lie in /run, for root alone", () => {
      expect(tells()).toBe("");
      expect(hears(`\n${message(name, gzipped(text))}keep\n`)).toEqual(good);
      expect(host.sh(`cat ${ARRIVED}/${name}.sh`)).toBe(text.trimEnd());
      expect(host.sh(`stat -c %a ${ARRIVED} ${ARRIVED}/${name}.sh`)).toBe("700\n600");
      expect(tells()).toBe(`script ${name}\n`);
      expect(files(STATE)).toEqual([]);
    });

    test("that arrive later are kept on the disk, the newest three of each step", () => {
      host.sh(`mkdir -p ${STATE}`);
      const texts = ["a", "b", "c", "d"].map((letter) => `: ${letter}\n`);
      for (const one of texts) {
        expect(hears(message(nameOf("lost", one), gzipped(one)))).toEqual(good);
        host.sh("sleep 0.02");
      }
      hears(message(nameOf("host", ":\n"), gzipped(":\n")));
      const newest = texts.slice(1).map((one) => nameOf("lost", one));
      expect(files(KEPT)).toEqual(
        [nameOf("host", ":\n"), ...newest].map((one) => `${one}.sh`).sort(),
      );
    });

    test("that are not whole, or have another's name, are not told", () => {
      host.sh(`mkdir -p ${KEPT}`);
      hears(message(name, gzipped(text)));
      expect(tells()).toBe(`script ${name}\n`);
      host.sh(
        `truncate -s 100 ${KEPT}/${name}.sh; cp ${KEPT}/${name}.sh ${KEPT}/lost-${"0".repeat(16)}.sh`,
      );
      expect(tells()).toBe("");
    });

    test.each([
      ["a name with a path in it", message("../../tmp/x-0123456789abcdef", gzipped("x"))],
      ["a length that is none", "script lost-0123456789abcdef x\n"],
      ["what does not unpack", message("lost-0123456789abcdef", "AAAA")],
      ["another text", message("lost-0123456789abcdef", gzipped("x"))],
      ["less than was announced", "script lost-0123456789abcdef 4000\nAAAA"],
    ])("are not taken: %s", (_, words) => {
      expect(hears(words).status).toBe(0);
      expect([...files(ARRIVED), ...files(KEPT)]).toEqual([]);
    });

    test("go on arriving where the disk takes nothing more", () => {
      host.sh(`mkdir -p ${KEPT}; mount -t tmpfs -o ro none ${KEPT}`);
      hears(message(name, gzipped(text)));
      expect(files(ARRIVED)).toEqual([`${name}.sh`]);
      host.sh(`umount ${KEPT}`);
    });

    describe("a step", () => {
      test("runs its script, from the disk or as it has just arrived", () => {
        hears(message(name, gzipped(text)));
        expect(step("delete")).toBe("exit 0");
        // The last words are the lock's, which the script asks for: it ran.
        expect(step("apply lost")).toContain("no run holds the lock");
        host.sh(`mkdir -p ${KEPT}; mv ${ARRIVED}/${name}.sh ${KEPT}/`);
        expect(step("apply lost")).toContain("no run holds the lock");
      });

      test("keeps its script when it has finished", () => {
        hears(message(name, gzipped(text)));
        const keep = (SCRIPT: string) => host.run("lost", ["eval", "keep_own_script"], { SCRIPT });
        expect(host.run("lost", ["eval", "keep_own_script"])).toEqual(good);
        expect(keep(name)).toEqual(good);
        expect(files(KEPT)).toEqual([`${name}.sh`]);
        expect(keep(name)).toEqual(good);
      });

      test("without its script does nothing, and says why", () => {
        expect(step("apply lost")).toBe(
          "etcd01: not started, because the scripts of this run are not on this host: the run that started this step was killed, or its SSH session to this host ended. Nothing was changed; run pulumi up again\nexit 1",
        );
      });

      test("of a destroy has nothing to remove on a host that was installed anew", () => {
        expect(step("delete")).toBe("exit 0");
      });

      test.each([
        ["this program's directory", `mkdir -p ${STATE}`],
        [
          "its member",
          "mkdir -p /etc/systemd/system; echo '# Managed by etcd on Pulumi' >/etc/systemd/system/etcd.service",
        ],
      ])("of a destroy without its script removes nothing from a host that has %s", (_, make) => {
        host.sh(make);
        expect(step("delete")).toBe(
          `etcd01: nothing was removed, because ${KEPT}/${name}.sh is missing on this host. Run pulumi up with this node in the configuration, which puts it back, and repeat\nexit 1`,
        );
      });
    });
  },
);
