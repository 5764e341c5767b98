#!/usr/bin/env bash
# Learners that an interrupted run left behind, and what else keeps a member from being added. Part of the step "member"; this
# host's own half-added member is used by its join.

# promote_own: etcd runs here, but the run that added it was killed before its promotion.
promote_own() {
  local id others
  if [ "$(unit_property ActiveState)" != active ] || [ "$(status_field "$LOCAL" IsLearner || true)" != true ]; then return; fi
  id=$(status_field "$LOCAL" MemberID) || fail "$NO_ANSWER"
  others=$(reachable_others)
  doing "promoting its member, which is a learner"
  [ -n "$others" ] || fail "its member $id is a learner, and no other member is reachable to promote it; start the others first, and run pulumi up again"
  promote "$others" "$id"
}

# remove_blockers ENDPOINTS: of what keeps etcd from adding a member. That is a voter that does not answer, so of several hosts that
# were rebuilt at once, whom the revision names, the first removes the old members of all; and it is a second learner, left behind
# by a run that was killed: its own step adds it again when the configuration still has it.
remove_blockers() {
  local list rebuilt id name peers learner started
  list=$(retry 15 members "$1") || fail "$NO_QUORUM"
  rebuilt=,${REVISION[rebuilt]:-},
  while read -r id name peers learner started; do
    if [[ $rebuilt == *",$name,"* ]] && ! healthy "$(client_url "$peers")"; then
      guard "$list" "$id $name"
      info "the host of $name was rebuilt: its old member $id is removed"
    elif [ "$learner" = true ] && [ "$started" = yes ] && [ -n "$(members_at "$id $name $peers" < <(awk '{ print $2 }' "$STATE/nodes"))" ]; then
      promote "$1" "$id"
      continue
    elif [ "$learner" = true ]; then
      info "the learner $id at $peers, left behind by an interrupted run, is removed"
    else
      continue
    fi
    retry 15 remove_member "$1" "$id" >/dev/null || etcd_refuses "$1" "remove member $id at $peers, which keeps this host from joining"
  done <<<"$list"
}
