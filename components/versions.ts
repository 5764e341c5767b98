/** Installed when the configuration names no version. */
export const DEFAULT_VERSION = "3.6.16";

/** Where the etcd project publishes its releases. */
export const OFFICIAL_DOWNLOADS = "https://github.com/etcd-io/etcd/releases/download";

/** An etcd version without its `v`. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Minor series whose flags and behaviour this program knows. */
export type Minor = "3.5" | "3.6" | "3.7";

/**
 * The oldest patch of each series that is accepted. 3.5 starts at 3.5.21: earlier ones can bring
 * back removed members or strand learners, and their `/readyz` misses the learner check.
 */
const FIRST_PATCH: Readonly<Record<Minor, number>> = { "3.5": 21, "3.6": 0, "3.7": 0 };

export const MINORS: readonly Minor[] = ["3.5", "3.6", "3.7"];

/** For messages: the range of accepted versions. */
export const ACCEPTED = MINORS.map((minor) => `${minor}.${FIRST_PATCH[minor]}+`).join(", ");

/** Reads `3.6.16` or `v3.6.16`; undefined when the text is no release version. */
export function parseVersion(text: string): Version | undefined {
  const match = /^v?(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})$/.exec(text);
  if (match === null) {
    return undefined;
  }
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

export function formatVersion(version: Version): string {
  return `${version.major}.${version.minor}.${version.patch}`;
}

/** Negative when `a` is older than `b`, 0 when equal. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/** The minor series of a version, when it is one that this program knows. */
export function minorOf(version: Version): Minor | undefined {
  return MINORS.find((minor) => minor === `${version.major}.${version.minor}`);
}

/** Why a version cannot be used, or undefined when it can. */
export function versionProblem(version: Version): string | undefined {
  const minor = minorOf(version);
  if (minor === undefined) {
    const tooOld = version.major < 3 || (version.major === 3 && version.minor < 5);
    return tooOld
      ? "is out of support: the etcd project no longer fixes security holes in it"
      : "is newer than the flags this program knows";
  }
  if (version.patch < FIRST_PATCH[minor]) {
    return "has faults in membership changes that were fixed later in its series";
  }
  return undefined;
}

/** As the releases spell it. */
export type Architecture = "amd64" | "arm64";

/** SHA-256 of the official Linux tarballs, from the SHA256SUMS published with each release. */
const KNOWN_DIGESTS: Readonly<Record<string, Readonly<Record<Architecture, string>>>> = {
  "3.6.14": {
    amd64: "ffe840ff9295808e88cce2794a18a5ac87f12a5203c8314d0bf6aa119b41bac5",
    arm64: "fa1b80565ee6fc2df1ae6f57a508b221f3ecc7d591c317c581cd8281b0842b3e",
  },
  "3.6.13": {
    amd64: "b4928654aed84d90952620c7144555e4186d795e1e7414e65fe0cf6265fd0465",
    arm64: "5ab53ff70301fa9d782fa4b59fdfc1fae49ffdf427a0afb3cd313a93449800fc",
  },
  "3.6.12": {
    amd64: "d2564bb50b58e52fbaf3bde4a9561a1d04e20cdc761f795580e4d615d5d41355",
    arm64: "147afc710e164fa342ad8561bcca8903f3913bd9fb9ae0c83c857b1d868189cc",
  },
  "3.6.11": {
    amd64: "8756f7a4eaf921668a83de0bf13c0f65cae9186a165696e3ae8396afe6f557ed",
    arm64: "5302f1a6157c34eb0568c75fba9d06da98353576df04399f08645bef634acd2d",
  },
};

/** The digests known for an official release; empty when none are. */
export function knownDigests(version: string): Readonly<Partial<Record<Architecture, string>>> {
  return KNOWN_DIGESTS[version] ?? {};
}
