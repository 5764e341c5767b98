#!/usr/bin/env bash
# Job "maintenance": "run" has members give the free pages of their databases back to the disk, "nospace" ends the alarm NOSPACE. Timers run
# both on every host; the leader's acts. docs/maintenance.md says what for. Takes DEFRAG DEFRAG_MINIMUM_BYTES DEFRAG_FRAGMENTATION HEAL_NOSPACE.

export JOB_SCRIPT=maintenance
# As wait.sh takes them; the limit counts anew for each member.
export READY_SECONDS=60 WAIT_LIMIT=0
# For so long at most one member is at it, until it is healthy again.
MEMBER_SECONDS=1200
# For so long a voter that is unhealthy is waited for before a turn: it may just be busy, or another host's job be at it.
PATIENCE=30
# A good result is written once in so many seconds when there is nothing to do; a failed attempt to end NOSPACE is not repeated earlier.
QUIET_SECONDS=3600
RETRY_SECONDS=600
# A member is behind when it lacks as many entries.
LAG=100
# In hundredths of the quota, as much as a database may have for the alarm to be taken back.
ROOMY=90

NOBODY="the cluster has no quorum; start the members that are down, or restore the network between them (port 2380)"

# Of this run: members that had their turn, what to say of them, and whether leadership was handed over for the last one.
HANDLED=" " DONE="" HANDED=no
# Bytes of a database whose compaction is complete, which others may still work off (defragment); empty in a run without one.
COMPACTED=""

# run: defragments the members that are due.
run() {
  local errors=""
  if ! is_leader || ! ask_own; then return 0; fi
  if [ "$DEFRAG" != yes ]; then
    info "nothing to do: etcd:maintenance.defrag is not set"
    return
  fi
  if [ "$HEAL_NOSPACE" = yes ] && [[ $errors == *alarm:NOSPACE* ]]; then
    info "nothing to do: the alarm NOSPACE is raised, which etcd-maintenance-nospace.service deals with"
    return
  fi
  give_turns due
  if [ -n "$DONE" ]; then job_result ok - - - - "defragmented $DONE"; elif leads_still; then nothing_done; fi
}

# nospace: ends the alarm NOSPACE. Called every few seconds: what it costs when nothing is raised is one question to this host's member.
nospace() {
  local errors="" list words
  if [ "$HEAL_NOSPACE" != yes ] || ! ask_own; then return 0; fi
  if [[ $errors != *alarm:NOSPACE* ]]; then
    nothing_done
    return
  fi
  if result_since failed "$RETRY_SECONDS"; then return; fi
  begin_job
  # That may have taken half an hour.
  if ! ask_own || [[ $errors != *alarm:NOSPACE* ]]; then
    info "nothing to do: the alarm NOSPACE is not raised any more, or another member leads now"
    end_job
    return
  fi
  list=$(members "$LOCAL") || fail "the alarm NOSPACE stays raised, because $NOBODY"
  words=$(alarm_words "$(alarms_in "$errors")" "$list")
  may_go_on "$list" "the alarm NOSPACE stays raised"
  info "the alarm $words is raised: compacting, then defragmenting the members that are full"
  doing "compacting the database"
  compact_history
  COMPACTED=$(in_use "$LOCAL") || COMPACTED=0
  end_job
  give_turns crowded
  if ! leads_still; then
    info "another member leads now; its host goes on"
    return
  fi
  begin_job
  take_back
  end_job
  job_result ok - - - - "ended the alarm $words: compacted${DONE:+, defragmented $DONE}"
}

# ask_own: what this host's member says, in one question: whether it leads. Leaves in "errors" which alarms are raised. Quiet when it leads not, or does
# not answer.
ask_own() {
  local name value leader="" own=""
  errors=""
  while IFS=: read -r name value; do
    # The first: a member's own list of errors comes later and may have lines of its own.
    case $name in
      '"Leader" ') leader=${leader:-${value# }} ;;
      '"MemberID" ') own=${own:-${value# }} ;;
      '"Errors" ') errors=${errors:-${value:0:4096}} ;;
    esac
  done < <(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 3s endpoint status --write-out fields 2>/dev/null)
  [[ $leader =~ ^[1-9][0-9]{0,19}$ ]] && [ "$leader" = "$own" ]
}

# leads_still: this host's member, or one that was given the leadership by this run.
leads_still() {
  local errors
  [ "$HANDED" = yes ] || ask_own
}

# result_since OUTCOME SECONDS: the last run on this host came to that, and no longer ago; nor later than now, by a clock that was set back.
result_since() {
  local outcome time since now
  read -r outcome time _ 2>/dev/null <"$RESULTS/$JOB_NAME" || return 1
  TZ=UTC0 printf -v since '%(%Y-%m-%dT%H:%M:%SZ)T' "$((EPOCHSECONDS - $2))"
  TZ=UTC0 printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' "$((EPOCHSECONDS + 1))"
  [ "$outcome" = "$1" ] && [[ $time =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$ ]] && [[ $time > $since ]] && [[ $time < $now ]]
}

# nothing_done: previews see that the job runs, and no file is written every few seconds.
nothing_done() { if ! result_since ok "$QUIET_SECONDS"; then job_result ok - - - - "nothing to do"; fi; }

# give_turns JUDGE: each voter of which JUDGE says so has its turn, followers first. The lock is given back after each, so that an up waits for
# one of them at most; what has changed meanwhile is seen by the next look.
give_turns() {
  local chosen own list name endpoint size used
  while true; do
    begin_job
    choose "$1"
    if [ -n "$chosen" ]; then
      have_turn
      if [ "$1" = crowded ]; then refuse_crowded "$name" "$endpoint" "$size"; fi
    fi
    end_job
    if [ -z "$chosen" ]; then return; fi
  done
}

# choose JUDGE: leaves in "chosen" the ID of the next member, with its name, endpoint, and bytes in all and in use; empty when there is none.
choose() {
  local id peers learner started
  doing "looking at the members' databases"
  chosen=""
  list=$(members "$LOCAL") || fail "nothing more was defragmented, because $NOBODY"
  own=$(status_field "$LOCAL" MemberID) || fail "nothing more was defragmented, because the member of this host does not answer on $LOCAL"
  if [ "$(status_field "$LOCAL" Leader || true)" != "$own" ]; then return 0; fi
  while read -r id name peers learner started; do
    if [ "$learner" = true ] || [ "$started" = no ] || [[ $HANDLED == *" $id "* ]]; then continue; fi
    endpoint=$(client_url "$peers")
    # One that does not answer shows in may_go_on, when another is due.
    if size=$(status_field "$endpoint" DBSize) && used=$(in_use "$endpoint") && "$1"; then
      chosen=$id
      return
    fi
  done < <(leader_last "$list")
}

# due: for choose. Enough of the database is free.
due() {
  [ "${#size}" -lt 16 ] && [ "${#used}" -lt 16 ] && [ "$size" -ge "$DEFRAG_MINIMUM_BYTES" ] &&
    [ "$(((size - used) * 100))" -ge "$((size * DEFRAG_FRAGMENTATION))" ]
}

# crowded: for choose. The alarm would come back with it as it is.
crowded() { is_crowded "$size" "$(quota_here "$endpoint")" || { [ "$DEFRAG" = yes ] && due; }; }

# is_crowded SIZE QUOTA: nothing is when there is no quota.
is_crowded() {
  [ "${#1}" -lt 16 ] && [[ $2 =~ ^[1-9][0-9]{0,14}$ ]] && [ "$(($1 * 100))" -ge "$(($2 * ROOMY))" ]
}

# quota_here ENDPOINT: as quota_of, and this host's unit says what cannot be asked for.
quota_here() {
  local UNIT_TEXT
  # shellcheck disable=SC2034 # of configured_quota
  UNIT_TEXT=$(cat "$UNIT")
  quota_of "$1"
}

# have_turn: of the chosen member.
have_turn() {
  local before=$size
  may_go_on "$list" "the database of $name was not defragmented"
  if [ "$chosen" = "$own" ]; then
    room_here
    hand_over
  fi
  doing "defragmenting the database of $name"
  give_time
  defragment "$name" "$endpoint" "${COMPACTED:-$size}"
  HANDLED="$HANDLED$chosen "
  DONE="${DONE:+$DONE, }$name ($(mib "$before") to $(mib "$size") MiB)"
  info "defragmented the database of $name: $(mib "$before") to $(mib "$size") MiB"
}

# may_go_on LIST WORDS: before anything is touched. Nobody is defragmented beside a voter that is not healthy, in a cluster that changes, or
# one whose data differs.
may_go_on() {
  local raised sick id name peers learner started deadline=$((SECONDS + PATIENCE))
  doing "checking the cluster"
  raised=$(alarms "$LOCAL") || fail "$2, because $NOBODY"
  if [[ $raised == *CORRUPT* ]]; then
    fail "$2, because the alarm $(alarm_words "$raised" "$1") is raised; that is resolved first (docs/alarms.md); etcd disarms all alarms or none"
  fi
  if is_going_down; then fail "$2, because a downgrade of the cluster is in progress; it is done after that"; fi
  while read -r id name peers learner started; do
    if [ "$learner" = true ] && { [ "$started" = no ] || ! has_caught_up "$(client_url "$peers")" "$LOCAL"; }; then
      fail "$2, because member $id ($peers) is a learner that is catching up; run pulumi up, which promotes it"
    fi
  done <<<"$1"
  until sick=$(sick_others "$LOCAL" -) && [ -z "$sick" ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      if [ -z "$sick" ]; then fail "$2, because $NOBODY"; fi
      fail "$2, because $(paste -sd ' ' - <<<"$sick") is unhealthy; start it first"
    fi
    sleep 1
  done
}

# is_going_down: 3.5 does not tell it in its status.
is_going_down() {
  local enabled
  if enabled=$(status_field "$LOCAL" DowngradeEnabled); then [ "$enabled" = true ]; else downgrading; fi
}

# room_here: what is written is a second copy of what is in use. Of other members' disks etcd alone knows.
room_here() {
  local free needed=$((used / 1048576 + LEAST_FREE))
  free=$(df --block-size 1M --output=avail -- "$DATA/member" 2>/dev/null | sed '1d; s/ //g') || free=
  if [[ $free =~ ^[0-9]+$ ]] && [ "$free" -lt "$needed" ]; then
    fail "the database of $name was not defragmented, because the disk of $DATA has $free MiB free and the copy takes up to $needed MiB; free some space or enlarge the disk"
  fi
}

# hand_over: the leader is defragmented as a follower, so that nobody waits for it; a member alone has nobody to hand over to.
hand_over() {
  local leader
  if [ "$(awk '$4 != "true"' <<<"$list" | wc -l)" -eq 1 ]; then return 0; fi
  doing "transferring leadership"
  # It is the leader's own word that counts afterwards.
  HANDED=yes
  move_leader "$LOCAL" < <(transfer_targets "$own")
  give_time
  begin_wait
  until leader=$(status_field "$LOCAL" Leader) && [ "$leader" != 0 ] && [ "$leader" != "$own" ] && healthy "$LOCAL"; do
    may_wait 10 leader_moves ||
      fail "the database of $name was not defragmented, because it leads and its leadership could not be transferred; the journal of etcd-$JOB_NAME.service has etcd's reason"
    sleep 0.25
  done
}

# leader_moves: for may_wait.
leader_moves() { sees "$(status_field "$LOCAL" Leader) $(status_field "$LOCAL" RaftTerm)"; }

# give_time: to what is waited for now.
give_time() { WAIT_LIMIT=$((SECONDS + MEMBER_SECONDS)); }

# has_caught_up ENDPOINT REFERENCE: but for what came in meanwhile.
has_caught_up() {
  local there here
  there=$(status_field "$2" RaftIndex) && here=$(status_field "$1" RaftAppliedIndex) && [ "$((there - here))" -lt "$LAG" ]
}

# refuse_crowded NAME ENDPOINT SIZE: all have the same data, so where it does not fit into one no other needs to be touched.
refuse_crowded() {
  local quota
  quota=$(quota_here "$2")
  if is_crowded "$3" "$quota"; then
    fail "the alarm NOSPACE stays raised: after the compaction the database of $1 takes $(mib "$3") MiB of the $(mib "$quota") MiB quota, and the next writes would raise the alarm again. Raise etcd:settings.quota-backend-bytes and run pulumi up, or delete keys, which etcd accepts; tried again $((RETRY_SECONDS / 60)) minutes later"
  fi
}

# take_back: the alarm, only when every member has room again.
take_back() {
  local list raised name peers started size
  doing "disarming the alarm NOSPACE"
  list=$(members "$LOCAL") || fail "the alarm NOSPACE stays raised, because $NOBODY"
  while read -r _ name peers _ started; do
    [ "$started" = yes ] || continue
    size=$(status_field "$(client_url "$peers")" DBSize) || fail "the alarm NOSPACE stays raised, because $name does not tell the size of its database; start it first"
    refuse_crowded "$name" "$(client_url "$peers")" "$size"
  done <<<"$list"
  raised=$(alarms "$LOCAL") || fail "the alarm NOSPACE stays raised, because $NOBODY"
  if [[ $raised == *CORRUPT* ]]; then
    fail "the alarm $(alarm_words "$raised" "$list") stays raised, because etcd disarms all alarms or none; docs/alarms.md says what to do about CORRUPT"
  fi
  if [ -n "$raised" ]; then disarm "$raised" "$list"; fi
}
