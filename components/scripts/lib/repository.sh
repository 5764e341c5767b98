#!/usr/bin/env bash
# The repository of restic that snapshots are pushed to, and come back from. Part of the jobs "backup" and "drill", of the steps "member"
# and "leave", and of the inspection. Asks for nothing that restic 0.11 of Debian 11 does not know.
# Takes NODE TOKEN REPOSITORY REPOSITORY_PASSWORD REPOSITORY_ENVIRONMENT REPOSITORY_CA REPOSITORY_KEY REPOSITORY_HOST_KEY BACKUP_KEEP
# BACKUP_PRUNE SNAPSHOT_CLUSTER, as $JOB_SETTINGS has them.

# MiB of restic's cache, of many snapshots less than ten.
MOST_CACHE=256
# For the SSH key and the server's host key.
REPOSITORY_PLACE=$STATE/jobs
# "DIGEST ID": of the name of the repository, and its own, as this host has found it there.
KNOWN_REPOSITORY=$STATE/results/repository
# Seconds for a question that takes no more than a few requests, and for a whole database.
ASK_SECONDS=60
TRANSFER_SECONDS=3600
# So many more it has to remove its locks.
RESTIC_ENDS=10
# For so many seconds a repository that somebody else has locked is waited for.
LOCK_PATIENCE=60
# restic refreshes its locks every five minutes; one that is older than this is nobody's, for restic too.
STALE_LOCK_SECONDS=1800
# A file for each restic on this host that may have a lock, "PID TIME", until it has ended by itself: other hosts may have this host's name, and so
# locks that look like its own.
RUNS=$JOB_CACHE/runs
# What list_snapshots ends with where there is no repository yet.
NO_REPOSITORY=3

# has_repository: one is configured. Without a backup there are no values at all.
has_repository() { [ -n "${REPOSITORY:-}" ]; }

# repository_name: for messages.
repository_name() {
  if [[ $REPOSITORY =~ ^([a-z0-9]+:)?([a-z]+://)[^/@]*@(.*)$ ]]; then
    printf '%s' "${BASH_REMATCH[1]}${BASH_REMATCH[2]}${BASH_REMATCH[3]}"
  else
    printf '%s' "$REPOSITORY"
  fi
}

# restic_here SECONDS ARGUMENT...: restic with this repository, its standard output as it is, its standard input RESTIC_INPUT. When it
# fails, standard error has its reason in one line.
restic_here() {
  local status=0 out words note
  if ! command -v restic >/dev/null; then
    echo "restic is not installed on this host; the next pulumi up installs it" >&2
    return 1
  fi
  write_ssh_files
  note=$(begin_run "$@")
  exec {out}>&1
  words=$( { run_restic "$note" "$@" 2>&1 >&"$out" {out}>&-; } | tail -c 16384) || status=$?
  exec {out}>&-
  if [ "$note" != /dev/null ] && [ "$status" -ne 137 ]; then rm -f "$note"; fi
  # 0.18 ends well when it may remove nothing.
  if [ "$status" -eq 0 ] && [ "$2" = forget ] && [[ $words == *"unable to remove"* ]]; then status=3; fi
  if [ "$status" -ne 0 ]; then reason_of_restic "$status" "$1" <<<"$words" >&2; fi
  return "$status"
}

# begin_run SECONDS ARGUMENT...: where the restic that is called so is noted. An inspection, and who only asks, locks nothing.
begin_run() {
  case " $* " in
    *" --no-lock "* | *" unlock "*) echo /dev/null ;;
    *) if [ -d "$JOB_CACHE" ]; then { mkdir -p "$RUNS" && mktemp "$RUNS/XXXXXXXX"; } 2>/dev/null || echo /dev/null; else echo /dev/null; fi ;;
  esac
}

# run_restic NOTE SECONDS ARGUMENT...: its secrets are in no argument, and in the environment of nobody but restic. It tidies up when it is
# interrupted, which 0.11 does not when it is terminated.
run_restic() (
  local note=$1 seconds=$2 line password ca
  local -a options=(--cleanup-cache)
  shift 2
  if [ -n "$REPOSITORY_KEY" ]; then options+=(-o "sftp.command=$(ssh_command)"); fi
  if [ -n "$REPOSITORY_CA" ]; then
    exec {ca}< <(printf '%s' "$REPOSITORY_CA")
    options+=(--cacert "/dev/fd/$ca")
  fi
  # An inspection leaves nothing behind.
  if [ -d "$JOB_CACHE" ]; then options+=(--cache-dir "$JOB_CACHE"); else options+=(--no-cache); fi
  exec {password}< <(printf '%s' "$REPOSITORY_PASSWORD")
  while IFS= read -r line; do
    if [[ $line =~ ^[A-Z_][A-Z0-9_]*= ]]; then export "${line?}"; fi
  done <<<"$REPOSITORY_ENVIRONMENT"
  export HOME=~root TZ=UTC RESTIC_REPOSITORY=$REPOSITORY RESTIC_PASSWORD_FILE=/dev/fd/$password
  # shellcheck disable=SC2016 # of the shell that becomes restic
  exec timeout --signal INT --kill-after "$RESTIC_ENDS" "$seconds" /bin/bash -p -c 'printf "%s %(%s)T\n" "$$" -1 >"$1"; shift; exec nice -n 10 restic "$@"' \
    - "$note" "${options[@]}" "$@" <"${RESTIC_INPUT:-/dev/null}"
)

# write_ssh_files: ssh takes its key from a file alone.
write_ssh_files() {
  [ -n "$REPOSITORY_KEY" ] || return 0
  install_file 0600 root:root "$REPOSITORY_PLACE/repository-key" <<<"${REPOSITORY_KEY%$'\n'}"
  install_file 0600 root:root "$REPOSITORY_PLACE/repository-host" <<<"repository $REPOSITORY_HOST_KEY"
}

# ssh_command: in one line, which restic takes apart at its blanks.
ssh_command() {
  local place=${REPOSITORY#sftp:} user host port
  case $place in
    //*) place=${place#//} place=${place%%/*} ;;
    *) place=${place%%:*} ;;
  esac
  [[ $place =~ ^(([A-Za-z0-9_][A-Za-z0-9_.+-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:([0-9]{1,5}))?$ ]] || return 1
  user=${BASH_REMATCH[2]} host=${BASH_REMATCH[3]} port=${BASH_REMATCH[5]}
  host=${host#[}
  printf '%s' "ssh -F none -i $REPOSITORY_PLACE/repository-key -o IdentitiesOnly=yes -o IdentityAgent=none -o BatchMode=yes" \
    " -o UserKnownHostsFile=$REPOSITORY_PLACE/repository-host -o GlobalKnownHostsFile=none -o HostKeyAlias=repository" \
    " -o StrictHostKeyChecking=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4" \
    "${port:+ -p $port}${user:+ -l $user} ${host%]} -s sftp"
}

# reason_of_restic STATUS SECONDS: from what restic said on standard error.
reason_of_restic() {
  local words line fatal="" ssh="" retry="" locked="" damage="" last="" reason
  # From 0.17 on the last words are JSON where the answer is.
  words=$(sed -E 's/\x1b\[[0-9;]*[A-Za-z]//g; s/^\{"message_type":"exit_error".*"message":"(.*)"\}$/\1/; s/\\n/\n/g; s/\\"/"/g')
  while IFS= read -r line; do
    case $line in
      *"Is there a repository at the following location"*) break ;;
      *"already locked"*) locked=${line#Fatal: } ;;
      "lock was created at "*) locked=${locked:+$locked, $line} ;;
      "Fatal: repository contains errors"*) ;;
      Fatal:* | *" Fatal: "*) fatal=${line##*Fatal: } ;;
      "subprocess ssh: "*) ssh=${line#subprocess ssh: } ssh="ssh: ${ssh#ssh: }" ;;
      *"returned error, retrying after "*) retry=${line#*retrying after } retry=${retry#*: } ;;
      "["*"] "* | "signal interrupt received"* | "") ;;
      [Pp]"ack "* | "error: "* | "error for tree "* | "Remove("*" failed: "* | *"does not exist in the repository"*) damage=${damage:-$line} ;;
      *) last=$line ;;
    esac
  done <<<"$words"
  if [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
    reason="no answer within $2 s${retry:+: $retry}"
    if [ -z "$retry" ] && [ -n "$ssh" ]; then reason="$reason: $ssh"; fi
  else
    reason=${locked:-${damage:-${ssh:-${fatal:-${retry:-${last:-restic ended with status $1}}}}}}
  fi
  case $reason in
    *"wrong password"*) reason="$reason; etcd:backup.password is not the password of this repository" ;;
  esac
  while IFS= read -r line; do
    line=${line#*=}
    if [ "${#line}" -ge 4 ]; then reason=${reason//"$line"/***}; fi
  done <<<"=$REPOSITORY_PASSWORD"$'\n'"$REPOSITORY_ENVIRONMENT"
  sed -E 's#//[^/@ ]*@#//#g' <<<"$reason" | printable | cut -c 1-400
}

# locking_restic SECONDS ARGUMENT...: as restic_here, with all words on standard output. While somebody else has the repository locked it
# tries again, and what a process that is gone has left locked is unlocked.
locking_restic() {
  local words status unlocked=0 deadline=$((SECONDS + LOCK_PATIENCE))
  while true; do
    status=0
    words=$(restic_here "$@" 2>&1) || status=$?
    if [ "$status" -eq 0 ] || [[ $words != *"already locked"* ]]; then break; fi
    if [ "$unlocked" -lt 3 ] && clear_dead_locks "$words"; then
      unlocked=$((unlocked + 1))
      continue
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then break; fi
    sleep 5
  done
  printf '%s\n' "$words"
  return "$status"
}

# clear_dead_locks WORDS: after a conflict; fails when one of the locks is somebody's who may be at work. To find out, restic asks a process of
# its own host for a sign of life with SIGHUP, which ends etcd if it has that number by now. So restic is only told to unlock where none has it,
# or where it does not ask, because of the time.
clear_dead_locks() {
  local id list lock dead=0
  # An exclusive lock is alone, and 0.11 does not show it.
  if [[ $1 == *" exclusively by PID "* ]]; then
    [[ $1 =~ by\ PID\ ([0-9]{1,10})\ on\ ([^\ ]+)\ by\ .*lock\ was\ created\ at\ ([0-9]{4}-[0-9]{2}-[0-9]{2}\ [0-9:]{8}) ]] || return 1
    judge_lock "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[3]}Z" || return 1
  else
    list=$(restic_here "$ASK_SECONDS" list locks --no-lock 2>/dev/null) || return 1
    while read -r id; do
      [[ $id =~ ^[0-9a-f]{64}$ ]] || continue
      lock=$(restic_here "$ASK_SECONDS" cat lock "$id" --no-lock 2>/dev/null) || continue
      [[ $lock =~ \"time\":\ *\"([0-9T:-]{19})[^\"]*([Z]|[+-][0-9:]{5})\" ]] || return 1
      judge_lock "$(field_of_lock pid "$lock")" "$(field_of_lock hostname "$lock")" "${BASH_REMATCH[1]}${BASH_REMATCH[2]}" || return 1
      dead=$((dead + 1))
    done <<<"$list"
    # restic judges all that there are, by its own rule.
    [ "$dead" -gt 0 ] && [ "$(restic_here "$ASK_SECONDS" list locks --no-lock 2>/dev/null)" = "$list" ] || return 1
  fi
  restic_here "$ASK_SECONDS" unlock >/dev/null 2>&1
}

# field_of_lock NAME JSON
field_of_lock() {
  case $1 in
    pid) [[ $2 =~ \"pid\":\ *([0-9]{1,10}) ]] && printf '%s' "${BASH_REMATCH[1]}" ;;
    hostname) [[ $2 =~ \"hostname\":\ *\"([^\"]*)\" ]] && printf '%s' "${BASH_REMATCH[1]}" ;;
  esac
}

# judge_lock PID HOST TIME: whether it is nobody's any more.
judge_lock() {
  local created
  created=$(date -u -d "$3" +%s 2>/dev/null) || return 1
  if [ "$(($(date +%s) - created))" -gt "$STALE_LOCK_SECONDS" ]; then return 0; fi
  [ "$2" = "$(uname -n)" ] && ran_here "$1" "$created" && ! program_of "$1" >/dev/null
}

# ran_here PID TIME: a restic of this host had that number, may have made a lock then, and has not ended by itself.
ran_here() { cat "$RUNS"/* 2>/dev/null | awk -v pid="$1" -v created="$2" '$1 == pid && $2 <= created { found = 1 } END { exit !found }'; }

# program_of PID: its name; fails when there is no such process, or one that has ended and that nobody has been told of. Who may not look
# into a process may read this.
program_of() {
  local key value name="" alive=Z
  { while IFS=$'\t' read -r key value; do
    case $key in
      Name:) name=$value ;;
      State:) alive=$value ;;
    esac
  done <"/proc/$1/status"; } 2>/dev/null || return 1
  [[ $alive != [ZX]* ]] && printf '%s' "$name"
}

# restic_runs: on this host.
restic_runs() {
  local file name
  for file in /proc/[0-9]*/comm; do
    if read -r name 2>/dev/null <"$file" && [ "$name" = restic ]; then
      file=${file%/comm}
      if [ "$(program_of "${file##*/}" || true)" = restic ]; then return 0; fi
    fi
  done
  return 1
}

# bound_cache: before the repository is written to.
bound_cache() {
  local size
  mkdir -p "$JOB_CACHE"
  chmod 0700 "$JOB_CACHE"
  if restic_runs; then return 0; fi
  # Of a check that was killed.
  rm -rf "$JOB_CACHE"/restic-check-cache-*
  # By then their locks are nobody's in any case.
  find "$RUNS" -type f -mmin +1440 -delete 2>/dev/null || true
  size=$(du -sm -- "$JOB_CACHE" 2>/dev/null | cut -f 1) || size=0
  if [ "${size:-0}" -gt "$MOST_CACHE" ]; then find "$JOB_CACHE" -mindepth 1 -maxdepth 1 ! -path "$RUNS" -exec rm -rf {} +; fi
}

# list_snapshots: a line each, the oldest first: "ID TIME REVISION SIZE CLUSTER RELEASE HASH NODE OWNER", with the token of the stack that it
# is of as its owner, and "-" for what a snapshot of somebody else does not have. When it fails, the reason instead.
list_snapshots() {
  local words line status=0 id time owner name value
  local -A facts
  words=$(restic_here "$ASK_SECONDS" snapshots --no-lock --json 2>&1) || status=$?
  if [ "$status" -ne 0 ]; then
    words=${words##*$'\n'}
    printf '%s\n' "$words"
    if is_no_repository "$status" "$words"; then return "$NO_REPOSITORY"; fi
    return 1
  fi
  while IFS= read -r line; do
    [[ $line =~ \"id\":\"([0-9a-f]{8})[0-9a-f]{56}\",\"short_id\" ]] || continue
    id=${BASH_REMATCH[1]} time=- owner=- facts=()
    if [[ $line =~ \"time\":\"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?Z\" ]]; then time=${BASH_REMATCH[1]}Z; fi
    if [[ $line =~ \"hostname\":\"([A-Za-z0-9._-]{1,255})\" ]]; then owner=${BASH_REMATCH[1]}; fi
    if [[ $line =~ \"tags\":\[([^]]*)\] ]]; then line=${BASH_REMATCH[1]}; else line=""; fi
    while [[ $line =~ ^,?\"([a-z]+)=([A-Za-z0-9._+-]{1,255})\"(.*)$ ]]; do
      name=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]} line=${BASH_REMATCH[3]}
      if is_fact "$name" "$value"; then facts[$name]=$value; fi
    done
    printf '%s\n' "$id $time ${facts[revision]--} ${facts[size]--} ${facts[cluster]--} ${facts[release]--} ${facts[hash]--} ${facts[node]--} $owner"
  done < <(printf '%s\n' "$words" | sed 's/"short_id":"[0-9a-f]*"}/&\n/g')
}

# is_fact NAME VALUE: as a tag of ours has it.
is_fact() {
  case $1 in
    revision) [[ $2 =~ ^[0-9]{1,19}$ ]] ;;
    size) [[ $2 =~ ^[0-9]{1,15}$ ]] ;;
    cluster) [[ $2 =~ ^[0-9a-f]{1,16}$ ]] ;;
    hash) [[ $2 =~ ^[0-9a-f]{1,8}$ ]] ;;
    release) [[ $2 =~ ^[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}([-+][0-9A-Za-z.-]{1,64})?$ ]] ;;
    node) true ;;
    *) false ;;
  esac
}

# is_no_repository STATUS WORDS: the server or the disk has answered, and has none there. restic has a status for that since 0.17.
is_no_repository() {
  [ "$1" -eq 10 ] || { [[ $2 =~ (does not exist|no such file or directory|not found|404) ]] && [[ ! $2 =~ (executable|no such host) ]]; }
}

# of_clusters CLUSTERS: of the lines of list_snapshots those of one of these, comma separated, of which everything is known.
of_clusters() { awk -v clusters=",$1," '$2 != "-" && $3 != "-" && $4 != "-" && $6 != "-" && $7 != "-" && index(clusters, "," $5 ",")'; }

# newest: of the lines of list_snapshots. In one cluster it is the one with the highest revision, whatever the clocks of the hosts were.
newest() {
  sort -k 5,5 -k 3,3n -k 2,2 | awk '{ last[$5] = $0 } END { for (cluster in last) print last[cluster] }' | sort -k 2,2 | tail -n 1
}

# latest_snapshot CLUSTERS: "ID TIME REVISION SIZE CLUSTER RELEASE HASH" of the newest one of these clusters; when it fails, the reason instead.
latest_snapshot() {
  local list found
  list=$(list_snapshots) || {
    printf '%s\n' "$list"
    return 1
  }
  found=$(of_clusters "$1" <<<"$list" | newest | cut -d ' ' -f 1-7)
  if [ -z "$found" ]; then
    echo "it has no snapshot of cluster ${1//,/ or }"
    return 1
  fi
  printf '%s\n' "$found"
}

# find_snapshot ID: the same of the one whose ID begins so, with "-" for what is not known.
find_snapshot() {
  local list found
  list=$(list_snapshots) || {
    printf '%s\n' "$list"
    return 1
  }
  # In the list are the first eight digits.
  found=$(awk -v id="${1:0:8}" '$1 == id' <<<"$list" | cut -d ' ' -f 1-7)
  if [ "$(wc -l <<<"$found")" -ne 1 ] || [ -z "$found" ]; then
    echo "it has no snapshot $1"
    return 1
  fi
  printf '%s\n' "$found"
}

# open_repository CLUSTER: the lines of list_snapshots, after it was made where there was none; when it fails, the reason instead. One that has
# snapshots, and none of this cluster or of one that it came from, is somebody else's.
open_repository() {
  local list words known id status=0
  bound_cache
  known=$(known_repository)
  list=$(list_snapshots) || status=$?
  if [ "$status" -eq "$NO_REPOSITORY" ]; then
    if [ -n "$known" ]; then
      echo "there was a repository before, and there is none now: $list; is its disk mounted? To begin a new one there, remove $KNOWN_REPOSITORY on every host"
      return 1
    fi
    words=$(restic_here "$ASK_SECONDS" init 2>&1) || {
      printf '%s\n' "there is none yet, and it cannot be made: ${words##*$'\n'}"
      return 1
    }
    list=""
    info "made the repository $(repository_name)"
  elif [ "$status" -ne 0 ]; then
    printf '%s\n' "$list"
    return 1
  fi
  if [ -n "$list" ] && ! awk -v owner="$TOKEN" -v clusters=" $1 $(clusters_before | paste -sd ' ' -) " '$9 == owner || index(clusters, " " $5 " ") { ours = 1 } END { exit !ours }' <<<"$list"; then
    echo "it has $(wc -l <<<"$list") snapshots, and none of cluster $1: nothing was written there; set etcd:backup.repository to a place of its own"
    return 1
  fi
  id=$(repository_id) || {
    printf '%s\n' "$id"
    return 1
  }
  if [ -n "$known" ] && [ "$known" != "$id" ]; then
    echo "another repository is there (ID ${id:0:10}) than before (${known:0:10}), and nothing was written to it; is the right disk mounted? To go on with this one, remove $KNOWN_REPOSITORY on every host"
    return 1
  fi
  note_repository "$id"
  if [ -n "$list" ]; then printf '%s\n' "$list"; fi
}

# repository_id: of the one that is there; when it fails, the reason instead.
repository_id() {
  local words
  words=$(restic_here "$ASK_SECONDS" cat config --no-lock 2>&1) || {
    printf '%s\n' "${words##*$'\n'}"
    return 1
  }
  if ! [[ $words =~ \"id\":\ *\"([0-9a-f]{64})\" ]]; then
    echo "restic does not say which repository is there"
    return 1
  fi
  printf '%s\n' "${BASH_REMATCH[1]}"
}

# known_repository: the ID of the one that this host has last found under this name; nothing where it has found none.
known_repository() {
  local digest id
  read -r digest id 2>/dev/null <"$KNOWN_REPOSITORY" || return 0
  if [ "$digest" = "$(name_digest)" ] && [[ $id =~ ^[0-9a-f]{64}$ ]]; then printf '%s\n' "$id"; fi
}

# note_repository ID
note_repository() { install_file 0600 root:root "$KNOWN_REPOSITORY" <<<"$(name_digest) $1"; }

name_digest() { sha256sum <<<"$REPOSITORY" | cut -d ' ' -f 1; }

# remember_repository: on a host that does not push: once its member leads, it makes none beside the one that there is, for whatever reason it
# does not see it then.
remember_repository() {
  local id
  if ! has_repository || [ -n "$(known_repository)" ]; then return 0; fi
  if id=$(repository_id); then note_repository "$id"; else info "the repository $(repository_name) is not seen from here: $id"; fi
}

# clusters_before: those that this one was recovered from, as far as this host knows.
clusters_before() {
  local file
  if [ -n "${SNAPSHOT_CLUSTER:-}" ]; then printf '%s\n' "$SNAPSHOT_CLUSTER"; fi
  cat "$RECOVERED" 2>/dev/null || true
  for file in "$BACKUPS"/restored-*-*.db; do
    file=${file##*/restored-}
    if [[ $file =~ ^([0-9a-f]{1,16})-[0-9a-f]{8}\.db$ ]]; then printf '%s\n' "${BASH_REMATCH[1]}"; fi
  done
}

# push_snapshot FILE CLUSTER RELEASE WHY: its ID; when it fails, the reason instead. The file has been verified.
push_snapshot() {
  local facts words revision hash size
  facts=$(snapshot_facts "$1") || {
    printf '%s\n' "$facts"
    return 1
  }
  read -r revision hash size <<<"$facts"
  words=$(RESTIC_INPUT=$1 locking_restic "$TRANSFER_SECONDS" backup --stdin --stdin-filename etcd.db --host "$TOKEN" \
    --time "$(date -u -d "@$(stat -c %Y "$1")" '+%Y-%m-%d %H:%M:%S')" \
    --tag "cluster=$2" --tag "revision=$revision" --tag "release=$3" --tag "node=$NODE" --tag "hash=$hash" --tag "size=$size" --tag "why=$4") || {
    printf '%s\n' "${words##*$'\n'}"
    return 1
  }
  if ! [[ $words =~ snapshot\ ([0-9a-f]{8})[0-9a-f]*\ saved ]]; then
    echo "restic did not say that it saved a snapshot"
    return 1
  fi
  printf '%s\n' "${BASH_REMATCH[1]}"
}

# fetch_snapshot ID FILE [CLUSTERS]: FILE is the snapshot afterwards, and what its tags say of it is so; when it fails, the reason. Of one of
# these clusters, if they are given.
fetch_snapshot() {
  local facts words id revision size cluster hash free found
  facts=$(find_snapshot "$1") || {
    printf '%s\n' "$facts"
    return 1
  }
  read -r id _ revision size cluster _ hash <<<"$facts"
  if [[ " $facts " == *" - "* ]]; then
    echo "snapshot $id was not made by this program"
    return 1
  fi
  if [ -n "${3:-}" ] && [[ ,$3, != *,"$cluster",* ]]; then
    echo "snapshot $id is of cluster $cluster, not of ${3//,/ or }; set etcd:recover.snapshotCluster to $cluster if that is the one"
    return 1
  fi
  (umask 077 && mkdir -p "${2%/*}")
  free=$(df -B 1 --output=avail -- "${2%/*}" | tail -n 1)
  if [ "$free" -lt "$size" ]; then
    echo "snapshot $id has $size bytes, and the disk of ${2%/*} has $free bytes free"
    return 1
  fi
  words=$({ umask 077 && restic_here "$TRANSFER_SECONDS" dump --no-lock "$id" /etcd.db >"$2.part"; } 2>&1) || {
    rm -f "$2.part"
    printf '%s\n' "snapshot $id cannot be read: ${words##*$'\n'}"
    return 1
  }
  found=$(snapshot_facts "$2.part") || found="- - $found"
  if [ "$found" != "$revision $hash $size" ]; then
    rm -f "$2.part"
    case $found in
      "- - "*) printf '%s\n' "snapshot $id does not verify: ${found#- - }" ;;
      *) printf '%s\n' "snapshot $id is not what was pushed: revision, hash and size are $found, and its tags say $revision $hash $size" ;;
    esac
    return 1
  fi
  mv -T "$2.part" "$2"
}

# All snapshots of so long stay: BACKUP_KEEP counts one an hour, and there may be more.
KEEP_WITHIN=2h

# forget_old: what BACKUP_KEEP has no place for, of this stack alone; its data goes with the next prune. The last snapshot of a cluster that
# was destroyed stays. When it fails, the reason.
forget_old() {
  local words
  local -a keep
  read -ra keep <<<"$BACKUP_KEEP"
  words=$(locking_restic "$ASK_SECONDS" forget --host "$TOKEN" --group-by host --keep-within "$KEEP_WITHIN" --keep-hourly "${keep[0]}" --keep-daily "${keep[1]}" \
    --keep-weekly "${keep[2]}" --keep-monthly "${keep[3]}" --keep-tag why=final) || {
    printf '%s\n' "${words##*$'\n'}"
    return 1
  }
}

# push_beside FILE CLUSTER RELEASE WHY: by a step that has taken a snapshot. It does not stop for the repository: the file stays on this host.
push_beside() {
  local words
  [ -f "$JOB_SETTINGS" ] || return 0
  if words=$(push_in_time "$@"); then
    if [ -n "$words" ]; then info "$words"; fi
  else
    info "the snapshot was not pushed, and is on this host alone: ${words##*$'\n'}"
  fi
}

# push_in_time: within four minutes.
push_in_time() {
  local words end=$((SECONDS + 240))
  # shellcheck disable=SC1090 # quoted assignments
  . "$JOB_SETTINGS"
  has_repository || return 0
  ASK_SECONDS=30 LOCK_PATIENCE=60
  words=$(open_repository "$2") || {
    printf '%s\n' "repository $(repository_name): $words"
    return 1
  }
  TRANSFER_SECONDS=$((end - SECONDS - LOCK_PATIENCE))
  words=$(push_snapshot "$@") || {
    printf '%s\n' "repository $(repository_name): $words"
    return 1
  }
  printf '%s\n' "snapshot $words of it is in the repository $(repository_name)"
}
