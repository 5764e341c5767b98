/** What the documents quote of this program's messages is what it prints. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { printedClauses, quotesOf, unprinted } from "../../support/messages";

const ROOT = join(__dirname, "../../..");
const DOCUMENTS = [
  "README.md",
  ...readdirSync(join(ROOT, "docs")).map((file) => `docs/${file}`),
].filter((file) => file.endsWith(".md"));

/** Quoted as well, and printed by others. */
const OTHERS = [
  // Pulumi, and its provider for commands
  "after 15 failed attempts: dial tcp …: connect: connection refused",
  "after 3 failed attempts: dial tcp …:22: i/o timeout",
  "ssh: handshake failed: ssh: host key mismatch",
  'Process exited with status 1: running "bash -p -s -- apply …"',
  'wait: remote command exited without exit status or exit signal: running "bash -p -s -- apply …"',
  "Attempting to deploy or update resources with … pending operations from previous deployment",
  "Duplicate resource URN '…-member'; try giving it a unique name",
  "failed to load checkpoint: EOF",
  "pulumi destroy --target …",
  // OpenSSH, TLS clients, userdel
  "Permission denied",
  "protocol version not supported",
  "alert protocol version",
  "userdel: user etcd is currently used by process …",
  // restic
  "wrong password or no key found",
  "repository is already locked by PID … on …",
  // etcd
  "panic: tocommit(164) is out of range [lastIndex(17)]. Was the raft log corrupted, truncated, or lost?",
];

const printed = printedClauses();
const quotes = new Map(
  DOCUMENTS.map((file) => [file, quotesOf(readFileSync(join(ROOT, file), "utf8"))]),
);

/** @returns a line for each clause of a quote that nothing prints. */
function wrongQuotes(quoted: readonly string[]): readonly string[] {
  return quoted.flatMap((quote) => {
    const ours = OTHERS.reduce((text, other) => text.replace(other, "; "), quote);
    return unprinted(ours, printed).map((clause) => `${clause}, in: ${quote}`);
  });
}

describe("messages", () => {
  test.each(DOCUMENTS)("that %s quotes are those that are printed", (file) => {
    expect(wrongQuotes(quotes.get(file) ?? [])).toEqual([]);
  });

  test("of others are quoted somewhere", () => {
    const all = [...quotes.values()].flat();
    expect(OTHERS.filter((other) => !all.some((quote) => quote.includes(other)))).toEqual([]);
  });

  test("are found in bold code, and in the output of commands", () => {
    expect([...quotes].filter(([, all]) => all.length > 0).map(([file]) => file)).toEqual(
      expect.arrayContaining([
        "docs/alarms.md",
        "docs/membership.md",
        "docs/recovery.md",
        "docs/troubleshooting.md",
        "docs/versions.md",
      ]),
    );
  });

  test.each([
    ["a word in bold", "**`preflight checks failed; no host was touched`**"],
    [
      "a word of output",
      "```\n  - etcd01: members need 2379 and 2380 of one another, both ways\n```\n",
    ],
    ["the second line of output", "```\nerror: 1 error in the\n  settings\n```\n"],
    ["a clause behind a known one", "**`cannot leave: the quorum is not there`**"],
    ["a number of words for a value", "**`has a file that belongs to somebody else at …`**"],
  ])("that differ from what is printed by %s are told", (_, document) => {
    expect(wrongQuotes(quotesOf(document))).toHaveLength(1);
  });
});
