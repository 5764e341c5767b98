#!/usr/bin/env bash
# A member whose data cannot be used any more (it differs from that of the others, or etcd exits at every start with it) is given up
# and the host rejoins. Nothing of it is deleted. Part of the step "member"; the revision of the mode "rebuild" names the member.

# start_unchecked: etcd does not start when its data differs from any other member's, so neither does one that is right beside one that
# is not. A person has said which one that is, and it is given up as soon as this one is back. The drop-in is
# lost at a reboot, and a run that was killed is made good by the next one (remove_overrides).
start_unchecked() {
  local override=/run/systemd/system/etcd.service.d/unchecked.conf flag=--feature-gates=InitialCorruptCheck=false
  if [ "$(minor "$VERSION")" = 3.5 ]; then flag=--experimental-initial-corrupt-check=false; fi
  info "starting etcd without its initial corruption check, because a member with other data is about to be rebuilt"
  override_with "$flag" | install_file 0644 root:root "$override"
  systemctl daemon-reload
  systemctl restart --no-block etcd.service
  record_loaded_config
  wait_until_ready
  remove_file "$override"
  rmdir "$(dirname "$override")" 2>/dev/null || true
  systemctl daemon-reload
}

# transfer_from_corrupt_leader ENDPOINTS LIST: a member that joins is given the data of the leader, which must not be a corrupt one.
transfer_from_corrupt_leader() {
  local raised corrupt id peers
  raised=$(alarms "$1") || return 0
  corrupt=$(live_corrupt "$raised" "$2")
  while read -r id _ peers _; do
    if [ -n "$id" ] && grep -qxF -e "$id" <<<"$corrupt" && [ "$(status_field "$(client_url "$peers")" Leader)" = "$id" ]; then
      transfer_from "$(client_url "$peers")" "$2" "$(awk 'NR == FNR { corrupt[$1]; next } $1 in corrupt' <(printf '%s\n' "$corrupt") <(printf '%s\n' "$2"))"
    fi
  done <<<"$2"
}

# rebuild: the configuration says which member is given up, so an ID that is not this host's does nothing. Removed first,
# while it may still run: in a cluster of two it takes the one that is given up to agree.
rebuild() {
  local id=${REVISION[member]} found others list sick
  doing "removing its member to rebuild it"
  found=$(data_identity)
  if [ "${found#* }" != "$id" ]; then return 0; fi
  others=$(reachable_others)
  list=$([ -z "$others" ] || retry 15 members "$others") || true
  [ -n "$list" ] ||
    fail "member $id was not rebuilt, because the cluster has no quorum without this host; start the other members first, or see docs/recovery.md"
  refuse_unauthorised "$others"
  # A run that was killed removed it; the data is moved aside as that of a member that has left.
  if ! has_member "$list" "$id"; then return 0; fi
  guard "$list" "$id $NODE"
  sick=$(sick_others "$others" "$id") || fail "member $id was not rebuilt, because the cluster has no quorum; start the other members first"
  [ -z "$sick" ] ||
    fail "member $id was not rebuilt, because another member is unhealthy: $(paste -sd ' ' - <<<"$sick"); start it first"
  if healthy "$LOCAL"; then transfer_leadership_if_leader "$id"; fi
  retry 15 remove_member "$others" "$id" >/dev/null || etcd_refuses "$others" "remove member $id, which is to be rebuilt"
  info "member $id was removed, as etcd:nodes[].rebuild asks"
  set_aside "rebuilt-$id"
}
