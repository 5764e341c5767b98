#!/usr/bin/env bash
# Waiting for etcd: as long as something moves. A new member may be sent gigabytes over a slow line, a large database takes minutes to
# be opened; neither is a failure. What does not move any more is. Part of the steps "member" and "health", each of which says how
# long nothing may move (READY_SECONDS), and after how many seconds of its own it waits for nothing any longer (WAIT_LIMIT; a few
# minutes before the engine gives the step up, see step.ts).

# How often what moves is checked, and how often it is said, in seconds.
LOOK_SECONDS=2
SAY_SECONDS=15
# etcd gives the leader's database five minutes to arrive (the peer server's ReadTimeout) and then starts over.
TRANSFER_SECONDS=300

# begin_wait: before the loop that asks may_wait at each turn.
begin_wait() {
  MOVED=$SECONDS SAID=$SECONDS LOOKED=-$LOOK_SECONDS SEEN="" WORDS=""
  RECEIVED=0 NEWEST=0 BEGUN=0 TRANSFERS=0 EXPECTED="" SERVES=no
}

# sees THING [WORDS]: what there is, of which any change counts as movement, and how to say it.
sees() { SEEN=$1 WORDS=${2:-$WORDS}; }

# may_wait SECONDS LOOK [ARGUMENT...]: whether it is worth waiting; LOOK ends with "sees". False when nothing moved for SECONDS, or
# WAIT_LIMIT is reached.
may_wait() {
  local bound=$1 before=$SEEN
  shift
  if [ "$SECONDS" -ge "$((LOOKED + LOOK_SECONDS))" ]; then
    "$@" || true
    LOOKED=$SECONDS
    if [ "$SEEN" != "$before" ]; then
      MOVED=$SECONDS
      if [ -n "$WORDS" ] && [ "$SECONDS" -ge "$((SAID + SAY_SECONDS))" ]; then
        info "$WORDS" 2>&"$STEP_ERRORS"
        SAID=$SECONDS
      fi
    fi
  fi
  [ "$SECONDS" -lt "$((MOVED + bound))" ] && [ "$SECONDS" -lt "$WAIT_LIMIT" ]
}

# waited: of a wait that was given up, for how long nothing moved, and what moved last.
waited() {
  if [ "$SECONDS" -ge "$WAIT_LIMIT" ]; then
    printf 'and this step waits at most %s s' "$WAIT_LIMIT"
  else
    printf 'and there has been no progress for %s s' "$((SECONDS - MOVED))"
  fi
  if [ -n "$WORDS" ]; then printf ' (last: %s)' "$WORDS"; fi
}

# until_ready UNIT: Type=notify turns the unit active when the member has a quorum and serves clients. When it does not, says why on
# standard output, and fails.
until_ready() {
  local unit=$1 idle=$SECONDS restarts active first="" spun=no
  restarts=$(unit_property NRestarts "$unit") || {
    echo "systemd on this host does not report the state of $unit"
    return 1
  }
  begin_wait
  until active=$(unit_property ActiveState "$unit") && [ "$active" = active ]; do
    if ! may_wait "$READY_SECONDS" process_moves "$unit"; then
      printf 'etcd is not ready, %s; its unit is %s:\n%s\n' "$(waited)" "$active" "$(why "$unit")"
      return 1
    fi
    if [ "$TRANSFERS" -ge 2 ]; then
      transfer_too_slow
      return 1
    fi
    # Inactive also between "start --no-block" and the job's beginning, and in a restart between the stop, which clients that
    # watch hold up for seven seconds, and the start.
    case $active in inactive | failed) ;; *) idle=$SECONDS ;; esac
    if [ "$SECONDS" -ge "$((idle + 5))" ]; then
      printf 'etcd is not running (its unit is %s):\n%s\n' "$active" "$(why "$unit")"
      return 1
    fi
    if [ "$(unit_property NRestarts "$unit")" -gt "$((restarts + 1))" ]; then
      printf 'etcd exits at every start:\n%s\n' "$(why "$unit")"
      return 1
    fi
    # etcd that was given the leader's snapshot may never get past it (seen with 3.6.16 on a busy machine). The snapshot is on its disk
    # by then: started again, it reads it from there.
    first=${first:-$NEWEST}
    if [ "$spun" = no ] && [ "$NEWEST" != "$first" ] && [ "$SECONDS" -ge "$((MOVED + 20))" ]; then
      spun=yes
      info "restarting etcd: stuck publishing after receiving the leader's snapshot" 2>&"$STEP_ERRORS"
      begin_restart
    fi
    sleep 0.1
  done
}

wait_until_ready() {
  local words
  words=$(until_ready etcd.service) || fail "$words"
}

# begin_restart: returns when the old process is gone, whose unit would pass for the new one that is waited for next. A stop that
# takes longer is waited for there.
begin_restart() {
  local before deadline=$((SECONDS + 15))
  before=$(unit_property InvocationID)
  systemctl restart --no-block etcd.service
  until [ "$(unit_property InvocationID)" != "$before" ] || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.1; done
}

# process_moves UNIT: for may_wait: the leader's database comes in, the process reads and writes, or it loads its database. In steps,
# so that the little that an idle etcd does is no movement.
process_moves() {
  local received=0 newest=0 bytes=0 seconds=0 words=""
  if [ "$1" = etcd.service ]; then snapshots_here; fi
  work_of "$1"
  # With what has come in whole there is a newer snapshot of raft; else the transfer was broken off.
  if [ "$received" -lt "$RECEIVED" ] && [ "$newest" = "$BEGUN" ]; then TRANSFERS=$((TRANSFERS + 1)); fi
  if [ "$received" -eq 0 ] || [ "$received" -lt "$RECEIVED" ]; then BEGUN=$newest; fi
  if [ "$received" -gt 0 ]; then
    database_of_leader
    words="receiving the database: $(megabytes "$received")${EXPECTED:+ of $(megabytes "$EXPECTED")} MB"
  elif [ "$bytes" -ge 1048576 ]; then
    words="etcd is reading its data, $(megabytes "$bytes") MB read and written so far"
  elif [ "$seconds" -ge 5 ]; then
    words="etcd is loading its database, $seconds s of CPU time so far"
  fi
  RECEIVED=$received NEWEST=$newest
  sees "$received $newest $((bytes / 1048576)) $((seconds / 5))" "$words"
}

# snapshots_here: leaves in "received" how much there is of a database that the leader sends, and in "newest" the entry up to which
# this member's newest snapshot of raft goes, whose files are named TERM-INDEX.snap.
snapshots_here() {
  local size name
  received=0 newest=0
  while read -r size name; do
    [[ $size =~ ^[0-9]{1,15}$ ]] || continue
    case $name in
      tmp* | *.snap.db) received=$((received + size)) ;;
      *)
        name=${name##*-}
        name=${name%.snap}
        if [[ $name =~ ^[0-9a-f]{16}$ ]] && [ "$((16#$name))" -gt "$newest" ]; then newest=$((16#$name)); fi
        ;;
    esac
  done < <({ as_etcd find "$DATA/member/snap" -maxdepth 1 -type f \( -name 'tmp[0-9]*' -o -name '*.snap.db' -o -name '*-*.snap' \) \
    -printf '%s %f\n' 2>/dev/null || true; } | head -c 1048576)
}

# snapshot_index: the entry up to which this member's newest snapshot of raft goes.
snapshot_index() {
  local received newest
  snapshots_here
  printf '%s' "$newest"
}

# work_of UNIT: leaves in "bytes" what its process has read from and written to disks, and in "seconds" the processor time that it has
# used before it served its peers: what it uses later may be vain.
work_of() {
  local pid name value rest
  pid=$(unit_property MainPID "$1")
  [ "${pid:-0}" != 0 ] && [ -r "/proc/$pid/io" ] || return 0
  while IFS=': ' read -r name value; do
    case $name in read_bytes | write_bytes) bytes=$((bytes + value)) ;; esac
  done < <(cat "/proc/$pid/io" 2>/dev/null)
  [ "$SERVES" = no ] && rest=$(cat "/proc/$pid/stat" 2>/dev/null) || return 0
  # After the name, which may have anything in it, user and system time are the 12th and 13th field, in hundredths.
  read -ra value <<<"${rest##*) }"
  seconds=$(((value[11] + value[12]) / 100))
  if [ "$1" = etcd.service ] && [ "$seconds" -ge 5 ] && serves_peers; then SERVES=yes seconds=0; fi
}

# serves_peers: this host's etcd answers other members, which it does when it has loaded its data.
serves_peers() {
  local address
  address=$(awk -v node="$NODE" '$1 == node { print $2 }' "$STATE/nodes")
  https_get peer "$(url "$address" 2380)/version" >/dev/null 2>&1
}

# database_of_leader: leaves in EXPECTED how many bytes the leader's database has, if one of the others says so.
database_of_leader() {
  local endpoint leader
  [ -z "$EXPECTED" ] || return 0
  while read -r endpoint; do
    if answers "$endpoint" && leader=$(status_field "$endpoint" Leader) && [ "$(status_field "$endpoint" MemberID)" = "$leader" ]; then
      EXPECTED=$(status_field "$endpoint" DBSize) || EXPECTED=""
      return
    fi
  done < <(endpoints_of_others)
}

# transfer_too_slow: with what would do.
transfer_too_slow() {
  local needed=""
  if [ -n "$EXPECTED" ]; then needed=": at least $((EXPECTED * 8 / TRANSFER_SECONDS / 1000000 + 1)) Mbit/s"; fi
  printf "the leader has started %s times to send its database%s, and it did not arrive: etcd allows %s s, then starts over. The network between the hosts must be faster%s\n" \
    "$((TRANSFERS + 1))" "${EXPECTED:+ of $(megabytes "$EXPECTED") MB}" "$TRANSFER_SECONDS" "$needed"
}

# megabytes BYTES: of a million bytes each, as etcd has them in its log.
megabytes() { printf '%s' "$((($1 + 500000) / 1000000))"; }
