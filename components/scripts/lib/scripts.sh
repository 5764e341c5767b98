#!/usr/bin/env bash
# The scripts of the steps on this host. An up that has inspected it sends those that it lacks, by the session that holds the lock; a
# step's standard input names its own (load.sh). The disk keeps them, because a destroy runs them and sends none.

export SCRIPTS=$STATE/scripts
# Until the first step has finished on this host.
export ARRIVED=/run/etcd-on-pulumi.scripts
# Of each step the disk keeps so many, because a step that was not run again has an older one in the state.
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

# take_script NAME LENGTH: so many characters of standard input, packed. Where the disk takes nothing more the steps say so.
take_script() {
  local file=$ARRIVED/$1.sh
  if ! [[ $1 =~ ^[a-z]+-[0-9a-f]{16}$ && $2 =~ ^[0-9]{1,7}$ ]]; then return 0; fi
  [ -d "$ARRIVED" ] || mkdir -m 0700 "$ARRIVED" || return 0
  (umask 077 && timeout "$SILENCE_SECONDS" head -c "$2" | base64 -d | gzip -d >"$file.new") 2>/dev/null || true
  if [[ $(sha256sum <"$file.new") == "${1##*-}"* ]]; then mv -fT "$file.new" "$file"; else rm -f "$file.new"; fi
  if [ -d "$STATE" ] && [ -e "$file" ]; then (keep_script "$1") 2>/dev/null || true; fi
}

# keep_own_script: when a step has finished. One that was sent whole has no name.
keep_own_script() {
  if [ -n "${SCRIPT:-}" ] && [ ! -s "$SCRIPTS/$SCRIPT.sh" ]; then keep_script "$SCRIPT"; fi
}

# keep_script NAME
keep_script() {
  local file
  install_file 0600 root:root "$SCRIPTS/$1.sh" <"$ARRIVED/$1.sh"
  find "$SCRIPTS" -name "${1%-*}-*.sh" -printf '%T@ %p\n' | sort -rn | sed -n "$((GENERATIONS + 1)),\$s/^[^ ]* //p" |
    while read -r file; do rm -f "$file"; done
}
