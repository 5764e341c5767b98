#!/usr/bin/env bash
# One up at a time. The program's inspection of a host stays open for the whole up, and with it the lock: whatever ends the program, or the
# way to it, gives the host free. The file is the kernel's memory of it, not the disk's: it says who has the lock, if somebody has.

LOCK=/run/etcd-on-pulumi.lock
# Silence of the program after which its machine is taken for gone.
SILENCE_SECONDS=60
# A step goes on when its run was killed or was cut off from this host. So each has a lock of its own for as long as it runs, and no other
# run begins beside it. Removals also exclude each other.
APPLYING=/run/etcd-on-pulumi.applying
REMOVING=/run/etcd-on-pulumi.removing
# So often an up whose configuration has this node leaves a sign of life (keep.sh).
SIGN_OF_LIFE_SECONDS=30
# For so long the steps of a run that is over are waited for, by an up and by a removal.
UP_WAITS=120
REMOVAL_WAITS=30
# Held by a job of this host's timers for as long as it touches etcd (jobs-run.sh), with whose it is; and for so long it is waited for. No
# job begins while an up or a step is at work.
JOB=/run/etcd-on-pulumi.job
JOB_WAITS=60

# run_step CALL...: what every script is called with. A step whose run has lost this host does not begin: nobody else would be kept from it.
run_step() {
  case $1 in
    apply)
      hold "$APPLYING"
      if ! lock_is_held; then
        fail "not started, because no run holds the lock on this host any more: the run that started this step was killed, or its SSH session to this host ended. Nothing was changed; run pulumi up again"
      fi
      ;;
    # One of a destroy that was killed may still be at it.
    delete | drain) hold "$REMOVING" "$REMOVAL_WAITS" ;;
  esac
  "$@"
}

# hold FILE [SECONDS]: until this step and all that it has started have ended; shared with others, or alone, when they have ended in time.
hold() {
  doing "locking $1"
  lock_file "$1"
  exec {working}<"$1"
  if [ $# -eq 1 ]; then
    flock -s "$working"
  elif ! flock -w "$2" "$working"; then
    fail "not touched: another removal is still in progress on this host; wait until it is done"
  fi
}

lock_file() { if [ ! -e "$1" ]; then (umask 077 && : >>"$1"); fi; }

# steps_of_others SECONDS: whose steps are still at work on this host after so many; fails when there are none.
steps_of_others() {
  if is_locked "$1" "$APPLYING"; then
    echo "steps of an earlier run by $(cat "$LOCK" 2>/dev/null || echo somebody)"
  elif is_locked "$1" "$REMOVING"; then
    echo "steps of a removal"
  else
    return 1
  fi
}

# job_at_work SECONDS: likewise, of a job.
job_at_work() { is_locked "$1" "$JOB" && printf 'a job (%s)\n' "$(head -c 200 "$JOB" 2>/dev/null || echo unknown)"; }

is_locked() { [ -e "$2" ] && ! flock -w "$1" 3 3<"$2"; }

# take_lock: for an up, whose words are in HOLDER; a preview only inspects. Leaves for tell_lock what the program is to be told: "locked-by
# WORDS" when somebody else has it, "unfinished WORDS" when steps of a run that is over, or a job, are still at work.
take_lock() {
  local words
  lock_words=
  if [ -z "${HOLDER:-}" ]; then
    if lock_is_held; then
      lock_words="locked-by $(<"$LOCK")"
    elif words=$(steps_of_others 0); then
      lock_words="unfinished $words"
    fi
    return
  fi
  words=$(umask 077 && { : >>"$LOCK"; } 2>&1) || fail "cannot write $LOCK, the lock file of pulumi up: ${words##*: }; make it writable"
  exec {lock}<>"$LOCK"
  # A preview has it for a moment when it inspects the host, and so has a run that was just killed, until its session has ended here.
  if ! flock -w 3 "$lock"; then
    lock_words="locked-by $(<"$LOCK")"
  elif wait_for_others; then
    lock_words="unfinished $words"
  else
    printf '%s\n' "$HOLDER" >"$LOCK"
    return
  fi
  exec {lock}>&-
}

# wait_for_others: by an up that has the lock. Leaves in "words" what is still at work when it has waited for long; fails when there is
# nothing any more. A preview takes no notice of a job: an up waits for it.
wait_for_others() {
  if ! steps_of_others 0 >/dev/null && ! job_at_work 0 >/dev/null; then return 1; fi
  announce_wait
  words=$(steps_of_others "$UP_WAITS") || words=$(job_at_work "$JOB_WAITS")
}

tell_lock() { if [ -n "$lock_words" ]; then printf '%s\n' "$lock_words"; fi; }

lock_is_held() { [ -e "$LOCK" ] && ! flock -n -s 3 3<"$LOCK"; }

# keep_lock: the inspection is over. Standard input is the program's, which says "keep" and its version when the hosts are its stack's, then
# sends the scripts that this host lacks, says again and again that it is still there, and "done" when it has come to its end.
keep_lock() {
  local word name length told=0 kept=no
  while read -r -t "$SILENCE_SECONDS" word name length; do
    case $word in
      script) take_script "$name" "$length" ;;
      keep)
        kept=yes told=$SECONDS
        keep_node
        take_version "$name"
        ;;
      done)
        rm -f "$CONFIGURED"
        return
        ;;
    esac
    if [ "$kept" = yes ] && [ "$((SECONDS - told))" -ge "$SIGN_OF_LIFE_SECONDS" ]; then
      told=$SECONDS
      keep_node
    fi
  done
  if [ "$kept" = yes ]; then
    keep_node
    give_up_host
  fi
}

# give_up_host: the run was killed, failed or lost this host. A step that comes meanwhile waits, and does not begin then.
give_up_host() {
  local applying
  lock_file "$APPLYING"
  exec {applying}<"$APPLYING"
  if flock -n "$applying" && [ ! -d "$STATE" ]; then forget_scripts; fi
  exec {lock}>&-
  exec {applying}<&-
}

# refuse_if_held: before anything is removed from this host. Nobody's up has the host of a node that is not in its configuration, and a destroy
# has none.
refuse_if_held() {
  local words
  if lock_is_held; then fail "not touched: this host is locked by $(<"$LOCK"); wait until that run is done"; fi
  if is_locked "$REMOVAL_WAITS" "$APPLYING" && words=$(steps_of_others 0); then
    fail "not touched: $words are still in progress on this host; wait until they are done"
  fi
  if words=$(job_at_work "$JOB_WAITS"); then
    fail "not touched: $words is still in progress on this host; wait until it is done (systemctl list-units 'etcd-*' shows it)"
  fi
}
