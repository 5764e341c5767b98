#!/usr/bin/env bash
# Learners that an interrupted run left behind. Part of the step «member»; this host's own half-added member is used by its join.

# promote_own: etcd runs here, but the run that added it was killed before its promotion.
promote_own() {
  local id others
  if [ "$(unit_property ActiveState)" != active ] || [ "$(status_field "$LOCAL" IsLearner || true)" != true ]; then return; fi
  id=$(status_field "$LOCAL" MemberID) || fail "etcd runs on this host but does not answer its client"
  others=$(reachable_others)
  [ -n "$others" ] || fail "its member $id is a learner, and no other member can be reached to promote it"
  promote "$others" "$id"
}

# drop_strange_learners ENDPOINTS LIST: those that belong to no configured node. Etcd has room for one learner only, and one that
# nobody will ever start would keep everybody out; a learner counts for no quorum.
drop_strange_learners() {
  local id peers learner urls
  urls=$(awk 'NF == 2 { print $2 }' "$STATE/nodes" | while read -r peers; do url "$peers" 2380; echo; done)
  while read -r id _ peers learner _; do
    if [ "$learner" != true ] || grep -qxF "$peers" <<<"$urls"; then continue; fi
    retry 15 remove_member "$1" "$id" >/dev/null || fail "etcd refuses to remove the learner $id at $peers, which belongs to no configured node"
    say "learner $id at $peers belonged to no configured node and was removed"
  done <<<"$2"
}
