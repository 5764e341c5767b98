#!/usr/bin/env bash
# The end of a step's standard input: it runs the step's script, which the run that began the step has put on this host (scripts.sh).
# Takes NODE and SCRIPT, the script's name, and the call in its arguments.
set -eu +o posix
PATH=/usr/sbin:/usr/bin:/sbin:/bin

kept=/var/lib/etcd-on-pulumi/scripts
arrived=/run/etcd-on-pulumi.scripts
lock=/run/etcd-on-pulumi.lock

# find_script FILE...: leaves the first one in "file" that is whole: its name ends in the beginning of its digest.
find_script() {
  for file in "$@"; do
    digest=${file##*-}
    if [ -s "$file" ] && [[ $(sha256sum <"$file") == "${digest%.sh}"* ]]; then return; fi
  done
  return 1
}

is_held() { [ -e "$lock" ] && ! flock -n -s 3 3<"$lock"; }

installed_anew() {
  [ -z "$(find "${kept%/*}" -mindepth 1 ! -path "$kept*" 2>/dev/null)" ] && [ ! -e /opt/etcd-on-pulumi ] && ! grep -qs '^# BEGIN etcd on Pulumi$' /etc/hosts &&
    ! grep -qs '^# Managed by etcd on Pulumi' /etc/systemd/system/etcd.service /etc/systemd/system/etcd-firewall.service
}

# A run that is slow to send it still holds the lock.
tries=0
until find_script "$kept/$SCRIPT.sh" "$arrived/$SCRIPT.sh"; do
  if [ "$1" = delete ]; then
    # Nobody sends it. A step that was not run again has an older one in the state, and any release of this program takes it back.
    mapfile -t files < <(find "$kept" "$arrived" -name "${SCRIPT%-*}-*.sh" -printf '%T@ %p\n' 2>/dev/null | sort -rn | cut -d ' ' -f 2)
    if find_script "${files[@]}"; then break; fi
    if installed_anew; then
      rm -rf "${kept%/*}" "$arrived"
      exit 0
    fi
    echo "$NODE: nothing was removed, because this host has no script for it in $kept. Run pulumi up with this node in the configuration, which puts the scripts back, and repeat" >&2
    exit 1
  elif ! is_held; then
    echo "$NODE: not started, because the run that was to send its script does not hold the lock on this host any more: it was killed, or its SSH session to this host ended. Nothing was changed; run pulumi up again" >&2
    exit 1
  elif [ "$((tries += 1))" -gt 1200 ]; then
    echo "$NODE: not started, because its script did not arrive within 4 minutes; is the connection to this host slow? Nothing was changed; run pulumi up again" >&2
    exit 1
  fi
  sleep 0.2
done
# shellcheck disable=SC1090 # lint reads each of them in its place
. "$file"
run_step "$@" </dev/null
