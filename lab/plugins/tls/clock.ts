/** The present, or the moment in LAB_NOW (RFC 3339): a test of renewal moves the clock with it. */
export function now(): Date {
  const moment = process.env.LAB_NOW;
  return moment === undefined || moment === "" ? new Date() : new Date(moment);
}

export function hoursAfter(start: Date, hours: number): Date {
  return new Date(start.getTime() + hours * 3_600_000);
}
