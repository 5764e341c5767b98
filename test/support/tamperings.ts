/** Ways in which what a mirror serves is not the release that was asked for, whatever its own SHA256SUMS say. */
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import {
  ARCH,
  directoryOf,
  type Entry,
  PROGRAMS,
  program,
  rightEntries,
  rightProgram,
  tar,
  tarball,
} from "./artifacts";

export interface Tampering {
  readonly kind: string;
  readonly tarball: Buffer;
  /** What the refusal says of the tarball. */
  readonly words: RegExp;
}

/** KiB that the archives of these tests may unpack to. */
export const UNPACKED_KIB = 4096;

const OTHER_ARCH = ARCH === "amd64" ? "arm64" : "amd64";
const MIB = 1024 * 1024;

/** All of them for one version; `other` is another one. */
export function tamperings(version: string, other: string): readonly Tampering[] {
  const top = directoryOf(version);
  const right = rightEntries(version);
  const whole = tarball(right);
  const archive = tar(right);
  const etcd = `${top}/etcd`;
  const file = (name: string, content: Buffer, mode?: number): Entry =>
    mode === undefined ? { name, content } : { name, content, mode };
  /** The right archive, with other entries in place of the program's. */
  const instead = (name: string, ...entries: readonly Entry[]) =>
    tarball(right.flatMap((entry) => (entry.name === `${top}/${name}` ? entries : [entry])));
  const saying = (name: string, content: Buffer) => instead(name, file(`${top}/${name}`, content));
  const beside = (...entries: readonly Entry[]) => tarball([...right, ...entries]);
  const patched = (offset: number, value: number) => {
    const content = Buffer.from(rightProgram("etcd", version));
    content.writeUInt8(value, offset);
    return saying("etcd", content);
  };
  const script = Buffer.from(`#!/bin/sh\necho etcd Version: ${version}\n`);
  const link = (type: string, target: string): Entry => ({ name: etcd, type, target });
  const device = (type: string): Entry => ({ name: etcd, type });
  const absent = /has etcd 0 times, not once/;
  const outside = /has a name outside of its directory, /;
  const nobody = (name: string, status: number, words: string) =>
    new RegExp(
      `has ${name}, which, run as nobody, exits with status ${status} and says "${words}", not version `,
    );
  const table: readonly (readonly [kind: string, tarball: Buffer, words: RegExp])[] = [
    [
      "shell scripts",
      tarball(right.map((e) => (e.type === "5" ? e : { ...e, content: script }))),
      /has etcd built for no machine \(not an ELF file\), not for /,
    ],
    ["one shell script", saying("etcdutl", script), /has etcdutl built for no machine/],
    [
      "another version",
      tarball([
        { name: `${top}/`, type: "5" },
        ...PROGRAMS.map((name) => file(`${top}/${name}`, rightProgram(name, other))),
      ]),
      nobody("etcd", 0, `etcd Version: ${other}`),
    ],
    [
      "one program of another version",
      saying("etcdctl", rightProgram("etcdctl", other)),
      nobody("etcdctl", 0, `etcdctl version: ${other}`),
    ],
    [
      "a version that begins alike",
      saying("etcd", rightProgram("etcd", `${version}-rc.0`)),
      nobody("etcd", 0, `etcd Version: ${version}-rc.0`),
    ],
    ["another version's directory", tarball(rightEntries(other)), outside],
    [
      "programs that changed places",
      saying("etcd", rightProgram("etcdctl", version)),
      nobody("etcd", 0, "etcdctl version: .*"),
    ],
    [
      "another architecture",
      saying("etcd", program("", { architecture: OTHER_ARCH })),
      new RegExp(`has etcd built for ${OTHER_ARCH}, not for ${ARCH}`),
    ],
    ["a machine of no release", patched(18, 40), /built for another machine, not for/],
    ["32 bits", patched(4, 1), /built for another machine, not for/],
    ["the other byte order", patched(5, 2), /built for another machine, not for/],
    ["an object file", patched(16, 1), /built for another machine, not for/],
    ["a damaged magic number", patched(0, 0x7e), /built for no machine/],
    [
      "an ELF head alone",
      saying("etcd", rightProgram("etcd", version).subarray(0, 20)),
      /has etcd, which, run as nobody, exits with status \d+ and says /,
    ],
    [
      "an ELF magic number alone",
      saying("etcd", Buffer.from("\x7fELF")),
      /built for another machine/,
    ],
    [
      "a program that fails",
      saying("etcd", program(`etcd Version: ${version}\n`, { status: 3 })),
      nobody("etcd", 3, "etcd Version: .*"),
    ],
    ["a program that says nothing", saying("etcdutl", program("")), nobody("etcdutl", 0, "")],
    [
      "a program that does not end",
      saying("etcd", program(`etcd Version: ${version}\n`, { endless: true })),
      /has etcd, which does not print its version within 1 s/,
    ],
    [
      "escape sequences",
      saying("etcd", program("\x1b[2J\x07etcd\n")),
      nobody("etcd", 0, "\\?\\[2J\\?etcd"),
    ],
    ["a flood of words", saying("etcd", program("x".repeat(200_000))), nobody("etcd", 0, "x{200}")],
    ["a link to /etc/shadow", instead("etcd", link("2", "/etc/shadow")), /has a link, \S+\/etcd;/],
    ["a link to a neighbour", instead("etcd", link("2", "etcdctl")), /has a link, \S+\/etcd;/],
    [
      "a hard link to /etc/shadow",
      instead("etcd", link("1", "/etc/shadow")),
      /has a link, \S+\/etcd;/,
    ],
    [
      "a hard link to a neighbour",
      instead("etcdutl", { name: `${top}/etcdutl`, type: "1", target: `${top}/etcdctl` }),
      /has a link, \S+\/etcdutl;/,
    ],
    [
      "a link, then a file through it",
      instead("etcd", link("2", "/etc/shadow"), file(etcd, script)),
      /has a link, \S+\/etcd;/,
    ],
    [
      "a link beside the programs",
      beside({ name: `${top}/x`, type: "2", target: "/etc" }, file(`${top}/x/cron.d`, script)),
      /has a link, \S+\/x;/,
    ],
    [
      "a link for the directory",
      tarball([{ name: top, type: "2", target: "/etc" }, ...right.slice(1)]),
      /has a link, etcd-v/,
    ],
    ["a character device", instead("etcd", device("3")), /has a device or pipe, \S+\/etcd;/],
    ["a block device", instead("etcd", device("4")), /has a device or pipe, \S+\/etcd;/],
    ["a pipe", instead("etcd", device("6")), /has a device or pipe, \S+\/etcd;/],
    [
      "a directory",
      instead("etcd", { name: `${etcd}/`, type: "5" }),
      /has a directory in place of a program, \S+\/etcd\/;/,
    ],
    [
      "a file below a program's name",
      instead("etcd", file(`${etcd}/etcd`, script)),
      /has a directory in place of a program/,
    ],
    ["a volume's label", beside({ name: "label", type: "V" }), /has an entry that is not a file, /],
    ["a missing program", instead("etcdutl"), /has etcdutl 0 times, not once/],
    [
      "a program twice",
      instead("etcd", file(etcd, rightProgram("etcd", version)), file(etcd, script)),
      /has etcd 2 times, not once/,
    ],
    ["an empty program", saying("etcd", Buffer.alloc(0)), /has an empty file, \S+\/etcd;/],
    ["no entry at all", tarball([]), absent],
    [
      "no directory",
      tarball(PROGRAMS.map((name) => file(name, rightProgram(name, version)))),
      outside,
    ],
    ["an absolute name", beside(file("/etc/cron.d/x", script)), outside],
    ["a name that leads up", beside(file("../../etc/cron.d/x", script)), outside],
    [
      "a name that leads up from within",
      beside(file(`${top}/../../etc/cron.d/x`, script)),
      outside,
    ],
    ["a file beside the directory", beside(file("x", script)), outside],
    [
      "a name with a newline",
      beside(file("x\nroot", script)),
      /has a name outside of its directory, x\\nroot;/,
    ],
    [
      "a set-user-ID bit",
      instead("etcd", file(etcd, rightProgram("etcd", version), 0o4755)),
      /has a file with a set-user-ID, .* bit, \S+\/etcd;/,
    ],
    [
      "a set-group-ID bit",
      instead("etcd", file(etcd, rightProgram("etcd", version), 0o2755)),
      /has a file with a set-user-ID, .* bit, /,
    ],
    [
      "a truncated archive",
      gzipSync(archive.subarray(0, archive.length - 1024 - 300)),
      /is not a complete tar archive \(tar: Unexpected EOF in archive\)/,
    ],
    [
      "an archive that ends after its first program",
      gzipSync(archive.subarray(0, 512 * 5)),
      /has etcdctl 0 times, not once/,
    ],
    [
      "a damaged head",
      gzipSync(
        Buffer.concat([archive.subarray(0, 1600), Buffer.alloc(300, 1), archive.subarray(1900)]),
      ),
      /is not a complete tar archive/,
    ],
    [
      "no archive",
      gzipSync(Buffer.from("<html>not here</html>\n".repeat(100))),
      /is not a complete tar archive/,
    ],
    ["an archive that is not packed", archive, /cannot be unpacked \(gzip: .*not in gzip format\)/],
    [
      "a truncated file",
      whole.subarray(0, Math.floor(whole.length / 2)),
      /cannot be unpacked \(gzip: .*unexpected end of file\)/,
    ],
    [
      "appended garbage",
      Buffer.concat([whole, Buffer.from("garbage")]),
      /cannot be unpacked \(gzip: .*trailing garbage ignored\)/,
    ],
    ["random bytes", randomBytes(4096), /cannot be unpacked/],
    ["an empty file", Buffer.alloc(0), /cannot be unpacked|has etcd 0 times/],
    [
      "a bomb beside the programs",
      beside(file(`${top}/zeros`, Buffer.alloc(8 * MIB))),
      /unpacks to more than 4 MiB, which no release does/,
    ],
    [
      "a bomb for a program",
      saying("etcd", Buffer.alloc(8 * MIB)),
      /unpacks to more than 4 MiB, which no release does/,
    ],
    [
      "a head that promises more than there is",
      instead("etcd", { ...file(etcd, script), size: 0o77777777 }),
      /is not a complete tar archive/,
    ],
    [
      "a sparse file of 8 GiB",
      instead("etcd", sparse(etcd)),
      /has etcd(, which cannot be unpacked| built for no machine)/,
    ],
  ];
  return table.map(([kind, content, words]) => ({ kind, tarball: content, words }));
}

/** GNU tar's old form of a file with holes: one block of data at the start, the rest a hole. */
function sparse(name: string): Entry {
  const octal = (value: number) => `${value.toString(8).padStart(11, "0")}\0`;
  const real = 8 * 1024 * MIB - 1;
  const map = `${octal(0)}${octal(512)}${octal(real)}${octal(0)}`;
  return {
    name,
    type: "S",
    content: Buffer.alloc(512, 1),
    over: { 257: "ustar  \0", 386: map, 482: "\0", 483: octal(real) },
  };
}
