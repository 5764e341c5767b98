#!/usr/bin/env bash
# The same for the step "leave": nobody sends its script, which an earlier run has left here. A step that was not run again has an older
# one's name in the state, and any release of this program takes it back.
set -eu +o posix
PATH=/usr/bin:/bin
STATE=/var/lib/etcd-on-pulumi
ARRIVED=/run/etcd-on-pulumi.scripts

# find_script FILE...: leaves the first one in "file" that is whole. Fails when none is.
find_script() {
  for file in "$@"; do
    digest=${file##*-}
    [[ $(sha256sum "$file" 2>/dev/null) == "${digest%.sh}"* ]] && return
  done
}

installed_anew() {
  [ -z "$(find $STATE /opt/etcd-on-pulumi ! -path $STATE ! -path "$STATE/scripts*" 2>/dev/null)" ] &&
    ! grep -qsE '^# (BEGIN|Managed by) etcd on Pulumi' /etc/hosts /etc/systemd/system/etcd.service /etc/systemd/system/etcd-firewall.service
}

# The newest first.
mapfile -t others < <(ls -t $STATE/scripts/leave-*.sh $ARRIVED/leave-*.sh 2>/dev/null)
if ! find_script "$STATE/scripts/$SCRIPT.sh" "$ARRIVED/$SCRIPT.sh" "${others[@]}"; then
  if ! installed_anew; then
    echo "$NODE: nothing was removed, because this host has no script for it in $STATE/scripts; run pulumi up with this node in the configuration, which puts the scripts back, and repeat" >&2
    exit 1
  fi
  rm -rf $STATE $ARRIVED
  exit 0
fi
# shellcheck disable=SC1090
. "$file"
run_step "$@" </dev/null
