#!/usr/bin/env bash
# Alarms of the cluster (etcd docs, "Maintenance"). NOSPACE: the database of a member has reached its quota, and nothing is written
# any more until it is raised no longer. CORRUPT: a member's data differs from that of the others.

# A compaction, and a defragmentation of one member, of a database as big as etcd advises at most.
MAINTENANCE_TIMEOUT=600s
# etcd's own quota when none is set (--quota-backend-bytes).
DEFAULT_QUOTA=2147483648
# In hundredths of the quota: what is left after the maintenance must be less, or the next writes raise the alarm again. Previews
# warn from there on.
TIGHT=80

# alarms_in TEXT: the alarms in what etcd prints of them, a line "NOSPACE ID" each, ID in hexadecimal. 0 where etcd names no member.
alarms_in() {
  local text=$1 id kind
  while [[ $text =~ (memberID:\ *([0-9]{1,20})\ +)?alarm:\ *([A-Z]+)(.*) ]]; do
    id=${BASH_REMATCH[2]:-0} kind=${BASH_REMATCH[3]} text=${BASH_REMATCH[4]}
    printf '%s %x\n' "$kind" "$id"
  done
}

# alarms ENDPOINT: those of the cluster. Fails when no quorum answers.
alarms() {
  local text
  text=$(etcdctl_as_client --endpoints "$1" --command-timeout 5s alarm list 2>/dev/null) || return 1
  alarms_in "$text"
}

# name_of ID LIST: as the member with this ID is called, and what it is when the list has it no longer.
name_of() {
  local name
  name=$(awk -v id="$1" '$1 == id { print $2 }' <<<"$2")
  printf '%s' "${name:-"member $1 (it has left)"}"
}

# alarm_words ALARMS LIST: in words, whose they are.
alarm_words() {
  local kind id
  while read -r kind id; do
    if [ -z "$kind" ]; then continue; fi
    if [ "$id" = 0 ]; then printf '%s\n' "$kind"; else printf '%s of %s\n' "$kind" "$(name_of "$id" "$2")"; fi
  done <<<"$1" | sort -u | paste -sd , - | sed 's/,/, /g'
}

# live_corrupt ALARMS LIST: IDs of members that are corrupt and have not left; 0 when etcd cannot tell which one is. It may raise both.
live_corrupt() {
  local kind id named=
  while read -r kind id; do
    if [ "$kind" = CORRUPT ] && [[ $'\n'$2 == *$'\n'"$id "* ]]; then named=$named$id$'\n'; fi
  done <<<"$1"
  if [ -n "$named" ]; then printf '%s' "$named"; elif grep -qx 'CORRUPT 0' <<<"$1"; then echo 0; fi
}

# settle_alarms: at the end of a member's step, of which one runs at a time. NOSPACE is taken back when its cause is gone, CORRUPT
# when the member has left that it was raised for. The gate refuses what is left.
settle_alarms() {
  local raised list corrupt over="" differs
  [ -e "$FORMED" ] && raised=$(alarms "$LOCAL") && [ -n "$raised" ] || return 0
  list=$(members "$LOCAL") && [ -n "$list" ] || return 0
  corrupt=$(live_corrupt "$raised" "$list")
  if [ "$corrupt" = 0 ] && differs=$(differing "$list") && [ -z "$differs" ]; then corrupt=; fi
  doing "handling the alarm $(alarm_words "$raised" "$list")"
  # etcdctl takes all alarms back, or none.
  if [ -n "$corrupt" ]; then
    info "alarm still raised: $(alarm_words "$raised" "$list")"
    return
  fi
  # etcd compacts nothing while this one is raised.
  if [[ $raised == *CORRUPT* ]]; then disarm "$raised" "$list"; fi
  if [[ $raised == *NOSPACE* ]]; then
    make_space "$list" || return 0
    raised=$(alarms "$LOCAL") || fail "defragmented the databases, but $NO_QUORUM"
    if [ -n "$raised" ]; then disarm "$raised" "$list"; fi
    [ -z "$over" ] || fail "$over"
  fi
}

# settle_corrupt LIST: of members that have left meanwhile.
settle_corrupt() {
  local raised
  raised=$(alarms "$LOCAL") || return 0
  if [[ $raised == *CORRUPT* ]] && [[ $raised != *NOSPACE* ]] && [ -z "$(live_corrupt "$raised" "$1")" ]; then disarm "$raised" "$1"; fi
}

# rebuild_words IDS LIST: which members are corrupt, and what can be done.
rebuild_words() {
  local id name names=
  if [ "$1" = 0 ]; then
    echo "the members' data differs, and etcd cannot tell which member is right; \"etcdctl endpoint hashkv --cluster\" shows the hashes; to rebuild the wrong one, set its etcd:nodes[].rebuild to its member ID and run pulumi up again (docs/alarms.md)"
    return
  fi
  while read -r id; do
    name=$(name_of "$id" "$2")
    names="$names; the data of $name differs from that of the others; to rebuild it from them, set etcd:nodes[].rebuild of $name to $id and run pulumi up again (docs/alarms.md)"
  done <<<"$1"
  printf '%s\n' "${names#; }"
}

# disarm ALARMS LIST
disarm() {
  local words
  words=$(etcdctl_as_client --endpoints "$LOCAL" --command-timeout 10s alarm disarm 2>&1) ||
    fail "cannot disarm the alarm $(alarm_words "$1" "$2"): $(tail -n 1 <<<"$words")"
  info "alarm disarmed: $(alarm_words "$1" "$2")"
}

# make_space LIST: one compaction for all, then every member by itself: only that gives its file back what is free in it. The leader
# is last, as in a roll. Fails when it is too early: the configured members are on their way to another quota. Leaves in "over" why the alarm
# would come back although it can be taken back now.
make_space() {
  local list=$1 quota needed size=0 largest=0 name peers started endpoint
  quota=$(configured_quota)
  while read -r _ name peers _ started; do
    if [ "$started" = no ] || ! healthy "$(client_url "$peers")"; then continue; fi
    if [ "$(quota_of "$(client_url "$peers")")" != "$quota" ]; then
      info "the alarm NOSPACE is handled once $name also runs with a quota of $(mib "$quota") MiB"
      return 1
    fi
  done < <(members_at "$list" < <(awk '{ print $2 }' "$STATE/nodes"))
  info "making space: compacting, then defragmenting every member"
  compact_history
  needed=$(in_use "$LOCAL") || needed=0
  while read -r _ name peers _ started; do
    endpoint=$(client_url "$peers")
    if [ "$started" = no ] || ! healthy "$endpoint"; then
      info "$name is unhealthy, so its database was not defragmented; it may raise NOSPACE again"
      continue
    fi
    defragment "$name" "$endpoint" "$needed"
    if [ "$size" -gt "$largest" ]; then largest=$size; fi
  done < <(leader_last "$list")
  check_space "$largest" "$quota"
}

# compact_history: up to the last revision, whose data alone is left.
compact_history() {
  local revision words
  revision=$(status_field "$LOCAL" Revision) || fail "$NO_ANSWER"
  words=$(etcdctl_as_client --endpoints "$LOCAL" --command-timeout "$MAINTENANCE_TIMEOUT" compaction --physical "$revision" 2>&1) ||
    case $words in
      # By a run that was killed.
      *"has been compacted"*) ;;
      *) fail "cannot compact the database: $(tail -n 1 <<<"$words")" ;;
    esac
}

# check_space SIZE QUOTA: of the largest database that is left, in bytes.
check_space() {
  local words
  words="after compacting and defragmenting every member, the data uses $(mib "$1") MiB of the $(mib "$2") MiB quota"
  if [ "$1" -ge "$2" ]; then
    fail "$words, so the alarm NOSPACE stays raised. $ROOM"
  elif [ "$(($1 * 100 / TIGHT))" -ge "$2" ]; then
    over="$words, so the next writes raise the alarm NOSPACE again. $ROOM"
  fi
}

ROOM="Raise etcd:settings.quota-backend-bytes and run pulumi up again, or delete keys first"

# defragment NAME ENDPOINT NEEDED: until the file is about as small as NEEDED bytes; a compaction, which each member works off in its
# own time, may have been under way. Leaves the size in "size".
defragment() {
  local words before="" moved=$SECONDS
  while :; do
    words=$(etcdctl_as_client --endpoints "$2" --command-timeout "$MAINTENANCE_TIMEOUT" defrag 2>&1 </dev/null) ||
      fail "cannot defragment the database of $1, which needs as much free disk space as it has data: $(tail -n 1 <<<"$words")"
    begin_wait
    # A read that asks the quorum succeeds only when it has caught up.
    until healthy "$2"; do
      may_wait "$READY_SECONDS" applied_moves "$1" "$2" || fail "$1 is unhealthy after its database was defragmented, $(waited)"
      sleep 0.25
    done
    size=$(status_field "$2" DBSize) || fail "$1 is unhealthy after its database was defragmented"
    if [ "$size" != "$before" ]; then moved=$SECONDS; fi
    if [ "$size" -le "$(($3 + $3 / 10 + 1048576))" ] || [ "$SECONDS" -ge "$((moved + 60))" ] || [ "$SECONDS" -ge "$WAIT_LIMIT" ]; then return; fi
    before=$size
    sleep 1
  done
}

# applied_moves NAME ENDPOINT: for may_wait.
applied_moves() {
  local applied
  applied=$(status_field "$2" RaftAppliedIndex) || return 0
  sees "$applied" "$1 is catching up after its database was defragmented: entry $applied applied"
}

# leader_last LIST
leader_last() {
  local leader
  leader=$(status_field "$LOCAL" Leader) || leader=
  awk -v leader="$leader" '$1 == leader { last = $0; next } { print } END { if (last != "") print last }' <<<"$1"
}

# configured_quota: in bytes.
configured_quota() {
  local quota
  quota=$(sed -n 's/^  --quota-backend-bytes=\([0-9]*\).*/\1/p' <<<"$UNIT_TEXT")
  if [ "${quota:-0}" -eq 0 ]; then quota=$DEFAULT_QUOTA; fi
  printf '%s' "$quota"
}

# quota_of ENDPOINT, in_use ENDPOINT: bytes, as the member says. 3.5 tells them among its metrics alone.
quota_of() {
  local bytes
  bytes=$(status_field "$1" DBSizeQuota) || bytes=$(metric "$1" etcd_server_quota_backend_bytes) || bytes=$(configured_quota)
  printf '%s' "$bytes"
}
in_use() { status_field "$1" DBSizeInUse || metric "$1" etcd_mvcc_db_total_size_in_use_in_bytes; }

# metric ENDPOINT NAME: a whole number.
metric() {
  local value
  value=$(https_get client "$1/metrics" | awk -v name="$2" '$1 == name { printf "%.0f", $2 }')
  [ -n "$value" ] && printf '%s' "$value"
}

# mib BYTES: with one digit behind the point.
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1048576 }'; }
