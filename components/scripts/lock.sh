#!/usr/bin/env bash
# One up at a time. The program's look at a host stays open for the whole up, and with it the lock: whatever ends the program, or the
# way to it, gives the host free. The file is the kernel's memory of it, not the disk's: it says who has the lock, if somebody has.

LOCK=/run/etcd-on-pulumi.lock
# Silence of the program after which its machine is taken for gone.
SILENCE_SECONDS=60

# take_lock: for an up, whose words are in HOLDER; a preview only looks. Prints «held WORDS» when somebody else has it.
take_lock() {
  if [ -z "${HOLDER:-}" ]; then
    if lock_is_held; then echo "held $(<"$LOCK")"; fi
    return
  fi
  (umask 077 && : >>"$LOCK")
  exec {lock}<>"$LOCK"
  # A preview has it for a moment when it looks, and so has a run that was just killed, until its session has ended here.
  if flock -w 3 "$lock"; then printf '%s\n' "$HOLDER" >"$LOCK"; return; fi
  exec {lock}>&-
  echo "held $(<"$LOCK")"
}

lock_is_held() { [ -e "$LOCK" ] && ! flock -n -s "$LOCK" true; }

# keep_lock: the look is over. Standard input is the program's.
keep_lock() {
  echo end
  while read -r -t "$SILENCE_SECONDS" _; do :; done
}

# refuse_if_held: before this host's member leaves. Nobody's up has the host of a node that is not in its configuration, and a destroy
# has none.
refuse_if_held() {
  if lock_is_held; then fail "not touched, because an up of $(<"$LOCK") is at work on this host; wait until it is done"; fi
}
