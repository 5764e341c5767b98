#!/usr/bin/env bash
# The end of a step's standard input: it runs the step's script, which the run that began the step has put on this host (scripts.sh).
# Takes NODE and SCRIPT, the script's name, and the call in its arguments.

for _ in {1..200}; do
  for file in "/var/lib/etcd-on-pulumi/scripts/$SCRIPT.sh" "/run/etcd-on-pulumi.scripts/$SCRIPT.sh"; do
    if [ -s "$file" ]; then break 2; fi
  done
  # Nobody brings it in a destroy.
  if [ "$1" = delete ]; then break; fi
  sleep 0.1
done
if [ ! -s "$file" ]; then
  if [ "$1" != delete ]; then
    echo "$NODE: not started, because the scripts of this run are not on this host: the run that started this step was killed, or its SSH session to this host ended. Nothing was changed; run pulumi up again" >&2
    exit 1
  elif [ -e /var/lib/etcd-on-pulumi ] || grep -qs '^# Managed by etcd on Pulumi' /etc/systemd/system/etcd.service; then
    echo "$NODE: nothing was removed, because /var/lib/etcd-on-pulumi/scripts/$SCRIPT.sh is missing on this host. Run pulumi up with this node in the configuration, which puts it back, and repeat" >&2
    exit 1
  fi
  # A host that was installed anew.
  exit 0
fi
# shellcheck disable=SC1090 # lint reads each of them in its place
. "$file"
run_step "$@" </dev/null
