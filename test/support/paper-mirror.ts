/** A mirror of releases that a paper host reads as files: paper hosts share /tmp with the machine. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Architecture } from "../../components/etcd/versions";
import { directoryOf, rightEntries, sha256, tarball } from "./artifacts";

export interface Publication {
  /** @default a right one */
  readonly tarball?: Buffer;
  /** SHA256SUMS. @default fits the tarball */
  readonly sums?: string | Buffer;
  /** @default this machine's */
  readonly architecture?: Architecture;
}

export class PaperMirror {
  readonly directory = mkdtempSync(join(tmpdir(), "mirror-"));
  readonly url = `file://${this.directory}`;

  publish(version: string, publication: Publication = {}): void {
    const name = `${directoryOf(version, publication.architecture)}.tar.gz`;
    const content = publication.tarball ?? tarball(rightEntries(version, publication.architecture));
    const below = this.path(version);
    mkdirSync(below, { recursive: true });
    writeFileSync(join(below, name), content);
    writeFileSync(
      join(below, "SHA256SUMS"),
      publication.sums ?? `${sha256(content)}  ${name}\n${"0".repeat(64)}  other.tar.gz\n`,
    );
  }

  path(version: string, file = ""): string {
    return join(this.directory, `v${version}`, file);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}
