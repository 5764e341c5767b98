#!/usr/bin/env bash
# Run by the program on the host of a member that the configuration has no longer, before the gate of the others would remove it
# while it serves. What the program was told by another host counts for nothing here: this host asks its own member.
# Takes NODE ADDRESS PKI TOKEN NODES JOINED (addresses of the nodes that have joined in this run, one a line).

# drain: does nothing where there is no such member; whatever it does not do is done by the gate.
drain() {
  local list own id surplus
  refuse_if_held
  if [ ! -e "$FORMED" ] || [ "$(cat "$STATE/token")" != "$TOKEN" ]; then fail "has no member of this stack's cluster"; fi
  if [ "$(unit_property ActiveState)" != active ]; then return; fi
  list=$(retry 5 members "$LOCAL") || fail "its member has no quorum"
  own=$(own_member "$list")
  read -r id _ <<<"$own"
  surplus=$(surplus_members "$list")
  if [ -z "$own" ] || ! grep -qxF -e "$own" <<<"$surplus"; then return; fi
  refuse_unauthorised "$LOCAL"
  depart "$list" "$id" "$surplus"
}
