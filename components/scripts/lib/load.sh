#!/usr/bin/env bash
# The end of a step's standard input, which the state keeps twice for every step: so it is short. It runs the step's script, which the run
# that begins the step puts on this host (scripts.sh). Takes NODE and SCRIPT, the script's name, and the call in its arguments.
set -eu +o posix
PATH=/usr/bin:/bin
lock=/run/etcd-on-pulumi.lock

# find_script: leaves the first one in "file" that is whole: its name ends in the beginning of its digest. Fails when none is.
find_script() {
  for file in /var/lib/etcd-on-pulumi/scripts/"$SCRIPT.sh" /run/etcd-on-pulumi.scripts/"$SCRIPT.sh"; do
    [[ $(sha256sum "$file" 2>/dev/null) == "${SCRIPT##*-}"* ]] && return
  done
}

until find_script; do
  # A run that is slow to send it still holds the lock.
  if [ ! -e $lock ] || flock -n -s 3 3<$lock || [ $SECONDS -gt 240 ]; then
    echo "$NODE: not started, because its script did not arrive: its run was killed, or has an SSH session to this host that ended or is too slow. Nothing was changed; run pulumi up again" >&2
    exit 1
  fi
  sleep 0.2
done
# shellcheck disable=SC1090 # lint reads each of them in its place
. "$file"
run_step "$@" </dev/null
