#!/usr/bin/env bash
# What the jobs share that a host's timers start (scripts/jobs/*.sh): their values, the lock that keeps them and the steps apart, and what
# they leave behind as their result. Each is run as "/bin/bash -p $STATE/jobs/NAME.sh CALL", has a function CALL and its name in JOB_SCRIPT.

# For so many seconds a job waits for another one on this host, and for an up or its steps.
JOB_WAITS_FOR_JOB=600
JOB_WAITS_FOR_UP=1800
# The rest of the disk is read-only to its unit.
# shellcheck disable=SC2034 # of base.sh
WRITTEN_PLACES=("$STATE" "$BACKUPS")
# Between two looks.
JOB_PAUSE=5
# Seconds in which a cluster without a leader gets one.
LEADER_SECONDS=60
# A schedule that is not finer is moved for the whole cluster, by less than so many seconds: many clusters may have one repository.
COARSE_SECONDS=3600
OFFSET_SECONDS=241
# A timer that elapsed no longer ago has started this job.
JUST_NOW=30

# run_job CALL: the whole job. What ends it without a result ends it with a failed one.
run_job() {
  JOB_NAME=$JOB_SCRIPT JOB_STARTED=$(date -u +%Y-%m-%dT%H:%M:%SZ) JOB_BEGUN=$SECONDS JOB_TOLD=no
  if [ "$1" != run ]; then JOB_NAME=$JOB_SCRIPT-$1; fi
  if [ -e "$JOB_SETTINGS" ]; then
    # shellcheck disable=SC1090 # quoted assignments
    . "$JOB_SETTINGS"
  elif [ -z "${NODE:-}" ]; then
    NODE=$(uname -n)
    fail "the job $JOB_NAME has no values in $JOB_SETTINGS; run pulumi up, which writes them again"
  fi
  mkdir -p "$RESULTS"
  # Of a job that was killed.
  ERROR_WORDS=$RESULTS/$JOB_NAME.words
  rm -f "$ERROR_WORDS"
  trap end_run EXIT
  trap stopped INT TERM HUP
  wait_for_turn
  "$1"
}

# end_run: however the job ended.
end_run() {
  local status=$? words
  trap - EXIT ERR INT TERM HUP
  if [ "$status" -ne 0 ] && [ "$JOB_TOLD" = no ]; then
    words=$(cat "$ERROR_WORDS" 2>/dev/null || true)
    job_result failed - - - - "${words:-ended with status $status}" 2>/dev/null || true
  fi
  rm -f "$ERROR_WORDS"
  # What a job that ended half way has left.
  if [ "$status" -ne 0 ] && [ "$(type -t clean_up)" = function ]; then (clean_up) || true; fi
  exit "$status"
}

# stopped: systemd has ended it (systemctl stop, TimeoutStartSec, the end of the host).
stopped() { fail "was stopped while $DOING"; }

# elapsed_just_now: when the timer of this job has started it, in seconds since the epoch; fails when it was somebody by hand, or a step.
elapsed_just_now() {
  local elapsed
  elapsed=$(TZ=UTC unit_property LastTriggerUSec "etcd-$JOB_NAME.timer") && [ -n "$elapsed" ] && elapsed=$(date -d "$elapsed" +%s 2>/dev/null) || return 1
  [ "$(($(date +%s) - elapsed))" -le "$JUST_NOW" ] && printf '%s' "$elapsed"
}

# wait_for_turn: a job that its timer has just started waits for as long as the cluster's other hosts do, which is the same everywhere in one
# cluster: all look at the same moment who leads. One that somebody started by hand begins at once. Leaves in ELAPSED what elapsed_just_now says.
wait_for_turn() {
  local interval
  export ELAPSED=
  ELAPSED=$(elapsed_just_now) || return 0
  read -r interval 2>/dev/null <"$STATE/jobs/etcd-$JOB_NAME.interval" || return 0
  if ! [[ $interval =~ ^[0-9]{1,9}$ ]] || [ "$interval" -lt "$COARSE_SECONDS" ]; then return 0; fi
  doing "waiting for its turn"
  sleep "$(offset_of "$TOKEN")"
}

# offset_of TOKEN: seconds.
offset_of() {
  local digest
  digest=$(sha256sum <<<"$1")
  printf '%s' "$((16#${digest:0:7} % OFFSET_SECONDS))"
}

# wait_for_up: for as long as begin_job waits for an up and its steps; touches nothing, and ends well however long they take.
wait_for_up() {
  local words told=no deadline=$((SECONDS + JOB_WAITS_FOR_UP))
  doing "waiting for other work on this host"
  while words=$(work_of_others) && [ "$SECONDS" -lt "$deadline" ]; do
    pause_for "$words"
  done
}

# pause_for WORDS: between two looks. What is waited for is said once in each wait, which has "told" for that.
pause_for() {
  if [ "$told" = no ]; then info "waiting up to $((JOB_WAITS_FOR_UP / 60)) minutes for $1"; fi
  told=yes
  sleep "$JOB_PAUSE"
}

# begin_job: nothing of etcd is touched before. An up that locks this host afterwards waits for this job (lock.sh), so neither begins beside
# the other. Ends the job when others are at work here for too long.
begin_job() {
  local words told=no deadline=$((SECONDS + JOB_WAITS_FOR_UP))
  doing "waiting for other work on this host"
  while true; do
    lock_job
    words=$(work_of_others) || break
    end_job
    if [ "$SECONDS" -ge "$deadline" ]; then
      fail "not started, because $words had not ended on this host after $((JOB_WAITS_FOR_UP / 60)) minutes; it runs again at its next time, or with systemctl start etcd-$JOB_NAME.service"
    fi
    pause_for "$words"
  done
  doing "at work"
}

# lock_job: for this process and all that it starts, until end_job.
lock_job() {
  (umask 077 && : >>"$JOB")
  exec {job_lock}<>"$JOB"
  flock -w "$JOB_WAITS_FOR_JOB" "$job_lock" ||
    fail "not started, because another job had not ended on this host after $((JOB_WAITS_FOR_JOB / 60)) minutes: $(head -c 200 "$JOB"); systemctl list-units 'etcd-*' shows it"
  printf '%s since %s\n' "$JOB_NAME" "$JOB_STARTED" >"$JOB"
}

# work_of_others: whose up or steps are at work here; fails when there are none.
work_of_others() {
  if lock_is_held; then
    printf 'the pulumi up by %s\n' "$(head -c 400 "$LOCK")"
  else
    steps_of_others 0
  fi
}

# end_job: etcd is no longer touched; what the job goes on with keeps nobody waiting. Also twice.
end_job() {
  [ -n "${job_lock:-}" ] || return 0
  # What it has started may still have the descriptor.
  flock -u "$job_lock"
  exec {job_lock}>&-
  job_lock=
}

# job_result OUTCOME REVISION SIZE HASH ID [REASON...]: ok or failed, with "-" for what there is not. The last call of a run counts.
job_result() {
  local outcome=$1 facts="$2 $3 $4 $5" reason line
  shift 5
  reason=$(printf '%s' "$*" | printable | paste -sd ' ' - | tr '\t' ' ' | cut -c 1-400)
  line="$outcome $(date -u +%Y-%m-%dT%H:%M:%SZ) $((SECONDS - JOB_BEGUN)) $facts${reason:+ # $reason}"
  install_file 0644 root:root "$RESULTS/$JOB_NAME" <<<"$line"
  if [ "$outcome" = ok ]; then install_file 0644 root:root "$RESULTS/$JOB_NAME.good" <<<"$line"; fi
  JOB_TOLD=yes
  info "$JOB_NAME: $line"
}

# is_leader: this host's member leads. Says in the journal why not: the job of the host whose member does is the one that counts. Waits
# for a leader when there is none for a moment.
is_leader() {
  local leader own deadline=$((SECONDS + LEADER_SECONDS))
  if [ ! -e "$FORMED" ]; then
    info "nothing to do: there is no member on this host yet"
    return 1
  fi
  until leader=$(status_field "$LOCAL" Leader) && [ "$leader" != 0 ] && own=$(status_field "$LOCAL" MemberID); do
    if [ "$SECONDS" -ge "$deadline" ]; then
      info "nothing to do: its member does not answer on $LOCAL, or there has been no leader for $LEADER_SECONDS s"
      return 1
    fi
    sleep 1
  done
  if [ "$leader" != "$own" ]; then
    info "nothing to do: the member $leader leads, and this host's is $own"
    return 1
  fi
}
