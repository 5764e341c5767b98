type Settings = ReadonlyMap<string, string>;

/** The value of a setting, written so, as a message can have it. */
type Conceal = (name: string, text: string) => string;

/** etcd's own defaults, in milliseconds. */
const HEARTBEAT = 100;
const ELECTION = 1000;

const GIB = 2 ** 30;

const JOURNAL = "systemd/journal";

/** Mistakes that only show in more than one setting: the setting to change, and why. */
export function* crossProblems(
  settings: Settings,
  conceal: Conceal,
): Generator<readonly [string, string]> {
  const heartbeat = Number(settings.get("heartbeat-interval") ?? HEARTBEAT);
  const election = Number(settings.get("election-timeout") ?? ELECTION);
  if (election < 10 * heartbeat) {
    const name = settings.has("election-timeout") ? "election-timeout" : "heartbeat-interval";
    yield [
      name,
      `an election-timeout of ${conceal("election-timeout", `${election}`)} ms is less than 10 times the heartbeat-interval of ` +
        `${conceal("heartbeat-interval", `${heartbeat}`)} ms; write an election-timeout of at least ` +
        conceal("heartbeat-interval", `${10 * heartbeat}`),
    ];
  }
  const least = settings.get("tls-min-version") ?? "TLS1.3";
  if (least === "TLS1.3" && settings.has("cipher-suites")) {
    yield [
      "cipher-suites",
      "cannot be set with tls-min-version TLS1.3, the default: etcd would not start; leave it out, or set tls-min-version to TLS1.2",
    ];
  }
  if (least === "TLS1.3" && settings.get("tls-max-version") === "TLS1.2") {
    yield [
      "tls-max-version",
      "TLS1.2 is below tls-min-version, which is TLS1.3 by default; leave it out, or set tls-min-version to TLS1.2",
    ];
  }
  const persist = "experimental-enable-lease-checkpoint-persist";
  if (
    settings.get(persist) === "true" &&
    settings.get("experimental-enable-lease-checkpoint") !== "true"
  ) {
    yield [persist, "needs experimental-enable-lease-checkpoint; set it to true as well"];
  }
  const level = settings.get("log-level") ?? "";
  if (["error", "panic", "fatal"].includes(level)) {
    yield [
      "log-level",
      `${conceal("log-level", level)} leaves out etcd's warnings, and this program reads in the journal why a member does not start, and that it was removed; write warn, info or debug`,
    ];
  }
  if (settings.get("log-format") === "console" && settings.get("log-outputs") === JOURNAL) {
    yield [
      "log-format",
      `console cannot be had with log-outputs ${JOURNAL}: etcd's writer for it takes json alone and leaves everything else out; leave one of them out`,
    ];
  }
  const retention = settings.get("auto-compaction-retention") ?? "";
  if (settings.get("auto-compaction-mode") === "revision" && /\D/.test(retention)) {
    yield [
      "auto-compaction-retention",
      `${conceal("auto-compaction-retention", JSON.stringify(retention))} is a duration, and auto-compaction-mode is revision; write a number of revisions`,
    ];
  }
}

/** Settings that work and that etcd advises against: the setting, and why. */
export function crossWarnings(settings: Settings, conceal: Conceal): (readonly [string, string])[] {
  const quota = Number(settings.get("quota-backend-bytes") ?? 0);
  return quota > 8 * GIB
    ? [
        [
          "quota-backend-bytes",
          `${conceal("quota-backend-bytes", `${quota} is ${(quota / GIB).toFixed(1)} GiB`)}; above 8 GiB etcd advises against, as starts and snapshots take minutes`,
        ],
      ]
    : [];
}
