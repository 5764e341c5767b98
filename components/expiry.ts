import type { HostCertificate, Look } from "./probe";
import type { StepName } from "./survey";

/** The hours of the configuration that certificates are held to. */
export interface Lifetimes {
  /** Warn of certificates that end within so many hours. */
  readonly warnHours: number;
  /** Certificates that end within so many hours are renewed. */
  readonly renewalHours: number;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/**
 * In words, which certificates of a host are due for renewal, for the step that installs them.
 * The tls provider replaces a certificate by the same hours and the same clock; the words make the
 * step run even when the new certificate has been in the state before, for example on a host whose
 * disk was put back to an old copy.
 */
export function due(look: Look, step: StepName, now: Date, hours: Lifetimes): readonly string[] {
  return endings(
    certificates(look)
      .filter(({ file }) => step === (file === "ca.pem" ? "member" : "files"))
      .filter(({ end }) => left(end, now) <= hours.renewalHours * HOUR),
    (end) => ending(end, now),
  );
}

/** In words, which certificates of a host are to end soon but are not due for renewal yet. */
export function endingSoon(look: Look, now: Date, hours: Lifetimes): readonly string[] {
  return endings(
    certificates(look)
      .filter(({ end }) => left(end, now) > hours.renewalHours * HOUR)
      .filter(({ end }) => left(end, now) < hours.warnHours * HOUR),
    (end) => `${ending(end, now)}, in ${duration(left(end, now))}`,
  );
}

function certificates(look: Look): readonly HostCertificate[] {
  return look.seen ? look.certificates : [];
}

/** One text for all certificates of which the same is to be said. */
function endings(found: readonly HostCertificate[], say: (end: Date) => string): readonly string[] {
  const files = new Map<string, string[]>();
  for (const { file, end } of found) {
    const words = say(end);
    files.set(words, [...(files.get(words) ?? []), file]);
  }
  return [...files].map(([words, names]) => `${names.join(", ")} ${words}`);
}

function left(end: Date, now: Date): number {
  return end.getTime() - now.getTime();
}

function ending(end: Date, now: Date): string {
  const day = end.toISOString().slice(0, 16).replace("T", " ");
  return `${left(end, now) > 0 ? "expires" : "expired"} on ${day} UTC`;
}

function duration(milliseconds: number): string {
  return milliseconds < 2 * DAY
    ? `${Math.floor(milliseconds / HOUR)} hours`
    : `${Math.floor(milliseconds / DAY)} days`;
}
