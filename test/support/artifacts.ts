/** Releases to install on paper: tarballs of tiny programs, whole or tampered with. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Architecture } from "../../components/etcd/versions";

export const ARCH: Architecture = process.arch === "arm64" ? "arm64" : "amd64";
export const PROGRAMS = ["etcd", "etcdctl", "etcdutl"] as const;

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

export interface ProgramOptions {
  /** @default this machine's */
  readonly architecture?: Architecture;
  /** @default 0 */
  readonly status?: number;
  /** Does not end after it has said its text. @default false */
  readonly endless?: boolean;
}

const BASE = 0x400000;
const HEADS = 64 + 56;

/** A static 64-bit ELF program that prints a text and exits. */
export function program(text: string, options: ProgramOptions = {}): Buffer {
  const { architecture = ARCH, status = 0, endless = false } = options;
  const said = Buffer.from(text);
  const size = code(architecture, 0, said.length, status, endless).length;
  const body = code(architecture, BASE + HEADS + size, said.length, status, endless);
  const head = Buffer.alloc(HEADS);
  head.write("7f454c46020101", "hex");
  head.writeUInt16LE(2, 16); // an executable
  head.writeUInt16LE(architecture === "amd64" ? 62 : 183, 18);
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(BigInt(BASE + HEADS), 24); // where it starts
  head.writeBigUInt64LE(64n, 32); // one program header, behind this one
  head.writeUInt16LE(64, 52);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(1, 56);
  const length = BigInt(HEADS + body.length + said.length);
  head.writeUInt32LE(1, 64); // to be loaded
  head.writeUInt32LE(5, 68); // read, executed
  head.writeBigUInt64LE(BigInt(BASE), 80);
  head.writeBigUInt64LE(BigInt(BASE), 88);
  head.writeBigUInt64LE(length, 96);
  head.writeBigUInt64LE(length, 104);
  head.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([head, body, said]);
}

/** write(1, address, length), then exit(status) or a loop. */
function code(
  architecture: Architecture,
  address: number,
  length: number,
  status: number,
  endless: boolean,
): Buffer {
  const words = (...values: readonly number[]) => {
    const buffer = Buffer.alloc(4 * values.length);
    values.forEach((value, index) => {
      buffer.writeUInt32LE(value >>> 0, 4 * index);
    });
    return buffer;
  };
  if (architecture === "arm64") {
    const move = (register: number, value: number) =>
      0xd2800000 | ((value & 0xffff) << 5) | register;
    const high = (register: number, value: number) => 0xf2a00000 | ((value >>> 16) << 5) | register;
    const call = 0xd4000001;
    return words(
      ...[move(0, 1), move(1, address), high(1, address), move(2, length), move(8, 64), call],
      ...(endless ? [0x14000000] : [move(0, status), move(8, 93), call]),
    );
  }
  const set = (register: number, value: number) =>
    Buffer.concat([Buffer.of(0xb8 + register), words(value)]);
  const call = Buffer.of(0x0f, 0x05);
  const [ax, dx, si, di] = [0, 2, 6, 7];
  return Buffer.concat([
    ...[set(ax, 1), set(di, 1), set(si, address), set(dx, length), call],
    ...(endless ? [Buffer.of(0xeb, 0xfe)] : [set(ax, 60), set(di, status), call]),
  ]);
}

/** What a right program of a release is. */
export function rightProgram(
  name: (typeof PROGRAMS)[number],
  version: string,
  options: ProgramOptions = {},
): Buffer {
  const says = `${name} ${name === "etcd" ? "Version" : "version"}: ${version}\nmore: words\n`;
  return program(says, options);
}

export interface Entry {
  readonly name: string;
  readonly content?: Buffer;
  /** As tar spells it: 0 file, 1 hard link, 2 link, 3 character device, 4 block device, 5 directory, 6 pipe. @default "0" */
  readonly type?: string;
  /** Of a link. */
  readonly target?: string;
  /** @default 0o755 */
  readonly mode?: number;
  /** What the head says of the length instead of the truth. */
  readonly size?: number;
  /** Written over the head before its checksum, by offset. */
  readonly over?: Readonly<Record<number, string>>;
}

/** An archive in the format that every tar reads, with the two empty blocks at its end. */
export function tar(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.map(pack), Buffer.alloc(1024)]);
}

function pack(entry: Entry): Buffer {
  const { name, content = Buffer.alloc(0), type = "0", target = "", mode = 0o755 } = entry;
  const head = Buffer.alloc(512);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  head.write(name, 0, 100, "latin1");
  head.write(`${octal(mode, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100);
  head.write(`${octal(entry.size ?? content.length, 11)}\0${octal(0, 11)}\0        `, 124);
  head.write(type, 156);
  head.write(target, 157, 100, "latin1");
  head.write("ustar\u000000", 257);
  head.write(`${octal(1, 7)}\0${octal(3, 7)}\0`, 329);
  for (const [offset, text] of Object.entries(entry.over ?? {})) {
    head.write(text, Number(offset), "latin1");
  }
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${octal(sum, 6)}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([head, content, padding]);
}

/** The directory that a release's archive holds. */
export function directoryOf(version: string, architecture: Architecture = ARCH): string {
  return `etcd-v${version}-linux-${architecture}`;
}

/** What a right archive holds, for a test to change. */
export function rightEntries(version: string, architecture: Architecture = ARCH): readonly Entry[] {
  const top = directoryOf(version, architecture);
  return [
    { name: `${top}/`, type: "5" },
    { name: `${top}/README.md`, content: Buffer.from("# etcd\n"), mode: 0o644 },
    ...PROGRAMS.map((name) => ({
      name: `${top}/${name}`,
      content: rightProgram(name, version, { architecture }),
    })),
  ];
}

export function tarball(entries: readonly Entry[]): Buffer {
  return gzipSync(tar(entries));
}
