/** The scripts of the steps on a host: what an up sends, what a step runs, and what the disk keeps for a destroy. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { hostScript, packed, stepInput } from "../../../components/scripts/bundle";
import { hostForEach, whyNot } from "../../support/paper-host";

const reason = whyNot();
const STATE = "/var/lib/etcd-on-pulumi";
const KEPT = `${STATE}/scripts`;
const ARRIVED = "/run/etcd-on-pulumi.scripts";
const LOCK = "/run/etcd-on-pulumi.lock";

describe.skipIf(reason !== undefined)(
  `scripts.sh, load.sh and load-leave.sh${reason ? ` (${reason})` : ""}`,
  () => {
    const host = hostForEach();
    const good = { status: 0, stdout: "", stderr: "" };
    const { name, text } = hostScript("health");
    const message = (title: string, base64: string) =>
      `script ${title} ${base64.length}\n${base64}`;
    const nameOf = (script: string, words: string) =>
      `${script}-${createHash("sha256").update(words).digest("hex").slice(0, 16)}`;
    const sent = (script: string, words: string) => message(nameOf(script, words), packed(words));
    const texts = ["a", "b", "c", "d"].map((letter) => `: ${letter}\n`);

    /** What a session that keeps the lock does with these words, and then with the end of its run. */
    const hears = (words: string, beside = ":") => {
      host.write("/var/paper/words", words);
      const keep = `SILENCE_SECONDS=2; take_lock; ${beside}; keep_lock </var/paper/words`;
      return host.run("probe", ["eval", keep], { HOLDER: "alice" });
    };
    const tells = () => host.run("probe", ["eval", "tell_scripts"]).stdout;
    const files = (directory: string) =>
      host
        .sh(`ls ${directory} 2>/dev/null || true`)
        .split("\n")
        .filter((file) => file !== "");

    test("that arrive before the first step lie in /run, for root alone", () => {
      expect(tells()).toBe("");
      expect(hears(`keep\n\n${message(name, packed(text))}done\n`)).toEqual(good);
      expect(host.sh(`cat ${ARRIVED}/${name}.sh`)).toBe(text.trimEnd());
      expect(host.sh(`stat -c %a ${ARRIVED} ${ARRIVED}/${name}.sh`)).toBe("700\n600");
      expect(tells()).toBe(`script ${name}\n`);
      expect(files(STATE)).toEqual([]);
    });

    test("are forgotten when their run ends before any of its steps began there", () => {
      const ends = `keep\n${message(name, packed(text))}`;
      const free = "flock -n /run/etcd-on-pulumi.lock flock -n /run/etcd-on-pulumi.applying true";
      expect(hears(ends)).toEqual(good);
      expect(host.sh(`ls -d ${ARRIVED} 2>/dev/null || true; ${free}`)).toBe("");
      // One that is at work there has need of them.
      const atWork = `(hold $APPLYING; exec sleep 1) >/dev/null 2>&1 & sleep 0.3`;
      expect(hears(ends, atWork)).toEqual(good);
      expect(files(ARRIVED)).toEqual([`${name}.sh`]);
      host.sh(`rm -r ${ARRIVED}; mkdir ${STATE}`);
      expect(hears(ends)).toEqual(good);
      expect(files(ARRIVED)).toEqual([`${name}.sh`]);
      host.sh(`rm -r ${ARRIVED} ${STATE}`);
      expect(hears(message(name, packed(text)))).toEqual(good);
      expect(files(ARRIVED)).toEqual([`${name}.sh`]);
    });

    test("that arrive later are on the disk too; in /run the newest three of each step are left", () => {
      host.sh(`mkdir -p ${STATE}`);
      for (const one of texts) {
        expect(hears(sent("health", one))).toEqual(good);
        host.sh("sleep 0.02");
      }
      hears(sent("host", ":\n"));
      const all = [nameOf("host", ":\n"), ...texts.map((one) => nameOf("health", one))];
      expect(files(KEPT)).toEqual(all.map((one) => `${one}.sh`).sort());
      expect(files(ARRIVED)).toEqual(
        all
          .filter((one) => one !== nameOf("health", texts[0] ?? ""))
          .map((one) => `${one}.sh`)
          .sort(),
      );
    });

    test("that are not whole, or have another's name, are not told, and are sent again", () => {
      host.sh(`mkdir -p ${KEPT}`);
      hears(message(name, packed(text)));
      expect(tells()).toBe(`script ${name}\n`);
      const other = `health-${"0".repeat(16)}`;
      host.sh(`truncate -s 100 ${KEPT}/${name}.sh; cp ${KEPT}/${name}.sh ${KEPT}/${other}.sh`);
      expect(tells()).toBe("");
      hears(message(name, packed(text)));
      expect(tells()).toBe(`script ${name}\n`);
    });

    test.each([
      [
        "a name with a path in it",
        message("../../tmp/x-0123456789abcdef", packed("x")),
        'cannot take the script "../../tmp/x-0123456789abcdef": not one of this program\'s',
      ],
      ["a length that is none", "script host-0123456789abcdef x\n", "not one of this program's"],
      ["what does not unpack", message("host-0123456789abcdef", "AAAA"), "cannot write /run/"],
      [
        "another text",
        message("host-0123456789abcdef", packed("x")),
        "cannot take the script host-0123456789abcdef: it did not arrive whole",
      ],
      ["less than was announced", "script host-0123456789abcdef 4000\nAAAA", "cannot write /run/"],
    ])("are not taken, and the session says why and ends: %s", (_, words, why) => {
      const ended = hears(`${words}keep\n`);
      expect(ended.status).toBe(1);
      expect(ended.stderr).toContain(`etcd01: cannot`);
      expect(ended.stderr).toContain(why);
      expect([...files(ARRIVED), ...files(KEPT)].filter((file) => file.endsWith(".sh"))).toEqual(
        [],
      );
    });

    test("are not taken where /run is full, and the session says so", () => {
      host.sh(`mkdir ${ARRIVED}; mount -t tmpfs -o ro none ${ARRIVED}`);
      expect(hears(message(name, packed(text)))).toMatchObject({
        status: 1,
        stderr: `etcd01: cannot write ${ARRIVED}/${name}.sh: Read-only file system\n`,
      });
      host.sh(`umount ${ARRIVED}`);
    });

    test("go on arriving where the disk takes nothing more", () => {
      host.sh(`mkdir -p ${KEPT}; mount -t tmpfs -o ro none ${KEPT}`);
      expect(hears(message(name, packed(text))).status).toBe(0);
      expect(files(ARRIVED)).toEqual([`${name}.sh`]);
      host.sh(`umount ${KEPT}`);
    });

    test("are kept by a step that has finished, its own and all that came with it, of each the newest three", () => {
      const keep = (SCRIPT: string) =>
        host.run("health", ["eval", "keep_own_script"], SCRIPT === "" ? {} : { SCRIPT });
      hears(`${message(name, packed(text))}${sent("member", ":\n")}`);
      expect(keep("")).toEqual(good);
      expect(files(KEPT)).toEqual([]);
      expect(keep(name)).toEqual(good);
      const own = `${name}.sh`;
      const member = `${nameOf("member", ":\n")}.sh`;
      expect(files(KEPT)).toEqual([own, member]);
      // Older ones that came meanwhile are the first to go, and its own stays however old it is.
      host.sh(
        `cd ${KEPT}; touch -d 2020-01-01 ${own}; for n in 1 2 3 4; do touch health-$n.sh; done`,
      );
      expect(keep(name)).toEqual(good);
      expect(files(KEPT)).toHaveLength(4);
      expect(files(KEPT)).toEqual(expect.arrayContaining([own, member]));
    });

    describe("a step", () => {
      /** As the plugin runs it, in a run that holds the lock or not: the delete is that of "leave". */
      const step = (call: string, { held = false, env = "", loops = "" } = {}) => {
        const script = call === "delete" ? "leave" : "health";
        host.write("/var/paper/step", stepInput(script, { NODE: "etcd01", PKI: "/pki" }));
        return host.sh(
          `set +e; sed -i '${loops}' /var/paper/step; touch ${LOCK}
        { ${held ? `flock ${LOCK}` : ""} env ${env} "$BASH" -p -s -- ${call} </var/paper/step; echo "exit $?"; } 2>&1`,
        );
      };
      const RAN = "no run holds the lock";

      test("runs its script, from the disk or as it has just arrived", () => {
        hears(message(name, packed(text)));
        const leave = hostScript("leave");
        hears(message(leave.name, packed(leave.text)));
        expect(step("delete")).toBe("exit 0");
        hears(message(name, packed(text)));
        // The words are those of the lock, which the script asks for: it ran.
        expect(step("apply 'gate'")).toContain(RAN);
        host.sh(`mkdir -p ${KEPT}; mv ${ARRIVED}/${name}.sh ${KEPT}/`);
        expect(step("apply 'gate'")).toContain(RAN);
      });

      test("takes none that is not whole", () => {
        hears(message(name, packed(text)));
        host.sh(`mkdir -p ${KEPT}; head -c 100 ${ARRIVED}/${name}.sh >${KEPT}/${name}.sh`);
        expect(step("apply 'gate'")).toContain(RAN);
        host.sh(`rm ${ARRIVED}/${name}.sh`);
        expect(step("apply 'gate'")).toContain("not started, because its script did not arrive");
        const leave = hostScript("leave");
        host.sh(
          `truncate -s 100 ${KEPT}/${name}.sh; cp ${KEPT}/${name}.sh ${KEPT}/${leave.name}.sh`,
        );
        host.sh(`mkdir -p ${STATE}/receipts`);
        expect(step("delete")).toContain("nothing was removed");
        hears(message(leave.name, packed(leave.text)));
        expect(step("delete")).toBe("exit 0");
      });

      test("finds it whatever the login's environment has", () => {
        const env = "POSIXLY_CORRECT=1 PATH=/nowhere";
        host.sh(`mkdir -p ${STATE}`);
        hears(sent("leave", "run_step() { echo ran; }\n"));
        expect(step("delete", { env })).toBe("ran\nexit 0");
        hears(message(name, packed(text)));
        expect(step("apply 'gate'", { env })).toContain(RAN);
      });

      test("ends in little text, because the state keeps it twice", () => {
        expect(stepInput("health", {}).length).toBeLessThan(800);
        expect(stepInput("leave", {}).length).toBeLessThan(1300);
      });

      const NOT_SENT =
        "etcd01: not started, because its script did not arrive: its run was killed, or has an SSH session to this host that ended or is too slow. Nothing was changed; run pulumi up again\nexit 1";

      test("whose run was killed before it sent the script does nothing, at once", () => {
        const loops = "s/sleep 0.2/echo waits/";
        expect(step("apply 'gate'", { loops })).toBe(NOT_SENT);
      });

      test("waits for its script as long as its run holds the lock, and not for ever", () => {
        const loops = "s/sleep 0.2/echo waits; SECONDS=$((SECONDS + 100))/";
        expect(step("apply 'gate'", { held: true, loops })).toBe(
          `${"waits\n".repeat(3)}${NOT_SENT}`,
        );
      });

      test("of a destroy has nothing to remove on a host that was installed anew", () => {
        expect(step("delete")).toBe("exit 0");
      });

      test("of a destroy that was cut off at its very end has nothing to remove any more", () => {
        host.sh(`mkdir -p ${STATE}`);
        expect(step("delete")).toBe("exit 0");
        expect(host.sh(`ls -d ${STATE} 2>/dev/null || echo gone`)).toBe("gone");
      });

      test("of a destroy runs the newest script of its kind where the state names an older one", () => {
        const [older = "", newer = ""] = ["older", "newer"].map(
          (word) => `run_step() { echo "${word} $*"; }\n`,
        );
        host.sh(`mkdir -p ${STATE}`);
        hears(`${sent("leave", older)}`);
        host.sh("sleep 0.02");
        hears(`${sent("leave", newer)}${sent("member", "exit 9\n")}`);
        expect(step("delete")).toBe("newer delete\nexit 0");
        expect(step("apply 'gate'")).toContain("not started");
      });

      test.each([
        ["something of this program", `mkdir -p ${STATE}/receipts`],
        ["a release", "mkdir -p /opt/etcd-on-pulumi"],
        ["its names", "echo '# BEGIN etcd on Pulumi' >>/etc/hosts"],
        ...["etcd", "etcd-firewall"].map((unit): [string, string] => [
          `its ${unit}.service`,
          `mkdir -p /etc/systemd/system; echo '# Managed by etcd on Pulumi' >/etc/systemd/system/${unit}.service`,
        ]),
      ])("of a destroy without any script removes nothing from a host that has %s", (_, make) => {
        host.sh(make);
        expect(step("delete")).toBe(
          `etcd01: nothing was removed, because this host has no script for it in ${KEPT}; run pulumi up with this node in the configuration, which puts the scripts back, and repeat\nexit 1`,
        );
      });
    });
  },
);
