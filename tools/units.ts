/** Times and sizes, as the tools print them. */

/** In UTC, to the second. */
export function isoTime(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

/** Of a host whose clock is ahead, none. */
export function secondsSince(time: string, now: Date): number {
  return Math.max(0, Math.round((now.getTime() - Date.parse(time)) / 1000));
}

/** A length of time, in the largest unit of which there are two. */
export function age(seconds: number): string {
  const units: readonly (readonly [number, string])[] = [
    [86_400, "days"],
    [3600, "hours"],
    [60, "minutes"],
  ];
  const [length, unit] = units.find(([each]) => seconds >= 2 * each) ?? [1, "seconds"];
  return `${Math.floor(seconds / length)} ${unit}`;
}

export function mebibytes(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}
