#!/usr/bin/env bash
# Job "backup": a snapshot of this cluster that another member vouches for, kept on this host and pushed to the repository. Of the hosts, all of
# which have the timer, the leader's takes it. Takes what lib/repository.sh takes, PKI and BACKUP_LOCAL.

export JOB_SCRIPT=backup

# Of the disk of $BACKUPS so many percent stay free.
LEAST_FREE_PERCENT=10
# So often a snapshot is taken again that cannot be compared because the members are being compacted.
COMPARISONS=3
# Seconds between them, and in which a member catches up with a snapshot of the leader's.
COMPARE_PAUSE=2
# Weekly checks after which all data was read once.
CHECK_PARTS=4
CHECK_SECONDS=3000
# By so many seconds the clocks of two hosts may differ, where the schedule is no finer than four times that.
CLOCKS_DIFFER=60

run() {
  local cluster release file facts words list="" refusal="" id=-
  # An up that is at work may move the leadership.
  wait_for_up
  if ! is_leader; then
    remember_repository
    return
  fi
  # A check holds a lock for as long as it reads, and for as long as it prunes.
  export LOCK_PATIENCE=$((2 * CHECK_SECONDS + 300))
  if ! cluster=$(status_field "$LOCAL" ClusterID) || ! release=$(status_field "$LOCAL" Version); then fail "$NO_STATUS"; fi
  if has_repository; then
    doing "asking the repository"
    if ! list=$(open_repository "$cluster"); then
      refusal=${list:-"it was not asked to the end"}
    elif words=$(slot_of_another "$cluster" <<<"$list"); then
      info "nothing to do: $words"
      return
    fi
  fi
  # The leadership may move while it waits. Who leads then has ended by now, so this host takes the snapshot all the same.
  begin_job
  # shellcheck disable=SC2153 # NODE is a value, node a neighbour
  file=$BACKUPS/scheduled-$NODE-$(date -u +%Y%m%dT%H%M%SZ).db
  take_compared "$file"
  end_job
  facts=$(snapshot_facts "$file") || fail "$file does not verify any more: $facts"
  if has_repository && [ -z "$refusal" ]; then
    doing "pushing $file"
    if id=$(push_snapshot "$file" "$cluster" "$release" scheduled); then
      words=$(end_backup "$file" "$list") || words="old snapshots are not removed from the repository $(repository_name): $words"
    else
      refusal=${id:-"restic was not run to its end"}
    fi
  fi
  finish "$file" "$facts" "$id" "$refusal" "${words:-}"
}

NO_STATUS="its member does not answer on $LOCAL; check journalctl --unit etcd"

# end_backup FILE LIST: after a push. What is said is no reason to do it again. LIST is as list_snapshots has it: restic's policy counts from the
# latest one on, so where another one is from later it could remove the one that was just pushed.
end_backup() {
  local taken later
  if [ "$BACKUP_PRUNE" != yes ]; then return 0; fi
  taken=$(date -u -d "@$(stat -c %Y "$1")" +%Y-%m-%dT%H:%M:%SZ)
  later=$(awk -v owner="$TOKEN" -v taken="$taken" '$9 == owner && $2 > taken { print $1, "of", $2; exit }' <<<"$2")
  if [ -n "$later" ]; then
    echo "snapshot $later is from later than this one of $taken; check the clocks of the hosts"
    return 1
  fi
  # The next run does what this one does not.
  LOCK_PATIENCE=60 forget_old
}

# finish FILE FACTS ID REFUSAL WORDS: what stays on this host, and the result.
finish() {
  local revision hash size
  read -r revision hash size <<<"$2"
  if [ -n "$4" ]; then
    keep_newest "$(least_kept)" "$1"
    job_result failed "$revision" "$size" "$hash" "$1" "not pushed to the repository $(repository_name): $4"
    return
  fi
  keep_newest "$BACKUP_LOCAL" "$1"
  remove_restored
  if has_repository; then
    job_result ok "$revision" "$size" "$hash" "$3" "$5"
  else
    job_result ok "$revision" "$size" "$hash" "$1"
  fi
}

# slot_of_another CLUSTER: of the lines of list_snapshots: since the timer has started this job, a host that led before has pushed one of this
# cluster; in words, or fails.
slot_of_another() {
  local line id time node interval differ=$CLOCKS_DIFFER
  [ -n "$ELAPSED" ] || return 1
  read -r interval 2>/dev/null <"$STATE/jobs/etcd-backup.interval" || return 1
  [[ $interval =~ ^[0-9]{1,9}$ ]] || return 1
  if [ "$((interval / 4))" -lt "$differ" ]; then differ=$((interval / 4)); fi
  line=$(awk -v owner="$TOKEN" -v cluster="$1" -v node="$NODE" '$9 == owner && $5 == cluster && $8 != node && $8 != "-" { print $1, $2, $8 }' |
    sort -k 2 | tail -n 1)
  [ -n "$line" ] || return 1
  read -r id time node <<<"$line"
  time=$(date -d "$time" +%s 2>/dev/null) || return 1
  [ "$time" -ge "$((ELAPSED - differ))" ] && [ "$time" -le "$(($(date +%s) + differ))" ] || return 1
  printf '%s pushed the snapshot %s since this job was due\n' "$node" "$id"
}

# take_compared FILE: FILE exists afterwards only if it counts as a backup.
take_compared() {
  local turn=0 words=""
  (umask 077 && mkdir -p "$BACKUPS")
  # Of a run that was killed.
  rm -f "$BACKUPS/scheduled-$NODE"-*.part
  make_room
  while [ "$turn" -lt "$COMPARISONS" ]; do
    turn=$((turn + 1))
    doing "taking a snapshot"
    words=$(take_snapshot "$1.part") || fail "the snapshot failed: $words"
    doing "comparing the snapshot with another member"
    if words=$(compare "$1.part"); then
      mv -T "$1.part" "$1"
      return
    elif [ "$?" -ne "$AGAIN" ]; then
      break
    fi
    sleep "$COMPARE_PAUSE"
  done
  rm -f "$1.part"
  fail "the snapshot does not count as a backup and was deleted: $words"
}

# What compare ends with when the same may come out well a moment later.
AGAIN=4

# compare FILE: whether this member's data is that of another one. From 3.6 on etcdutl hashes the file itself, which takes a copy: it finishes
# compactions in it. Of 3.5 the members are compared with each other, up to a revision that is in the file. When it fails, the reason.
compare() {
  local answer revision own its="its" copy=${1%.part}-hash.part
  if etcdutl_in_time hashkv --help >/dev/null 2>&1; then
    answer=$({ umask 077 && cp --reflink=auto "$1" "$copy" && etcdutl_in_time hashkv "$copy" --write-out json; } 2>&1) || {
      rm -f "$copy"
      echo "etcdutl cannot hash it: $(tail -n 1 <<<"$answer")"
      return 1
    }
    rm -f "$copy"
    [[ $answer =~ \"hash\":([0-9]+),\"hashRevision\":([0-9]+),\"compactRevision\":(-?[0-9]+) ]] || {
      echo "etcdutl does not say what it hashes to"
      return 1
    }
    revision=${BASH_REMATCH[2]} own="${BASH_REMATCH[1]} ${BASH_REMATCH[3]}"
  else
    its="this member's"
    if ! revision=$(status_field "$LOCAL" Revision) || ! own=$(hash_at "$LOCAL" "$revision"); then
      echo "$NO_STATUS"
      return "$AGAIN"
    fi
  fi
  compare_with_members "$revision" "$own" "$its"
}

# compare_with_members REVISION HASH WHOSE: HASH as hash_at has it. With the first other voter that answers; where there is none, with its own.
compare_with_members() {
  local list own id name peers learner started others=0 found=""
  if ! list=$(members "$LOCAL") || ! own=$(status_field "$LOCAL" MemberID); then
    echo "$NO_STATUS"
    return "$AGAIN"
  fi
  while read -r id name peers learner started; do
    if [ "$id" = "$own" ] || [ "$learner" = true ]; then continue; fi
    others=$((others + 1))
    if [ "$started" = yes ] && found=$(hash_when_there "$(client_url "$peers")" "$1"); then break; fi
  done <<<"$list"
  if [ "$others" -eq 0 ]; then
    name="this member"
    found=$(hash_at "$LOCAL" "$1") || found=""
  fi
  if [ -z "$found" ]; then
    echo "no other member could be asked for its hash at revision $1"
    return "$AGAIN"
  elif [ "${found#* }" != "${2#* }" ]; then
    echo "it is compacted at revision ${2#* }, and $name at ${found#* }"
    return "$AGAIN"
  elif [ "$found" != "$2" ]; then
    echo "$3 hash at revision $1 is ${2% *}, and that of $name is ${found% *}: the members' data differs; npm run etcdctl -- endpoint hashkv --cluster shows where"
    return 1
  fi
}

# hash_when_there ENDPOINT REVISION: of a member that may be a moment behind.
hash_when_there() { hash_at "$@" || { sleep "$COMPARE_PAUSE" && hash_at "$@"; }; }

# make_room: a full disk may be etcd's own. A snapshot takes as much as the database, and its copy that is hashed again.
make_room() {
  local needed free total mount
  needed=$(status_field "$LOCAL" DBSize) || fail "$NO_STATUS"
  needed=$((needed * 2))
  keep_newest "$(least_kept)"
  { read -r && read -r total free mount; } < <(df -B 1 --output=size,avail,target -- "$BACKUPS") || true
  if ! [[ ${total:-} =~ ^[0-9]+$ ]] || [ "$((free - needed))" -ge "$((total * LEAST_FREE_PERCENT / 100))" ]; then return; fi
  fail "no snapshot was taken, because $mount, the disk of $BACKUPS, has $((free / 1048576)) MiB free, and a snapshot of $((needed / 2097152)) MiB and its copy would leave less than $LEAST_FREE_PERCENT % of it; free some space, enlarge the disk, or set etcd:backup.local to a smaller number"
}

# scheduled_files: what this job has kept on this host, the oldest first. Nothing else in $BACKUPS is this job's.
scheduled_files() {
  local file
  for file in "$BACKUPS/scheduled-$NODE"-*.db; do
    if [[ ${file#"$BACKUPS/scheduled-$NODE-"} =~ ^[0-9]{8}T[0-9]{6}Z\.db$ ]] && [ -f "$file" ] && [ ! -L "$file" ]; then printf '%s\n' "$file"; fi
  done
}

# least_kept: one that could not be pushed is nowhere else, and stays until another one is there.
least_kept() { echo "$((BACKUP_LOCAL > 0 ? BACKUP_LOCAL : 1))"; }

# keep_newest COUNT [FILE]: the newest by their names, and FILE first of all: the clock may have been ahead when others were taken.
keep_newest() {
  local file
  { scheduled_files | grep -vxF -e "${2:--}" || true; if [ "$1" -gt 0 ] && [ -n "${2:-}" ]; then printf '%s\n' "$2"; fi; } |
    head -n "-$1" | while read -r file; do rm -f "$file"; done
  if [ "$1" -eq 0 ] && [ -n "${2:-}" ]; then rm -f "$2"; fi
}

# remove_restored: what a recovery has fetched from the repository (recovery.sh), which has a snapshot of the recovered cluster by now.
remove_restored() {
  local file
  for file in "$BACKUPS"/restored-*.db; do
    if [[ ${file##*/} =~ ^restored-[0-9a-f]{1,16}-[0-9a-f]{8}\.db$ ]] && [ -f "$file" ] && [ ! -L "$file" ]; then rm -f "$file"; fi
  done
}

# check: of the repository, which touches nothing of etcd. Reads a part of all data, another one each week.
check() {
  local cluster words part
  if ! is_leader; then return; fi
  export LOCK_PATIENCE=600
  cluster=$(status_field "$LOCAL" ClusterID) || fail "$NO_STATUS"
  # Nothing is removed from somebody else's.
  words=$(open_repository "$cluster") || fail "the repository $(repository_name) was not checked: $words"
  doing "checking the repository"
  part=$(($(date +%s) / 604800 % CHECK_PARTS + 1))
  words=$(check_part "$part") || fail "the repository $(repository_name) has errors, or cannot be checked: ${words##*$'\n'}"
  # Only of what is whole: what is left over may be what a repair is made of.
  if [ "$BACKUP_PRUNE" = yes ]; then
    doing "pruning the repository"
    words=$(locking_restic "$CHECK_SECONDS" prune) || fail "the repository $(repository_name) cannot be pruned: ${words##*$'\n'}"
  fi
  job_result ok - - - -
}

# check_part NUMBER: with credentials that only append no lock can be removed, so there may be any number of old ones.
check_part() {
  local words
  local -a options=(--read-data-subset "$1/$CHECK_PARTS")
  words=$(locking_restic "$CHECK_SECONDS" check "${options[@]}") || {
    if [ "$BACKUP_PRUNE" = yes ] || [[ $words != *"already locked"* ]]; then
      printf '%s\n' "$words"
      return 1
    fi
    restic_here "$CHECK_SECONDS" check --no-lock "${options[@]}" 2>&1
  }
}
