/** Writing and reading the part of DER (ITU-T X.690) that certificates need. */

export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export function element(tagByte: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest >>>= 8) length.unshift(rest & 0xff);
  const head = body.length < 0x80 ? [body.length] : [0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from([tagByte, ...head]), body]);
}

export const sequence = (...items: Uint8Array[]) => element(tag.sequence, ...items);
/** DER wants the elements of a set in the order of their encodings. */
export const set = (...items: Uint8Array[]) => element(tag.set, ...items.sort(Buffer.compare));
export const octetString = (content: Uint8Array) => element(tag.octetString, content);
export const yes = () => element(tag.boolean, Buffer.from([0xff]));
export const nothing = Buffer.from([0x05, 0x00]);

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const short = bytes.subarray(start);
  const padded = (short[0] ?? 0) & 0x80 ? [Buffer.from([0]), short] : [short];
  return element(tag.integer, ...padded);
}

export function bitString(content: Uint8Array, unusedBits = 0): Buffer {
  return element(tag.bitString, Buffer.from([unusedBits]), content);
}

/** An object identifier from its dotted form. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return element(tag.oid, Buffer.from(bytes));
}

/** A directory string: printable where its characters allow it, else UTF-8 (as Go writes it). */
export function directoryString(text: string): Buffer {
  const type = /^[A-Za-z0-9'()+,\-./ :=?]*$/.test(text) ? tag.printableString : tag.utf8String;
  return element(type, Buffer.from(text));
}

/** A certificate time: whole seconds, two-digit years until 2049 (RFC 5280, 4.1.2.5). */
export function time(date: Date): Buffer {
  const digits = `${date.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? element(tag.utcTime, Buffer.from(digits.slice(2)))
    : element(tag.generalizedTime, Buffer.from(digits));
}

export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Tag, length and content as they stand in the input. */
  readonly raw: Buffer;
}

/** The elements that follow one another in the bytes. Throws if they do not add up. */
export function read(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tagByte = bytes.readUInt8(at);
    const first = bytes.readUInt8(at + 1);
    const lengthBytes = first & 0x80 ? first & 0x7f : 0;
    const length = lengthBytes > 0 ? bytes.readUIntBE(at + 2, lengthBytes) : first;
    const start = at + 2 + lengthBytes;
    if (start + length > bytes.length) throw new Error("asn1: syntax error: data truncated");
    elements.push({
      tag: tagByte,
      content: bytes.subarray(start, start + length),
      raw: bytes.subarray(at, start + length),
    });
    at = start + length;
  }
  return elements;
}

/** The children of the first element in the bytes. */
export function children(bytes: Buffer): Element[] {
  const [outer] = read(bytes);
  return outer ? read(outer.content) : [];
}
