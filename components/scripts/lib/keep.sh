#!/usr/bin/env bash
# Replacing is not removing. Pulumi runs the delete of a step when its node leaves the configuration and in a destroy, and just the
# same when it replaces the step of a node that stays. What tells the two apart is the up whose configuration has the node: it holds the
# host's lock from before its first step to its end, and it says when it has come to its end.

# Exists from the moment the gate saw this host's member in order. A host that never had it can be cleaned at any time.
KEPT=$STATE/kept
# Exists while an up is at work whose configuration has this node, and after one that did not come to its end. It has the up's words, and the
# time of its last sign of life. On the disk, for a host that loses power meanwhile.
CONFIGURED=$STATE/configured
# A delete of such an up may still be on its way for so many seconds: it dials for two minutes, and the up notices within 40 s that it has
# lost a host.
LATE_SECONDS=180

# keep_host: by the gate, once all is well.
keep_host() {
  if [ ! -e "$KEPT" ]; then install_file 0600 root:root "$KEPT" </dev/null; fi
  keep_own_script
}

# keep_node: a sign of life of an up whose configuration has this node. Takes HOLDER.
keep_node() { if [ -d "$STATE" ]; then (umask 077 && printf '%s\n' "$HOLDER" >"$CONFIGURED") 2>/dev/null || true; fi; }

# node_stays: an up whose configuration has this node is at work. It deletes a step here only to make it again.
node_stays() { lock_is_held && cmp -s "$CONFIGURED" "$LOCK"; }

# refuse_after_interruption: the delete may be one of an up that was killed or cut off while it replaced this node's step.
refuse_after_interruption() {
  local age left
  if [ ! -e "$KEPT" ] || [ ! -e "$CONFIGURED" ]; then return; fi
  age=$(($(date +%s) - $(stat -c %Y "$CONFIGURED")))
  left=$((LATE_SECONDS - age))
  # A clock that was set back says nothing.
  if [ "$left" -le 0 ] || [ "$left" -gt "$LATE_SECONDS" ]; then return; fi
  fail "nothing was removed: the pulumi up by $(<"$CONFIGURED") has this node in its configuration and was interrupted $age s ago; one of its steps may still be on its way to this host. Repeat in $left s"
}

# member_is_here: a member, or what is left of its installation.
member_is_here() {
  [ -e "$FORMED" ] || [ -e "$STATE/receipts/member" ] || grep -qsxF -e "$UNIT" "$CLAIMS" || grep -qs '^# Managed by etcd on Pulumi' "$UNIT"
}
