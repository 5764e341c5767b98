import type { HostCertificate, HostState } from "../hosts/host-state";
import type { ReceiptName } from "../scripts/steps";

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
export function due(
  host: HostState,
  name: ReceiptName,
  now: Date,
  hours: Lifetimes,
): readonly string[] {
  return certificates(host, now)
    .filter(({ files }) => name === (files.includes("ca.pem") ? "member" : "files"))
    .filter(({ left }) => left <= hours.renewalHours * HOUR)
    .map(({ words }) => words);
}

/** In words, which certificates of a host are to end soon but are not due for renewal yet. */
export function endingSoon(host: HostState, now: Date, hours: Lifetimes): readonly string[] {
  return certificates(host, now)
    .filter(({ left }) => left > hours.renewalHours * HOUR && left < hours.warnHours * HOUR)
    .map(({ words, left }) => `${words}, in ${duration(left)}`);
}

/** The certificates of a host; leaves that end at the same time are spoken of together. */
function certificates(host: HostState, now: Date) {
  const all = host.inspected ? host.certificates : [];
  const key = ({ file, end }: HostCertificate) => `${file === "ca.pem"} ${end.getTime()}`;
  return [...new Set(all.map(key))].map((wanted) => {
    const some = all.filter((certificate) => key(certificate) === wanted);
    const files = [...new Set(some.map(({ file }) => file))];
    const end = Math.min(...some.map((certificate) => certificate.end.getTime()));
    const day = new Date(end).toISOString().slice(0, 16).replace("T", " ");
    const verb = end <= now.getTime() ? "expired" : files.length === 1 ? "expires" : "expire";
    return { files, left: end - now.getTime(), words: `${files.join(", ")} ${verb} on ${day} UTC` };
  });
}

function duration(milliseconds: number): string {
  return milliseconds < 2 * DAY
    ? `${Math.floor(milliseconds / HOUR)} hours`
    : `${Math.floor(milliseconds / DAY)} days`;
}
