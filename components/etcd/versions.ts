/** Installed when the configuration names no version: the newest release with a known digest. */
export const DEFAULT_VERSION = "3.6.14";

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

/** Reads `3.6.14` or `v3.6.14`; undefined when the text is no release version. */
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
      ? "is end-of-life upstream: it gets no security fixes"
      : "is newer than the flags this program knows";
  }
  if (version.patch < FIRST_PATCH[minor]) {
    return "has membership bugs that later patches fix";
  }
  return undefined;
}

/** As the releases spell it. */
export const ARCHITECTURES = ["amd64", "arm64"] as const;

export type Architecture = (typeof ARCHITECTURES)[number];

/**
 * SHA-256 of the official Linux tarballs. Each was found alike in two public places that do not copy from each other; a
 * release for which only one place has a digest is left out.
 */
const KNOWN_DIGESTS: Readonly<Record<string, Readonly<Record<Architecture, string>>>> = {
  "3.6.14": {
    amd64: "ffe840ff9295808e88cce2794a18a5ac87f12a5203c8314d0bf6aa119b41bac5",
    arm64: "fa1b80565ee6fc2df1ae6f57a508b221f3ecc7d591c317c581cd8281b0842b3e",
  },
  "3.6.11": {
    amd64: "8756f7a4eaf921668a83de0bf13c0f65cae9186a165696e3ae8396afe6f557ed",
    arm64: "5302f1a6157c34eb0568c75fba9d06da98353576df04399f08645bef634acd2d",
  },
  "3.6.10": {
    amd64: "ed579fafab5701e3aaa95509969e7bc74776a4ae5269d32e3928408b406456ec",
    arm64: "e40dc34b7a512b99c651f7700c1014e9b76e02415e2e24365b248966b173524c",
  },
  "3.6.8": {
    amd64: "cf9cfe91a4856cb90eed9c99e6aee4b708db2c7888b88a6f116281f04b0ea693",
    arm64: "438f56a700d17ce761510a3e63e6fa5c1d587b2dd4d7a22c179c09a649366760",
  },
  "3.6.7": {
    amd64: "cf8af880c5a01ee5363cefa14a3e0cb7e5308dcf4ed17a6973099c9a7aee5a9a",
    arm64: "ef5fc443cf7cc5b82738f3c28363704896551900af90a6d622cae740b5644270",
  },
  "3.6.5": {
    amd64: "66bad39ed920f6fc15fd74adcb8bfd38ba9a6412f8c7852d09eb11670e88cac3",
    arm64: "7010161787077b07de29b15b76825ceacbbcedcb77fe2e6832f509be102cab6b",
  },
  "3.6.4": {
    amd64: "4d5f3101daa534e45ccaf3eec8d21c19b7222db377bcfd5e5a9144155238c105",
    arm64: "323421fa279f4f3d7da4c7f2dfa17d9e49529cb2b4cdf40899a7416bccdde42d",
  },
  "3.5.21": {
    amd64: "adddda4b06718e68671ffabff2f8cee48488ba61ad82900e639d108f2148501c",
    arm64: "95bf6918623a097c0385b96f139d90248614485e781ec9bee4768dbb6c79c53f",
  },
};

/** The releases whose digests are known. */
export const PINNED: readonly string[] = Object.keys(KNOWN_DIGESTS);

/** The digests known for an official release; empty when none are. */
export function knownDigests(version: string): Readonly<Partial<Record<Architecture, string>>> {
  return KNOWN_DIGESTS[version] ?? {};
}
