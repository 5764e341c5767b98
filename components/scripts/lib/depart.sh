#!/usr/bin/env bash
# A member leaves its cluster, and its host. etcd ends a member that is removed while it serves within a second, and its clients see
# their requests fail ("raft: stopped"). So it is stopped first, as in a restart: clients see a closed connection and go elsewhere.
# Takes NODE ADDRESS PKI; SNAPSHOT (yes or no) where it is known, else yes.

# take_member_away: also half of one, and twice.
take_member_away() {
  doing "removing its member from the cluster"
  if [ -e "$FORMED" ] && [ ! -e "$STATE/abandon" ]; then leave; fi
  doing "removing its member's data and files"
  systemctl --quiet disable --no-reload etcd.service 2>/dev/null || true
  systemctl stop etcd.service 2>/dev/null || true
  systemctl reset-failed etcd.service 2>/dev/null || true
  part_with_data
  rm -f "$FORMED"
  give_up "$PKI/ca.pem" /etc/etcd.env "$UNIT"
  systemctl daemon-reload
  # A node that comes back after a removal that was killed finds nothing of this member.
  rm -rf "$STATE/receipts/member" "$STATE/first-start.env" "$STATE/running" "$STATE/process" "$STATE/wanted" "$STATE/token" "$STATE/good" \
    "$STATE/version-snapshot" "$STATE/moving" "$STATE/identity" "$STATE/members" "$STATE/recovered" "$STATE/left" "$STATE/trust" "$STATE/abandon"
}

# Out of the cluster, unless it is out already; the last member leaves a snapshot.
leave() {
  local endpoints list own
  if was_removed || has_left; then return; fi
  endpoints=$LOCAL
  list=$(retry 5 members "$endpoints") || {
    endpoints=$(reachable_others)
    list=$([ -z "$endpoints" ] || retry 15 members "$endpoints") || true
  }
  if [ -z "$list" ]; then
    fail "cannot leave: the cluster has no quorum, so nothing was removed. Start its members and repeat. If they have removed this one already, or the cluster and its data are to be discarded, run touch $STATE/abandon on this host and repeat"
  fi
  own=$(own_member "$list")
  if [ -z "$own" ]; then return; fi
  if [ "$(wc -l <<<"$list")" -eq 1 ]; then
    if [ "${SNAPSHOT:-yes}" = yes ]; then final_snapshot; fi
    # With it the cluster ends.
    install_file 0600 root:root "$LEFT" <<<"${own%% *}"
    return
  fi
  refuse_unauthorised "$endpoints"
  list=$(without_unstarted "$endpoints" "$list")
  depart "$list" "${own%% *}" "$own"
}

# without_unstarted ENDPOINTS LIST: the list when the voters are gone that a first run of this program was to start on its nodes and never
# did. Each counts as one that does not answer, has no data, and no step of its own takes it out.
without_unstarted() {
  local id name peers learner started ours
  ours=$(awk 'NF == 2 { print $2 }' "$STATE/nodes" | peer_urls)
  while read -r id name peers learner started; do
    if [ "$started" = no ] && [ "$learner" != true ] && grep -qxF -e "$peers" <<<"$ours"; then
      retry 20 remove_member "$1" "$id" >/dev/null || end_step "etcd refuses to remove the unstarted member $id at $peers"
      info "unstarted member $id at $peers was removed from the cluster"
    else
      printf '%s\n' "$id $name $peers $learner $started"
    fi
  done <<<"$2"
}

# was_removed: the others took this member out, and its etcd has said so in its journal, in either format of its log, since it last was
# ready: it applied the removal of its own ID, or was turned away as one that is no member any more. Nobody lets this host in then,
# so there is nobody to ask.
was_removed() {
  local own
  own=$(data_identity)
  { journal 50000 || true; } | awk -v own="${own#* }" '
    /^Started etcd/ { exit }
    /server error.*permanently removed from the cluster/ { found = 1; exit }
    own != "" && /removed member/ && match($0, /"removed-remote-peer-id": ?"[0-9a-f]+"/) {
      id = substr($0, RSTART, RLENGTH - 1)
      sub(/.*"/, "", id)
      if (id == own) { found = 1; exit }
    }
    END { exit !found }'
}

final_snapshot() {
  local cluster release file words
  doing "taking the final snapshot"
  if ! cluster=$(status_field "$LOCAL" ClusterID) || ! release=$(status_field "$LOCAL" Version); then
    fail "the final snapshot failed: etcd does not answer on $LOCAL; nothing was removed. Set etcd:destroy.snapshot to false to skip it"
  fi
  file=$BACKUPS/$NODE-$cluster-$(date -u +%Y%m%dT%H%M%SZ).db
  words=$(save_snapshot "$file") ||
    fail "the final snapshot failed: $words; nothing was removed. Set etcd:destroy.snapshot to false to skip it"
  info "final snapshot: $file"
  push_beside "$file" "$cluster" "$release" final
}

# depart LIST ID SURPLUS: by ID, through the others, and only if those of the list that stay, all but SURPLUS, have a quorum of healthy
# voters. Killed in between, the member is one that does not answer: the next run removes it.
depart() {
  local id peers learner started others voters=0 well=0 staying=0 staying_well=0
  while read -r id _ peers learner started; do
    if [ "$learner" = true ]; then continue; fi
    voters=$((voters + 1))
    if [ "$id" = "$2" ]; then continue; fi
    has_member "$3" "$id" || staying=$((staying + 1))
    if [ "$started" = no ] || ! serves "$peers"; then continue; fi
    well=$((well + 1))
    has_member "$3" "$id" || staying_well=$((staying_well + 1))
  done <<<"$1"
  if [ "$staying_well" -le $((staying / 2)) ]; then
    fail "cannot leave: of the $staying voters that would stay only $staying_well are healthy; start the others first"
  fi
  if [ "$(status_field "$LOCAL" Leader)" = "$2" ]; then
    move_leader "$LOCAL" < <(awk 'NR == FNR { gone[$1]; next } !($1 in gone)' <(printf '%s\n' "$3") <(transfer_targets "$2"))
  fi
  # Of two voters both are needed until one of them is removed.
  if [ "$well" -gt $((voters / 2)) ]; then stop_serving; fi
  others=$(reachable_others)
  if ! retry 20 remove_member "$others" "$2" >/dev/null; then
    systemctl start --no-block etcd.service
    etcd_refuses "$1" "remove member $2"
  fi
  install_file 0600 root:root "$LEFT" <<<"$2"
  info "member $2 left the cluster"
}

# serves PEER_URLS: a host that joined in this very run, one of the addresses in JOINED, does not know this one and lets it in nowhere.
serves() { healthy "$(client_url "$1")" || peer_urls <<<"${JOINED:-}" | grep -qxF -e "$1"; }

# stop_serving: only when somebody else can be asked for the removal.
stop_serving() {
  local others
  others=$(reachable_others)
  if [ -n "$others" ] && [ -n "$(members "$others")" ]; then systemctl stop etcd.service; fi
}

# has_left: the member whose data is here did so in an earlier run, or its data is gone already. One that serves did not, or has come back.
has_left() {
  local found
  if [ ! -e "$LEFT" ] || [ "$(unit_property ActiveState)" = active ]; then return 1; fi
  found=$(data_identity)
  [ -z "$found" ] || is_left "${found#* }"
}
