#!/usr/bin/env bash
# A member whose address changes: the others are told its new peer URL, then it restarts there (etcd docs, "Runtime
# reconfiguration"). Part of the step "member", with its values.

# From the first thing that is done about a move to the end of it: a run that was killed on the way is finished.
MOVING=$STATE/moving

# address_changes: the program saw the member listed with another address, or etcd was last told another one here.
address_changes() {
  local before
  if mode move; then return 0; fi
  before=$(grep -s '^PRIVATE_IP=' /etc/etcd.env || true)
  [ -e "$MOVING" ] || { [ -n "$before" ] && [ "$before" != "$(grep '^PRIVATE_IP=' <<<"$ENVIRONMENT" || true)" ]; }
}

# move: through the others, because a host that has its new address already is cut off from them until they know.
move() {
  local endpoints list own id peers
  doing "moving its member to $ADDRESS"
  install_file 0644 root:root "$MOVING" </dev/null
  endpoints=$(reachable_others)
  endpoints=${endpoints:-$LOCAL}
  list=$(retry 15 members "$endpoints") || fail "not moved, because the cluster has no quorum; start the other members first"
  own=$(own_member "$list")
  read -r id _ peers _ <<<"${own:-- - - -}"
  if [ "$id" != - ] && [ "$peers" != "$(url "$ADDRESS" 2380)" ]; then change_peer_url "$endpoints" "$list" "$id" "$peers"; fi
  if [ "$(unit_property ActiveState)" != active ] || ! healthy "$LOCAL"; then
    start_again
  elif needs_restart; then
    restart
  else
    install_files
  fi
  trap - EXIT
  rm -f "$MOVING"
}

# change_peer_url ENDPOINTS LIST ID BEFORE: the restart that follows is like any other: only beside members that are all healthy. One
# that is cut off already costs nothing by it.
change_peer_url() {
  local sick voters
  if [ -z "$(own_address)" ]; then
    fail "not moved, because none of its interfaces has the address $ADDRESS; add it first"
  fi
  refuse_unauthorised "$1"
  free_the_address "$1" "$2" "$3"
  if [ "$(unit_property ActiveState)" = active ] && healthy "$LOCAL"; then
    sick=$(sick_others "$1" "$3") || fail "not moved, because the cluster has no quorum; start the other members first"
    if [ -n "$sick" ]; then
      voters=$(awk '$4 != "true"' <<<"$2" | wc -l)
      fail "not moved, because its restart would leave $((voters - 1 - $(wc -l <<<"$sick"))) healthy of $voters voters; start first: $(paste -sd ' ' - <<<"$sick")"
    fi
    # Before anybody loses sight of it: who leads must be seen by all.
    transfer_leadership_if_leader "$3"
    # When etcd does not start with the new files, it does with the last good ones, which have the old address.
    BEFORE_MOVE=("$1" "$3" "$4")
    trap restore_peer_url EXIT
  fi
  retry 20 etcdctl_as_client --endpoints "$1" member update "$3" --peer-urls "$(url "$ADDRESS" 2380)" >/dev/null ||
    etcd_refuses "$1" "move member $3 from $4"
  info "member $3 moves from $4 to $(url "$ADDRESS" 2380)"
}

# restore_peer_url: the member has the address again that it had, of BEFORE_MOVE: ENDPOINTS ID PEER_URLS.
restore_peer_url() {
  etcdctl_as_client --endpoints "${BEFORE_MOVE[0]}" member update "${BEFORE_MOVE[1]}" --peer-urls "${BEFORE_MOVE[2]}" >/dev/null 2>&1 || true
}

# free_the_address ENDPOINTS LIST ID: of learners and members that never started: this host runs member ID, so none of them is its own.
free_the_address() {
  local id name peers learner started
  while read -r id name peers learner started; do
    if [ "$id" = "$3" ] || [ "$peers" != "$(url "$ADDRESS" 2380)" ]; then continue; fi
    if [ "$learner" != true ] && [ "$started" = yes ]; then
      fail "not moved, because $name, member $id, has the address $ADDRESS; two members cannot share one. Move or remove it first"
    fi
    retry 15 remove_member "$1" "$id" >/dev/null || etcd_refuses "$1" "remove member $id, which never ran here and has this host's address $peers"
    info "member $id at $peers, which never ran here, is removed"
  done <<<"$2"
}
