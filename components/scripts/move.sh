#!/usr/bin/env bash
# A member whose address changes: the others are told its new peer URL, then it restarts there (etcd docs, «Runtime
# reconfiguration»). Its certificates, which name the new address alone, came just before. Part of the step «member», with its
# values.

# From the first thing that is done about a move to the end of it: a run that was killed on the way is finished.
MOVING=$STATE/moving

# address_changes REVISION: the program saw the member listed with another address, or etcd was last told another one here.
address_changes() {
  local before
  case $1 in move:*) return 0 ;; esac
  before=$(grep -s '^PRIVATE_IP=' /etc/etcd.env || true)
  [ -e "$MOVING" ] || { [ -n "$before" ] && [ "$before" != "$(grep '^PRIVATE_IP=' <<<"$ENVIRONMENT" || true)" ]; }
}

# move REVISION: through the others, because a host that has its new address already is cut off from them until they know.
move() {
  local endpoints list own id peers
  : >"$MOVING"
  endpoints=$(reachable_others)
  endpoints=${endpoints:-$LOCAL}
  list=$(retry 15 members "$endpoints") || fail "not moved, because no quorum of the cluster answers; bring the other members back first"
  own=$(own_member "$list")
  read -r id _ peers _ <<<"${own:-- - - -}"
  if [ "$id" != - ] && [ "$peers" != "$(url "$ADDRESS" 2380)" ]; then change_peer_url "$endpoints" "$list" "$id" "$peers"; fi
  if [ "$(unit_property ActiveState)" != active ] || ! healthy "$LOCAL"; then
    start_again "$1"
  elif loaded_else; then
    restart "$1"
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
  if [ "$(unit_property ActiveState)" = active ] && healthy "$LOCAL"; then
    sick=$(sick_others "$1" "$3") || fail "not moved, because no quorum of the cluster answers; bring the other members back first"
    if [ -n "$sick" ]; then
      voters=$(awk '$4 != "true"' <<<"$2" | wc -l)
      fail "not moved, because its restart would leave $((voters - 1 - $(wc -l <<<"$sick"))) healthy of $voters voters; bring back first: $(paste -sd ' ' - <<<"$sick")"
    fi
    # Before anybody loses sight of it: who leads must be seen by all.
    hand_over "$3"
    # When etcd does not start with the new files, it does with the last good ones, which have the old address.
    # shellcheck disable=SC2064 # the values of now
    trap "etcdctl_as_client --endpoints '$1' member update '$3' --peer-urls '$4' >/dev/null 2>&1 || true" EXIT
  fi
  retry 20 etcdctl_as_client --endpoints "$1" member update "$3" --peer-urls "$(url "$ADDRESS" 2380)" >/dev/null ||
    fail "etcd refuses to move member $3 from $4"
  say "member $3 moves from $4 to $(url "$ADDRESS" 2380)"
}
