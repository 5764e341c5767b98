/** The head of a segment of etcd's journal, as etcd 3.5 to 3.7 write it, with these hexadecimal IDs. */
export function journal(cluster: string, member: string, checksum = 0n): Buffer {
  const ids = Buffer.concat([field(1, BigInt(`0x${member}`)), field(2, BigInt(`0x${cluster}`))]);
  const metadata = Buffer.concat([
    ...[field(1, 1n), field(2, 0xdeadbeefn), Buffer.from([0x1a, ids.length])],
    ids,
  ]);
  return Buffer.concat([
    framed(Buffer.concat([field(1, 4n), field(2, checksum)])),
    framed(metadata),
    framed(Buffer.concat([field(1, 3n), field(2, 7n), Buffer.from([0x1a, 2, 8, 0])])),
    Buffer.alloc(64),
  ]);
}

/** Bash that puts such a segment into the data directory of a paper host. */
export function writeJournal(cluster: string, member: string): string {
  const segment = journal(cluster, member).toString("base64");
  return `mkdir -p /var/lib/etcd/member/wal; base64 -d <<<'${segment}' >/var/lib/etcd/member/wal/0-0.wal`;
}

function framed(record: Buffer): Buffer {
  const fill = (8 - (record.length % 8)) % 8;
  const length = Buffer.alloc(8);
  length.writeUInt32LE(record.length);
  length[7] = fill === 0 ? 0 : 0x80 | fill;
  return Buffer.concat([length, record, Buffer.alloc(fill)]);
}

function field(number: number, value: bigint): Buffer {
  const bytes = [number << 3];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) {
      return Buffer.from([...bytes, Number(rest)]);
    }
    bytes.push(Number(rest & 127n) | 128);
  }
}
