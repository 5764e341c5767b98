#!/usr/bin/env bash
# Step "install": all that a member needs on its host, before there is one: the host's own settings, the release, the leaf certificates,
# the timers.
# Everything in it can be done again at any time, and restarts nothing. Takes what lib/host.sh, lib/binaries.sh, lib/files.sh and lib/jobs.sh take.

export STEP_RECEIPTS="host binaries files jobs" STEP_MODES="create repair renew"

apply() {
  refuse_unfit
  read_revision "$1"
  doing "creating $STATE"
  mkdir -p "$STATE"
  chmod 0755 "$STATE"
  # From here on the host has something to be removed, by the script that was sent for it.
  keep_scripts
  install_host "$1"
  install_binaries "$1"
  install_leaves "$1"
  install_jobs "$1"
}
