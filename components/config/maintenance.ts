import { z } from "zod";
import { calendar } from "./backup";
import { described, EDIT } from "./described";
import { flag, whole } from "./fields";

export const defragSchema = z.strictObject({
  schedule: described(
    calendar.default("*:0/10"),
    "When the members are looked at, as OnCalendar= of systemd has it; in the hosts' time zone.",
    EDIT.jobs,
  ),
  minimumBytes: described(
    whole("a whole number of bytes", 0, Number.MAX_SAFE_INTEGER).default(104857600),
    "A member with a smaller database file is left alone.",
    EDIT.jobs,
  ),
  fragmentation: described(
    whole("a whole number of percent", 1, 99).default(45),
    "Percent of its database file that must be free for a member to be defragmented.",
    EDIT.jobs,
  ),
});

export const maintenanceSchema = z.strictObject({
  defrag: described(
    defragSchema.optional(),
    "Map: when a member is defragmented, one at a time, the leader last. Not given: never.",
    "Adding or removing it restarts the members once, one at a time: clients fail over from a member that is being defragmented. A change of its keys restarts nothing.",
  ),
  noSpace: described(
    flag.default(true),
    "A NOSPACE alarm is healed without an operator: old revisions are compacted, the members defragmented, the alarm disarmed.",
    EDIT.jobs,
  ),
});
