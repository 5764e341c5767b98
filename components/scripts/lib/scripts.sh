#!/usr/bin/env bash
# The scripts of the steps and the jobs on this host. An up that has inspected it sends those that it lacks, by the session that holds the lock; a
# step's standard input names its own (load.sh). The disk keeps them, because a destroy runs them and sends none.

export SCRIPTS=$STATE/scripts
# Until the first step has finished on this host.
export ARRIVED=/run/etcd-on-pulumi.scripts
# Of each step so many are kept, because one that was not run again has an older one in the state.
GENERATIONS=3

# tell_scripts: the names of those that are here and whole. Each ends in the beginning of its digest.
tell_scripts() {
  local place=$ARRIVED digest file
  if [ -d "$STATE" ]; then place=$SCRIPTS; fi
  [ -d "$place" ] || return 0
  { sha256sum "$place"/*.sh 2>/dev/null || true; } | while read -r digest file; do
    file=${file##*/}
    if [[ $file == *-"${digest:0:16}".sh ]]; then printf 'script %s\n' "${file%.sh}"; fi
  done
}

# whole_script NAME: the file that has it, and has it whole.
whole_script() {
  local file
  for file in "$SCRIPTS/$1.sh" "$ARRIVED/$1.sh"; do
    if [ -s "$file" ] && [[ $(sha256sum <"$file") == "${1##*-}"* ]]; then
      printf '%s' "$file"
      return
    fi
  done
  return 1
}

# take_script NAME LENGTH: so many characters of standard input, packed. What cannot be taken ends the session, and so the run.
take_script() {
  local file=$ARRIVED/$1.sh words
  [[ $1 =~ ^[a-z]+-[0-9a-f]{16}$ && $2 =~ ^[0-9]{1,7}$ ]] || fail "cannot take the script \"$1\": not one of this program's"
  words=$(umask 077 && { mkdir -p "$ARRIVED" && timeout "$SILENCE_SECONDS" head -c "$2" | base64 -d | gzip -d >"$file.new"; } 2>&1) ||
    fail "cannot write $file: ${words##*: }"
  [[ $(sha256sum <"$file.new") == "${1##*-}"* ]] || fail "cannot take the script $1: it did not arrive whole"
  mv -fT "$file.new" "$file"
  prune_scripts "$ARRIVED" "${1%-*}"
  # Where the disk takes nothing more the steps say so.
  if [ -d "$STATE" ]; then (keep_script "$1") 2>/dev/null || true; fi
}

# forget_scripts: of a run none of whose steps has begun here: no delete of one would remove them.
forget_scripts() { rm -rf "$ARRIVED"; }

# take_version VERSION: of the program whose up this is.
take_version() {
  [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]{1,64})?$ ]] || return 0
  (umask 077 && mkdir -p "$ARRIVED" && printf '%s\n' "$1" >"$ARRIVED/version") 2>/dev/null || return 0
  if [ -d "$STATE" ]; then (keep_version) 2>/dev/null || true; fi
}

keep_version() { install_file 0644 root:root "$STATE/version" <"$ARRIVED/version"; }

# keep_own_script: by a step that has finished, and with its own the others that have arrived: a step whose receipt is from before, on a
# disk that was lost since, has none here. One that was sent whole has no name.
keep_own_script() {
  [ -n "${SCRIPT:-}" ] || return 0
  keep_scripts
  if [ -e "$SCRIPTS/$SCRIPT.sh" ]; then touch "$SCRIPTS/$SCRIPT.sh"; fi
  prune_scripts "$SCRIPTS" "${SCRIPT%-*}"
  # Its step has no apply that could.
  prune_scripts "$SCRIPTS" leave
}

# keep_scripts: those that have arrived.
keep_scripts() {
  local file
  for file in "$ARRIVED"/*.sh; do
    file=${file##*/}
    if [ -s "$ARRIVED/$file" ] && [ ! -s "$SCRIPTS/$file" ]; then keep_script "${file%.sh}"; fi
  done
  if [ -s "$ARRIVED/version" ] && [ ! -e "$STATE/version" ]; then keep_version; fi
}

# keep_script NAME
keep_script() { install_file 0600 root:root "$SCRIPTS/$1.sh" <"$ARRIVED/$1.sh"; }

# prune_scripts DIRECTORY STEP: all but the newest.
prune_scripts() {
  local file
  local -a files=("$1/$2"-*.sh)
  if [ "${#files[@]}" -le "$GENERATIONS" ]; then return 0; fi
  find "$1" -name "$2-*.sh" -printf '%T@ %p\n' | sort -rn | tail -n "+$((GENERATIONS + 1))" |
    while read -r _ file; do rm -f "$file"; done
}
