#!/usr/bin/env bash
# Step "leave": takes everything of this program from a host whose node leaves, its member first. It has no apply: making it dials nobody,
# so that it is in the state before anything on the host is touched, and undoes what a killed or failed run has begun there.
# Takes NODE ADDRESS PKI SNAPSHOT TOKEN.

# delete: what Pulumi calls when the node has left the configuration, in a destroy, and just the same when it replaces the step of a node
# that stays (lib/keep.sh).
delete() {
  # A success would leave the state without this step if that up was killed now, and a destroy without a host.
  if node_stays; then
    fail "nothing was removed, because the node stays in the configuration. This step cannot be replaced: run pulumi up again without --replace, after pulumi state untaint if it is tainted, and with the provider that it had. In a destroy: without --run-program"
  fi
  refuse_if_held
  refuse_after_interruption
  refuse_other_member
  remove
}

# refuse_other_member: an old copy of a state may have had this host before another stack got it, or another node its address.
refuse_other_member() {
  local other
  if other=$(cat "$STATE/token" 2>/dev/null) && [ "$other" != "$TOKEN" ]; then
    fail "nothing was removed: this host has a member of the cluster with the token $other, and this stack's is $TOKEN. It belongs to another stack now; take it out of this one with pulumi state delete"
  fi
  if ! grep -qs '^# Managed by etcd on Pulumi' /etc/etcd.env; then return; fi
  other=$(sed -n 's/^PEER_NAME=//p' /etc/etcd.env)
  if [ -n "$other" ] && [ "$other" != "$NODE" ]; then
    fail "nothing was removed: this host is the node $other now. Nothing of $NODE is left here; take its steps out of the state with pulumi state delete"
  fi
}

# remove: also half of it, and twice.
remove() {
  refuse_broken_block
  if member_is_here; then take_member_away; fi
  remove_jobs
  remove_leaves
  remove_binaries
  remove_host
  doing "removing $STATE"
  # The scripts last: what is cut off here is repeated by them.
  if [ -d "$STATE" ]; then find "$STATE" -mindepth 1 -maxdepth 1 ! -path "$SCRIPTS" -exec rm -rf {} +; fi
  rm -rf "$STATE" "$ARRIVED"
}
