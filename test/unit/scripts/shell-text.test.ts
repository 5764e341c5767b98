import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { valuesAsText } from "../../support/shell-text";

const ROOT = join(__dirname, "..", "..", "..");
const SCRIPTS = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "*.sh", ".ci/run"],
  { cwd: ROOT, encoding: "utf8" },
)
  .trim()
  .split("\n");
const onHosts = (path: string) => path.startsWith("components/scripts/");

describe("no script makes program text of a value", () => {
  test("there are scripts to look at", () => {
    expect(SCRIPTS.filter(onHosts).length).toBeGreaterThan(15);
  });

  test.each(SCRIPTS)("%s", (path) => {
    expect(valuesAsText(readFileSync(join(ROOT, path), "utf8"), onHosts(path))).toEqual([]);
  });

  test.each([
    [`trap "rm -rf '$work'" EXIT`],
    ['  trap "etcdctl member update $3 || true" EXIT'],
    ["trap $words EXIT"],
    ["trap 'rm -rf '\"$x\" EXIT"],
    ['trap \\\n  "kill $pid" EXIT'],
    ['eval "$text"'],
    ["if x; then eval $text; fi"],
    ['timeout 1 bash -c ": </dev/tcp/$host/80"'],
    ["bash -c ': </dev/tcp/'\"$address\"'/22'"],
    ['unshare --net bash -c "$(declare -f f); f"'],
    ['sh -ec "$x"'],
    ['su etcd -c "$x"'],
    ['runuser -u etcd -c "$x"'],
  ])("the check fires on %s", (script) => {
    expect(valuesAsText(script, false)).toHaveLength(1);
  });

  test.each([
    ['awk "\\$1 == \\"$id\\"" file'],
    ["x=$(awk '$1 == '\"$id\" file)"],
    ['sed -n "s/^$name=//p" file'],
    ["sed -n 's/'\"$name\"'//' file"],
    ['grep -q "^$id " file'],
    ['grep -qxF "$line" file'],
    ['grep "$line" file'],
    ["grep -v $line file"],
    ["[[ $a =~ $b ]]"],
    ["[[ $a =~ ^$1x ]]"],
  ])("on what runs on hosts, it fires on %s", (script) => {
    expect(valuesAsText(script, true)).toHaveLength(1);
  });

  test.each([
    ["trap - EXIT"],
    ["trap clean EXIT"],
    ["trap 'rm -rf \"$work\"' EXIT"],
    ["bash -c ': </dev/tcp/$1/$2' - \"$host\" 80"],
    ['grep -qxF -e "$line" file'],
    ["awk -v id=\"$id\" '$1 == id' file"],
    ['awk -v peer="$(url "$ADDRESS" 2380)" \'$3 == peer\' file'],
    ["[[ $name =~ ^[0-9a-f]{16}$ ]]"],
    ['sed "/^$BLOCK_BEGIN\\$/,/^$BLOCK_END\\$/d" /etc/hosts'],
  ])("it leaves alone %s", (script) => {
    expect(valuesAsText(script, true)).toEqual([]);
  });
});

// What several of the coreutils that hosts have do in ways of their own, and bash does itself.
describe("no script on a host asks date for parts of a second", () => {
  const fractions = /\bdate\b[^|;&\n]*%[0-9]*N/;

  test.each(SCRIPTS.filter(onHosts))("%s", (path) => {
    expect(readFileSync(join(ROOT, path), "utf8")).not.toMatch(fractions);
  });

  test.each(["date +%s%3N", 'now=$(date -u "+%s.%N")'])("the check fires on %s", (script) => {
    expect(script).toMatch(fractions);
  });
});
