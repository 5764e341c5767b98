#!/usr/bin/env bash
# Replacing is not removing. Pulumi runs the delete of a step when its node leaves the configuration and in a destroy, and just the
# same when it replaces the step of a node that stays. Nothing tells the two apart but what goes before: all else of a node is deleted
# after its gate, and replaced without it. So the gate's delete releases the host, and nothing is removed from one that it did not.

# Exists from the moment the gate saw this host's member in order until the gate is deleted. A host that never had it was never
# finished, and can be cleaned at any time.
KEPT=$STATE/kept
# What becomes of it then, until an up has the node in its configuration again.
RELEASED=$STATE/released

# keep_host: by the gate, once all is well.
keep_host() {
  if [ ! -e "$KEPT" ]; then install_file 0600 root:root "$KEPT" </dev/null; fi
  rm -f "$RELEASED"
  keep_own_script
}

# release_host: by the gate's delete. A repeated destroy finds it done.
release_host() {
  if [ -e "$KEPT" ]; then mv -fT "$KEPT" "$RELEASED"; fi
}

# take_back: the node is in the configuration of a run that is at work. What a destroy has cleaned already stays free to be cleaned.
take_back() {
  [ -e "$RELEASED" ] || return 0
  if [ -e "$FORMED" ]; then mv -fT "$RELEASED" "$KEPT"; else rm -f "$RELEASED"; fi
}

# delete: what Pulumi calls; the step's "remove" does the work. Only an up whose configuration has this node holds its host, and only
# while it replaces a step does it delete one there (every step has deleteBeforeReplace).
delete() {
  if [ ! -e "$KEPT" ]; then
    refuse_if_held
    remove
  elif lock_is_held; then
    info "nothing was removed, because the node stays in the configuration"
  else
    fail "nothing was removed: $NODE-health must be deleted first, which releases the host, and it was not. If the node stays in the configuration, run pulumi up again. If it is to go, run pulumi up once and repeat; if that is not possible, remove the file $KEPT on this host and repeat"
  fi
}

# member_is_here: a member, or what is left of its installation, that its own step has not removed. That step is not in the state
# when it was never finished, or when a run was killed while it was being replaced.
member_is_here() {
  [ -e "$FORMED" ] || [ -e "$STATE/receipts/member" ] || grep -qsxF -e "$UNIT" "$CLAIMS" || grep -qs '^# Managed by etcd on Pulumi' "$UNIT"
}
